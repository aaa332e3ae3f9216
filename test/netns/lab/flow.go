package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"mpproxy/test/netns/apps"
	"mpproxy/test/netns/measure"
	"mpproxy/test/netns/rig"
)

// flowPort is where the destination waits for the flows of experiments.
const flowPort = 83

// flow is a connection of an application through the proxy: both of its ends.
type flow struct {
	near net.Conn // the application's at the client
	far  net.Conn // at the destination
}

// openFlow connects through the proxy in a mode.
func openFlow(ctx context.Context, r *rig.Rig, mode string) (_ flow, err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	l, err := apps.Listen(ctx, r.Destination, flowPort)
	if err != nil {
		return flow{}, err
	}
	defer l.Close()
	d, err := measure.Dialer(r, mode)
	if err != nil {
		return flow{}, err
	}
	near, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(r.Destination4, flowPort).String())
	if err != nil {
		return flow{}, fmt.Errorf("through the proxy: %w", err)
	}
	deadline, _ := ctx.Deadline()
	_ = l.SetDeadline(deadline)
	far, err := l.Accept()
	if err != nil {
		return flow{}, errors.Join(err, near.Close())
	}
	return flow{near, far}, nil
}

func (f flow) close() {
	_ = f.near.Close()
	_ = f.far.Close()
}

// pump writes content until the connection is closed. It is a goroutine's: done
// is closed at its end.
func pump(w io.Writer, done chan<- struct{}) {
	defer close(done)
	_, _ = apps.NewContent(apps.MaxSize).WriteTo(w)
}

// token asks the client for the MPTCP token of the flow's leg.
func (f flow) token(ctx context.Context, r *rig.Rig) (uint32, error) {
	st, err := r.Status(ctx)
	if err != nil {
		return 0, err
	}
	for _, c := range st.Connections {
		if strings.HasSuffix(c.Destination, fmt.Sprintf(":%d", flowPort)) {
			token, err := strconv.ParseUint(strings.TrimPrefix(c.Token, "0x"), 16, 32)
			return uint32(token), err
		}
	}
	return 0, errors.New("the client does not list the connection")
}
