// Command subflows lists the subflows of a connection, as the slides "Currently
// established subflows" do with MPTCP_GET_SUB_IDS:
//
//	subflows [-wait N] HOST:PORT
//
// It needs no privilege. Subflows beyond the first are made by the kernel, from
// its endpoints (ip mptcp endpoint add … subflow), or by the peer. The peer says
// something first: the chat beside this program does.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"mpproxy/mptcpsock"
	"mpproxy/mptcpsock/uapi"
)

func main() {
	wait := flag.Int("wait", 1, "wait until there are `N` subflows, 10 seconds at most")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: subflows [-wait N] HOST:PORT")
		os.Exit(2)
	}
	if err := list(flag.Arg(0), *wait); err != nil {
		fmt.Fprintln(os.Stderr, "subflows:", err)
		os.Exit(1)
	}
}

func list(address string, wait int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := (&mptcpsock.Dialer{}).DialHost(ctx, address)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := awaitSubflows(ctx, c, wait); err != nil {
		return err
	}
	ids, err := c.SubIDs()
	if err != nil {
		return err
	}
	for _, s := range ids {
		if s.State == uapi.TCPEstablished {
			fmt.Printf("Subflow id : %d\n", s.ID)
		}
	}
	return nil
}

// awaitSubflows follows the connection until it has n subflows.
func awaitSubflows(ctx context.Context, c *mptcpsock.Conn, n int) error {
	changes := c.Events(ctx)
	for {
		pairs, err := c.Pairs()
		if err != nil || len(pairs) >= n {
			return err
		}
		for _, err := range changes {
			if errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("only %d subflows in time", len(pairs))
			}
			if pairs, perr := c.Pairs(); perr != nil || len(pairs) >= n {
				return perr
			}
			if err != nil {
				return err
			}
		}
	}
}
