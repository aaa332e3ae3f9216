package engine

// The kernel lets a connection hold unacknowledged what its subflows may hold together,
// some windows of each. Whatever waits on a slow one, 32 KiB at least, holds up the
// acknowledgement of all that the others have carried meanwhile; when that fills the
// buffer, they stand still. A piece on 1 Mbit/s with 400 ms did that to 8 Mbit/s beside
// it for a quarter of the time (docs/lab.md, pairs).
//
// Therefore a registered connection gets a send buffer of wideBuffer bytes, as much as
// the other end takes (mptcpsock.DefaultReceiveBuffer). SO_SNDBUF fixes the buffers of
// the subflows, too. From then on the eBPF program bounds what each of them holds
// (pathctl/subflowbpf/steering.bpf.h), and TCP_NOTSENT_LOWAT bounds what the connection
// holds unsent (boundUnsent). The program applies its bound with the next
// acknowledgement: until the first look the buffer is a narrow one.
//
// The memory is not reserved: a peer that acknowledges has the connection hold little.
// One that does not fills the buffer. Where all, or those of one user, hold too much,
// their buffers are narrow, as the kernel's own would be.
const (
	wideBuffer   = 8 << 20
	narrowBuffer = 512 << 10
)

// userShare is the part of the memory for send buffers that one user may fill.
const userShare = 4

// widen gives a connection the send buffer that the memory allows.
func (e *Engine) widen(c *connection) {
	b, ok := c.reg.Reader.(Bounder)
	if !ok || e.buffers.most == 0 || c.reg.Manual || c.unboundable {
		return
	}
	bytes := narrowBuffer
	if c.buffer == 0 {
		e.setUnsent(c, wideFirst)
		if c.linger == 0 {
			e.boundLinger(c, noBound)
		}
		if c.unsent == 0 {
			return // what it holds unsent cannot be bounded
		}
	} else if e.buffers.room(c.holds.user, c.buffer == wideBuffer) {
		bytes = wideBuffer
	}
	if bytes == c.buffer {
		return
	}
	if err := b.SetSendBuffer(bytes); err != nil {
		e.buffers.most = 0 // it would fail for the others, too
		e.log.Info("a slow path will hold up the others more than it has to", "error", err)
		return
	}
	c.buffer = bytes
}

// held is what a connection holds unacknowledged, in bytes, and to whose account.
type held struct {
	user  string
	bytes uint64
}

// buffers are the accounts of what connections hold unacknowledged, as they were read
// last.
type buffers struct {
	most   uint64 // bytes; 0: no buffer is made wide
	sum    uint64
	byUser map[string]uint64
}

func newBuffers(most uint64) buffers { return buffers{most: most, byUser: make(map[string]uint64)} }

// enter replaces what stands in the accounts for a connection.
func (a *buffers) enter(was *held, now held) {
	a.sum += now.bytes - was.bytes
	a.byUser[was.user] -= was.bytes
	a.byUser[now.user] += now.bytes
	for _, user := range []string{was.user, now.user} {
		if a.byUser[user] == 0 {
			delete(a.byUser, user)
		}
	}
	*was = now
}

// room reports whether a user's connection may have a wide buffer. One that has it loses
// it where the memory is used up, and one that has lost it gets it again when half is
// free.
func (a *buffers) room(user string, has bool) bool {
	most := a.most
	if !has {
		most /= 2
	}
	return a.sum < most && a.byUser[user] < most/userShare
}
