package link

import (
	"fmt"
	"os"
	"strings"
)

// Kind says what carries the frames of a link.
type Kind int

const (
	// Auto takes the value of the environment variable MPPROXY_LINK or, without
	// it, VETH for a link without limits, else NETEM where the kernel has it,
	// TAP where /dev/net/tun may be opened, PACKET otherwise.
	Auto Kind = iota
	// TAP is a pair of TAP devices, joined in user space.
	TAP
	// Packet is two veth pairs, joined in user space through packet sockets, for
	// a place without access to /dev/net/tun.
	Packet
	// Netem is a veth pair with netem queueing disciplines at both ends.
	Netem
	// Veth is a plain veth pair: as fast as the machine, and no Params.
	Veth
)

// EnvKind is the environment variable that Auto obeys: auto, tap, packet, netem
// or veth.
const EnvKind = "MPPROXY_LINK"

var kindNames = [...]string{"auto", "tap", "packet", "netem", "veth"}

func (k Kind) String() string {
	if k >= 0 && int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// ParseKind is the inverse of Kind.String; the empty string is Auto.
func ParseKind(s string) (Kind, error) {
	if s == "" {
		return Auto, nil
	}
	for i, name := range kindNames {
		if name == s {
			return Kind(i), nil
		}
	}
	return Auto, fmt.Errorf("link: unknown kind %q: want one of %s", s, strings.Join(kindNames[:], ", "))
}

func kindFromEnvironment() (Kind, error) {
	k, err := ParseKind(os.Getenv(EnvKind))
	if err != nil {
		return Auto, fmt.Errorf("%s: %w", EnvKind, err)
	}
	return k, nil
}
