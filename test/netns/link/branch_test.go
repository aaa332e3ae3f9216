package link

import (
	"encoding/binary"
	"testing"
)

// tcpFrame is a frame of a TCP flow from a port.
func tcpFrame(port uint16) []byte {
	f := make([]byte, 14+20+20)
	binary.BigEndian.PutUint16(f[12:], 0x0800)
	f[14], f[14+9] = 0x45, 6
	copy(f[14+12:], []byte{192, 0, 2, 2, 203, 0, 113, 1})
	binary.BigEndian.PutUint16(f[34:], port)
	binary.BigEndian.PutUint16(f[36:], 8443)
	return f
}

func TestFlowHashSpreadsPorts(t *testing.T) {
	const branches, flows = 4, 4000
	var count [branches]int
	changed := 0
	for port := range uint16(flows) {
		a, b := flowHash(1, tcpFrame(30000+port)), flowHash(2, tcpFrame(30000+port))
		if a != flowHash(1, tcpFrame(30000+port)) {
			t.Fatal("one flow has two hashes")
		}
		count[a%branches]++
		if a%branches != b%branches {
			changed++
		}
	}
	for i, n := range count {
		if n < flows/branches*8/10 || n > flows/branches*12/10 {
			t.Errorf("branch %d has %d of %d flows", i, n, flows)
		}
	}
	if changed < flows/2 {
		t.Errorf("another salt moves %d of %d flows: the two ends choose alike", changed, flows)
	}
}

func TestFlowHashOfAnything(t *testing.T) {
	for n := range 60 {
		for _, kind := range []uint16{0x0800, 0x86dd, 0x0806} {
			f := make([]byte, n)
			for i := range f {
				f[i] = 0xff
			}
			if n >= 14 {
				binary.BigEndian.PutUint16(f[12:], kind)
			}
			flowHash(0, f) // must not panic
		}
	}
}
