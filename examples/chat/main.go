// Command chat lets two people talk, and goes on when one of them leaves the
// Wi-Fi: it says that it is interactive, and nothing else about paths.
//
//	chat -listen [::]:7000           # one end
//	chat [-service NAME] HOST:PORT   # the other one
//
// Lines of the standard input go to the other end; its lines are printed behind
// "< ", and what happens to the subflows behind "* ". Without CAP_NET_ADMIN in the
// network namespace the services are left out: the kernel's path manager does
// what it is configured to.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"mpproxy/mptcpsock/control"
)

func main() {
	listen := flag.String("listen", "", "wait for the other end at `ADDRESS:PORT`")
	service := flag.String("service", "handover", "`NAME` of what is wanted of several paths: handover, interactive, aggregate")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, *listen, *service, flag.Args())
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "chat:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, listen, service string, args []string) (err error) {
	if (listen == "") != (len(args) == 1) || len(args) > 1 {
		return errors.New("usage: chat -listen ADDRESS:PORT | chat [-service NAME] HOST:PORT")
	}
	ctl, err := openController(ctx)
	if err != nil {
		return err
	}
	if ctl != nil {
		defer func() { err = errors.Join(err, ctl.Close()) }()
	}
	var c *control.Conn
	if listen == "" {
		c, err = dial(ctx, ctl, service, args[0])
	} else {
		var l *control.Listener
		if l, c, err = accept(ctx, ctl, listen); err == nil {
			defer l.Close() // not before: subflows join there
		}
	}
	if err != nil {
		return err
	}
	defer c.Close()
	return talk(ctx, c)
}

// openController returns none where the privileges or the kernel do not allow
// one.
func openController(ctx context.Context) (*control.Controller, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	ctl, err := control.OpenController(ctx, control.ControllerConfig{})
	if errors.Is(err, control.ErrNotPermitted) || errors.Is(err, control.ErrNotSupported) {
		fmt.Println("*", err)
		return nil, nil
	}
	return ctl, err
}

func accept(ctx context.Context, ctl *control.Controller, on string) (*control.Listener, *control.Conn, error) {
	addr, err := netip.ParseAddrPort(on)
	if err != nil {
		return nil, nil, err
	}
	lc := control.ListenConfig{Controller: ctl}
	if ctl != nil { // closes a subflow on which what is said here does not get through
		lc.Steering = control.SteerBy(control.ServiceHandover.Mode())
	}
	l, err := lc.Listen(ctx, addr)
	if err != nil {
		return nil, nil, err
	}
	fmt.Println("* listening at", l.Addr())
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	c, err := l.Accept()
	if stop(); err != nil {
		_ = l.Close()
	}
	return l, c, err
}

func dial(ctx context.Context, ctl *control.Controller, service, to string) (*control.Conn, error) {
	d := control.Dialer{Controller: ctl}
	if ctl != nil {
		for s := control.ServiceHandover; s <= control.ServiceAggregate; s++ {
			if s.String() == service {
				d.Service = s
			}
		}
		if d.Service == control.ServiceUnset {
			return nil, fmt.Errorf("there is no service %q", service)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return d.DialHost(ctx, to)
}

// talk runs until either end closes its side. Events come from the call on, and
// subflows join once bytes have come: so the first word is said behind it.
func talk(ctx context.Context, c *control.Conn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	events := c.Events(ctx)
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	multipath, err := c.IsMultipath()
	if err != nil {
		return err
	}
	fmt.Printf("* connected to %v, multipath %t\n", c.RemoteAddrPort(), multipath)
	if _, err := fmt.Fprintln(c, "hello"); err != nil {
		return err
	}
	g.Go(func() error { tell(events); return nil })
	g.Go(func() error {
		defer cancel()
		return ignoreClosed(printLines(c))
	})
	go send(c) // a read of the standard input cannot be interrupted: it ends with the program
	return g.Wait()
}

// tell prints what happens to the subflows.
func tell(events func(func(control.SubflowEvent, error) bool)) {
	for e, err := range events {
		if err == nil {
			fmt.Println("*", e)
		}
	}
}

func printLines(r io.Reader) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fmt.Println("<", lines.Text())
	}
	return lines.Err()
}

func send(c *control.Conn) {
	if _, err := io.Copy(c, os.Stdin); err == nil {
		_ = c.CloseWrite()
	}
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
