package serve

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"testing"
)

var errGone = errors.New("gone")

// TestRevocation interleaves, at random, the stages of connections with the removal, the
// disabling and the new token of their users. A connection that is in the table after the
// table was told of the last change must be its user's still, or have been stopped.
func TestRevocation(t *testing.T) {
	for seed := range uint64(3000) {
		w := &world{random: rand.New(rand.NewPCG(seed, 7)), table: NewTable()}
		w.table.Still = w.still
		for range 60 {
			w.step()
			for _, c := range w.conns {
				if w.told && c.inTable() && !c.stopped && c.Grant != w.grant {
					t.Fatalf("seed %d: a connection in stage %d has the grant %q, the user %q", seed, c.stage, c.Grant, w.grant)
				}
			}
		}
		for _, c := range w.conns {
			c.end(w.table)
		}
		if w.table.Len()+w.table.Opening()+len(w.table.resting)+len(w.table.users) != 0 {
			t.Fatalf("seed %d: something is left in the table", seed)
		}
	}
}

// world is one user, whose grant changes, and his connections.
type world struct {
	random *rand.Rand
	table  *Table
	grant  string // empty: there is no such user, or he is disabled
	serial int
	told   bool // the table was told of the last change
	conns  []*conn
}

// conn is a connection as the concentrator has it. stage is where it is.
type conn struct {
	*Connection
	stage   stage
	stopped bool
}

type stage int

const (
	authenticated stage = iota // the token was right
	opening                    // its destination is being reached
	relayed
	between // its stream has ended
	resting
	ended
)

// inTable is false for the moments in which a connection is on its way to being asked about.
func (c *conn) inTable() bool { return c.stage == opening || c.stage == relayed || c.stage == resting }

// step does one thing that may happen next.
func (w *world) step() {
	if w.random.IntN(4) == 0 {
		w.change()
		return
	}
	if w.random.IntN(3) == 0 {
		w.tell()
		return
	}
	if len(w.conns) == 0 || w.random.IntN(3) == 0 {
		if w.grant != "" {
			c := &conn{Connection: &Connection{User: "bob", Grant: w.grant}}
			c.Stop = func() { c.stopped = true }
			w.conns = append(w.conns, c)
		}
		return
	}
	w.advance(w.conns[w.random.IntN(len(w.conns))])
}

// advance takes a connection to its next stage.
func (w *world) advance(c *conn) {
	switch {
	case c.stopped:
		c.end(w.table)
	case c.stage == authenticated, c.stage == resting:
		before := c.stage
		if w.table.Enter(c.Connection, 0) == nil {
			c.stage = opening
		} else {
			c.stage = ended
		}
		if before == resting {
			w.table.Wake(c.Connection)
		}
	case c.stage == opening:
		w.table.Add(c.Connection)
		c.stage = relayed
	case c.stage == relayed:
		w.table.Remove(c.Connection)
		w.table.Leave(c.Connection)
		c.stage = between
	case c.stage == between:
		c.stage = resting
		if w.table.Rest(c.Connection) != nil {
			c.end(w.table)
		}
	}
}

func (c *conn) end(t *Table) {
	switch c.stage {
	case opening:
		t.Leave(c.Connection)
	case relayed:
		t.Remove(c.Connection)
		t.Leave(c.Connection)
	case resting:
		t.Wake(c.Connection)
	}
	c.stage = ended
}

// change removes the user, or gives him another token.
func (w *world) change() {
	w.told = false
	w.grant = ""
	if w.random.IntN(3) > 0 {
		w.serial++
		w.grant = strconv.Itoa(w.serial)
	}
}

// tell is what follows a change, sooner or later.
func (w *world) tell() {
	w.table.StopWhere(func(c *Connection) bool { return c.Grant != w.grant })
	w.told = true
}

// still answers by the accounts of this moment. Between question and answer, and behind the
// answer, the user may change.
func (w *world) still(c *Connection) error {
	if w.random.IntN(4) == 0 {
		w.change()
	}
	same := c.Grant == w.grant
	if w.random.IntN(4) == 0 {
		w.change()
	}
	if w.random.IntN(4) == 0 {
		w.tell()
	}
	if !same {
		return errGone
	}
	return nil
}
