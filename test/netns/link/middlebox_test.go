package link

import (
	"encoding/binary"
	"testing"
	"time"
)

func TestMiddleboxForgets(t *testing.T) {
	begun := time.Unix(0, 0)
	var s states
	s.set(Middlebox{Idle: 10 * time.Second})
	syn, data := tcpFrame(4000), tcpFrame(4000)
	syn[34+13], data[34+13] = flagSYN, flagACK
	for _, tt := range []struct {
		what  string
		frame []byte
		at    time.Duration
		want  bool
	}{
		{"data of nobody", data, 0, false},
		{"a SYN", syn, time.Second, true},
		{"data soon after", data, 9 * time.Second, true},
		{"data within the time from that", data, 18 * time.Second, true},
		{"data after the time", data, 29 * time.Second, false},
		{"data right behind it", data, 29 * time.Second, false},
		{"a new SYN", syn, 30 * time.Second, true},
		{"data of it", data, 31 * time.Second, true},
	} {
		if got, reset := s.pass(tt.frame, begun.Add(tt.at)); got != tt.want || reset != nil {
			t.Errorf("%s: passed %v (reset %v), want %v and none", tt.what, got, reset != nil, tt.want)
		}
	}
}

// TestMiddleboxStartsAnew: a box that has lost its state lets only new connections pass.
func TestMiddleboxStartsAnew(t *testing.T) {
	begun := time.Unix(0, 0)
	var s states
	s.set(Middlebox{Idle: time.Hour})
	syn, data := tcpFrame(4000), tcpFrame(4000)
	syn[34+13], data[34+13] = flagSYN, flagACK
	for _, frame := range [][]byte{syn, data} {
		if ok, _ := s.pass(frame, begun); !ok {
			t.Fatal("a known connection does not pass")
		}
	}
	s.forget()
	if ok, _ := s.pass(data, begun); ok {
		t.Error("data of a forgotten connection passes")
	}
	if ok, _ := s.pass(syn, begun); !ok {
		t.Error("a new SYN does not pass")
	}
}

func TestMiddleboxResets(t *testing.T) {
	var s states
	s.set(Middlebox{Idle: time.Second, Reset: true})
	data := tcpFrame(4000)
	data[34+12], data[34+13] = 5<<4, flagACK
	binary.BigEndian.PutUint16(data[16:], 40)
	binary.BigEndian.PutUint32(data[34+8:], 77) // acknowledges
	ok, reset := s.pass(data, time.Unix(0, 0))
	if ok || reset == nil {
		t.Fatal("data of nobody was not reset")
	}
	k1, _, _ := tcpOf(data)
	k2, flags, is := tcpOf(reset)
	if !is || k1 != k2 || flags != flagRST || binary.BigEndian.Uint32(reset[34+4:]) != 77 {
		t.Errorf("the answer is % x", reset)
	}
	if fold(sum16(reset[14:34], 0)) != 0xffff || fold(sum16(reset[34:], sum16(reset[26:34], 26))) != 0xffff {
		t.Error("a checksum is wrong")
	}
	if ok, again := s.pass(reset, time.Unix(0, 0)); ok || again != nil {
		t.Error("a RST of nobody passed, or was answered")
	}
}

func FuzzMiddlebox(f *testing.F) {
	f.Add(tcpFrame(1))
	f.Fuzz(func(_ *testing.T, frame []byte) {
		var s states
		s.set(Middlebox{Idle: time.Second, Reset: true})
		s.pass(frame, time.Unix(0, 0))
	})
}
