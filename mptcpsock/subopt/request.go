package subopt

import (
	"encoding/binary"
	"fmt"
	"time"
)

// newSet asks for a value to be set.
func newSet(e suboptEnds, s spec, v Value) (suboptRequest, error) {
	value, length, err := s.encode(v)
	if err != nil {
		return suboptRequest{}, err
	}
	r := newRequest(e, suboptVerbSET, s, length)
	r.Value = value
	return r, nil
}

// newGet asks for a value.
func newGet(e suboptEnds, s spec) suboptRequest {
	switch {
	case s.field != 0:
		return newRequest(e, suboptVerbLOOK, s, valueSize)
	case s.kind == kindText:
		return newRequest(e, suboptVerbGET, s, valueSize)
	}
	return newRequest(e, suboptVerbGET, s, 4)
}

func newRequest(e suboptEnds, v suboptVerb, s spec, length uint32) suboptRequest {
	return suboptRequest{Ends: e, Verb: v, Level: s.level, Code: s.code, Length: length}
}

// result is the value that was asked for. tick is the length of a jiffy.
func (r *suboptRequest) result(s spec, tick time.Duration) Value {
	switch s.field {
	case fieldTOS:
		return Number(r.Tos &^ ecnMask)
	case fieldMinRTO:
		return Duration(time.Duration(r.MinRto) * tick)
	case fieldMaxDelayedAck:
		return Duration(time.Duration(r.MaxDelayedAck) * tick)
	}
	return s.decode(r.Value)
}

// requestSize is what the program writes, in bytes.
var requestSize = binary.Size(suboptRequest{})

// decodeRequest takes what the program has written.
func decodeRequest(b []byte) (r suboptRequest, err error) {
	if len(b) != requestSize {
		return r, fmt.Errorf("the program wrote %d bytes, want %d", len(b), requestSize)
	}
	_, err = binary.Decode(b, binary.NativeEndian, &r)
	return r, err
}
