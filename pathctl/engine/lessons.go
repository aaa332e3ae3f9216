package engine

import (
	"maps"
	"time"

	"mpproxy/pathctl/policy"
)

// What one connection has learned of a path that is of no use beside another one
// (policy.Note.Far), those that begin later need not learn anew: it takes seconds,
// and a download of five megabytes is over by then.

// lessonsMost bounds what is remembered: a concentrator has a path for each
// address of its clients.
const lessonsMost = 4096

// lesson is a note with a time instead of an age.
type lesson struct {
	note  policy.Note
	until time.Time
}

// learn keeps what a decision of a connection has newly noted.
func (e *Engine) learn(conn policy.Conn, before, memory policy.Memory, now time.Time) {
	for _, n := range memory.Notes {
		if n.Far == "" || n.Until <= conn.Age {
			continue
		}
		if old, known := before.Note(n.Path); known && old.Until == n.Until {
			continue
		}
		if len(e.lessons) >= lessonsMost {
			maps.DeleteFunc(e.lessons, func(_ string, l lesson) bool { return now.After(l.until) })
		}
		if len(e.lessons) < lessonsMost {
			e.lessons[n.Path] = lesson{n, now.Add(n.Until - conn.Age)}
		}
	}
}

// lessonsTaught bounds the notes that a connection begins with: behind the address
// of a client may be many.
const lessonsTaught = 8

// teach gives a connection that is looked at for the first time what is known of
// its paths.
func (e *Engine) teach(c *connection, conn policy.Conn, now time.Time) {
	if !conn.Mode.Traits().SetsAside {
		return
	}
	for _, l := range e.lessons {
		if now.Sub(l.until) > conn.Params.Forgive || !e.concerns(l, c) || len(c.memory.Notes) == lessonsTaught {
			continue
		}
		n := l.note
		n.Until = conn.Age + l.until.Sub(now)
		c.memory.Notes = append(c.memory.Notes, n)
	}
}

// concerns reports whether a connection may come to have both paths of a lesson: the
// client knows its paths, the concentrator those that have a subflow so far.
func (e *Engine) concerns(l lesson, c *connection) bool {
	if e.role == policy.Client {
		return e.hasPath(l.note.Path) && e.hasPath(l.note.Far)
	}
	for _, f := range c.subflows {
		if f.path == l.note.Path || f.path == l.note.Far {
			return true
		}
	}
	return false
}
