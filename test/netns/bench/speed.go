package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"time"

	"mpproxy/mptcpsock"
	"mpproxy/test/netns/apps"
	"mpproxy/test/netns/rig"
)

const (
	speedTime    = 3 * time.Second
	speedRuns    = 3 // of which the median counts
	fetchTime    = 5 * time.Second
	fetchWorkers = 16
	rawPort      = 9000
)

// speed compares raw MPTCP with the proxy, in one run on the same links.
func speed(ctx context.Context, opt options) error {
	fmt.Printf("  %-22s %14s %12s %12s %12s %14s\n", "download", "goodput", "CPU s/GB", "client s/GB", "server s/GB", "of raw MPTCP")
	var raw float64
	var small []string
	for _, security := range []string{"none", "tls"} {
		r, err := rig.New(ctx, opt.rig(rig.Config{Links: unshaped(), Security: security}))
		if err != nil {
			return err
		}
		if security == "none" {
			m, err := median(r, func() (int64, error) { return rawDownload(ctx, r) })
			if err != nil {
				return err
			}
			raw = m.goodput
			m.print("raw MPTCP", raw)
		}
		m, err := median(r, func() (int64, error) { return timedDownload(ctx, r) })
		if err != nil {
			return err
		}
		m.print("proxy, leg "+security, raw)
		line, err := fetches(ctx, r)
		if err != nil {
			return err
		}
		small = append(small, fmt.Sprintf("leg %-5s %s", security, line))
		if err := r.Close(); err != nil {
			return err
		}
	}
	fmt.Printf("  fetches of 1 KB, a new connection each, %d at a time:\n", fetchWorkers)
	for _, s := range small {
		fmt.Println(" ", s)
	}
	return nil
}

// reading is one measurement of goodput and CPU.
type reading struct {
	goodput             float64 // bit/s
	cpu, client, server float64 // seconds
	bytes               int64
}

func (m reading) print(name string, raw float64) {
	gb := float64(m.bytes) / 1e9
	fmt.Printf("  %-22s %7.2f Gbit/s %12.2f %12.2f %12.2f %13.0f%%\n", name, m.goodput/1e9, m.cpu/gb, m.client/gb, m.server/gb, 100*m.goodput/raw)
}

// median measures f several times.
func median(r *rig.Rig, f func() (int64, error)) (reading, error) {
	var all []reading
	for range speedRuns {
		m, err := measure(r, f)
		if err != nil {
			return m, err
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b reading) int { return cmp.Compare(a.goodput, b.goodput) })
	return all[len(all)/2], nil
}

// measure runs f and reads the CPU time of the whole machine and of both
// programs around it.
func measure(r *rig.Rig, f func() (int64, error)) (reading, error) {
	machine0, client0, server0 := machineCPU(), processCPU(r.ClientDaemon.Pid()), processCPU(r.Server.Pid())
	begun := time.Now()
	n, err := f()
	took := time.Since(begun).Seconds()
	return reading{
		goodput: float64(n) * 8 / took, bytes: n,
		cpu:    (machineCPU() - machine0).Seconds(),
		client: (processCPU(r.ClientDaemon.Pid()) - client0).Seconds(),
		server: (processCPU(r.Server.Pid()) - server0).Seconds(),
	}, err
}

// timedDownload downloads through the proxy for speedTime.
func timedDownload(ctx context.Context, r *rig.Rig) (int64, error) {
	conn, err := dialSocks(ctx, r, 80)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "GET /bytes/%d HTTP/1.1\r\nHost: dest\r\nConnection: close\r\n\r\n", int64(apps.MaxSize)); err != nil {
		return 0, err
	}
	return drain(conn)
}

// rawDownload sends from the concentrator's host to the client's over one
// MPTCP connection, which gets its second subflow from the endpoints that the
// client has registered.
func rawDownload(ctx context.Context, r *rig.Rig) (int64, error) {
	var l *mptcpsock.Listener
	err := r.Concentrator.Do(ctx, func() (err error) {
		lc := mptcpsock.ListenConfig{Strict: true}
		l, err = lc.Listen(ctx, netip.AddrPortFrom(netip.IPv6Unspecified(), rawPort))
		return err
	})
	if err != nil {
		return 0, err
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.CopyBuffer(onlyWriter{c}, apps.NewContent(apps.MaxSize), make([]byte, 1<<20))
	}()
	var conn *mptcpsock.Conn
	err = r.Client.Do(ctx, func() (err error) {
		d := mptcpsock.Dialer{Strict: true}
		conn, err = d.Dial(ctx, netip.AddrPortFrom(r.Concentrator4, rawPort))
		return err
	})
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	return drain(conn)
}

// onlyWriter hides ReadFrom, so that a copy is a copy.
type onlyWriter struct{ io.Writer }

// drain reads for speedTime and returns how much came.
func drain(conn net.Conn) (int64, error) {
	deadline := time.Now().Add(speedTime)
	_ = conn.SetReadDeadline(deadline)
	buf := make([]byte, 1<<20)
	var total int64
	for {
		n, err := conn.Read(buf)
		total += int64(n)
		if err != nil {
			if time.Now().After(deadline) {
				return total, nil
			}
			return total, err
		}
	}
}

// fetches counts small fetches in fetchTime.
func fetches(ctx context.Context, r *rig.Rig) (string, error) {
	type tally struct {
		done    int
		longest time.Duration
		err     error
	}
	results := make(chan tally, fetchWorkers)
	machine0, client0, server0 := machineCPU(), processCPU(r.ClientDaemon.Pid()), processCPU(r.Server.Pid())
	end := time.Now().Add(fetchTime)
	for range fetchWorkers {
		go func() {
			var t tally
			for time.Now().Before(end) && t.err == nil {
				begun := time.Now()
				if t.err = fetchSmall(ctx, r); t.err == nil {
					t.done++
					t.longest = max(t.longest, time.Since(begun))
				}
			}
			results <- t
		}()
	}
	var sum tally
	for range fetchWorkers {
		t := <-results
		if t.err != nil {
			return "", t.err
		}
		sum.done += t.done
		sum.longest = max(sum.longest, t.longest)
	}
	each := func(now, before time.Duration) float64 {
		return float64((now - before).Microseconds()) / float64(sum.done)
	}
	return fmt.Sprintf("%.0f per second, longest %.0f ms; CPU for each: client %.0f µs, server %.0f µs, whole machine %.0f µs",
		float64(sum.done)/fetchTime.Seconds(), millis(sum.longest),
		each(processCPU(r.ClientDaemon.Pid()), client0), each(processCPU(r.Server.Pid()), server0), each(machineCPU(), machine0)), nil
}

func fetchSmall(ctx context.Context, r *rig.Rig) error {
	conn, err := dialSocks(ctx, r, 80)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /bytes/1000 HTTP/1.1\r\nHost: dest\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, conn)
	if err == nil && n < 1000 {
		err = fmt.Errorf("got %d bytes", n)
	}
	return err
}

// dialSocks opens a connection to the destination through the proxy: greeting
// and request in one segment, as applications that are in a hurry do.
func dialSocks(ctx context.Context, r *rig.Rig, port uint16) (net.Conn, error) {
	conn, err := r.Client.DialContext(ctx, "tcp", rig.Socks)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	a := r.Destination4.As4()
	hello := []byte{5, 1, 0, 5, 1, 0, 1, a[0], a[1], a[2], a[3], byte(port >> 8), byte(port)}
	if _, err := conn.Write(hello); err != nil {
		return nil, err
	}
	answer := make([]byte, 2+10)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return nil, err
	}
	if answer[3] != 0 {
		return nil, fmt.Errorf("SOCKS reply %d", answer[3])
	}
	_ = conn.SetDeadline(time.Time{})
	return conn, nil
}
