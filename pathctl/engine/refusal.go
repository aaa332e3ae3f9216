package engine

import (
	"time"

	"mpproxy/pathctl/pathstate"
)

// refusal is what a connection remembers of joins that were refused on one path. The
// peer refuses all joins of a connection that it has ended, which we may not know of:
// no packet tells while the connection is idle. Then the path is well, and the others
// must not wait because of it.
type refusal struct {
	times     int
	at, until time.Time // of the last one; when the connection may try again
}

// refusedAgain notes that a join was refused at now. It reports whether that is about
// the connection alone: it was refused before, and another one has joined since.
func (c *connection) refusedAgain(path string, othersJoined, now time.Time) bool {
	first, longest := pathstate.JoinRefused.Backoff()
	r := c.refusals[path]
	if now.Sub(r.until) > longest {
		r = refusal{}
	}
	again := r.times > 0 && othersJoined.After(r.at)
	// The path's own back-off ends sooner: then somebody else tries first.
	r = refusal{r.times + 1, now, now.Add(min(2*first<<min(r.times, 16), longest))}
	if c.refusals == nil {
		c.refusals = make(map[string]refusal)
	}
	c.refusals[path] = r
	c.refusedAt, c.unknown = now, c.unknown || again
	return again
}
