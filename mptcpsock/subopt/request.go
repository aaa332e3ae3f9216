package subopt

import (
	"encoding/binary"
	"fmt"
	"time"
)

// A request is what the walking program is to do, and, once it has met the
// subflow, what came of it. Numbers are in host order. The offsets in bytes:
const (
	reqEnds   = 0 // ends of the subflow
	reqVerb   = endsSize
	reqLevel  = 44
	reqCode   = 48
	reqLength = 52 // of the value
	reqAnswer = 56 // of setsockopt or getsockopt: 0, or less than 0: errno
	reqTOS    = 60 // members of the socket
	reqMinRTO = 64 // jiffies
	reqMaxAck = 68 // jiffies
	reqValue  = 72
	reqSize   = reqValue + valueSize
)

// A verb says what to do with the option.
type verb uint32

const (
	verbLook verb = iota + 1 // read members of the socket only
	verbSet
	verbGet
)

type request [reqSize]byte

// newSet asks for a value to be set.
func newSet(e ends, s spec, v Value) (r request, err error) {
	value, length, err := s.encode(v)
	if err != nil {
		return request{}, err
	}
	r.fill(e, verbSet, s, length)
	copy(r[reqValue:], value[:])
	return r, nil
}

// newGet asks for a value.
func newGet(e ends, s spec) (r request) {
	switch {
	case s.field != 0:
		r.fill(e, verbLook, s, valueSize)
	case s.kind == kindText:
		r.fill(e, verbGet, s, valueSize)
	default:
		r.fill(e, verbGet, s, 4)
	}
	return r
}

func (r *request) fill(e ends, v verb, s spec, length uint32) {
	copy(r[reqEnds:], e[:])
	r.put(reqVerb, uint32(v))
	r.put(reqLevel, s.level)
	r.put(reqCode, s.code)
	r.put(reqLength, length)
}

func (r *request) put(at int, n uint32) { binary.NativeEndian.PutUint32(r[at:], n) }

func (r *request) word(at int) uint32 { return binary.NativeEndian.Uint32(r[at:]) }

// answer is what the kernel said.
func (r *request) answer() int32 { return int32(r.word(reqAnswer)) }

// result is the value that was asked for. tick is the length of a jiffy.
func (r *request) result(s spec, tick time.Duration) Value {
	switch s.field {
	case fieldTOS:
		return Number(r.word(reqTOS) &^ ecnMask)
	case fieldMinRTO:
		return Duration(time.Duration(r.word(reqMinRTO)) * tick)
	case fieldMaxDelayedAck:
		return Duration(time.Duration(r.word(reqMaxAck)) * tick)
	}
	return s.decode([valueSize]byte(r[reqValue:]))
}

// decodeRequest takes what the program has written.
func decodeRequest(b []byte) (request, error) {
	if len(b) != reqSize {
		return request{}, fmt.Errorf("the program wrote %d bytes, want %d", len(b), reqSize)
	}
	return request(b), nil
}
