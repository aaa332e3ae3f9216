package policy

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Kind is what a number's text looks like.
type Kind uint8

// The kinds. Duration is "500ms", Bytes "64KiB" or "1MB", Rate is Bytes for each
// second, Ratio "0.1" and Count "5".
const (
	Duration Kind = iota
	Bytes
	Rate
	Ratio
	Count
)

func (k Kind) String() string {
	switch k {
	case Duration:
		return "duration"
	case Bytes:
		return "size"
	case Rate:
		return "rate"
	case Ratio:
		return "ratio"
	case Count:
		return "count"
	}
	return "unknown"
}

// Param describes one number of Params.
type Param struct {
	Key  string // in [modes.NAME] of the configuration
	Kind Kind
	// Min and Max are the range, in text of the Kind, both included.
	Min, Max string
	Doc      string
	// General says that every mode has it.
	General bool

	bothEnds bool
	// edit calls do with the address of the number, and keeps what do has stored there
	// unless that fails. ok is false when these are the numbers of another mode.
	edit func(p *Params, do func(any) error) (ok bool, err error)
}

// Get returns the number with that key as text that Set understands.
func (p Params) Get(key string) (text string, err error) {
	err = p.edit(key, func(_ *Param, x any) error { text = format(x); return nil })
	return text, err
}

// Set reads the number with that key from text. An error Is ErrParams, and
// leaves p as it was.
func (p *Params) Set(key, text string) error {
	changed := *p
	err := changed.edit(key, func(d *Param, x any) error {
		if err := parse(x, text); err != nil {
			return &ParamError{key, strconv.Quote(text), fmt.Sprintf("a %v from %s", d.Kind, d.Legal())}
		}
		return d.within(x)
	})
	if err == nil {
		*p = changed
	}
	return err
}

// edit calls do with the number that has the key.
func (p *Params) edit(key string, do func(*Param, any) error) error {
	for _, m := range registry {
		for i := range m.params {
			d := &m.params[i]
			if d.Key != key {
				continue
			}
			if ok, err := d.edit(p, func(x any) error { return do(d, x) }); ok {
				return err
			}
		}
	}
	return &ParamError{key, "this key", "one that the mode has"}
}

// check compares a number with its range.
func (d *Param) check(p *Params) error {
	ok, err := d.edit(p, d.within)
	if !ok {
		return &ParamError{d.Key, "its absence", d.Legal()}
	}
	return err
}

// within compares a number with its range.
func (d *Param) within(x any) error {
	in := false
	switch x := x.(type) {
	case *time.Duration:
		in = between(d, *x)
	case *uint64:
		in = between(d, *x)
	case *float64:
		in = between(d, *x)
	case *int:
		in = between(d, *x)
	}
	if !in {
		return &ParamError{d.Key, format(x), d.Legal()}
	}
	return nil
}

// between is false for NaN, and where the range cannot be read.
func between[T cmp.Ordered](d *Param, x T) bool {
	var low, high T
	return parse(&low, d.Min) == nil && parse(&high, d.Max) == nil && low <= x && x <= high
}

func parse(to any, text string) (err error) {
	switch to := to.(type) {
	case *time.Duration:
		*to, err = time.ParseDuration(text)
	case *uint64:
		*to, err = parseSize(text)
	case *float64:
		*to, err = strconv.ParseFloat(text, 64)
	case *int:
		*to, err = strconv.Atoi(text)
	}
	return err
}

func format(x any) string {
	switch x := x.(type) {
	case *time.Duration:
		return formatDuration(*x)
	case *uint64:
		return formatSize(*x)
	case *float64:
		return strconv.FormatFloat(*x, 'g', -1, 64)
	case *int:
		return strconv.Itoa(*x)
	}
	return ""
}

// formatDuration writes "2h4m", not "2h4m0s".
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

var units = []struct {
	name string
	size uint64
}{{"GiB", 1 << 30}, {"GB", 1e9}, {"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"KB", 1e3}, {"B", 1}}

// parseSize reads "64KiB", "1MB", "512B" or "512".
func parseSize(text string) (uint64, error) {
	factor := uint64(1)
	for _, u := range units {
		if number, ok := strings.CutSuffix(text, u.name); ok {
			text, factor = strings.TrimSpace(number), u.size
			break
		}
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, err
	}
	if n > ^uint64(0)/factor {
		return 0, strconv.ErrRange
	}
	return n * factor, nil
}

func formatSize(n uint64) string {
	for _, u := range units {
		if n >= u.size && n%u.size == 0 {
			return strconv.FormatUint(n/u.size, 10) + u.name
		}
	}
	return "0B"
}
