package egress

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"mpproxy/proxy"
	"mpproxy/proxy/egress/names"
)

// TestDialRace runs races of addresses that answer, refuse or are silent, on a clock that
// takes no time. An address is called by its last part: 4.1 is an IPv4 address.
func TestDialRace(t *testing.T) {
	const never = time.Hour
	noName := &net.DNSError{IsNotFound: true}
	for _, tt := range []struct {
		name       string
		v6, v4     string        // the addresses that a family has
		v6At, v4At time.Duration // when they are known
		// What an address does: "ok" or "refuses" after so long; others are silent.
		does map[string]string
		log  string // when each address is tried
		won  string
		want proxy.Outcome
		took time.Duration
	}{
		{
			name: "IPv6 first", v6: "6.1", v4: "4.1", v6At: 10 * time.Millisecond, v4At: 5 * time.Millisecond,
			does: map[string]string{"6.1": "ok 20ms", "4.1": "ok 1ms"}, log: "6.1@10ms", won: "6.1", took: 30 * time.Millisecond,
		},
		{
			name: "IPv6's answer is lost", v4: "4.1", v6At: never,
			does: map[string]string{"4.1": "ok 20ms"}, log: "4.1@50ms", won: "4.1", took: 70 * time.Millisecond,
		},
		{
			name: "IPv4's answer is lost", v6: "6.1", v4At: never,
			does: map[string]string{"6.1": "ok 20ms"}, log: "6.1@0s", won: "6.1", took: 20 * time.Millisecond,
		},
		{
			name: "no IPv6", v4: "4.1", does: map[string]string{"4.1": "ok 20ms"}, log: "4.1@0s", won: "4.1", took: 20 * time.Millisecond,
		},
		{
			name: "IPv6 is dark", v6: "6.1 6.2", v4: "4.1", does: map[string]string{"4.1": "ok 20ms"},
			log: "6.1@0s 4.1@250ms", won: "4.1", took: 270 * time.Millisecond,
		},
		{
			name: "IPv6 is refused", v6: "6.1", v4: "4.1", does: map[string]string{"6.1": "refuses 0s", "4.1": "ok 20ms"},
			log: "6.1@0s 4.1@0s", won: "4.1", took: 20 * time.Millisecond,
		},
		{
			name: "the last of many", v6: "6.1 6.2", v4: "4.1 4.2", does: map[string]string{"4.2": "ok 0s"},
			log: "6.1@0s 4.1@250ms 6.2@500ms 4.2@750ms", won: "4.2", took: 750 * time.Millisecond,
		},
		{
			name: "a slow one wins", v6: "6.1", v4: "4.1", does: map[string]string{"6.1": "ok 260ms", "4.1": "ok 50ms"},
			log: "6.1@0s 4.1@250ms", won: "6.1", took: 260 * time.Millisecond,
		},
		{
			name: "IPv6 comes when IPv4 is dark", v6: "6.1", v4: "4.1", v6At: time.Second, does: map[string]string{"6.1": "ok 1ms"},
			log: "4.1@50ms 6.1@1s", won: "6.1", took: 1001 * time.Millisecond,
		},
		{
			name: "IPv6 comes when IPv4 has refused", v6: "6.1", v4: "4.1", v6At: time.Second, does: map[string]string{"4.1": "refuses 1ms", "6.1": "ok 1ms"},
			log: "4.1@50ms 6.1@1s", won: "6.1", took: 1001 * time.Millisecond,
		},
		{
			name: "refused, and IPv6's answer is lost", v4: "4.1", v6At: never, does: map[string]string{"4.1": "refuses 0s"},
			log: "4.1@50ms", want: proxy.ConnectionRefused, took: 2050 * time.Millisecond,
		},
		{name: "all dark", v6: "6.1", v4: "4.1", log: "6.1@0s 4.1@250ms", want: proxy.TTLExpired, took: 15 * time.Second},
		{name: "no answers", v6At: never, v4At: never, want: proxy.TTLExpired, took: 15 * time.Second},
		{name: "no such name", want: proxy.HostUnreachable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				var log []string
				conns := map[string]*net.TCPConn{"4.1": {}, "4.2": {}, "6.1": {}, "6.2": {}}
				tried := make(chan string, 10)
				r := newDialRace(func(ctx context.Context, to netip.AddrPort) (*net.TCPConn, error) {
					addr := short(to.Addr())
					tried <- fmt.Sprintf("%s@%v", addr, time.Since(begin))
					what, after, _ := strings.Cut(tt.does[addr], " ")
					wait, _ := time.ParseDuration(after)
					if what == "" {
						wait = never
					}
					select {
					case <-time.After(wait):
					case <-ctx.Done():
						return nil, ctx.Err()
					}
					if what == "ok" {
						return conns[addr], nil
					}
					return nil, &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
				}, 80)
				ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
				defer cancel()
				for of, f := range map[names.Family]struct {
					addrs string
					at    time.Duration
				}{names.IPv6: {tt.v6, tt.v6At}, names.IPv4: {tt.v4, tt.v4At}} {
					go func() {
						select {
						case <-time.After(f.at):
						case <-ctx.Done():
							r.found <- found{of, nil, ctx.Err()}
							return
						}
						if f.addrs == "" {
							r.found <- found{of, nil, noName}
							return
						}
						r.found <- found{of, long(f.addrs), nil}
					}()
				}
				conn, err := r.run(ctx, cancel)
				took := time.Since(begin)
				won := ""
				for addr, c := range conns {
					if c == conn {
						won = addr
					}
				}
				for len(tried) > 0 {
					log = append(log, <-tried)
				}
				if diff := cmp.Diff(tt.log, strings.Join(log, " ")); diff != "" {
					t.Errorf("tried (-want +got):\n%s", diff)
				}
				if won != tt.won || won == "" && proxy.OutcomeOf(err) != tt.want || took != tt.took {
					t.Errorf("%q won, %v (%v) after %v; want %q, %v after %v", won, proxy.OutcomeOf(err), err, took, tt.won, tt.want, tt.took)
				}
			})
		})
	}
}

// long and short translate between 4.1 and 192.0.2.1, 6.1 and 2001:db8::1.
func long(list string) (addrs []netip.Addr) {
	for _, a := range strings.Fields(list) {
		last := a[len(a)-1] - '0'
		if a[0] == '4' {
			addrs = append(addrs, netip.AddrFrom4([4]byte{192, 0, 2, last}))
		} else {
			addrs = append(addrs, netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 15: last}))
		}
	}
	return addrs
}

func short(a netip.Addr) string {
	if a.Is4() {
		return fmt.Sprintf("4.%d", a.As4()[3])
	}
	return fmt.Sprintf("6.%d", a.As16()[15])
}
