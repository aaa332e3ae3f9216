package control

import (
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestInterfaceOfTheFirst: a connection whose initial subflow is bound to an
// interface has subflows over the other one, and data goes there.
func TestInterfaceOfTheFirst(t *testing.T) {
	if !inside(t) {
		return
	}
	w := newWorld(t)
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			w := w.in(t)
			ctx := testContext(t)
			p := w.dial(Dialer{Strict: true, LocalAddr: f.here[0], Interface: "link1"}, f.there[0])
			id, err := p.conn.OpenSub(ctx, port0(f.here[1]), w.joinTarget(p, f.there[1]), Normal)
			must(t, err)
			must(t, p.conn.Prefer(ctx, id))
			var serr error // what is set now the kernel hands on to all subflows
			must(t, p.conn.control(func(fd int) { serr = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, 1) }))
			must(t, serr)
			before := sentOver(t, "link2")
			transferMeanwhile(t, p.conn, p.far, func() error { return nil })
			if sent := sentOver(t, "link2") - before; sent < 16<<20 {
				t.Errorf("%d bytes went over link 2, want most of 32 MiB", sent)
			}
			must(t, p.conn.Close())
		})
	}
}

// sentOver counts the bytes that an interface of this host has sent.
func sentOver(t *testing.T, iface string) uint64 {
	t.Helper()
	return must1(netlink.LinkByName(iface))(t).Attrs().Statistics.TxBytes
}
