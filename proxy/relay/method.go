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

// choose picks the method for a direction and the largest buffer level that it
// grows to. Milliseconds of CPU per GB in the relay's process, over loopback on
// two cores of an AMD EPYC, Linux 6.18 (BenchmarkRelay, medians; the copy is
// named by its buffer, splice by what it asks for at once):
//
//	              splice64K  256K    1M   copy64K  256K    1M
//	TCP to MPTCP     910      630   420     860     680   450
//	MPTCP to TCP     600      530   480     460     400   310
//	TCP to TCP       380      310   200     380     280   220
//	TCP to TLS                              880     950   720
//	TLS to TCP                              570     600   630
//
// MPTCP has no splice_read up to 6.18: the kernel copies into fresh pages there,
// which costs more than a copy into warm ones. Large chunks save wake-ups and
// sends. Out of TLS they only spill the cache.
func choose(src, dst kind) (m method, top int8) {
	switch {
	case src == kindTCP && dst.isSocket():
		return methodSplice, level1M
	case src.isSocket():
		return methodCopy, level1M
	default:
		return methodCopy, level64K
	}
}
