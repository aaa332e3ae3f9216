package mptcpsock_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"time"

	"mpproxy/mptcpsock"
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
