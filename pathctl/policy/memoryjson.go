package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
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
