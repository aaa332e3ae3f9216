package collect

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"mpproxy/internal/status"
	"mpproxy/mptcpsock"
	"mpproxy/pathctl"
	"mpproxy/pathctl/engine"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/subflowbpf"
)

// Host is what is known of the host that a program runs on.
type Host struct {
	Program string // for advice
	NoMPTCP error  // mptcpsock.ProbeMPTCP's answer
	Kernel  pathctl.KernelStatus
	Steer   bool // mpproxy is to be the path manager
}

// RulesAndModes is what is missing where the kernel's path manager makes the
// subflows of a client.
const RulesAndModes = "rules and modes"

// Missing says what a host lacks for the program to do all that it could, what
// that costs, and what to do about it.
func Missing(h Host) (all []status.Missing) {
	for _, m := range []status.Missing{h.mptcp(), h.subflows(), h.steering(), h.newSubflows(), h.ebpf()} {
		if m.What != "" {
			all = append(all, m)
		}
	}
	return all
}

func (h Host) mptcp() (m status.Missing) {
	if h.NoMPTCP == nil {
		return m
	}
	m = status.Missing{
		What: "MPTCP", Effect: "each connection uses one path only",
		Advice: "use a kernel with MPTCP (Linux 6.1 or later, CONFIG_MPTCP)",
	}
	if errors.Is(h.NoMPTCP, mptcpsock.ErrDisabled) {
		m.Advice = "switch it on: sysctl -w net.mptcp.enabled=1"
	}
	return m
}

// capability tells how to give the program a capability, or several.
func (h Host) capability(names, ep string) string {
	return fmt.Sprintf("run as root, with AmbientCapabilities=%s under systemd, or after: setcap %s+ep %s", names, ep, h.Program)
}

// subflows is about the in-kernel path manager, with which no privileges are
// needed but to register endpoints.
func (h Host) subflows() (m status.Missing) {
	switch err := h.Kernel.Problem; {
	case err == nil:
		return m
	case errors.Is(err, mptcppm.ErrPermission):
		return status.Missing{
			What: "CAP_NET_ADMIN", Effect: "second subflows cannot be registered (" + err.Error() + ")",
			Advice: h.capability("CAP_NET_ADMIN", "cap_net_admin"),
		}
	default:
		return status.Missing{
			What: "subflow management", Effect: "not all paths get subflows (" + err.Error() + ")",
			Advice: "see the log for when this began",
		}
	}
}

// steering is about being the path manager.
func (h Host) steering() (m status.Missing) {
	if !h.Steer || h.Kernel.UserSpace {
		return m
	}
	m = status.Missing{
		What:   RulesAndModes,
		Effect: "the kernel decides about subflows: it knows neither modes nor rules, and notices late that a path fails",
		Advice: "see the log",
	}
	if h.Program == status.Concentrator {
		m.What, m.Effect = "steering", "clients' subflows on which sending fails are noticed late"
	}
	err := h.Kernel.CannotSteer
	if err == nil {
		err = h.Kernel.Problem
	}
	if err != nil {
		m.Effect += " (" + err.Error() + ")"
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		m.Advice = h.capability("CAP_NET_ADMIN", "cap_net_admin")
	case errors.Is(err, syscall.EROFS):
		m.Advice = "in a container, let the program write /proc/sys/net/mptcp, or set net.mptcp.path_manager=userspace (net.mptcp.pm_type=1 before Linux 6.15) when the container is made"
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errors.ErrUnsupported):
		m.Advice = "use a kernel with a user-space path manager (Linux 5.19 or later)"
	}
	m.Advice += "; set path_manager = \"kernel\" if this is as it should be"
	return m
}

// newSubflows is about what the kernel was seen to ignore of what new subflows are to
// be.
func (h Host) newSubflows() (m status.Missing) {
	ignored := h.Kernel.Ignored
	if ignored == (engine.Ignored{}) {
		return m
	}
	m = status.Missing{What: "control of new subflows", Advice: "use Linux 6.12 or later; all else works"}
	var effects []string
	if ignored.Backup {
		effects = append(effects, "this kernel begins a standby as a subflow in use: it may carry data for a round trip or two, until it is made a backup")
	}
	if ignored.Device {
		effects = append(effects, "this kernel does not bind further subflows to their interface: routing rules for their addresses lead them, so two interfaces with one address cannot be told apart")
	}
	m.Effect = strings.Join(effects, "; ")
	return m
}

// ebpf is about how timeouts are noticed.
func (h Host) ebpf() (m status.Missing) {
	err := h.Kernel.NoEBPF
	if err == nil || errors.Is(err, subflowbpf.ErrSwitchedOff) {
		return m
	}
	m = status.Missing{
		What:   "eBPF",
		Effect: "timeouts are found by reading the sockets again and again, which is later and costs more (" + err.Error() + ")",
		Advice: "see the reason; all works without",
	}
	switch {
	case errors.Is(err, subflowbpf.ErrPrivileges):
		m.Advice = h.capability("CAP_NET_ADMIN CAP_BPF CAP_PERFMON", "cap_net_admin,cap_bpf,cap_perfmon") + "; with systemd also Delegate=yes"
	case errors.Is(err, subflowbpf.ErrNoCgroup2):
		m.Advice = "mount cgroup v2 (all current distributions do), or in a container, give it its own cgroup namespace"
	case errors.Is(err, subflowbpf.ErrNotSupported):
		m.Advice = "use a kernel with BPF and its type information (CONFIG_BPF_SYSCALL, CONFIG_CGROUP_BPF, CONFIG_DEBUG_INFO_BTF)"
	}
	return m
}
