package front

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/proxy"
	"mpproxy/proxy/leg"
	"mpproxy/proxy/socks"
)

// An early answer says "connected" before the concentrator has been asked, to a
// destination that was reached lately. Then the request and what the application sends
// first travel together. If the destination is not reached after all, the application
// cannot be told so any more: it gets a reset.

// firstDataWait is how long an application on this host has to send its first data after
// it was answered; one on another host has its round trip besides. Whoever waits for the
// destination to speak first loses no more than that.
const firstDataWait = time.Millisecond

// answerEarly answers the application at once if its destination is likely to be reached,
// and takes what it sends then. It reports whether it has answered.
func (f *Front) answerEarly(app *net.TCPConn, flow *proxy.Flow) (answered bool, err error) {
	if !f.cfg.EarlyAnswer || flow.Answer == nil || !f.reached.lately(flow.To, time.Now()) ||
		!f.cfg.Session.Ahead() || f.cfg.Session.Health().State != leg.ServerOK {
		return false, nil
	}
	if err := flow.Reply(proxy.Succeeded, netip.AddrPort{}); err != nil {
		return false, err
	}
	f.Table().Totals.AnsweredEarly.Add(1)
	if len(flow.Early) == 0 {
		flow.Early = firstData(app)
	}
	return true, nil
}

var firstBuffers = sync.Pool{New: func() any { return new([socks.EarlyLimit]byte) }}

// firstData returns what an application sends soon, up to socks.EarlyLimit bytes. Whatever
// else it meets, the relay meets again. The read deadline is in the past afterwards.
func firstData(app *net.TCPConn) []byte {
	buf := firstBuffers.Get().(*[socks.EarlyLimit]byte)
	defer firstBuffers.Put(buf)
	_ = app.SetReadDeadline(time.Now().Add(firstDataWait + roundTrip(app)))
	n, _ := app.Read(buf[:])
	return append([]byte(nil), buf[:n]...)
}

// roundTrip is the kernel's estimate for a connection; 0 if it has none.
func roundTrip(conn *net.TCPConn) (rtt time.Duration) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			rtt = time.Duration(info.Rtt) * time.Microsecond
		}
	})
	return rtt
}

// settle remembers whether a destination was reached. It resets an application that was
// told so in vain.
func (f *Front) settle(app *net.TCPConn, flow *proxy.Flow, answered bool, err error) {
	if err == nil {
		f.reached.note(flow.To, time.Now())
		return
	}
	f.reached.forget(flow.To)
	if answered {
		f.Table().Totals.AnsweredWrongly.Add(1)
		_ = app.SetLinger(0)
	}
}
