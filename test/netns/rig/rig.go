// Package rig sets the whole system up in namespaces as a user would: the
// built binaries, `mpproxy-server init`'s own output, one link for the client.
// Scenarios, the demonstration and the benchmarks share it.
//
//	bin, err := rig.Build(ctx, dir)
//	r, err := rig.New(ctx, rig.Config{Bin: bin, Links: links})
//	defer r.Close()
//	out, err := r.Topology.Client.Command(ctx, "curl", "--socks5-hostname", rig.Socks, "http://dest.example/bytes/60M").Output()
//	st, err := r.Status(ctx)
package rig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"mpproxy/internal/status"
	"mpproxy/test/netns"
	"mpproxy/test/netns/apps"
	"mpproxy/test/netns/link"
)

// Socks is where the client listens for applications, unless Config.ClientArgs
// say otherwise; Port is the concentrator's.
const (
	Socks = "127.0.0.1:1080"
	Port  = 8443
)

// stepTimeout bounds each step of the set-up.
const stepTimeout = 20 * time.Second

// Config describes a rig.
type Config struct {
	// Bin is the directory of the built binaries; see Build.
	Bin   string
	Links []netns.LinkConfig
	// Security is "tls" or "none"; empty is "tls".
	Security string
	// Host is what the link names; empty is the concentrator's IPv4 address.
	Host string
	// EditServer and EditClient change the files that init and join wrote.
	EditServer, EditClient func(toml string) string
	// ClientArgs follow "run".
	ClientArgs []string
	// ServerArgs follow "run --config FILE".
	ServerArgs []string
	// Names are further lines of /etc/hosts in each host.
	Names []netns.NameEntry
	// Prepare is called when the hosts are there and nothing runs yet.
	Prepare func(context.Context, *netns.Topology) error
	// NoClient leaves the client to the caller, who has Join and StartClient.
	NoClient bool
	Logf     func(format string, args ...any)
}

// Rig is a running system.
type Rig struct {
	*netns.Topology
	cfg  Config
	Link string // for the client, as printed by init
	Web  *apps.HTTPServer
	Echo *apps.EchoServer

	Server       *netns.Process
	ClientDaemon *netns.Process
}

// DSLAndLTE are the links of most scenarios: 50 Mbit/s with 10 ms and 20
// Mbit/s with 25 ms one way, 200 KB queues.
func DSLAndLTE() []netns.LinkConfig { return Pair(50, 10, 20, 25) }

// Pair returns two links, dsl0 and lte0, with rates in Mbit/s and one-way
// delays in milliseconds, and 200 KB queues.
func Pair(rate1, delay1, rate2, delay2 int) []netns.LinkConfig {
	return []netns.LinkConfig{shaped("dsl0", rate1, delay1), shaped("lte0", rate2, delay2)}
}

func shaped(name string, rate, delay int) netns.LinkConfig {
	return netns.LinkConfig{Name: name, Params: link.Params{
		Rate: int64(rate) * link.Mbit, Delay: time.Duration(delay) * time.Millisecond, Queue: 200_000,
	}}
}

// Build compiles packages into dir, both programs if none is named.
func Build(ctx context.Context, dir string, packages ...string) error {
	if len(packages) == 0 {
		packages = []string{"mpproxy/cmd/mpproxy-client", "mpproxy/cmd/mpproxy-server"}
	}
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-o", dir + string(filepath.Separator)}, packages...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the programs: %w\n%s", err, out)
	}
	return nil
}

// New sets everything up and returns when a connection can be made.
func New(ctx context.Context, cfg Config) (_ *Rig, err error) {
	if cfg.Security == "" {
		cfg.Security = "tls"
	}
	topo, err := netns.New(ctx, netns.Config{Links: cfg.Links, Names: cfg.Names, Logf: cfg.Logf})
	if err != nil {
		return nil, err
	}
	r := &Rig{Topology: topo, cfg: cfg}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	if cfg.Host == "" {
		r.cfg.Host = topo.Concentrator4.String()
	}
	if r.Web, err = apps.ServeHTTP(ctx, topo.Destination, 80); err != nil {
		return nil, err
	}
	if r.Echo, err = apps.ServeEcho(ctx, topo.Destination, 7); err != nil {
		return nil, err
	}
	if cfg.Prepare != nil {
		if err := cfg.Prepare(ctx, topo); err != nil {
			return nil, err
		}
	}
	if err := r.startServer(ctx); err != nil {
		return nil, err
	}
	if cfg.NoClient {
		return r, nil
	}
	if err := r.Join(ctx); err != nil {
		return nil, err
	}
	return r, r.StartClient(ctx)
}

// Close ends everything.
func (r *Rig) Close() error {
	var errs []error
	if r.Web != nil {
		errs = append(errs, r.Web.Close())
	}
	if r.Echo != nil {
		errs = append(errs, r.Echo.Close())
	}
	return errors.Join(append(errs, r.Topology.Close())...)
}

// ClientBinary and ServerBinary are the programs' paths.
func (r *Rig) ClientBinary() string { return filepath.Join(r.cfg.Bin, "mpproxy-client") }

// ServerBinary is the path of mpproxy-server.
func (r *Rig) ServerBinary() string { return filepath.Join(r.cfg.Bin, "mpproxy-server") }

// ServerConfig is the path of the server's configuration.
func (r *Rig) ServerConfig() string {
	return filepath.Join(r.Concentrator.Dir(), "mpproxy", "server.toml")
}

// ClientConfig is the path of the file that Join writes.
func (r *Rig) ClientConfig() string { return filepath.Join(r.Client.Dir(), "client.toml") }

func (r *Rig) startServer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	out, err := r.Concentrator.Command(ctx, r.ServerBinary(), "init", "--dir", filepath.Dir(r.ServerConfig()),
		"--public", net.JoinHostPort(r.cfg.Host, fmt.Sprint(Port)), "--security", r.cfg.Security, "--user", "alice").Output()
	if err != nil {
		return err
	}
	if r.Link = findLink(string(out)); r.Link == "" {
		return fmt.Errorf("init printed no link:\n%s", out)
	}
	if err := edit(r.ServerConfig(), r.cfg.EditServer); err != nil {
		return err
	}
	return r.RunServer(ctx)
}

// RunServer starts the concentrator on the files that are there.
func (r *Rig) RunServer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	var err error
	r.Server, err = r.Concentrator.Start(ctx, netns.Spec{Path: r.ServerBinary(), Args: append([]string{"run", "--config", r.ServerConfig()}, r.cfg.ServerArgs...)})
	if err != nil {
		return err
	}
	_, err = r.Server.WaitOutput(ctx, "msg=ready")
	return err
}

func findLink(out string) string {
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "mpproxy://") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

func edit(path string, change func(string) string) error {
	if change == nil {
		return nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(change(string(b))), 0o600)
}

// Join lets the client check the link and write its configuration.
func (r *Rig) Join(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	cmd := r.Client.Command(ctx, r.ClientBinary(), "join", "--config", r.ClientConfig())
	cmd.Stdin = strings.NewReader(r.Link + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("join: %w\n%s", err, out)
	}
	return edit(r.ClientConfig(), r.cfg.EditClient)
}

// StartClient runs the client and waits until it is ready.
func (r *Rig) StartClient(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	args := append([]string{"run", "--config", r.ClientConfig()}, r.cfg.ClientArgs...)
	var err error
	r.ClientDaemon, err = r.Client.Start(ctx, netns.Spec{Path: r.ClientBinary(), Args: args})
	if err != nil {
		return err
	}
	_, err = r.ClientDaemon.WaitOutput(ctx, "msg=ready")
	return err
}

// Status asks the client as a user would.
func (r *Rig) Status(ctx context.Context) (status.Status, error) {
	var st status.Status
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	out, err := r.Client.Command(ctx, r.ClientBinary(), r.statusArgs("--json")...).Output()
	if err != nil {
		return st, err
	}
	return st, json.Unmarshal(out, &st)
}

// StatusText is what a user sees who asks for the status.
func (r *Rig) StatusText(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	out, err := r.Client.Command(ctx, r.ClientBinary(), r.statusArgs()...).Output()
	return string(out), err
}

// statusArgs names the configuration that Join wrote, if it has: without, the
// program would look for one of the machine that the tests run on.
func (r *Rig) statusArgs(more ...string) []string {
	args := append([]string{"status"}, more...)
	if _, err := os.Stat(r.ClientConfig()); err == nil {
		args = append(args, "--config", r.ClientConfig())
	}
	return args
}

// DestinationAddr returns the destination's address of a family as host:port.
func (r *Rig) DestinationAddr(six bool, port uint16) string {
	a := r.Destination4
	if six {
		a = r.Destination6
	}
	return netip.AddrPortFrom(a, port).String()
}
