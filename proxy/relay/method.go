package relay

// method is how one direction moves its bytes.
type method uint8

const (
	methodCopy   method = iota // through a pooled buffer
	methodSplice               // through a pooled pipe, once the flow is large
)

func (m method) String() string {
	if m == methodSplice {
		return "splice"
	}
	return "copy"
}

// choose picks the method for a direction.
func choose(src, dst kind) method {
	switch {
	case src == kindTCP && dst.isSocket():
		return methodSplice
	default:
		// MPTCP has no splice_read up to 6.18: the kernel would copy into
		// fresh pages.
		return methodCopy
	}
}

// maxLevel is the largest buffer level that a direction grows to.
func maxLevel(src, dst kind, m method) int {
	if m == methodSplice {
		return level1M
	}
	return level256K
}
