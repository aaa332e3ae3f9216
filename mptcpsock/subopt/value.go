package subopt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Value is that of an option: a text, a number or a duration. Values of the
// same kind compare with ==.
type Value struct {
	kind   kind
	text   string
	number uint64 // ns, where it is a duration
}

type kind uint8

const (
	kindText kind = iota + 1
	kindNumber
	kindDuration
)

func (k kind) String() string {
	return [...]string{"nothing", "a Text", "a Number", "a Duration"}[k]
}

// Text is the value of Congestion.
func Text(s string) Value { return Value{kind: kindText, text: s} }

// Number is the value of an option that is a number.
func Number(n uint32) Value { return Value{kind: kindNumber, number: uint64(n)} }

// Duration is the value of an option that is a time.
func Duration(d time.Duration) Value { return Value{kind: kindDuration, number: uint64(d)} }

// Text returns the text; empty where the value is none.
func (v Value) Text() string { return v.text }

// Number returns the number; 0 where the value is none.
func (v Value) Number() uint32 {
	if v.kind != kindNumber {
		return 0
	}
	return uint32(v.number)
}

// Duration returns the duration; 0 where the value is none.
func (v Value) Duration() time.Duration {
	if v.kind != kindDuration {
		return 0
	}
	return time.Duration(v.number)
}

// String returns the value for people.
func (v Value) String() string {
	switch v.kind {
	case kindText:
		return v.text
	case kindNumber:
		return strconv.FormatUint(v.number, 10)
	case kindDuration:
		return v.Duration().String()
	}
	return "none"
}

// valueSize is the room for a value: the longest name of a congestion control
// with its zero byte, TCP_CA_NAME_MAX.
const valueSize = 16

// encode returns the value as setsockopt takes it. The error matches ErrInvalid.
func (s spec) encode(v Value) (b [valueSize]byte, length uint32, err error) {
	if v.kind != s.kind {
		return b, 0, fmt.Errorf("%w: the value is %v, want %v", ErrInvalid, v.kind, s.kind)
	}
	switch s.kind {
	case kindText:
		if len(v.text) == 0 || len(v.text) >= valueSize || strings.ContainsRune(v.text, 0) {
			return b, 0, fmt.Errorf("%w: %q, want 1 to %d bytes", ErrInvalid, v.text, valueSize-1)
		}
		copy(b[:], v.text)
		return b, valueSize, nil
	case kindDuration:
		d := v.Duration()
		if d < 0 || d%s.unit != 0 || uint64(d/s.unit) > s.most {
			return b, 0, fmt.Errorf("%w: %v, want 0 to %v in steps of %v", ErrInvalid, d, time.Duration(s.most)*s.unit, s.unit)
		}
		binary.NativeEndian.PutUint32(b[:], uint32(d/s.unit))
	default:
		if v.number > s.most || s.most < 0xff && v.number&ecnMask != 0 {
			return b, 0, fmt.Errorf("%w: %d, want 0 to %d%s", ErrInvalid, v.number, s.most, s.steps())
		}
		binary.NativeEndian.PutUint32(b[:], uint32(v.number))
	}
	return b, 4, nil
}

func (s spec) steps() string {
	if s.most < 0xff {
		return " in steps of 4"
	}
	return ""
}

// decode reads what getsockopt has given.
func (s spec) decode(b [valueSize]byte) Value {
	if s.kind == kindText {
		name, _, _ := bytes.Cut(b[:], []byte{0})
		return Text(string(name))
	}
	n := binary.NativeEndian.Uint32(b[:])
	if s.kind == kindDuration {
		return Duration(time.Duration(n) * s.unit)
	}
	if s.most < 0xff {
		n &^= ecnMask
	}
	return Number(n)
}
