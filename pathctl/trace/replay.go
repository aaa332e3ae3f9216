package trace

import (
	"errors"
	"fmt"
	"io"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/engine"
	"mpproxy/pathctl/policy"
)

// Handler gets what a replay finds, in the order of the trace. Either may be nil.
type Handler struct {
	// Decision gets each decision as the present code takes it. An error ends the
	// replay.
	Decision func(engine.Decision) error
	// Difference gets each look at which the present code decides or remembers
	// otherwise than was recorded.
	Difference func(Difference)
}

// Difference is a look at which recorded and replayed are not the same.
type Difference struct {
	Line        int
	Token       uapi.Token
	Destination string
	What        string // what differs
	Recorded    string
	Replayed    string
}

func (d Difference) String() string {
	return fmt.Sprintf("line %d, connection %v to %s: %s\n  recorded: %s\n  replayed: %s", d.Line, d.Token, d.Destination, d.What, d.Recorded, d.Replayed)
}

// Summary counts what a replay met.
type Summary struct {
	Looks       int
	Connections int
	Decisions   int
	Differences int
	// Dropped counts entries that the recorder had to leave out, and Gaps the
	// looks before which something of their connection is missing: there the
	// replay goes on with the memory that was recorded.
	Dropped uint64
	Gaps    int
}

// Replay runs what was recorded through the policies of this program. Each
// connection's memory is carried on from its first recorded look. What the kernel
// answered to a change is taken from the trace.
//
// The error is that of reading (a *LineError where the text is wrong), or of the
// handler; the summary counts what came before.
func Replay(r io.Reader, h Handler) (Summary, error) {
	p := player{h: h, conns: make(map[uapi.Token]*memory)}
	in := NewReader(r)
	for {
		e, err := in.Next()
		if errors.Is(err, io.EOF) {
			return p.sum, nil
		}
		if err == nil {
			err = p.play(e)
		}
		if err != nil {
			return p.sum, err
		}
	}
}

// player is a replay under way.
type player struct {
	h     Handler
	conns map[uapi.Token]*memory
	sum   Summary
}

// memory is what is carried on for one connection.
type memory struct {
	number uint64 // of the last look
	value  policy.Memory
}

func (p *player) play(e Entry) error {
	switch {
	case e.Look != nil:
		return p.look(e.Line, *e.Look)
	case e.Told != nil:
		return p.decision(*e.Told)
	}
	p.sum.Dropped += e.Dropped
	return nil
}

func (p *player) decision(d engine.Decision) error {
	p.sum.Decisions++
	if p.h.Decision == nil {
		return nil
	}
	return p.h.Decision(d)
}

func (p *player) differ(d Difference) {
	p.sum.Differences++
	if p.h.Difference != nil {
		p.h.Difference(d)
	}
}

// look decides about a connection anew.
func (p *player) look(line int, l engine.Look) error {
	p.sum.Looks++
	differ := func(what, recorded, replayed string) {
		p.differ(Difference{line, l.Token, l.Destination, what, recorded, replayed})
	}
	m := p.before(l)
	if !same(l.Memory, m.value) {
		differ("the policy remembers something else", text(l.Memory), text(m.value))
		// What follows from this is not reported again and again.
		m.value = l.Memory
	}
	plan, after := policy.Decide(l.Conn, l.Paths, m.value)
	m.number, m.value = l.Number, after
	changes := engine.Changes(l.Conn, plan)
	if !same(l.Plan, plan) {
		differ("the policy decides something else", describe(l.Plan), describe(plan))
		return p.all(l, changes)
	}
	return p.outcomes(l, changes, differ)
}

// before returns what is known of a connection before a look.
func (p *player) before(l engine.Look) *memory {
	m := p.conns[l.Token]
	switch {
	case l.Number == 1: // also of a token that is used again
		m = &memory{}
	case m != nil && m.number == l.Number-1:
		return m
	default:
		p.sum.Gaps++
		m = &memory{value: l.Memory}
	}
	if p.conns[l.Token] == nil || l.Number == 1 {
		p.sum.Connections++
	}
	p.conns[l.Token] = m
	return m
}

// outcomes tells what came of the changes, which are those that were recorded.
func (p *player) outcomes(l engine.Look, changes []engine.Change, differ func(what, recorded, replayed string)) error {
	if len(l.Outcomes) != len(changes) {
		differ("the plan leads to other changes", fmt.Sprintf("%d", len(l.Outcomes)), fmt.Sprintf("%d", len(changes)))
		return p.all(l, changes)
	}
	for i, s := range changes {
		o := l.Outcomes[i]
		if o == nil {
			continue // it could not be made
		}
		d := *o // a refusal is the kernel's word, not ours
		if o.Action != engine.ActionFailed {
			d = decisionOf(l, s)
			d.When = o.When
			if !same(*o, d) {
				differ("the change is described otherwise", text(*o), text(d))
			}
		}
		if err := p.decision(d); err != nil {
			return err
		}
	}
	return nil
}

// all tells of changes for which nothing was recorded.
func (p *player) all(l engine.Look, changes []engine.Change) error {
	for _, s := range changes {
		if err := p.decision(decisionOf(l, s)); err != nil {
			return err
		}
	}
	return nil
}

// decisionOf is the decision that comes of a change that is made.
func decisionOf(l engine.Look, s engine.Change) engine.Decision {
	return engine.Decision{
		When: l.When, Token: l.Token.String(), Destination: l.Destination, Mode: l.Mode, Rule: l.Rule,
		Action: s.Action, Path: s.Path, Reason: engine.Reason(s.Reason.Class), Why: s.Reason.String(),
	}
}
