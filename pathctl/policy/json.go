package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// unread is the memory of a mode as JSON: an object.
type unread json.RawMessage

// MarshalJSON writes what the mode remembers beside the rest.
func (m Memory) MarshalJSON() ([]byte, error) {
	type common Memory
	own := m.Own
	if raw, ok := own.(unread); ok {
		own = json.RawMessage(raw)
	}
	return flat(common(m), own)
}

// UnmarshalJSON reads what MarshalJSON has written. Of says which mode's it is.
func (m *Memory) UnmarshalJSON(text []byte) error {
	type common Memory
	var c common
	if err := json.Unmarshal(text, &c); err != nil {
		return err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return err
	}
	for _, known := range memoryNames {
		delete(fields, known)
	}
	if len(fields) > 0 {
		own, err := json.Marshal(fields)
		if err != nil {
			return err
		}
		c.Own = unread(own)
	}
	*m = Memory(c)
	return nil
}

var memoryNames = []string{"Best", "Since", "Rival", "RivalSince", "Lost", "Stood", "Notes", "Watches"}

// Of returns memory that was read from JSON as that of a mode. The error says what
// the mode does not know; what it knows is there all the same.
func (m Memory) Of(mode Mode) (Memory, error) {
	raw, ok := m.Own.(unread)
	if !ok {
		return m, nil
	}
	own, err := mode.definition().read(raw)
	m.Own = own
	if err != nil {
		err = fmt.Errorf("memory of the mode %q: %w", mode, err)
	}
	return m, err
}

func readMemory[M any](raw unread) (any, error) {
	m := new(M)
	if err := json.Unmarshal(raw, m); err != nil {
		return new(M), err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	return m, d.Decode(new(M))
}

// UnmarshalJSON reads what MarshalJSON of Params has written beside the base. Numbers
// that only other modes have are left out: traces once held those of all modes.
func (s *Spec) UnmarshalJSON(text []byte) error {
	var raw struct {
		Name   string
		Base   Mode
		Params json.RawMessage
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return err
	}
	if _, err := ParseMode(string(raw.Base)); err != nil {
		return err
	}
	for _, key := range keysOf(raw.Params) {
		if !slices.Contains(numberNames(), key) {
			return fmt.Errorf("unknown number %q", key)
		}
	}
	p := DefaultParams(raw.Base)
	if err := json.Unmarshal(raw.Params, &p.Common); err != nil {
		return err
	}
	own := reflect.New(reflect.TypeOf(p.Own))
	if err := json.Unmarshal(raw.Params, own.Interface()); err != nil {
		return err
	}
	p.Own = own.Elem().Interface()
	*s = Spec{raw.Name, raw.Base, p}
	return nil
}

// MarshalJSON writes all numbers as fields of one object.
func (p Params) MarshalJSON() ([]byte, error) { return flat(p.Common, p.Own) }

// numberNames are the names of all numbers of all modes in JSON.
func numberNames() (names []string) {
	for _, m := range Modes() {
		text, _ := json.Marshal(DefaultParams(m))
		names = append(names, keysOf(text)...)
	}
	return names
}

// flat writes the fields of two values as those of one object.
func flat(a, b any) ([]byte, error) {
	first, err := json.Marshal(a)
	if err != nil || b == nil {
		return first, err
	}
	second, err := json.Marshal(b)
	switch {
	case err != nil:
		return nil, err
	case len(second) <= len("{}"):
		return first, nil
	case len(first) <= len("{}"):
		return second, nil
	}
	return append(append(first[:len(first)-1], ','), second[1:]...), nil
}

// keysOf returns the names of an object's fields, in order.
func keysOf(object []byte) []string {
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(object, &fields) // what is no object has none
	return slices.Sorted(maps.Keys(fields))
}
