package trace

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/engine"
	"mpproxy/pathctl/policy"
)

// format is the version of the format that is written and read.
const format = 1

// line is one line of a trace: exactly one field is set.
type line struct {
	Trace   *header          `json:"trace,omitempty"`
	Mode    *policy.Spec     `json:"mode,omitempty"`
	Look    *look            `json:"look,omitempty"`
	Told    *engine.Decision `json:"told,omitempty"`
	Dropped *uint64          `json:"dropped,omitempty"`
}

// header is the first line.
type header struct {
	Format  int       `json:"format"`
	Program string    `json:"program"`
	Began   time.Time `json:"began"`
	// Continued says that an earlier part was cut off to keep the trace within
	// its size.
	Continued bool `json:"continued,omitempty"`
}

// look is a engine.Look. The mode's numbers stand in a line of their own.
type look struct {
	When        time.Time          `json:"when"`
	Token       uapi.Token         `json:"token"`
	Destination string             `json:"destination"`
	Mode        string             `json:"mode"`
	Rule        string             `json:"rule,omitempty"`
	Number      uint64             `json:"number"`
	Conn        conn               `json:"conn"`
	Paths       []policy.Path      `json:"paths"`
	Memory      policy.Memory      `json:"memory"`
	Plan        policy.Plan        `json:"plan"`
	Outcomes    []*engine.Decision `json:"outcomes"`
}

// conn is a policy.Conn without its Params, which this field hides.
type conn struct {
	policy.Conn
	Params *struct{} `json:"Params,omitempty"`
}

func lookOf(l engine.Look) *look {
	return &look{
		When: l.When, Token: l.Token, Destination: l.Destination, Mode: l.Mode, Rule: l.Rule, Number: l.Number,
		Conn: conn{Conn: l.Conn}, Paths: l.Paths, Memory: l.Memory, Plan: l.Plan, Outcomes: l.Outcomes,
	}
}

// value returns the look with its mode's numbers.
func (l *look) value(p policy.Params) engine.Look {
	c := l.Conn.Conn
	c.Params = p
	return engine.Look{
		When: l.When, Token: l.Token, Destination: l.Destination, Mode: l.Mode, Rule: l.Rule, Number: l.Number,
		Conn: c, Paths: l.Paths, Memory: l.Memory, Plan: l.Plan, Outcomes: l.Outcomes,
	}
}

// decode reads one line.
func decode(text []byte) (line, error) {
	var l line
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields() // a newer program's inputs would be left out of the decision
	if err := d.Decode(&l); err != nil {
		return line{}, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return line{}, errors.New("there is more than one value")
	}
	kinds := 0
	for _, is := range []bool{l.Trace != nil, l.Mode != nil, l.Look != nil, l.Told != nil, l.Dropped != nil} {
		if is {
			kinds++
		}
	}
	if kinds != 1 {
		return line{}, fmt.Errorf("expected one of trace, mode, look, told and dropped, found %d of them", kinds)
	}
	return l, nil
}
