package engine

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/policy"
)

// TestSendBuffer: a connection of the data path begins with a narrow buffer and gets a
// wide one at the first look, unless something forbids it.
func TestSendBuffer(t *testing.T) {
	for _, tt := range []struct {
		name      string
		most      uint64
		manual    bool
		unbounded error // why what it holds unsent cannot be bounded
		refused   error // why the buffer cannot be set
		want      []int
	}{
		{name: "usual", most: 1 << 30, want: []int{narrowBuffer, wideBuffer}},
		{name: "left to the kernel", most: 0},
		{name: "its subflows are the program's", most: 1 << 30, manual: true},
		{name: "an older kernel", most: 1 << 30, unbounded: errors.ErrUnsupported},
		{name: "without the privileges", most: 1 << 30, refused: errors.ErrUnsupported, want: []int{narrowBuffer}},
		{name: "no memory", most: 1, want: []int{narrowBuffer}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, policy.Concentrator)
			b.buffers = newBuffers(tt.most)
			end := &boundable{fakeReader: &fakeReader{reading: onFirst()}, err: tt.unbounded, bufferErr: tt.refused}
			end.reading.Info = uapi.Info{WriteSeq: 1}
			b.register(Registration{Token: testToken, Role: policy.Concentrator, Reader: end, Manual: tt.manual})(b.now)
			c := b.conns[testToken]
			for range 3 {
				b.now = b.now.Add(time.Second)
				b.examine(t.Context(), c, b.now)
			}
			if diff := cmp.Diff(tt.want, end.buffers); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestGreedyUser: a user whose connections acknowledge nothing fills his share only, and
// gets wide buffers again when he does.
func TestGreedyUser(t *testing.T) {
	const most = 64 << 20
	a := newBuffers(most)
	var greedy [100]held
	wide := 0
	for i := range greedy {
		if a.room("mallory", true) {
			a.enter(&greedy[i], held{"mallory", wideBuffer})
			wide++
		}
	}
	if wide != most/userShare/wideBuffer {
		t.Errorf("%d wide buffers filled, want %d", wide, most/userShare/wideBuffer)
	}
	var honest held
	if !a.room("alice", false) {
		t.Error("no room for another user")
	}
	a.enter(&honest, held{"alice", 1})
	if a.room("mallory", true) || a.room("mallory", false) {
		t.Error("room for more of the greedy user's")
	}
	for i := range greedy {
		a.enter(&greedy[i], held{})
	}
	if !a.room("mallory", false) || a.sum != 1 || len(a.byUser) != 1 {
		t.Errorf("after the end: %+v", a)
	}
	for _, user := range []string{"a", "b", "c"} {
		a.enter(&held{}, held{user, most / 3})
	}
	if a.room("alice", true) {
		t.Error("room where all memory is used up")
	}
}
