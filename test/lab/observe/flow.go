package observe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"mpproxy/test/netns/apps"
	"mpproxy/test/netns/measure"
	"mpproxy/test/netns/rig"
)

// flowPort is where the destination waits for the flows of experiments.
const flowPort = 83

// Flow is a connection of an application through the proxy: both of its ends.
type Flow struct {
	Near net.Conn // the application's at the client
	Far  net.Conn // at the destination
}

// OpenFlow connects through the proxy in a mode.
func OpenFlow(ctx context.Context, r *rig.Rig, mode string) (_ Flow, err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	l, err := apps.Listen(ctx, r.Destination, flowPort)
	if err != nil {
		return Flow{}, err
	}
	defer l.Close()
	d, err := measure.Dialer(r, mode)
	if err != nil {
		return Flow{}, err
	}
	near, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(r.Destination4, flowPort).String())
	if err != nil {
		return Flow{}, fmt.Errorf("through the proxy: %w", err)
	}
	deadline, _ := ctx.Deadline()
	_ = l.SetDeadline(deadline)
	far, err := l.Accept()
	if err != nil {
		return Flow{}, errors.Join(err, near.Close())
	}
	return Flow{near, far}, nil
}

func (f Flow) Close() {
	_ = f.Near.Close()
	_ = f.Far.Close()
}

// Pump writes content until the connection is closed. It is a goroutine's: done
// is closed at its end.
func Pump(w io.Writer, done chan<- struct{}) {
	defer close(done)
	_, _ = apps.NewContent(apps.MaxSize).WriteTo(w)
}

// Subflows asks the client for the local ends of the flow's leg.
func (f Flow) Subflows(ctx context.Context, r *rig.Rig) ([]netip.AddrPort, error) {
	st, err := r.Status(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range st.Connections {
		if !strings.HasSuffix(c.Destination, fmt.Sprintf(":%d", flowPort)) {
			continue
		}
		var all []netip.AddrPort
		for _, s := range c.Subflows {
			all = append(all, s.Local)
		}
		return all, nil
	}
	return nil, errors.New("the client does not list the connection")
}
