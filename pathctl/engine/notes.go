package engine

import (
	"time"

	"mpproxy/pathctl/pathstate"
	"mpproxy/pathctl/policy"
)

// A connection needs seconds to find out that a path loses too much, or is too far away
// from another one to be of use beside it, and a download of five megabytes is over by
// then. So what one connection notes of a path itself is kept with what is believed about
// the path, and each connection that begins later begins with it.

const (
	// notedMost bounds how many addresses of clients a concentrator keeps notes about.
	notedMost = 4096
	// notesAtFirst bounds the notes that a connection begins with: one client may have
	// many addresses.
	notesAtFirst = 8
)

// keepNotes keeps what a decision of a connection has newly noted of paths.
func (e *Engine) keepNotes(conn policy.Conn, before, after policy.Memory, now time.Time) {
	for _, n := range after.Notes {
		old, known := before.Note(n.Path)
		if known && old.Until == n.Until || n.Aside(conn.Age) == 0 || !e.concernsAll(n) {
			continue
		}
		if s := e.notedOf(n.Path, conn.Params.Patience, now); s != nil {
			s.Keep(n, now.Add(-conn.Age))
		}
	}
}

// concernsAll reports whether a note of one connection holds for others, too. Behind one
// address of a client may be the paths of many clients: a loss there says little.
func (e *Engine) concernsAll(n policy.Note) bool {
	return policy.OfThePath(n) && (e.role == policy.Client || n.Far != "")
}

// notedOf returns what is believed about a path, to keep a note in it; nil when the path
// is not there any more, or there are too many.
func (e *Engine) notedOf(path string, p pathstate.Patience, now time.Time) *pathstate.State {
	if e.role == policy.Client || e.states[path] != nil {
		return e.stateOf(path)
	}
	if len(e.states) >= notedMost {
		for name, s := range e.states {
			if n, ok := s.Noted(now); !ok || !n.OnTrial(p, 0) {
				delete(e.states, name)
			}
		}
	}
	if len(e.states) >= notedMost {
		return nil
	}
	s := &pathstate.State{}
	e.states[path] = s
	return s
}

// firstNotes gives a connection that is looked at for the first time what others have
// noted of its paths.
func (e *Engine) firstNotes(c *connection, conn policy.Conn, now time.Time) {
	traits := conn.Mode.Traits()
	for _, s := range e.states {
		n, ok := s.Noted(now.Add(-conn.Age))
		if !ok || !n.OnTrial(conn.Params.Patience, conn.Age) || !e.concerns(n, c) || len(c.memory.Notes) == notesAtFirst {
			continue
		}
		if n.Far == "" && !traits.Alone || n.Far != "" && traits.SetsAside {
			c.memory.Notes = append(c.memory.Notes, n)
		}
	}
}

// concerns reports whether a connection may come to have the path of a note, and the other
// one if there is one: the client knows its paths, the concentrator those that have a
// subflow so far.
func (e *Engine) concerns(n policy.Note, c *connection) bool {
	if e.role == policy.Client {
		return e.hasPath(n.Path) && (n.Far == "" || e.hasPath(n.Far))
	}
	for _, f := range c.subflows {
		if f.path == n.Path || f.path == n.Far {
			return true
		}
	}
	return false
}
