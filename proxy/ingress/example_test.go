package ingress_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"mpproxy/proxy"
	"mpproxy/proxy/egress"
	"mpproxy/proxy/egress/destination"
	"mpproxy/proxy/front"
	"mpproxy/proxy/ingress"
	"mpproxy/proxy/leg"
	"mpproxy/proxy/socks"
)

// PortForward is a whole way in: whoever connects to On reaches To.
type PortForward struct {
	On   netip.AddrPort
	To   proxy.Destination
	Mode string
}

// String names the way in.
func (p PortForward) String() string { return "port forward to " + p.To.String() }

// Listen listens on On.
func (p PortForward) Listen(ctx context.Context) ([]*net.TCPListener, error) {
	return ingress.Listen(ctx, p.On)
}

// Flow knows what is asked for without reading anything. There is no answer: an
// application that cannot be served sees its connection closed.
func (p PortForward) Flow(context.Context, *net.TCPConn) (*proxy.Flow, error) {
	return &proxy.Flow{To: p.To, Who: proxy.Identity{Mode: p.Mode}}, nil
}

// The front is given the way in, which is the one line of wiring.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	to, concentrator, wait := world(ctx)
	f := front.New(front.Config{
		WaysIn:         []ingress.WayIn{PortForward{On: anyPort, To: to, Mode: "aggregate"}},
		Session:        leg.New(leg.Config{Host: "127.0.0.1", Port: concentrator.Port(), Credentials: anonymous}),
		MaxConnections: 10, HandshakeTimeout: waitFor,
	})
	done := make(chan error)
	go func() { done <- f.Run(ctx) }()
	<-f.Ready()

	app, err := net.Dial("tcp", f.Addrs()[0].String())
	if err != nil {
		fmt.Println(err)
		return
	}
	answer, err := io.ReadAll(app)
	fmt.Printf("%s, %v\n", answer, err)
	stop()
	fmt.Println(<-done, wait())
	// Output:
	// hello from the destination, <nil>
	// <nil> <nil>
}

// world runs a destination that says hello, and a concentrator, until ctx ends.
func world(ctx context.Context) (to proxy.Destination, concentrator netip.AddrPort, wait func() error) {
	l, err := ingress.Listen(ctx, anyPort)
	if err != nil {
		panic(err)
	}
	context.AfterFunc(ctx, func() { _ = l[0].Close() })
	go greet(l[0])
	c := egress.New(egress.Config{
		Listen: []netip.AddrPort{anyPort}, Auth: anybody{},
		Rules:          destination.Rules{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		MaxConnections: 10, HandshakeTimeout: waitFor, ConnectTimeout: waitFor,
	})
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	<-c.Ready()
	at := l[0].Addr().(*net.TCPAddr).AddrPort()
	return proxy.Destination{Addr: at.Addr(), Port: at.Port()}, c.Addrs()[0], func() error { return <-done }
}

func greet(l *net.TCPListener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "hello from the destination")
		_ = conn.Close()
	}
}

var anyPort = netip.MustParseAddrPort("127.0.0.1:0")

// waitFor bounds each step, and is not waited for.
const waitFor = 20 * time.Second

// anybody is let in by the concentrator of this example.
type anybody struct{}

var _ socks.Authenticator = anybody{}

func (anybody) Open() bool { return true }

func (anybody) Authenticate(context.Context, string, string) (proxy.Identity, error) {
	return proxy.Identity{Mode: "aggregate"}, nil
}

func anonymous(string) (user, token string) { return "", "" }
