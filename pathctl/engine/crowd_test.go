package engine

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/policy"
)

// TestMostSubflows: a client that joins without end has a bounded number of subflows, before
// its connection is registered, too. That is said once. One that closes a subflow may join
// again.
func TestMostSubflows(t *testing.T) {
	for _, tt := range []struct {
		role   policy.Role
		server bool // the connection was accepted
		most   int
	}{
		{policy.Concentrator, true, DefaultMostSubflows},
		{policy.Concentrator, false, 20}, // our own to somewhere: what it has is our doing
		{policy.Client, true, 20},
	} {
		t.Run(fmt.Sprint(tt.role, " ", tt.server), func(t *testing.T) {
			var out bytes.Buffer
			b := newBench(t, tt.role)
			b.log = slog.New(slog.NewTextHandler(&out, nil))
			for _, kind := range []mptcppm.EventKind{mptcppm.EventCreated, mptcppm.EventEstablished} {
				b.event(t, mptcppm.Event{Kind: kind, Local: mapped10, Remote: far10, ServerSide: tt.server})
			}
			b.kernel.take()
			joined := func(i int) mptcppm.Event {
				return mptcppm.Event{Kind: mptcppm.EventSubflowEstablished, Local: mapped10, Remote: ap(fmt.Sprint("198.51.100.1:", 1000+i))}
			}
			for i := range 19 {
				b.event(t, joined(i))
				b.event(t, joined(i)) // the kernel may say it twice
			}
			if n := len(b.conns[testToken].subflows); n != tt.most {
				t.Errorf("%d subflows, want %d", n, tt.most)
			}
			refused := 0
			for _, did := range b.kernel.take() {
				if strings.HasPrefix(did, "destroy") {
					refused++
				}
			}
			if want := 2 * (20 - tt.most); refused != want {
				t.Errorf("%d destroyed, want %d", refused, want)
			}
			if lines, want := strings.Count(out.String(), "refusing further subflows"), min(1, refused); lines != want {
				t.Errorf("said %d times, want %d:\n%s", lines, want, &out)
			}
			gone := joined(0)
			gone.Kind = mptcppm.EventSubflowClosed
			b.event(t, gone)
			b.event(t, joined(19))
			if n := len(b.conns[testToken].subflows); n != tt.most {
				t.Errorf("%d subflows after one was exchanged, want %d", n, tt.most)
			}
		})
	}
}
