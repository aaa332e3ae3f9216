package engine

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/policy/mode"
)

func endpoint(id uapi.AddrID, addr string, flags mptcppm.Flags) mptcppm.Endpoint {
	return mptcppm.Endpoint{ID: id, Addr: netip.MustParseAddr(addr), Flags: flags}
}

func TestStrangerGetsWhatEndpointsSay(t *testing.T) {
	const (
		sub    = mptcppm.FlagSubflow
		signal = mptcppm.FlagSignal
	)
	all := []mptcppm.Endpoint{
		endpoint(1, "10.0.0.1", sub|signal), endpoint(2, "10.0.1.1", sub|mptcppm.FlagBackup), endpoint(3, "2001:db8::1", sub),
		endpoint(4, "10.0.2.1", sub), endpoint(5, "10.0.3.1", sub), endpoint(6, "10.0.4.1", signal),
	}
	const (
		backup = "create 5: 10.0.1.1 id 2 [backup] 192.0.2.1:443"
		third  = "create 5: 10.0.2.1 id 4 192.0.2.1:443"
		fourth = "create 5: 10.0.3.1 id 5 192.0.2.1:443"
		tells  = "announce 5: 10.0.4.1 id 6"
	)
	for _, tt := range []struct {
		name   string
		limit  uint32
		server bool
		errs   map[string]error
		want   []string
	}{
		{"within the limits", 2, false, nil, []string{backup, third, tells}},
		{"none allowed", 0, false, nil, []string{tells}},
		{"all", 8, false, nil, []string{backup, third, fourth, tells}},
		{"a failed one does not count", 2, false, map[string]error{backup: syscall.ENETUNREACH}, []string{backup, third, fourth, tells}},
		{"a server does not connect", 2, true, nil, []string{tells}},
		{"endpoints cannot be read", 2, false, map[string]error{"endpoints": errors.New("no")}, nil},
		{"limits cannot be read", 2, false, map[string]error{"limits": errors.New("no")}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, policy.Client)
			b.kernel.endpoints, b.kernel.limits.Subflows, b.kernel.errs = all, tt.limit, tt.errs
			for _, kind := range []mptcppm.EventKind{mptcppm.EventCreated, mptcppm.EventEstablished} {
				b.event(t, mptcppm.Event{Kind: kind, Local: mapped10, Remote: far10, ServerSide: tt.server})
			}
			b.pass(t, strangerWait-1)
			wantDid(t, b.kernel)
			b.pass(t, 1)
			wantDid(t, b.kernel, tt.want...)
			b.event(t, mptcppm.Event{Kind: mptcppm.EventAnnounced, RemoteID: 1, Remote: ap("192.0.2.9:0")})
			b.pass(t, time.Hour)
			wantDid(t, b.kernel)
		})
	}
}

// TestStrangerMayHaveToWait: a connection takes subflows when it is
// established, however late that is.
func TestStrangerMayHaveToWait(t *testing.T) {
	for _, late := range []time.Duration{time.Second, 2 * strangerKept} {
		b := newBench(t, policy.Client)
		b.kernel.endpoints = []mptcppm.Endpoint{endpoint(2, "10.0.1.1", mptcppm.FlagSubflow)}
		b.event(t, mptcppm.Event{Kind: mptcppm.EventCreated, Local: mapped10, Remote: far10})
		b.pass(t, late)
		wantDid(t, b.kernel)
		b.event(t, mptcppm.Event{Kind: mptcppm.EventEstablished, Local: mapped10, Remote: far10})
		b.pass(t, strangerWait)
		wantDid(t, b.kernel, "create 5: 10.0.1.1 id 2 192.0.2.1:443")
	}
}

func TestStrangerDoesNotHarmPaths(t *testing.T) {
	b := newBench(t, policy.Client)
	b.begun(t)
	b.event(t, mptcppm.Event{Kind: mptcppm.EventSubflowEstablished, Local: second, Remote: server})
	b.event(t, mptcppm.Event{Kind: mptcppm.EventSubflowClosed, Local: second, Remote: server, Errno: syscall.ECONNRESET})
	if r := b.stateOf("lte0").Retry(b.now); r != 0 {
		t.Errorf("path left alone for %v because of another program's peer", r)
	}
}

// TestRegisteredIsNoStranger: a connection of the data path gets its own
// mode's subflows only.
func TestRegisteredIsNoStranger(t *testing.T) {
	b := newBench(t, policy.Client)
	b.kernel.endpoints = []mptcppm.Endpoint{endpoint(2, "10.0.7.1", mptcppm.FlagSubflow)}
	b.steered(t, mode.Aggregate)
	b.pass(t, time.Second)
	wantDid(t, b.kernel, createSecond)
}
