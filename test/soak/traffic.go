package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mpproxy/test/netns"
	"mpproxy/test/netns/measure"
	"mpproxy/test/netns/rig"
)

// traffic is what applications do, over and over, and how often each succeeded.
type traffic struct {
	kinds    []*kind
	forgiven atomic.Bool // a trouble is under way that cuts transfers off
	mu       sync.Mutex
	bad      []error
}

// kind is one sort of application.
type kind struct {
	name         string
	do           func(context.Context, *rig.Rig) error
	strict       bool // a failure is a fault, unless it is forgiven
	done, failed atomic.Int64
}

// patience bounds each thing that an application does. A path that was dark is back
// within ten seconds, and a transfer goes on then.
const patience = 2 * time.Minute

// start lets the applications work until ctx ends. The returned function waits for them.
func (t *traffic) start(ctx context.Context, r *rig.Rig) (wait func()) {
	t.kinds = []*kind{
		{name: "4 MB, checked, aggregate", strict: true, do: download("aggregate", 4<<20)},
		{name: "1 MB, checked, handover", strict: true, do: download("handover", 1<<20)},
		{name: "20 KB, new connections", strict: true, do: download("interactive", 20<<10)},
		{name: "2 KB, new connections", strict: true, do: download("single", 2<<10)},
		{name: "browser that leaves", do: leave},
		{name: "destination that is not there", do: absent},
	}
	var all sync.WaitGroup
	for _, k := range t.kinds {
		all.Go(func() {
			for ctx.Err() == nil {
				t.once(ctx, r, k)
			}
		})
	}
	return all.Wait
}

// once does one thing. What was begun before the time is over may end.
func (t *traffic) once(ctx context.Context, r *rig.Rig, k *kind) {
	forgiven := t.forgiven.Load()
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	err := k.do(own, r)
	switch {
	case err == nil:
		k.done.Add(1)
	case k.strict && !forgiven && !t.forgiven.Load():
		k.failed.Add(1)
		t.mu.Lock()
		t.bad = append(t.bad, fmt.Errorf("%s: %w", k.name, err))
		t.mu.Unlock()
	default:
		k.failed.Add(1)
	}
	pause(ctx, 200*time.Millisecond)
}

// forgive says whether transfers may be cut off now.
func (t *traffic) forgive(on bool) { t.forgiven.Store(on) }

func (t *traffic) print() {
	for _, k := range t.kinds {
		fmt.Printf("    %-32s %6d done %5d failed\n", k.name, k.done.Load(), k.failed.Load())
	}
}

// wrong returns the first failure that nothing excuses, and how many there were.
func (t *traffic) wrong() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.bad) == 0 {
		return nil
	}
	return fmt.Errorf("%d transfers failed that should not have, the first one: %w", len(t.bad), t.bad[0])
}

// download loads bytes in a mode over a new connection, and checks them.
func download(mode string, size int64) func(context.Context, *rig.Rig) error {
	return func(ctx context.Context, r *rig.Rig) error {
		client, err := measure.HTTPClient(r, mode)
		if err != nil {
			return err
		}
		_, err = measure.Download(ctx, client, netns.DestinationName, size, true)
		return err
	}
}

// leave begins a long download and goes away in the midst of it.
func leave(ctx context.Context, r *rig.Rig) error {
	client, err := measure.HTTPClient(r, "")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/bytes/%d", netns.DestinationName, 1<<30), nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	<-ctx.Done()
	return resp.Body.Close()
}

// absent asks for a port at which nobody listens. To be told so is a success.
func absent(ctx context.Context, r *rig.Rig) error {
	d, err := measure.Dialer(r, "")
	if err != nil {
		return err
	}
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(netns.DestinationName, "81"))
	switch {
	case err == nil:
		return fmt.Errorf("connected to nobody: %w", conn.Close())
	case strings.Contains(err.Error(), "connection refused"):
		return nil
	}
	return err
}
