package engine

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/policy/mode"
)

// TestReadBack: what the kernel made of a subflow counts, not what it was asked for.
func TestReadBack(t *testing.T) {
	const priority = "priority 5: 10.0.1.1:2000 192.0.2.1:443 true"
	for _, tt := range []struct {
		name    string
		backup  bool
		made    Made
		err     error
		refused error // MP_PRIO
		did     []string
		backups bool
		device  int
		ignored Ignored
	}{
		{name: "obeyed", backup: true, made: Made{Backup: true, Device: 12}, backups: true, device: 12},
		{name: "a normal one", made: Made{Device: 12}, device: 12},
		{name: "ignored", backup: true, did: []string{priority}, backups: true, ignored: Ignored{Backup: true, Device: true}},
		{name: "ignored, and a normal one", ignored: Ignored{Device: true}},
		{
			name: "backup cannot be had", backup: true, made: Made{Device: 12}, refused: errors.New("refused"),
			did: []string{priority}, device: 12, ignored: Ignored{Backup: true},
		},
		{name: "not known", backup: true, err: errors.New("no such socket"), backups: true, device: 12},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, policy.Client)
			c, _ := b.steered(t, mode.Aggregate)
			var asked [2]netip.AddrPort
			b.made = func(_ context.Context, local, remote netip.AddrPort) (Made, error) {
				asked = [2]netip.AddrPort{local, remote}
				return tt.made, tt.err
			}
			b.kernel.errs["priority"] = tt.refused
			b.reconcile(t.Context(), c, policy.Plan{Create: []policy.Create{{Path: "lte0", Backup: tt.backup}}}, b.now)
			b.kernel.take()
			for range 2 { // it is read once
				ev := mptcppm.Event{Token: testToken, Local: second, Remote: server, LocalID: 160}
				b.readBack(t.Context(), c, b.subflowUp(c, ev, b.now))
			}
			wantDid(t, b.kernel, tt.did...)
			if want := [2]netip.AddrPort{second, server}; asked != want {
				t.Errorf("asked for %v, want %v", asked, want)
			}
			if f := c.find(second, server); f.backup != tt.backups || f.device != tt.device {
				t.Errorf("backup %t, device %d, want %t, %d", f.backup, f.device, tt.backups, tt.device)
			}
			if got := b.Ignored(); got != tt.ignored {
				t.Errorf("ignored %+v, want %+v", got, tt.ignored)
			}
		})
	}
}
