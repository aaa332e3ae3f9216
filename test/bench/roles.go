package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"mpproxy/mptcpsock"
	"mpproxy/test/netns"
	"mpproxy/test/netns/apps"
)

// Load is made and served by processes of their own, each in its host, as real
// applications are: what they cost is theirs, and nothing is shared with the
// programs that are measured. The bench starts itself in such a role.
var roles = map[string]func(args []string) error{
	"fetch":     fetchRole,     // FETCH SOCKS DESTINATION: small fetches for fetchTime
	"small":     smallRole,     // SMALL ADDR: serves them
	"send-raw":  sendRawRole,   // SEND-RAW ADDR: MPTCP, sends to whoever connects
	"read-raw":  readRawRole,   // READ-RAW ADDR: MPTCP, reads for speedTime
	"read-http": readSocksRole, // READ-HTTP SOCKS DESTINATION: downloads for speedTime
}

// outcome of a role, printed as JSON.
type roleResult struct {
	Bytes   int64
	Fetches int
	Longest time.Duration
	Took    time.Duration
}

// play runs a role in this process.
func play(args []string) error {
	role, ok := roles[args[0]]
	if !ok {
		return fmt.Errorf("no role %q", args[0])
	}
	return role(args[1:])
}

// runRole runs a role in a host to its end.
func runRole(ctx context.Context, h *netns.Host, args ...string) (roleResult, error) {
	var res roleResult
	self, err := os.Executable()
	if err != nil {
		return res, err
	}
	out, err := h.Command(ctx, self, append([]string{"-role"}, args...)...).Output()
	if err != nil {
		return res, fmt.Errorf("%v: %w", args, err)
	}
	return res, json.Unmarshal(out, &res)
}

// startRole starts a role that serves, and returns when it listens.
func startRole(ctx context.Context, h *netns.Host, args ...string) (*netns.Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p, err := h.Start(ctx, netns.Spec{Path: self, Args: append([]string{"-role"}, args...)})
	if err != nil {
		return nil, err
	}
	_, err = p.WaitOutput(ctx, "listening")
	return p, err
}

func report(r roleResult) error { return json.NewEncoder(os.Stdout).Encode(r) }

// plain dials and listens without MPTCP and without what costs a system call
// and helps nobody here.
func plainDialer() *net.Dialer {
	d := &net.Dialer{KeepAlive: -1, Timeout: 20 * time.Second}
	d.SetMultipathTCP(false)
	return d
}

func fetchRole(args []string) error {
	to, err := netip.ParseAddrPort(args[1])
	if err != nil {
		return err
	}
	results := make(chan roleResult, fetchWorkers)
	errs := make(chan error, fetchWorkers)
	begun := time.Now()
	for range fetchWorkers {
		go fetchWorker(args[0], to, begun.Add(fetchTime), results, errs)
	}
	var sum roleResult
	for range fetchWorkers {
		r := <-results
		sum.Fetches += r.Fetches
		sum.Longest = max(sum.Longest, r.Longest)
		err = errors.Join(err, <-errs)
	}
	if err != nil {
		return err
	}
	sum.Took = time.Since(begun)
	return report(sum)
}

func fetchWorker(socks string, to netip.AddrPort, end time.Time, results chan<- roleResult, errs chan<- error) {
	var t roleResult
	var err error
	buf := make([]byte, 4096)
	for time.Now().Before(end) && err == nil {
		begun := time.Now()
		if err = fetchSmall(socks, to, buf); err == nil {
			t.Fetches++
			t.Longest = max(t.Longest, time.Since(begun))
		}
	}
	results <- t
	errs <- err
}

// smallRequest and smallAnswer are an HTTP exchange of 1 KB.
var smallRequest = []byte("GET /1k HTTP/1.1\r\nHost: dest\r\nConnection: close\r\n\r\n")

var smallAnswer = append([]byte("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n"), make([]byte, 1000)...)

func fetchSmall(socks string, to netip.AddrPort, buf []byte) error {
	conn, err := dialSocks(socks, to)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write(smallRequest); err != nil {
		return err
	}
	n := 0
	for {
		m, err := conn.Read(buf)
		if n += m; err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if n != len(smallAnswer) {
		return fmt.Errorf("got %d bytes of %d", n, len(smallAnswer))
	}
	return nil
}

// dialSocks opens a connection through a SOCKS proxy: greeting and request in
// one segment, as applications that are in a hurry do.
func dialSocks(socks string, to netip.AddrPort) (net.Conn, error) {
	conn, err := plainDialer().Dial("tcp", socks)
	if err != nil {
		return nil, err
	}
	if err := askSocks(conn, to); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

func askSocks(conn net.Conn, to netip.AddrPort) error {
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	a := to.Addr().As4()
	hello := []byte{5, 1, 0, 5, 1, 0, 1, a[0], a[1], a[2], a[3], byte(to.Port() >> 8), byte(to.Port())}
	if _, err := conn.Write(hello); err != nil {
		return err
	}
	answer := make([]byte, 2+10)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return err
	}
	if answer[3] != 0 {
		return fmt.Errorf("SOCKS reply %d", answer[3])
	}
	return conn.SetDeadline(time.Time{})
}

func smallRole(args []string) error {
	lc := net.ListenConfig{KeepAlive: -1}
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(context.Background(), "tcp", args[0])
	if err != nil {
		return err
	}
	return serve(l.Accept, serveSmall)
}

func serveSmall(c net.Conn) {
	defer c.Close()
	var buf [512]byte
	if _, err := c.Read(buf[:]); err == nil {
		_, _ = c.Write(smallAnswer)
	}
}

func sendRawRole(args []string) error {
	addr, err := netip.ParseAddrPort(args[0])
	if err != nil {
		return err
	}
	lc := mptcpsock.ListenConfig{Strict: true}
	l, err := lc.Listen(context.Background(), addr)
	if err != nil {
		return err
	}
	return serve(l.Accept, sendRaw)
}

func sendRaw(c *mptcpsock.Conn) {
	defer c.Close()
	_, _ = io.CopyBuffer(onlyWriter{c}, apps.NewContent(apps.MaxSize), make([]byte, 1<<20))
}

// serve hands each accepted connection to a goroutine, which owns it. It says
// first that it listens: startRole waits for that.
func serve[C net.Conn](accept func() (C, error), handle func(C)) error {
	fmt.Println("listening")
	for {
		c, err := accept()
		if err != nil {
			return err
		}
		go handle(c)
	}
}

// onlyWriter hides ReadFrom, so that a copy is a copy.
type onlyWriter struct{ io.Writer }

func readRawRole(args []string) error {
	addr, err := netip.ParseAddrPort(args[0])
	if err != nil {
		return err
	}
	d := mptcpsock.Dialer{Strict: true}
	conn, err := d.Dial(context.Background(), addr)
	if err != nil {
		return err
	}
	return drain(conn)
}

func readSocksRole(args []string) error {
	to, err := netip.ParseAddrPort(args[1])
	if err != nil {
		return err
	}
	conn, err := dialSocks(args[0], to)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "GET /bytes/%d HTTP/1.1\r\nHost: dest\r\nConnection: close\r\n\r\n", int64(apps.MaxSize)); err != nil {
		return err
	}
	return drain(conn)
}

// drain reads for speedTime and reports how much came.
func drain(conn net.Conn) error {
	defer conn.Close()
	begun := time.Now()
	_ = conn.SetReadDeadline(begun.Add(speedTime))
	buf := make([]byte, 256<<10)
	var r roleResult
	for {
		n, err := conn.Read(buf)
		r.Bytes += int64(n)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			r.Took = time.Since(begun)
			return report(r)
		}
		if err != nil {
			return err
		}
	}
}
