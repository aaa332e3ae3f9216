package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"mpproxy/test/netns/rig"
)

const (
	idleConnections = 9000
	idleTime        = time.Minute
	idleOpeners     = 32
)

// idle opens many connections, leaves them alone, and looks what they cost and
// whether they still work.
func idle(ctx context.Context, opt options) error {
	fmt.Printf("  %-6s %-8s %14s %16s %12s %8s\n", "leg", "process", "connections", "resident", "each", "aim")
	for _, security := range []string{"none", "tls"} {
		if err := idleWith(ctx, opt, security); err != nil {
			return err
		}
	}
	return nil
}

func idleWith(ctx context.Context, opt options, security string) error {
	aim := "16 KiB"
	if security == "tls" {
		aim = "32 KiB"
	}
	r, err := rig.New(ctx, opt.rig(rig.Config{Links: unshaped(), Security: security, EditServer: manyForOne}))
	if err != nil {
		return err
	}
	defer r.Close()
	pids := map[string]int{"client": r.ClientDaemon.Pid(), "server": r.Server.Pid()}
	before := make(map[string]int64)
	for name, pid := range pids {
		if before[name], err = residentMemory(pid); err != nil {
			return err
		}
	}
	conns, err := openMany(ctx, r, idleConnections)
	if err != nil {
		return err
	}
	defer closeMany(conns)
	select {
	case <-time.After(idleTime):
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, name := range []string{"client", "server"} {
		now, err := residentMemory(pids[name])
		if err != nil {
			return err
		}
		fds, err := descriptors(pids[name])
		if err != nil {
			return err
		}
		fmt.Printf("  %-6s %-8s %14d %12.1f MiB %8.1f KiB %8s   (%d descriptors)\n", security, name, len(conns),
			float64(now)/(1<<20), float64(now-before[name])/1024/float64(len(conns)), aim, fds)
	}
	begun := time.Now()
	dead := countDead(conns)
	fmt.Printf("  %-6s after %s: %d of %d alive (asked all in %s)\n", security, idleTime, len(conns)-dead, len(conns), time.Since(begun).Round(time.Millisecond))
	if dead > 0 {
		return fmt.Errorf("%d connections have died", dead)
	}
	return nil
}

// manyForOne lifts the limit of one user.
var manyForOne = rig.Set("limits", "max_connections_per_user = 0")

func openMany(ctx context.Context, r *rig.Rig, n int) ([]net.Conn, error) {
	conns := make([]net.Conn, n)
	g, ctx := errgroup.WithContext(ctx)
	for w := range idleOpeners {
		g.Go(func() error {
			for i := w; i < len(conns); i += idleOpeners {
				c, err := dialEcho(ctx, r)
				if err != nil {
					return fmt.Errorf("connection %d: %w", i, err)
				}
				conns[i] = c
			}
			return nil
		})
	}
	return conns, g.Wait()
}

func dialEcho(ctx context.Context, r *rig.Rig) (net.Conn, error) {
	conn, err := r.Client.DialContext(ctx, "tcp", rig.Socks)
	if err != nil {
		return nil, err
	}
	return conn, askSocks(conn, netip.AddrPortFrom(r.Destination4, 7))
}

// countDead asks every connection for an echo.
func countDead(conns []net.Conn) int {
	var mu sync.Mutex
	dead := 0
	var g errgroup.Group
	g.SetLimit(idleOpeners)
	for _, c := range conns {
		g.Go(func() error {
			if !echoes(c) {
				mu.Lock()
				dead++
				mu.Unlock()
			}
			return nil
		})
	}
	_ = g.Wait()
	return dead
}

func echoes(c net.Conn) bool {
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.Write([]byte{'?'}); err != nil {
		return false
	}
	var b [1]byte
	n, err := c.Read(b[:])
	return err == nil && n == 1 && b[0] == '?'
}

func closeMany(conns []net.Conn) {
	for _, c := range conns {
		if c != nil {
			_ = c.Close()
		}
	}
}
