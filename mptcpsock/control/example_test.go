package control_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/netip"
	"time"

	"mpproxy/mptcpsock/control"
	"mpproxy/mptcpsock/subopt"
)

// A client that moves to the next path when the one in use fails, where it may,
// and does without where it may not.
func ExampleOpenController() {
	ctx := context.Background()
	ctl, err := control.OpenController(ctx, control.ControllerConfig{})
	var d control.Dialer
	switch {
	case err == nil:
		defer ctl.Close()
		d.Controller, d.Service = ctl, control.ServiceHandover
	case errors.Is(err, control.ErrNotPermitted), errors.Is(err, control.ErrNotSupported):
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
	var c *control.Conn // of a Dialer with a Controller
	lte := netip.MustParseAddrPort("198.51.100.7:0")
	id, err := c.OpenSub(ctx, lte, netip.AddrPort{}, control.Normal,
		control.SubOption{Option: subopt.Congestion, Value: subopt.Text("bbr")},
		control.SubOption{Option: subopt.MinRTO, Value: subopt.Duration(40 * time.Millisecond)})
	if errors.Is(err, control.ErrSubflowFailed) {
		log.Fatal("that path does not lead to the peer: ", err)
	}
	ends, err := c.SubTuple(id)
	fmt.Println(ends, err)
}

// An address is about to go away.
func ExampleConn_RemoveAddrs() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var c *control.Conn
	err := c.RemoveAddrs(ctx, netip.MustParseAddrPort("192.0.2.7:0"))
	if errors.Is(err, control.ErrLastSubflow) {
		log.Print("there is no other way to the peer: ", err)
	}
}

// What an application expects chooses how its connection is steered.
func ExampleHints_Mode() {
	fmt.Println(control.Hints{Amount: 20 << 30}.Mode())                        // a backup
	fmt.Println(control.Hints{Rate: 8_000, Duration: 10 * time.Minute}.Mode()) // a call
	fmt.Println(control.Hints{Amount: 4_000}.Mode())                           // a question
	fmt.Println(control.Hints{Duration: time.Hour}.Mode())                     // who knows
	// Output:
	// aggregate
	// interactive
	// single
	// lazy
}

// Following the subflows: it works with a Controller and without one.
func ExampleConn_Events() {
	ctx := context.Background()
	var c *control.Conn
	for event, err := range c.Events(ctx) {
		switch {
		case errors.Is(err, control.ErrEventsLost):
			continue // look at c.SubIDs
		case err != nil:
			log.Print(err)
		case event.Kind == control.SubflowClosed:
			log.Print("lost ", event.Pair, ": ", event.Errno)
		}
	}
}
