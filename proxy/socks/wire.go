package socks

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"

	"github.com/things-go/go-socks5/statute"

	"mpproxy/proxy"
)

// This file is the only one that knows go-socks5, of which the wire formats are
// used. Its server is not: it has no deadlines, maps errors by their text, drops
// their causes, and takes a 4 KiB buffer for each handshake.

// Numbers of RFC 1928 §3 and §4 and RFC 1929 §2.
const (
	version5           = statute.VersionSocks5
	methodNone         = statute.MethodNoAuth
	methodPassword     = statute.MethodUserPassAuth
	methodUnacceptable = statute.MethodNoAcceptable
	passwordVersion    = statute.UserPassAuthVersion
	passwordRight      = statute.AuthSuccess
	passwordWrong      = statute.AuthFailure
	passwordDisabled   = 2 // a failure like any other to RFC 1929, of which we know the reason
	commandConnect     = statute.CommandConnect
	commandResolve     = 0xF0 // Tor's: the reply's BND.ADDR is an address of the name
)

// addressTypeError is a request for a kind of address that is not known.
type addressTypeError byte

func (e addressTypeError) Error() string { return fmt.Sprintf("unknown address type %d", byte(e)) }

// Sizes of answers in bytes: RFC 1928 §3 and §6 (an empty name as BND.ADDR, an IPv4
// address), RFC 1929 §2. Whoever agreed on methodFramed answers with addresses.
const (
	methodReplySize   = 2
	passwordReplySize = 2
	shortestReplySize = 7
	numericReplySize  = 10
)

func methodsMessage(methods ...byte) []byte {
	return statute.NewMethodRequest(version5, methods).Bytes()
}

func parseMethods(r io.Reader) ([]byte, error) {
	m, err := statute.ParseMethodRequest(r)
	return m.Methods, err
}

func parseMethodReply(r io.Reader) (version, method byte, err error) {
	m, err := statute.ParseMethodReply(r)
	return m.Ver, m.Method, err
}

func passwordMessage(user, password string) []byte {
	return statute.NewUserPassRequest(passwordVersion, []byte(user), []byte(password)).Bytes()
}

func parsePassword(r io.Reader) (user, password string, err error) {
	m, err := statute.ParseUserPassRequest(r)
	return string(m.User), string(m.Pass), err
}

func parsePasswordReply(r io.Reader) (status byte, err error) {
	m, err := statute.ParseUserPassReply(r)
	return m.Status, err
}

// RequestMessage returns a request to connect. It begins a further stream on a leg that
// both ends agreed to frame.
func RequestMessage(to proxy.Destination) []byte { return requestMessage(commandConnect, to) }

// ResolveMessage returns a request for an address of a name. The leg ends with the answer.
func ResolveMessage(to proxy.Destination) []byte { return requestMessage(commandResolve, to) }

func requestMessage(command byte, to proxy.Destination) []byte {
	return statute.Request{Version: version5, Command: command, DstAddr: addrSpec(to)}.Bytes()
}

// parseRequest reads a request. named is unset for one with an empty host name.
func parseRequest(r io.Reader) (command byte, to proxy.Destination, named bool, err error) {
	m, err := statute.ParseRequest(r)
	if errors.Is(err, statute.ErrUnrecognizedAddrType) {
		err = addressTypeError(m.DstAddr.AddrType)
	}
	if err != nil {
		return 0, to, false, err
	}
	to, named = destinationOf(m.DstAddr)
	return m.Command, to, named, nil
}

func replyMessage(o proxy.Outcome, bound netip.AddrPort) []byte {
	m := statute.Reply{Version: version5, Response: byte(o)}
	m.BndAddr = addrSpec(proxy.Destination{Addr: bound.Addr().Unmap(), Port: bound.Port()})
	return m.Bytes()
}

// parseReply reads the answer to a request. bound is invalid when it was sent as a name.
func parseReply(r io.Reader) (o proxy.Outcome, bound netip.AddrPort, err error) {
	m, err := statute.ParseReply(r)
	if err != nil {
		return 0, bound, err
	}
	if addr, ok := netip.AddrFromSlice(m.BndAddr.IP); ok {
		bound = netip.AddrPortFrom(addr.Unmap(), uint16(m.BndAddr.Port))
	}
	return proxy.Outcome(m.Response), bound, nil
}

// destinationOf takes a name that is an address literal for that address: some
// clients send it so.
func destinationOf(spec statute.AddrSpec) (proxy.Destination, bool) {
	to := proxy.Destination{Name: spec.FQDN, Port: uint16(spec.Port)}
	addr, ok := netip.AddrFromSlice(spec.IP)
	if to.Name != "" {
		addr, ok = literal(to.Name)
	}
	if ok {
		to.Name, to.Addr = "", addr.Unmap().WithZone("")
	}
	return to, to.Name != "" || ok
}

// literal reads an address, also one of IPv6 in the brackets that a URL has it in.
func literal(name string) (netip.Addr, bool) {
	inner, opened := strings.CutPrefix(name, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	addr, err := netip.ParseAddr(inner)
	ok := err == nil && opened == closed && (!opened || addr.Is6())
	return addr, ok
}

func addrSpec(d proxy.Destination) statute.AddrSpec {
	spec := statute.AddrSpec{FQDN: d.Name, Port: int(d.Port), AddrType: statute.ATYPDomain}
	switch {
	case d.Name != "":
	case !d.Addr.IsValid():
		spec.AddrType, spec.IP = statute.ATYPIPv4, net.IPv4zero
	case d.Addr.Is4():
		spec.AddrType, spec.IP = statute.ATYPIPv4, d.Addr.AsSlice()
	default:
		spec.AddrType, spec.IP = statute.ATYPIPv6, d.Addr.AsSlice()
	}
	return spec
}
