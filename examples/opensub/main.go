// Command opensub opens one more subflow of a connection, as the slides "Creating
// a subflow" do with MPTCP_OPEN_SUB_TUPLE:
//
//	opensub [-backup] [-congestion NAME] HOST:PORT LOCAL [REMOTE]
//
// LOCAL and REMOTE are ADDRESS or ADDRESS:PORT; without REMOTE the subflow goes to
// the peer's own address. It needs CAP_NET_ADMIN in the network namespace, and
// for -congestion CAP_BPF and CAP_PERFMON as well. The peer says something first:
// the chat beside this program does.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"time"

	"mpproxy/mptcpsock/control"
	"mpproxy/mptcpsock/subopt"
)

// wish is what the command line says.
type wish struct {
	address       string
	local, remote netip.AddrPort
	backup        bool
	congestion    string
}

func main() {
	var w wish
	flag.BoolVar(&w.backup, "backup", false, "use it only when no other subflow works")
	flag.StringVar(&w.congestion, "congestion", "", "run congestion control `NAME` on it, and on no other")
	flag.Parse()
	err := w.parse(flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "opensub:", err)
		fmt.Fprintln(os.Stderr, "usage: opensub [-backup] [-congestion NAME] HOST:PORT LOCAL [REMOTE]")
		os.Exit(2)
	}
	if err := open(w); err != nil {
		fmt.Fprintln(os.Stderr, "opensub:", err)
		if errors.Is(err, control.ErrNotPermitted) {
			fmt.Fprintln(os.Stderr, "opensub: try again as root")
		}
		os.Exit(1)
	}
}

func (w *wish) parse(args []string) (err error) {
	if len(args) < 2 || len(args) > 3 {
		return errors.New("give two or three arguments")
	}
	w.address = args[0]
	if w.local, err = parseEnd(args[1]); err != nil || len(args) == 2 {
		return err
	}
	w.remote, err = parseEnd(args[2])
	return err
}

// parseEnd reads an address with or without a port.
func parseEnd(s string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(a, 0), nil
	}
	return netip.ParseAddrPort(s)
}

func open(w wish) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ctl, err := control.OpenController(ctx, control.ControllerConfig{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ctl.Close()) }()
	c, err := (&control.Dialer{Controller: ctl, Strict: true}).DialHost(ctx, w.address)
	if err != nil {
		return err
	}
	defer c.Close()
	prio := control.Normal
	if w.backup {
		prio = control.Backup
	}
	var options []control.SubOption
	if w.congestion != "" {
		options = append(options, control.SubOption{Option: subopt.Congestion, Value: subopt.Text(w.congestion)})
	}
	id, err := c.OpenSub(ctx, w.local, w.remote, prio, options...)
	if err != nil {
		return err
	}
	ends, err := c.SubTuple(id)
	if err != nil {
		return err
	}
	fmt.Printf("Subflow id : %d\n", id)
	fmt.Printf("\tip src : %v src port : %d\n", ends.Local.Addr(), ends.Local.Port())
	fmt.Printf("\tip dst : %v dst port : %d\n", ends.Remote.Addr(), ends.Remote.Port())
	if w.congestion != "" {
		name, err := c.SubGetsockopt(ctx, id, subopt.Congestion)
		if err != nil {
			return err
		}
		fmt.Printf("\tcongestion control : %v\n", name)
	}
	return nil
}
