package mptcpsock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/netip"
	"time"

	"mpproxy/mptcpsock"
	"mpproxy/mptcpsock/subopt"
	"mpproxy/mptcpsock/uapi"
)

// The simplest client: a connection that may have several subflows, and a look
// at what it got.
func ExampleDialer_DialHost() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := (&mptcpsock.Dialer{}).DialHost(ctx, "example.net:443")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if on, err := c.Enabled(); err == nil && !on {
		why, _ := c.Fallback()
		fmt.Println("plain TCP:", why)
	}
}

// A client that moves to the next path when the one in use fails, where it may,
// and does without where it may not.
func ExampleOpenController() {
	ctx := context.Background()
	ctl, err := mptcpsock.OpenController(ctx, mptcpsock.ControllerConfig{})
	var d mptcpsock.Dialer
	switch {
	case err == nil:
		defer ctl.Close()
		d.Controller, d.Service = ctl, mptcpsock.ServiceHandover
	case errors.Is(err, mptcpsock.ErrNotPermitted), errors.Is(err, mptcpsock.ErrNotSupported):
		log.Print(err) // and go on: the kernel's path manager does what it is configured to
	default:
		log.Fatal(err)
	}
	c, err := d.DialHost(ctx, "example.net:443")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
}

// Two subflows that run different congestion controls.
func ExampleConn_OpenSub() {
	ctx := context.Background()
	var c *mptcpsock.Conn // of a Dialer with a Controller
	lte := netip.MustParseAddrPort("198.51.100.7:0")
	id, err := c.OpenSub(ctx, lte, netip.AddrPort{}, mptcpsock.Normal,
		mptcpsock.SubOption{Option: subopt.Congestion, Value: subopt.Text("bbr")},
		mptcpsock.SubOption{Option: subopt.MinRTO, Value: subopt.Duration(40 * time.Millisecond)})
	if errors.Is(err, mptcpsock.ErrSubflowFailed) {
		log.Fatal("that path does not lead to the peer: ", err)
	}
	ends, err := c.SubTuple(id)
	fmt.Println(ends, err)
}

// Following the subflows: it works with a Controller and without one.
func ExampleConn_Events() {
	ctx := context.Background()
	var c *mptcpsock.Conn
	for event, err := range c.Events(ctx) {
		switch {
		case errors.Is(err, mptcpsock.ErrEventsLost):
			continue // look at c.SubIDs
		case err != nil:
			log.Print(err)
		case event.Kind == mptcpsock.SubflowClosed:
			log.Print("lost ", event.Pair, ": ", event.Errno)
		}
	}
}

// An address is about to go away.
func ExampleConn_RemoveAddrs() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var c *mptcpsock.Conn
	err := c.RemoveAddrs(ctx, netip.MustParseAddrPort("192.0.2.7:0"))
	if errors.Is(err, mptcpsock.ErrLastSubflow) {
		log.Print("there is no other way to the peer: ", err)
	}
}

// The part that each subflow had in the traffic.
func ExampleConn_Stats() {
	var c *mptcpsock.Conn
	st, err := c.Stats()
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range st.Subflows {
		fmt.Printf("%d: %v sent %.0f %%\n", s.ID, s.Pair, 100*s.SentShare)
	}
}

// A listener on this host and a connection to it: the initial subflow is the
// only one, and has number 1.
func ExampleConn_SubIDs() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ln, err := (&mptcpsock.ListenConfig{}).Listen(ctx, netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	c, err := (&mptcpsock.Dialer{}).Dial(ctx, ln.Addr())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ids, err := c.SubIDs()
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range ids {
		fmt.Println("Subflow id :", s.ID, "initial", s.Initial, "established", s.State == uapi.TCPEstablished)
	}
	// Output: Subflow id : 1 initial true established true
}

// What an application expects chooses how its connection is steered.
func ExampleHints_Mode() {
	fmt.Println(mptcpsock.Hints{Amount: 20 << 30}.Mode())                        // a backup
	fmt.Println(mptcpsock.Hints{Rate: 8_000, Duration: 10 * time.Minute}.Mode()) // a call
	fmt.Println(mptcpsock.Hints{Amount: 4_000}.Mode())                           // a question
	fmt.Println(mptcpsock.Hints{Duration: time.Hour}.Mode())                     // who knows
	// Output:
	// aggregate
	// interactive
	// single
	// lazy
}
