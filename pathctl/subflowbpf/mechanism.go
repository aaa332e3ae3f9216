package subflowbpf

import (
	"fmt"
	"strings"
)

// A MechanismKind is a way to learn of timeouts.
type MechanismKind uint8

// The mechanisms, best first.
const (
	// OwnCgroup is an eBPF program on a cgroup that holds this process only.
	OwnCgroup MechanismKind = iota + 1
	// Filtered is an eBPF program on a cgroup that others share.
	Filtered
	// Polling reads the sockets again and again.
	Polling
)

// String returns the name for people.
func (k MechanismKind) String() string {
	switch k {
	case OwnCgroup:
		return "eBPF on own cgroup"
	case Filtered:
		return "eBPF, filtered"
	case Polling:
		return "polling"
	}
	return fmt.Sprintf("mechanism(%d)", uint8(k))
}

// A Mechanism is the way in use.
type Mechanism struct {
	Kind MechanismKind
	// Why says why no better one is in use; nil for OwnCgroup. errors.Is
	// tells ErrPrivileges, ErrNoCgroup2, ErrNotSupported and ErrSwitchedOff.
	Why error
}

// String returns the name, with the reason in parentheses.
func (m Mechanism) String() string {
	if m.Why == nil {
		return m.Kind.String()
	}
	return fmt.Sprintf("%v (%s)", m.Kind, strings.ReplaceAll(m.Why.Error(), "\n", "; "))
}
