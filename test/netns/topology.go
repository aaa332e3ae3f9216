package netns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"mpproxy/test/netns/link"
)

// Names that /etc/hosts of every host of a topology has.
const (
	ConcentratorName = "proxy.example"
	DestinationName  = "dest.example"
)

// The interfaces between concentrator and destination.
const (
	wanInterface         = "wan0" // of the concentrator
	destinationInterface = "eth0" // of the destination
)

// Config describes a topology.
type Config struct {
	// Links are the client's ways to the concentrator, best first, at most
	// MaxLinks. An empty list is one unshaped link, "eth0".
	Links []LinkConfig
	// Dir is where the hosts keep their files; empty is a temporary directory
	// for each, removed by Close.
	Dir string
	// Names are further lines of /etc/hosts.
	Names []NameEntry
	// Logf gets the output of all processes, see HostConfig.
	Logf func(format string, args ...any)
}

// LinkConfig describes a link between the client and the concentrator.
type LinkConfig struct {
	// Name is the name of the interface at both ends, 1 to 15 bytes.
	Name string
	// Params hold for both directions; zero is an unshaped veth pair.
	link.Params
	// Up, when set, holds for the direction from the client instead.
	Up *link.Params
	// Branches, when there are any, are used instead: see link.Config.
	Branches []link.Params
	// V4 and V6 say which addresses the link has; neither means both.
	V4, V6 bool
	Kind   link.Kind
	MTU    int    // bytes, 0 is 1500
	Seed   uint64 // of loss and jitter
}

// Topology is a client with its links, a concentrator and a destination:
//
//	client ══links══ concentrator ──── destination
//
// The concentrator forwards, so that the client can also reach the destination
// without the proxy. It drops what comes over a link with a source address of
// another, as access providers do (BCP 38): the client needs source routing, which the
// harness does not set up, to use any but its first link.
type Topology struct {
	Client, Concentrator, Destination *Host
	Links                             []*Link
	// The service addresses.
	Concentrator4, Concentrator6 netip.Addr
	Destination4, Destination6   netip.Addr

	service *link.Link // between concentrator and destination
}

// Link is a link of a topology with its addresses, which are not valid for a
// family that it does not have. End A is the client's.
type Link struct {
	*link.Link
	Name               string
	Client4, Gateway4  netip.Addr
	Client6, Gateway6  netip.Addr
	Network4, Network6 netip.Prefix

	topology *Topology
	metric   int
}

// Directions of a topology's link.
const (
	Upstream   = link.AtoB // from the client
	Downstream = link.BtoA // to the client
)

// New builds a topology. The context bounds the set-up.
func New(ctx context.Context, c Config) (_ *Topology, err error) {
	if len(c.Links) == 0 {
		c.Links = []LinkConfig{{Name: "eth0"}}
	}
	if len(c.Links) > MaxLinks {
		return nil, fmt.Errorf("netns: %d links: at most %d", len(c.Links), MaxLinks)
	}
	t := &Topology{
		Concentrator4: concentrator4.Addr(), Concentrator6: concentrator6.Addr(),
		Destination4: destination4.Addr(), Destination6: destination6.Addr(),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.Close())
		}
	}()
	if err := t.addHosts(ctx, c); err != nil {
		return nil, err
	}
	if err := t.addService(ctx); err != nil {
		return nil, err
	}
	for i, lc := range c.Links {
		if err := t.addLink(ctx, i, lc); err != nil {
			return nil, err
		}
	}
	if err := t.Concentrator.Do(ctx, t.filterIngress); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Topology) addHosts(ctx context.Context, c Config) error {
	names := append([]NameEntry{
		{t.Concentrator4, ConcentratorName},
		{t.Concentrator6, ConcentratorName},
		{t.Destination4, DestinationName},
		{t.Destination6, DestinationName},
	}, c.Names...)
	for _, h := range []struct {
		name    string
		forward bool
		host    **Host
	}{
		{"client", false, &t.Client},
		{"concentrator", true, &t.Concentrator},
		{"destination", false, &t.Destination},
	} {
		made, err := NewHost(ctx, HostConfig{Name: h.name, Dir: c.Dir, Names: names, Forward: h.forward, Logf: c.Logf})
		if err != nil {
			return err
		}
		*h.host = made
	}
	return nil
}

// addService joins concentrator and destination. Each has its own network, and a
// direct route to the other.
func (t *Topology) addService(ctx context.Context) error {
	pair, err := link.New(ctx, link.Config{
		A:    link.End{NS: t.Concentrator, Name: wanInterface},
		B:    link.End{NS: t.Destination, Name: destinationInterface},
		Kind: link.Veth,
	})
	if err != nil {
		return err
	}
	t.service = pair
	err = t.Concentrator.Do(ctx, func() error {
		return errors.Join(
			addAddr(wanInterface, concentrator4), addAddr(wanInterface, concentrator6),
			addRoute(wanInterface, destination4, netip.Addr{}, 0),
			addRoute(wanInterface, destination6, netip.Addr{}, 0))
	})
	if err != nil {
		return fmt.Errorf("netns: concentrator: %w", err)
	}
	err = t.Destination.Do(ctx, func() error {
		return errors.Join(
			addAddr(destinationInterface, destination4), addAddr(destinationInterface, destination6),
			addRoute(destinationInterface, host(t.Concentrator4), netip.Addr{}, 0),
			addRoute(destinationInterface, host(t.Concentrator6), netip.Addr{}, 0),
			addRoute(destinationInterface, defaultPrefix(t.Concentrator4), t.Concentrator4, 0),
			addRoute(destinationInterface, defaultPrefix(t.Concentrator6), t.Concentrator6, 0))
	})
	if err != nil {
		return fmt.Errorf("netns: destination: %w", err)
	}
	return nil
}

func (t *Topology) addLink(ctx context.Context, i int, c LinkConfig) error {
	up := c.Params
	if c.Up != nil {
		up = *c.Up
	}
	made, err := link.New(ctx, link.Config{
		A:    link.End{NS: t.Client, Name: c.Name},
		B:    link.End{NS: t.Concentrator, Name: c.Name},
		AtoB: up, BtoA: c.Params, Branches: c.Branches,
		Kind: c.Kind, MTU: c.MTU, Seed: c.Seed,
	})
	if err != nil {
		return err
	}
	l := &Link{Link: made, Name: c.Name}
	t.Links = append(t.Links, l)
	v4, v6 := linkNet(i)
	if c.V4 || !c.V6 {
		l.Network4 = v4
		l.Gateway4, l.Client4 = gatewayAndClient(v4)
	}
	if c.V6 || !c.V4 {
		l.Network6 = v6
		l.Gateway6, l.Client6 = gatewayAndClient(v6)
	}
	l.topology, l.metric = t, 100*(i+1)
	return l.address(ctx)
}

// Close removes everything: processes, links, hosts. Closing twice is fine.
func (t *Topology) Close() error {
	var errs []error
	for _, h := range []*Host{t.Client, t.Concentrator, t.Destination} {
		if h != nil {
			errs = append(errs, h.killAll())
		}
	}
	for _, l := range t.Links {
		errs = append(errs, l.Close())
	}
	if t.service != nil {
		errs = append(errs, t.service.Close())
	}
	for _, h := range []*Host{t.Client, t.Concentrator, t.Destination} {
		if h != nil {
			errs = append(errs, h.Close())
		}
	}
	return errors.Join(errs...)
}
