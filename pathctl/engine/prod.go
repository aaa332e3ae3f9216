package engine

import "time"

const (
	// prodAfter is how long a subflow is quiet before the kernel asks for a sign of life
	// on it while there is doubt: the least that can be had.
	prodAfter = time.Second
	// prodFor is how long it goes on once no policy wants it any more.
	prodFor = 5 * time.Second
)

// prod has the kernel ask for signs of life while a policy wants it, and for a while
// longer, so that data that comes in bursts changes nothing.
func (e *Engine) prod(c *connection, wanted bool, now time.Time) {
	p, can := c.reg.Reader.(Prodder)
	before := c.prodded
	switch {
	case !can || c.unprodable:
		return
	case wanted:
		c.prodded = now.Add(prodFor)
	case !before.IsZero() && now.After(before):
		c.prodded = time.Time{}
	}
	var err error
	switch {
	case before.IsZero() && !c.prodded.IsZero():
		err = p.Prod(prodAfter)
	case !before.IsZero() && c.prodded.IsZero():
		err = p.Prod(0)
	}
	if err != nil {
		c.unprodable = true
		e.log.Debug("cannot ask for signs of life of a connection", "error", err)
	}
}
