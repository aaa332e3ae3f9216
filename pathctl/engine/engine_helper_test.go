package engine

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/netpath"
	"mpproxy/pathctl/pathstate"
	"mpproxy/pathctl/policy"
)

// fakeKernel writes down what it is asked to do. A command fails with the error
// that stands under its text, or its first word.
type fakeKernel struct {
	did       []string
	errs      map[string]error
	endpoints []mptcppm.Endpoint
	limits    mptcppm.Limits
}

func (k *fakeKernel) do(name, format string, args ...any) error {
	text := name + " " + fmt.Sprintf(format, args...)
	k.did = append(k.did, text)
	if err := k.errs[text]; err != nil {
		return err
	}
	return k.errs[name]
}

// take returns what was done since the last time.
func (k *fakeKernel) take() []string {
	did := k.did
	k.did = nil
	return did
}

func (k *fakeKernel) CreateSubflow(_ context.Context, token uapi.Token, l mptcppm.Endpoint, remote netip.AddrPort) error {
	return k.do("create", "%d: %v %v", token, l, remote)
}

func (k *fakeKernel) DestroySubflow(_ context.Context, token uapi.Token, local, remote netip.AddrPort) error {
	return k.do("destroy", "%d: %v %v", token, local, remote)
}

func (k *fakeKernel) SetSubflowBackup(_ context.Context, token uapi.Token, local, remote netip.AddrPort, backup bool) error {
	return k.do("priority", "%d: %v %v %t", token, local, remote, backup)
}

func (k *fakeKernel) Announce(_ context.Context, token uapi.Token, e mptcppm.Endpoint) error {
	return k.do("announce", "%d: %v", token, e)
}

func (k *fakeKernel) Remove(_ context.Context, token uapi.Token, id uapi.AddrID) error {
	return k.do("remove", "%d: %d", token, id)
}

func (k *fakeKernel) Endpoints(context.Context) ([]mptcppm.Endpoint, error) {
	return k.endpoints, k.errs["endpoints"]
}

func (k *fakeKernel) Limits(context.Context) (mptcppm.Limits, error) {
	return k.limits, k.errs["limits"]
}

// fakeReader gives the reading that it has, or none.
type fakeReader struct {
	reading Reading
	err     error
	reads   int
}

func (r *fakeReader) Read() (Reading, error) {
	r.reads++
	return r.reading, r.err
}

// twoPaths are dsl0 and lte0, with one IPv4 address each.
func twoPaths() []netpath.Path {
	path := func(name string, rank int, addr string) netpath.Path {
		return netpath.Path{
			Name: name, Interface: name, Index: 10 + rank, Rank: rank, State: netpath.Up,
			Addrs: []netpath.Addr{{Addr: netip.MustParseAddr(addr)}},
		}
	}
	return []netpath.Path{path("dsl0", 1, "10.0.0.1"), path("lte0", 2, "10.0.1.1")}
}

// quiet is a kernel in which nothing happens.
type quiet struct{ *os.File }

func newQuiet(t *testing.T) quiet {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	return quiet{r}
}

func (q quiet) Next() (mptcppm.Event, error) {
	_, err := q.Read(make([]byte, 1))
	return mptcppm.Event{}, err
}

// bench is an engine with a fake kernel, and a clock of its own. Only the
// engine's goroutine would call these methods; there is none.
type bench struct {
	*Engine
	kernel *fakeKernel
	now    time.Time
}

func newBench(t *testing.T, role policy.Role) *bench {
	t.Helper()
	k := &fakeKernel{errs: make(map[string]error), limits: mptcppm.Limits{Subflows: 2}}
	b := &bench{New(Config{Role: role, Commands: k, Events: newQuiet(t)}), k, start}
	if role == policy.Client {
		b.setPaths(twoPaths())(b.now)
	}
	return b
}

// pass looks at what is due until d from now.
func (b *bench) pass(t *testing.T, d time.Duration) {
	t.Helper()
	until := b.now.Add(d)
	for {
		next, ok := b.queue.next()
		if !ok || next.After(until) {
			break
		}
		if next.After(b.now) {
			b.now = next
		}
		b.examine(t.Context(), b.queue.due(b.now), b.now)
	}
	b.now = until
}

func (b *bench) event(t *testing.T, ev mptcppm.Event) {
	t.Helper()
	ev.Token = testToken
	b.onEvent(t.Context(), ev, b.now)
}

const testToken uapi.Token = 5

var (
	first10 = ap("10.0.0.1:1000")
	server  = ap("192.0.2.1:443")
	second  = ap("10.0.1.1:2000")
)

// begun delivers the events of a connection that began on dsl0.
func (b *bench) begun(t *testing.T) {
	t.Helper()
	b.event(t, mptcppm.Event{Kind: mptcppm.EventCreated, Local: mapped10, Remote: far10})
	b.event(t, mptcppm.Event{Kind: mptcppm.EventEstablished, Local: mapped10, Remote: far10})
}

func registration(r Reader, mode policy.Mode) Registration {
	return Registration{
		Token: testToken, Reader: r, Description: Description{Destination: "somewhere"},
		Mode: &policy.Spec{Name: string(mode), Base: mode, Params: policy.DefaultParams(mode)},
	}
}

// onFirst is a reading with the first subflow.
func onFirst(more ...SubflowReading) Reading {
	return Reading{Subflows: append([]SubflowReading{{Local: first10, Remote: server, TCP: established}}, more...)}
}

// steered returns a registered connection of that mode, before anything was
// done about it.
func (b *bench) steered(t *testing.T, mode policy.Mode) (*connection, *fakeReader) {
	t.Helper()
	b.begun(t)
	r := &fakeReader{reading: onFirst()}
	b.register(registration(r, mode))(b.now)
	return b.conns[testToken], r
}

// reconcile makes a connection what a plan says.
func (b *bench) reconcile(ctx context.Context, c *connection, plan policy.Plan, now time.Time) []*Decision {
	return b.Engine.reconcile(ctx, c, Changes(c.view(b.awake, now), plan), now)
}

// avoids reports whether the data path is told to begin elsewhere.
func (b *bench) avoids(path string) bool {
	s := b.PathState(path)
	return s.Avoid(b.now)
}

// firstWait is how long a path is left alone after its first trouble of a kind.
func firstWait(k pathstate.Kind) time.Duration {
	first, _ := k.Backoff()
	return first
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

var start = time.Unix(1_700_000_000, 0)
