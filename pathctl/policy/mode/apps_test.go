package mode

import "time"

// The applications of the toy world say how many bytes they write in a step.

func bulk(w *world) uint64 { return 2_000_000 - min(2_000_000, w.conn.Pending) }

// echo writes 200 bytes each 100 ms.
func echo(w *world) uint64 {
	if w.conn.Age%(100*ms) == 0 {
		return 200
	}
	return 0
}

// blocks writes 64 KiB each second.
func blocks(w *world) uint64 {
	if w.conn.Age%time.Second == 0 {
		return 64 << 10
	}
	return 0
}

func fetch(size uint64) func(*world) uint64 {
	return func(w *world) uint64 {
		if w.conn.Age == 0 {
			return size
		}
		return 0
	}
}
