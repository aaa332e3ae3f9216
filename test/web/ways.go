package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mpproxy/test/netns"
	"mpproxy/test/netns/measure"
	"mpproxy/test/netns/rig"
)

// way is one way to the destination.
type way struct {
	name   string
	direct bool
	rig    *rig.Rig
	socks  string // address of a SOCKS5 proxy in the client's host; empty: none
}

// setUp starts a system for each way. end ends all.
func setUp(ctx context.Context, opt options, links []netns.LinkConfig, control string) (ways []*way, end func(), err error) {
	var open []io.Closer
	end = func() {
		for _, c := range slices.Backward(open) {
			_ = c.Close()
		}
	}
	defer func() {
		if err != nil {
			end()
		}
	}()
	start := func(links []netns.LinkConfig, mode string) (*rig.Rig, error) {
		r, err := newRig(ctx, opt, links, control, mode)
		if err != nil {
			return nil, err
		}
		open = append(open, r)
		site, err := serveSite(ctx, r.Destination)
		if err == nil {
			open = append(open, site)
		}
		return r, err
	}
	for _, l := range links {
		if !opt.wants(alone(l)) {
			continue
		}
		r, err := start([]netns.LinkConfig{l}, "")
		if err != nil {
			return nil, end, err
		}
		ways = append(ways, &way{name: alone(l), direct: true, rig: r})
	}
	for _, mode := range opt.modes {
		name := "mpproxy " + mode
		if !opt.wants(name) {
			continue
		}
		r, err := start(links, mode)
		if err != nil {
			return nil, end, err
		}
		ways = append(ways, &way{name: name, rig: r, socks: rig.Socks})
	}
	r, err := start(links, "")
	if err != nil {
		return nil, end, err
	}
	for _, p := range peers {
		if !opt.wants(p.name) {
			continue
		}
		if w, err := p.start(ctx, r); err != nil {
			return nil, end, fmt.Errorf("%s: %w", p.name, err)
		} else if w != nil {
			ways = append(ways, w)
		}
	}
	return ways, end, nil
}

func (o options) wants(name string) bool {
	return len(o.ways) == 0 || slices.ContainsFunc(o.ways, func(w string) bool { return strings.HasPrefix(name, w) })
}

// newRig starts a system whose client has a mode; without one it has no client.
func newRig(ctx context.Context, opt options, links []netns.LinkConfig, control, mode string) (*rig.Rig, error) {
	four := slices.Clone(links)
	for i := range four {
		four[i].V4 = true
	}
	return rig.New(ctx, rig.Config{
		Bin: opt.bin, Links: four, NoClient: mode == "", ClientArgs: []string{"--mode", mode}, Logf: opt.logf(),
		Names: names(opt),
		Prepare: func(ctx context.Context, topo *netns.Topology) error {
			return errors.Join(
				measure.WithoutIPv6(ctx, topo),
				setControl(ctx, control, topo.Client, topo.Concentrator, topo.Destination))
		},
	})
}

// peer is another proxy. Its two programs are started if they are on PATH.
type peer struct {
	name           string
	client, server func(*rig.Rig) program
	socks          string
}

// program is what to run; files are written first, in the host's directory.
type program struct {
	args  []string // the first is the program
	files map[string]string
}

// All peers speak Shadowsocks, with one cipher and one secret.
const (
	peerPort   = 8388
	peerCipher = "aes-128-gcm"
	peerSecret = "correct horse"
)

var peers = []peer{
	{"shadowsocks-libev", ssLocal, ssServer, "127.0.0.1:1081"},
	{"sing-box", singClient, singServer, "127.0.0.1:1082"},
	{"xray", xrayClient, xrayServer, "127.0.0.1:1083"},
}

// start starts a peer, on a port of its own. It returns nil if a program is missing.
func (p peer) start(ctx context.Context, r *rig.Rig) (*way, error) {
	for _, part := range []struct {
		host *netns.Host
		program
		listens string
	}{
		{r.Concentrator, p.server(r), fmt.Sprintf("%s:%d", r.Concentrator4, peerPort+slices.IndexFunc(peers, p.is))},
		{r.Client, p.client(r), p.socks},
	} {
		if _, err := exec.LookPath(part.args[0]); err != nil {
			fmt.Printf("  %s is left out: %v\n", p.name, err)
			return nil, nil
		}
		for name, text := range part.files {
			if err := os.WriteFile(filepath.Join(part.host.Dir(), "home", name), []byte(text), 0o600); err != nil {
				return nil, err
			}
		}
		if _, err := part.host.Start(ctx, netns.Spec{Path: part.args[0], Args: part.args[1:]}); err != nil {
			return nil, err
		}
		if err := waitFor(ctx, part.host, part.listens); err != nil {
			return nil, err
		}
	}
	return &way{name: p.name, rig: r, socks: p.socks}, nil
}

func (p peer) is(other peer) bool { return p.name == other.name }

// waitFor returns when somebody listens at an address in a host.
func waitFor(ctx context.Context, h *netns.Host, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		conn, err := h.DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func ssServer(r *rig.Rig) program {
	return program{args: []string{
		"ss-server", "-s", r.Concentrator4.String(), "-p", fmt.Sprint(peerPort), "-k", peerSecret, "-m", peerCipher,
	}}
}

func ssLocal(r *rig.Rig) program {
	return program{args: []string{
		"ss-local", "-s", r.Concentrator4.String(), "-p", fmt.Sprint(peerPort), "-k", peerSecret, "-m", peerCipher,
		"-b", "127.0.0.1", "-l", "1081",
	}}
}

func singServer(r *rig.Rig) program {
	return program{[]string{"sing-box", "run", "-c", "sing.json"}, map[string]string{"sing.json": fmt.Sprintf(`{
"log": {"level": "error"},
"inbounds": [{"type": "shadowsocks", "listen": %q, "listen_port": %d, "method": %q, "password": %q}],
"outbounds": [{"type": "direct"}]}`, r.Concentrator4, peerPort+1, peerCipher, peerSecret)}}
}

func singClient(r *rig.Rig) program {
	return program{[]string{"sing-box", "run", "-c", "sing.json"}, map[string]string{"sing.json": fmt.Sprintf(`{
"log": {"level": "error"},
"inbounds": [{"type": "socks", "listen": "127.0.0.1", "listen_port": 1082}],
"outbounds": [{"type": "shadowsocks", "server": %q, "server_port": %d, "method": %q, "password": %q}]}`,
		r.Concentrator4, peerPort+1, peerCipher, peerSecret)}}
}

func xrayServer(r *rig.Rig) program {
	return program{[]string{"xray", "run", "-c", "xray.json"}, map[string]string{"xray.json": fmt.Sprintf(`{
"log": {"loglevel": "error"},
"inbounds": [{"protocol": "shadowsocks", "listen": %q, "port": %d, "settings": {"method": %q, "password": %q, "network": "tcp"}}],
"outbounds": [{"protocol": "freedom"}]}`, r.Concentrator4, peerPort+2, peerCipher, peerSecret)}}
}

func xrayClient(r *rig.Rig) program {
	return program{[]string{"xray", "run", "-c", "xray.json"}, map[string]string{"xray.json": fmt.Sprintf(`{
"log": {"loglevel": "error"},
"inbounds": [{"protocol": "socks", "listen": "127.0.0.1", "port": 1083}],
"outbounds": [{"protocol": "shadowsocks", "settings": {"servers": [{"address": %q, "port": %d, "method": %q, "password": %q}]}}]}`,
		r.Concentrator4, peerPort+2, peerCipher, peerSecret)}}
}
