package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/pathstate"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/policy/mode"
)

func TestKindOf(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want pathstate.Kind
	}{
		{nil, pathstate.Reset},
		{syscall.Errno(0), pathstate.Reset},
		{syscall.ECONNRESET, pathstate.Reset},
		{syscall.ECONNREFUSED, pathstate.Reset},
		{errors.New("something else"), pathstate.Reset},
		{syscall.ENETUNREACH, pathstate.Unreachable},
		{syscall.EHOSTUNREACH, pathstate.Unreachable},
		{fmt.Errorf("creating: %w", syscall.ENETDOWN), pathstate.Unreachable},
		{syscall.ETIMEDOUT, pathstate.Dark},
	} {
		if got := kindOf(tt.err); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.err, got, tt.want)
		}
	}
}

// TestTroubleOf: how a subflow ends tells what is wrong with its path only together
// with how far it had come.
func TestTroubleOf(t *testing.T) {
	old, young := start.Add(-time.Minute), start.Add(-ms(100))
	for _, tt := range []struct {
		name  string
		end   ending
		errno error
		want  pathstate.Kind
	}{
		{"a join is refused", ending{since: young}, syscall.ECONNREFUSED, pathstate.JoinRefused},
		{"a join is refused late", ending{since: old}, syscall.ECONNRESET, pathstate.JoinRefused},
		{"a join is not answered", ending{since: old}, syscall.ETIMEDOUT, pathstate.JoinUnanswered},
		{"a join has no way", ending{since: old}, syscall.EHOSTUNREACH, pathstate.Unreachable},
		{"reset as soon as it joined", ending{since: young, established: true}, syscall.ECONNRESET, pathstate.JoinRefused},
		{"closed as soon as it joined", ending{since: young, established: true}, nil, pathstate.JoinRefused},
		{"reset", ending{since: old, established: true}, syscall.ECONNRESET, pathstate.Reset},
		{"silent", ending{since: old, established: true}, syscall.ETIMEDOUT, pathstate.Dark},
		{"given up by the peer", ending{since: old, established: true}, nil, pathstate.Lossy},
	} {
		if got := troubleOf(tt.end, tt.errno, start); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestRefusedConnection: joins of a connection that the peer has ended are refused on a
// path that others join. It waits longer each time, and nobody else does.
func TestRefusedConnection(t *testing.T) {
	b := newBench(t, policy.Client)
	_, r := b.steered(t, mode.Aggregate)
	r.reading = onFirst()
	joins, port := 0, uint16(2000)
	for until := b.now.Add(time.Minute); b.now.Before(until); {
		b.pass(t, ms(100))
		for range b.kernel.take() {
			joins, port = joins+1, port+1
			b.event(t, mptcppm.Event{Kind: mptcppm.EventSubflowClosed, Local: netip.AddrPortFrom(second.Addr(), port), Remote: server, Errno: syscall.ECONNREFUSED})
			if left := b.stateOf("lte0").Retry(b.now); joins > 1 && left > 0 {
				t.Fatalf("after %d joins of one connection all leave the path alone for %v", joins, left)
			}
		}
		b.stateOf("lte0").Learn(pathstate.Established, b.now) // another connection
	}
	if joins < 4 || joins > 7 {
		t.Errorf("%d joins in a minute, want 4 to 7", joins)
	}
}

// TestRefusedJoinsBackOff: a middlebox answers every MP_JOIN with a reset, and plain
// handshakes as if nothing were. The joins become few, on an idle connection as well.
func TestRefusedJoinsBackOff(t *testing.T) {
	for _, tt := range []struct {
		name  string
		errno syscall.Errno
		after time.Duration // the join, the kernel tells of its end
		most  int           // joins in five minutes
	}{
		{"refused", syscall.ECONNREFUSED, ms(30), 9},
		{"swallowed", syscall.ETIMEDOUT, 4 * time.Second, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, policy.Client)
			_, r := b.steered(t, mode.Aggregate)
			r.reading = onFirst()
			p := &answersTo{n: 1 << 30}
			b.prober = p
			joins, port := 0, uint16(2000)
			var ends []time.Time
			for until := b.now.Add(5 * time.Minute); b.now.Before(until); {
				b.pass(t, ms(20))
				b.probes.Wait()
				for len(b.inbox) > 0 {
					(<-b.inbox)(b.now)
				}
				for range b.kernel.take() {
					joins++
					ends = append(ends, b.now.Add(tt.after))
				}
				for len(ends) > 0 && !b.now.Before(ends[0]) {
					ends, port = ends[1:], port+1
					b.event(t, mptcppm.Event{Kind: mptcppm.EventSubflowClosed, Local: netip.AddrPortFrom(second.Addr(), port), Remote: server, Errno: tt.errno})
				}
			}
			if joins > tt.most || joins < 4 {
				t.Errorf("%d joins in five minutes, want 4 to %d", joins, tt.most)
			}
			if probes := p.asked.Load(); probes > 20*pathstate.RequalifyProbes {
				t.Errorf("%d probes in five minutes", probes)
			}
			s := b.stateOf("lte0")
			if k, trouble, ok := s.LeftAlone(b.now); !ok || trouble.Reason == "" {
				t.Errorf("left alone for %v: %+v", k, trouble)
			}
		})
	}
}
