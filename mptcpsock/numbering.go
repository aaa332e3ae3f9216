package mptcpsock

import (
	"sync"

	"mpproxy/mptcpsock/uapi"
)

// firstSubflowID is the number of the initial subflow, the kernel's and ours.
const firstSubflowID uapi.SubflowID = 1

// numbering gives subflows ids where the kernel gives none, Linux before 6.5:
// the next number to each pair of ends when it is first seen. A pair that was
// away for a reading is another subflow. The kernel too counts from the initial
// subflow, so that both number most connections alike.
type numbering struct {
	mu   sync.Mutex
	ids  map[Pair]uapi.SubflowID
	next uapi.SubflowID
}

// number sets the ids of a reading, which holds all subflows.
func (n *numbering) number(subflows []Subflow) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := make(map[Pair]uapi.SubflowID, len(subflows))
	for i := range subflows {
		p := Pair{subflows[i].Local, subflows[i].Remote}
		id, known := n.ids[p]
		if !known {
			id = firstSubflowID + n.next
			n.next++
		}
		now[p], subflows[i].ID = id, id
	}
	n.ids = now
}
