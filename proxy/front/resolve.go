package front

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"mpproxy/proxy"
	"mpproxy/proxy/serve"
)

// errResolved ends a connection whose application has been told an address.
var errResolved = errors.New("the name was looked up")

// resolve has the concentrator look up a name, and tells the application. There is no
// connection to be carried then: the error is never nil.
func (f *Front) resolve(ctx context.Context, cancel context.CancelCauseFunc, app *net.TCPConn, flow *proxy.Flow) error {
	unwatch := serve.WatchPeer(app, false, func() { cancel(serve.ErrPeerGone) })
	l, err := f.cfg.Session.OpenStream(ctx, flow)
	unwatch()
	_ = app.SetDeadline(time.Now().Add(f.cfg.HandshakeTimeout))
	switch {
	case errors.Is(context.Cause(ctx), serve.ErrPeerGone):
		if err == nil {
			l.Close()
		}
		return serve.ErrPeerGone
	case err != nil:
		f.Table().Totals.Failed.Add(1)
		_ = flow.Reply(proxy.OutcomeOf(err), netip.AddrPort{})
		return err
	}
	l.Close()
	if err := flow.Reply(proxy.Succeeded, netip.AddrPortFrom(l.Bound.Addr(), 0)); err != nil {
		return err
	}
	return errResolved
}
