package serve

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mpproxy/mptcpsock"
	"mpproxy/proxy"
	"mpproxy/proxy/relay"
)

// Connection is one relayed connection. Its exported fields are set before it
// enters the table and do not change, the counters excepted.
type Connection struct {
	ID          uint64
	Opened      time.Time
	User        string // whom the peer authenticated as; empty on an open listener
	Grant       string // see proxy.Identity
	Mode        string
	Rule        string // what the rule is called that held for it; empty: none did
	Destination proxy.Destination
	Peer        netip.AddrPort // the application (client) or the client (concentrator)
	Path        string         // the path of the first subflow, where known
	// Leg is the connection between client and concentrator.
	Leg      *mptcpsock.Conn
	Counters relay.Counters // A is the application or client, B what lies behind

	Stop context.CancelFunc // ends the connection, or its leg where that rests
}

// Table holds the live connections of a front or a concentrator and counts
// those that were. It is safe for concurrent use.
type Table struct {
	mu     sync.Mutex
	nextID uint64
	live   map[uint64]*Connection
	// opening holds those whose user is known and whose destination is not
	// reached yet, resting those whose leg waits for its next stream: the removal
	// of a user must not miss them.
	opening, resting map[*Connection]struct{}
	users            map[string]int
	opened           map[string]uint64 // by mode, of which there are as many as are configured

	// Still says whether a connection's user may use it still; nil: everybody may. It is
	// set before the first connection, and may wait for another host.
	Still func(*Connection) error

	Totals Totals
}

// Totals count since the program started.
type Totals struct {
	Opened       atomic.Uint64 // connections that were relayed
	Refused      atomic.Uint64 // turned away at a limit
	AuthFailures atomic.Uint64 // wrong user name or token
	Failed       atomic.Uint64 // destination or concentrator not reached
	FellBack     atomic.Uint64 // legs that came up as plain TCP
	Reused       atomic.Uint64 // connections on a leg that had carried another one
	// AnsweredEarly counts applications that were told that they are connected before it
	// was known, AnsweredWrongly those of them that were reset then.
	AnsweredEarly, AnsweredWrongly atomic.Uint64

	BytesAToB atomic.Uint64 // of connections that have ended
	BytesBToA atomic.Uint64
}

// CountHandshake counts a handshake that failed with err, if it counts.
func (t *Totals) CountHandshake(err error) {
	if errors.Is(err, proxy.ErrAuthenticationFailed) {
		t.AuthFailures.Add(1)
	}
}

// NewTable returns an empty table.
func NewTable() *Table {
	return &Table{
		live:    make(map[uint64]*Connection),
		opening: make(map[*Connection]struct{}),
		resting: make(map[*Connection]struct{}),
		users:   make(map[string]int),
		opened:  make(map[string]uint64),
	}
}

// Add enters a connection that is relayed from now on, and numbers it.
func (t *Table) Add(c *Connection) {
	t.mu.Lock()
	t.nextID++
	c.ID = t.nextID
	t.live[c.ID] = c
	t.opened[c.Mode]++
	delete(t.opening, c)
	t.mu.Unlock()
	t.Totals.Opened.Add(1)
}

// Remove takes out a connection that has ended.
func (t *Table) Remove(c *Connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.live, c.ID)
	// Under the lock, so that Traffic counts each byte once.
	t.Totals.BytesAToB.Add(c.Counters.AToB.Load())
	t.Totals.BytesBToA.Add(c.Counters.BToA.Load())
}

// ModeCount counts the connections of a mode.
type ModeCount struct {
	Live   int
	Opened uint64 // since the start
}

// Traffic is what a table has seen since the start, live connections included.
type Traffic struct {
	AToB, BToA uint64 // bytes
	Modes      map[string]ModeCount
}

// Traffic adds up what there is now. Its counts never run backwards.
func (t *Table) Traffic() Traffic {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := Traffic{
		AToB: t.Totals.BytesAToB.Load(), BToA: t.Totals.BytesBToA.Load(),
		Modes: make(map[string]ModeCount, len(t.opened)),
	}
	for mode, n := range t.opened {
		out.Modes[mode] = ModeCount{Opened: n}
	}
	for _, c := range t.live {
		out.AToB += c.Counters.AToB.Load()
		out.BToA += c.Counters.BToA.Load()
		m := out.Modes[c.Mode]
		m.Live++
		out.Modes[c.Mode] = m
	}
	return out
}

// ErrUserFull says that a user has as many connections as he may have.
var ErrUserFull = errors.New("the user has reached the limit of connections")

// Enter counts a connection for its user, unless he has limit of them already (0: no limit)
// or may not use it any more. From then on StopWhere finds it. Each Enter that returns nil
// needs a Leave. The error is ErrUserFull or Still's.
func (t *Table) Enter(c *Connection, limit int) error {
	if !t.enter(c, limit) {
		return ErrUserFull
	}
	// Still is asked behind the entry: when its answer is older than a removal, StopWhere,
	// which follows the removal, finds the connection.
	err := t.still(c)
	if err != nil {
		t.Leave(c)
	}
	return err
}

func (t *Table) enter(c *Connection, limit int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if limit > 0 && t.users[c.User] >= limit {
		return false
	}
	t.users[c.User]++
	t.opening[c] = struct{}{}
	return true
}

func (t *Table) still(c *Connection) error {
	if t.Still == nil {
		return nil
	}
	return t.Still(c)
}

// Leave ends what Enter began.
func (t *Table) Leave(c *Connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.opening, c)
	if t.users[c.User]--; t.users[c.User] <= 0 {
		delete(t.users, c.User)
	}
}

// Rest notes that a leg waits for its next stream, until Wake. c is its last stream, or
// stands for the leg if there was none. The error is Still's: the leg must end then.
func (t *Table) Rest(c *Connection) error {
	t.mu.Lock()
	t.resting[c] = struct{}{}
	t.mu.Unlock()
	return t.still(c) // behind the entry, as in Enter
}

// Wake ends what Rest began.
func (t *Table) Wake(c *Connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.resting, c)
}

// Len returns the number of live connections.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.live)
}

// Opening returns the number of connections whose destination is being reached.
func (t *Table) Opening() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.opening)
}

// Connections returns the live connections, oldest first.
func (t *Table) Connections() []*Connection {
	t.mu.Lock()
	all := make([]*Connection, 0, len(t.live))
	for _, c := range t.live {
		all = append(all, c)
	}
	t.mu.Unlock()
	slices.SortFunc(all, func(a, b *Connection) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// StopWhere ends each connection for which f holds, and returns how many. It also ends
// those whose destination is being reached, and legs whose last connection f holds for.
func (t *Table) StopWhere(f func(*Connection) bool) int {
	t.mu.Lock()
	all := slices.AppendSeq(slices.Collect(maps.Values(t.live)), maps.Keys(t.opening))
	all = slices.AppendSeq(all, maps.Keys(t.resting))
	t.mu.Unlock()
	n := 0
	for _, c := range all {
		if f(c) {
			c.Stop()
			n++
		}
	}
	return n
}
