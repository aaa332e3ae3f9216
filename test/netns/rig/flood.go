package rig

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Flood describes strangers who come to the concentrator again and again.
type Flood struct {
	// Sources is how many addresses they have, all of the concentrator's own loopback
	// network, which is the cheapest way to have many: 1 to 60,000.
	Sources int
	AtOnce  int                  // how many there are
	Renew   time.Duration        // each comes once in so long, if not turned away later
	Say     func(net.Conn) error // what each does; then it is silent
	Came    atomic.Int64         // how many have connected
	Away    atomic.Int64         // and were closed by the concentrator
}

// Kinds of strangers, by what they say.
var (
	Silent     = func(net.Conn) error { return nil }
	HalfHello  = func(c net.Conn) error { _, err := c.Write([]byte{22, 3, 1, 2, 0, 1}); return err }
	Noise      = func(c net.Conn) error { _, err := c.Write(noise()); return err }
	WrongToken = func(c net.Conn) error {
		tc := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
		// RFC 1928 and RFC 1929: user and password are offered, then sent.
		_, err := tc.Write([]byte("\x05\x01\x02\x01\x05alice\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"))
		return err
	}
)

func noise() []byte {
	b := make([]byte, 100)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// Run has the strangers come until ctx ends, then waits until they are gone.
func (f *Flood) Run(ctx context.Context, r *Rig) {
	var wg sync.WaitGroup
	for i := range f.AtOnce {
		wg.Go(func() { f.stranger(ctx, r, i) })
	}
	wg.Wait()
}

// stranger is one of them. They begin spread over the time in which each comes once.
func (f *Flood) stranger(ctx context.Context, r *Rig, i int) {
	n := i%f.Sources + 2
	from := netip.AddrFrom4([4]byte{127, 9, byte(n / 250), byte(n%250 + 1)})
	pause := f.Renew * time.Duration(i) / time.Duration(f.AtOnce)
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		f.visit(ctx, r, from)
		pause = f.Renew
	}
}

// visit returns when the concentrator has closed the connection.
func (f *Flood) visit(ctx context.Context, r *Rig, from netip.Addr) {
	conn, err := r.Concentrator.DialFrom(ctx, from, fmt.Sprintf("127.0.0.1:%d", Port))
	if err != nil {
		return
	}
	defer conn.Close()
	f.Came.Add(1)
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if f.Say(conn) == nil {
		_, _ = io.Copy(io.Discard, conn)
	}
	if ctx.Err() == nil {
		f.Away.Add(1)
	}
}
