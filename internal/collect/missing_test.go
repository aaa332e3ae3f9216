package collect

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"mpproxy/internal/status"
	"mpproxy/mptcpsock"
	"mpproxy/pathctl"
	"mpproxy/pathctl/engine"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/subflowbpf"
)

func TestMissing(t *testing.T) {
	for _, tt := range []struct {
		name   string
		host   Host
		what   string // comma-separated
		advice string // a part of the last one
	}{
		{name: "nothing", host: Host{Kernel: pathctl.KernelStatus{Active: true, UserSpace: true}}},
		{name: "MPTCP switched off", host: Host{NoMPTCP: mptcpsock.ErrDisabled}, what: "MPTCP", advice: "sysctl -w net.mptcp.enabled=1"},
		{name: "no MPTCP", host: Host{NoMPTCP: mptcpsock.ErrNotSupported}, what: "MPTCP", advice: "Linux 6.1"},
		{
			name: "no CAP_NET_ADMIN", what: "CAP_NET_ADMIN,rules and modes", advice: "setcap cap_net_admin+ep mpproxy-x",
			host: Host{Kernel: pathctl.KernelStatus{Problem: &mptcppm.OpError{Kind: mptcppm.ErrPermission}, CannotSteer: &fs.PathError{Op: "open", Err: syscall.EACCES}}},
		},
		{name: "something else", host: Host{Kernel: pathctl.KernelStatus{Problem: errors.New("odd")}}, what: "subflow management", advice: "log"},
		{
			name: "an old kernel", what: "rules and modes", advice: "Linux 5.19",
			host: Host{Kernel: pathctl.KernelStatus{CannotSteer: fmt.Errorf("reading the path manager: %w", &fs.PathError{Op: "open", Err: syscall.ENOENT})}},
		},
		{
			name: "a container", what: "rules and modes", advice: "in a container",
			host: Host{Kernel: pathctl.KernelStatus{CannotSteer: &fs.PathError{Op: "open", Err: syscall.EROFS}}},
		},
		{name: "steering fails otherwise", host: Host{Kernel: pathctl.KernelStatus{CannotSteer: errors.New("odd")}}, what: "rules and modes", advice: `path_manager = "kernel"`},
		{
			name: "no CAP_BPF", what: "eBPF", advice: "setcap cap_net_admin,cap_bpf,cap_perfmon+ep mpproxy-x",
			host: Host{Kernel: pathctl.KernelStatus{UserSpace: true, NoEBPF: fmt.Errorf("%w: eBPF needs CAP_BPF", subflowbpf.ErrPrivileges)}},
		},
		{name: "no cgroup v2", host: Host{Kernel: pathctl.KernelStatus{NoEBPF: subflowbpf.ErrNoCgroup2}}, what: "eBPF", advice: "mount cgroup v2"},
		{name: "no BPF", host: Host{Kernel: pathctl.KernelStatus{NoEBPF: subflowbpf.ErrNotSupported}}, what: "eBPF", advice: "CONFIG_BPF_SYSCALL"},
		{
			name: "a kernel that ignores what new subflows are to be", what: "control of new subflows", advice: "Linux 6.12",
			host: Host{Kernel: pathctl.KernelStatus{UserSpace: true, Ignored: engine.Ignored{Backup: true, Device: true}}},
		},
		{name: "eBPF switched off", host: Host{Kernel: pathctl.KernelStatus{NoEBPF: subflowbpf.ErrSwitchedOff}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.host.Program = "mpproxy-x"
			tt.host.Steer = tt.host.Kernel.CannotSteer != nil
			var what []string
			advice := ""
			for _, m := range Missing(tt.host) {
				if m.Effect == "" {
					t.Errorf("%s has no effect", m.What)
				}
				what, advice = append(what, m.What), m.Advice
			}
			if got := strings.Join(what, ","); got != tt.what || !strings.Contains(advice, tt.advice) {
				t.Errorf("missing %q, advice %q; want %q and %q", got, advice, tt.what, tt.advice)
			}
		})
	}
}

func TestMissingAtConcentrator(t *testing.T) {
	h := Host{Program: status.Concentrator, Steer: true, Kernel: pathctl.KernelStatus{Problem: errors.New("odd")}}
	ms := Missing(h)
	if len(ms) != 2 || ms[1].What != "steering" || !strings.Contains(ms[1].Effect, "odd") {
		t.Errorf("missing: %+v", ms)
	}
}

func TestBounds(t *testing.T) {
	b := Bounds([]policy.Spec{{Name: "aggregate"}, {Name: "my-mode"}})
	if len(b.Modes) != 2 || b.Modes[1] != "my-mode" || len(b.Actions) != len(engine.Actions()) || len(b.Reasons) != len(engine.Reasons()) {
		t.Errorf("bounds: %+v", b)
	}
}
