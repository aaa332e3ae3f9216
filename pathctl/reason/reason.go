// Package reason holds why something is believed or decided, as a value: a kind and its
// numbers. It is put into words once, where it is shown.
//
//	var Full = reason.New("full", "{path} carries no more than {rate}")
//	why := reason.Reason{Kind: Full, Path: "dsl0", Rate: 0.5}
//	fmt.Println(why) // dsl0 carries no more than 50 %
//
// The package is pure: it imports the standard library only.
package reason

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Reason is why something is decided: a kind and its numbers. String puts it into
// words. The zero value says nothing. Which fields are set depends on the kind.
type Reason struct {
	Kind        Kind          `json:",omitempty"`
	Class       Class         `json:",omitempty"` // set in plans
	Path, Other string        `json:",omitempty"`
	Took, Limit time.Duration `json:",omitempty"`
	Rate, Most  float64       `json:",omitempty"` // shares, 0 to 1
	Bytes, Of   uint64        `json:",omitempty"` // or bytes a second
	Count       int           `json:",omitempty"`
	Because     *Reason       `json:",omitempty"`
	Text        string        `json:",omitempty"` // of a trace that has words only
}

// Kind names a reason. It stands in traces.
type Kind string

// Class is what reasons are counted by.
type Class string

// The classes.
const (
	ClassMode      Class = "mode"      // the mode wants it so
	ClassFailover  Class = "failover"  // another subflow failed, or none was left
	ClassSetAside  Class = "set-aside" // its path gave trouble lately
	ClassTimeout   Class = "timeout"   // data was not acknowledged in time
	ClassLoss      Class = "loss"      // it works, but loses too much
	ClassNoAnswer  Class = "no-answer" // the peer did not answer MP_JOIN
	ClassPathDown  Class = "path-down" // its path is down, gone or not allowed
	ClassUnneeded  Class = "unneeded"  // the mode has no use for it any more
	ClassReplaced  Class = "replaced"  // another one takes its place
	ClassForgotten Class = "forgotten" // its path works, and something on the way does not know it any more
)

// phrases has the words of each kind. {path} and {other} are paths or subflows,
// {took} and {limit} durations, {rate} and {most} shares, {because} another reason.
var phrases = map[Kind]string{}

// New makes a kind of reason known, and returns it. It is called while the
// program is initialized, and panics when the kind exists.
func New(kind Kind, words string) Kind {
	if phrases[kind] != "" {
		panic(fmt.Sprintf("the reason %q is registered twice", kind))
	}
	phrases[kind] = words
	return kind
}

// String puts the reason into words.
func (r Reason) String() string {
	if r.Kind == "" {
		return r.Text
	}
	because := ""
	if r.Because != nil {
		because = r.Because.String()
	}
	return strings.TrimSpace(strings.NewReplacer(
		"{path}", r.Path, "{other}", r.Other, "{took}", words(r.Took), "{limit}", words(r.Limit),
		"{rate}", percent(r.Rate), "{most}", percent(r.Most), "{because}", because,
		"{bytes}", strconv.FormatUint(r.Bytes, 10), "{of}", strconv.FormatUint(r.Of, 10), "{count}", strconv.Itoa(r.Count),
	).Replace(phrases[r.Kind]))
}

// UnmarshalJSON reads a reason; traces once had its words alone.
func (r *Reason) UnmarshalJSON(text []byte) error {
	if strings.HasPrefix(string(text), `"`) {
		*r = Reason{}
		return json.Unmarshal(text, &r.Text)
	}
	type plain Reason
	if err := json.Unmarshal(text, (*plain)(r)); err != nil {
		return err
	}
	if r.Kind != "" && phrases[r.Kind] == "" {
		return fmt.Errorf("unknown reason %q", r.Kind)
	}
	return nil
}

// words writes a duration for people: "240 ms", "1.09 s".
func words(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.3g s", d.Seconds())
}

func percent(x float64) string { return fmt.Sprintf("%.3g %%", 100*x) }
