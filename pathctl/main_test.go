package pathctl

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mpproxy/test/netns"
)

// The controllers work in the network namespace of their process, on whatever
// thread they run. So the tests run them in processes of a host of package
// netns: this test binary, told by its environment what to be.
const (
	envRole     = "MPPROXY_TEST_ROLE"     // client or concentrator
	envState    = "MPPROXY_TEST_STATE"    // directory of the journal
	envAnnounce = "MPPROXY_TEST_ANNOUNCE" // addresses, separated by commas
	envUser     = "MPPROXY_TEST_AS_USER"  // user id to become: no capabilities
	statusEvery = 10 * time.Millisecond   // between looks at the status
)

func TestMain(m *testing.M) {
	if role := os.Getenv(envRole); role != "" {
		if err := beController(role); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
		return
	}
	_ = netns.Enter() // netns.Require repeats the error
	os.Exit(m.Run())
}

type task interface {
	Run(context.Context) error
	Ready() <-chan struct{}
}

// beController runs a controller until SIGTERM, and prints when it is ready and
// each change of its status.
func beController(role string) error {
	if uid, err := strconv.Atoi(os.Getenv(envUser)); err == nil {
		if err := errors.Join(syscall.Setgid(uid), syscall.Setuid(uid)); err != nil {
			return err
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stdout, nil))
	var c task
	var of *controller
	switch role {
	case "client":
		client := NewClient(ClientConfig{StateDir: os.Getenv(envState)}, log)
		c, of = client, &client.controller
	case "concentrator":
		concentrator := NewConcentrator(ConcentratorConfig{
			StateDir: os.Getenv(envState), Announce: addresses(os.Getenv(envAnnounce)),
		}, log)
		c, of = concentrator, &concentrator.controller
	default:
		return fmt.Errorf("unknown role %q", role)
	}
	done := make(chan error, 1)
	go runController(ctx, c, done)
	return report(c, of, done)
}

func runController(ctx context.Context, c task, done chan<- error) { done <- c.Run(ctx) }

func report(c task, of *controller, done <-chan error) error {
	tick := time.NewTicker(statusEvery)
	defer tick.Stop()
	ready, last := c.Ready(), ""
	for {
		select {
		case err := <-done:
			return err
		case <-ready:
			ready = nil
			fmt.Println("controller ready")
		case <-tick.C:
		}
		s := of.Kernel()
		now := fmt.Sprintf("status active=%v endpoints=%d foreign=%q problem=%q", s.Active, s.Endpoints, s.Foreign, fmt.Sprint(s.Problem))
		if now != last && ready == nil {
			last = now
			fmt.Println(now)
		}
	}
}

func addresses(list string) (addrs []netip.Addr) {
	for s := range strings.SplitSeq(list, ",") {
		if s != "" {
			addrs = append(addrs, netip.MustParseAddr(s))
		}
	}
	return addrs
}
