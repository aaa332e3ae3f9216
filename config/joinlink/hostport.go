package joinlink

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// HostPort is where a server is reached: a DNS name, an IPv4 or an IPv6 address
// (without brackets), and a port from 1 to 65535. The zero value means "not set".
type HostPort struct {
	Host string
	Port uint16
}

// IsZero says whether nothing is set.
func (hp HostPort) IsZero() bool { return hp == HostPort{} }

// String returns "host:port", with brackets around an IPv6 address, as net.Dial
// takes it; "" for the zero value.
func (hp HostPort) String() string {
	if hp.IsZero() {
		return ""
	}
	return net.JoinHostPort(hp.Host, strconv.Itoa(int(hp.Port)))
}

// ParseHostPort reads HOST:PORT; IPv6 addresses stand in brackets. Its errors do
// not repeat the text, which may hold a secret when it was cut out of a link.
func ParseHostPort(s string) (HostPort, error) {
	host, port, err := cutPort(s)
	if err != nil {
		return HostPort{}, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || len(port) > 5 {
		return HostPort{}, errors.New("the port must be a number from 1 to 65535")
	}
	if rest, ok := strings.CutPrefix(host, "["); ok {
		a, err := netip.ParseAddr(strings.TrimSuffix(rest, "]"))
		if err != nil || !a.Is6() {
			return HostPort{}, errors.New("what stands in brackets must be an IPv6 address")
		}
		return HostPort{a.String(), uint16(n)}, nil
	}
	host, err = checkHost(host)
	return HostPort{host, uint16(n)}, err
}

// cutPort splits at the last colon that is not inside brackets.
func cutPort(s string) (host, port string, err error) {
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return "", "", errors.New("the bracket '[' is not closed")
		}
		host, port, ok := s[:end+1], "", false
		if port, ok = strings.CutPrefix(s[end+1:], ":"); !ok {
			return "", "", errors.New("the port is missing: write [ADDRESS]:PORT")
		}
		return host, port, nil
	}
	switch strings.Count(s, ":") {
	case 0:
		return "", "", errors.New("the port is missing: write HOST:PORT")
	case 1:
		host, port, _ = strings.Cut(s, ":")
		return host, port, nil
	}
	return "", "", errors.New("too many colons: an IPv6 address stands in brackets, as in [2001:db8::1]:8443")
}

// checkHost accepts an IPv4 address or a DNS name of letters, digits, '-', '_'
// and dots (RFC 1123 §2.1 and what resolvers take), and lower-cases it.
func checkHost(host string) (string, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.String(), nil
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if name == "" {
		return "", errors.New("the host is missing: write HOST:PORT")
	}
	if len(name) > 253 {
		return "", errors.New("the host name is longer than 253 characters")
	}
	labels := strings.Split(name, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" || l[0] == '-' || l[len(l)-1] == '-' {
			return "", errors.New("the host must be a DNS name (letters, digits, '-' and dots; international names in their xn-- form) or an IP address")
		}
	}
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" {
		return "", errors.New("the host looks like an IPv4 address but is none: write four numbers from 0 to 255")
	}
	return name, nil
}

// ParseListen reads ADDRESS:PORT of a listener. ":PORT" means every address of
// both families, [::]:PORT. Port 0 lets the kernel choose.
func ParseListen(s string) (netip.AddrPort, error) {
	if port, ok := strings.CutPrefix(s, ":"); ok {
		s = "[::]:" + port
	}
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q is no address to listen on: write ADDRESS:PORT with a numeric address and a port from 0 to 65535, such as \"127.0.0.1:1080\" or \"[::1]:1080\"", s)
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
}
