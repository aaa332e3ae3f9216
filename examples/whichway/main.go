// Command whichway prints where each subflow of a connection goes, as the slides
// "What are the endpoints of a subflow?" do with MPTCP_GET_SUB_TUPLE, and how
// much of the data went that way:
//
//	whichway [-wait DURATION] HOST:PORT
//
// It needs no privilege.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"mpproxy/mptcpsock"
)

func main() {
	wait := flag.Duration("wait", time.Second, "look after `DURATION`: subflows take a moment to come")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: whichway [-wait DURATION] HOST:PORT")
		os.Exit(2)
	}
	if err := show(flag.Arg(0), *wait); err != nil {
		fmt.Fprintln(os.Stderr, "whichway:", err)
		os.Exit(1)
	}
}

func show(address string, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := (&mptcpsock.Dialer{}).DialHost(ctx, address)
	if err != nil {
		return err
	}
	defer c.Close()
	time.Sleep(wait)
	ids, err := c.SubIDs()
	if err != nil {
		return err
	}
	for _, s := range ids {
		ends, err := c.SubTuple(s.ID)
		if err != nil {
			continue // it ended meanwhile
		}
		fmt.Printf("Subflow id : %d\n", s.ID)
		fmt.Printf("\tip src : %v src port : %d\n", ends.Local.Addr(), ends.Local.Port())
		fmt.Printf("\tip dst : %v dst port : %d\n", ends.Remote.Addr(), ends.Remote.Port())
	}
	stats, err := c.Stats()
	if err != nil {
		return err
	}
	for _, s := range stats.Subflows {
		fmt.Printf("Subflow %d carried %.0f %% of %d bytes received\n", s.ID, 100*s.ReceivedShare, stats.Received)
	}
	return nil
}
