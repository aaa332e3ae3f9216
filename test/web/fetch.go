package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"golang.org/x/net/proxy"

	"mpproxy/test/netns"
)

// fetchSizes are in bytes.
var fetchSizes = []int{2_000, 20_000, 100_000}

// fetchPause comes between two fetches: people do not ask without a break.
const fetchPause = 100 * time.Millisecond

// fetchTimeout bounds one fetch.
const fetchTimeout = 20 * time.Second

// unknownHost is a host that nobody has asked before.
func unknownHost(i int) string { return fmt.Sprintf("new%d.example", i) }

// fetches measures small fetches over new connections.
func fetches(ctx context.Context, opt options, ways []*way) error {
	for column, size := range fetchSizes {
		t := newTable(fmt.Sprintf("%d KB", size/1000), ways, "new host", "known host")
		for i, w := range ways {
			first := column * opt.fetches
			for kind := range 2 {
				var took []time.Duration
				err := w.play(ctx, &took, "fetch", w.socks, strconv.Itoa(size), strconv.Itoa(first), strconv.Itoa(opt.fetches), strconv.Itoa(kind))
				if err != nil {
					return fmt.Errorf("%d bytes, %s: %w", size, w.name, err)
				}
				for _, d := range took {
					t.add(i, kind, d)
				}
			}
		}
		t.print()
	}
	return nil
}

// fetchRole is FETCH SOCKS SIZE FIRST COUNT KIND: fetches from hosts that nobody has
// asked before (kind 0), or from one (kind 1).
func fetchRole(args []string) error {
	var numbers [4]int
	for i := range numbers {
		n, err := strconv.Atoi(args[1+i])
		if err != nil {
			return err
		}
		numbers[i] = n
	}
	size, first, count, kind := numbers[0], numbers[1], numbers[2], numbers[3]
	dial, err := dialer(args[0])
	if err != nil {
		return err
	}
	var took []time.Duration
	for i := range count {
		host := netns.DestinationName
		if kind == 0 {
			host = unknownHost(first + i)
		} else if i == 0 {
			if _, err := fetch(dial, host, size); err != nil { // it is known from now on
				return err
			}
		}
		time.Sleep(fetchPause)
		d, err := fetch(dial, host, size)
		if err != nil {
			return err
		}
		took = append(took, d)
	}
	return json.NewEncoder(os.Stdout).Encode(took)
}

// dialer dials directly, or through a SOCKS proxy.
func dialer(socks string) (proxy.ContextDialer, error) {
	plain := &net.Dialer{KeepAlive: -1}
	plain.SetMultipathTCP(false)
	if socks == "" {
		return plain, nil
	}
	d, err := proxy.SOCKS5("tcp", socks, nil, plain)
	if err != nil {
		return nil, err
	}
	return d.(proxy.ContextDialer), nil
}

// fetch returns how long a fetch took, from before its connection to its last byte.
func fetch(d proxy.ContextDialer, host string, size int) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	begun := time.Now()
	conn, err := d.DialContext(ctx, "tcp", host+":80")
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(begun.Add(fetchTimeout))
	if _, err := fmt.Fprintf(conn, "GET /bytes/%d HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", size, host); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	took := time.Since(begun)
	if err == nil && n != int64(size) {
		err = fmt.Errorf("got %d bytes of %d", n, size)
	}
	return took, err
}
