package subflowbpf_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/mptcpsock"
	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/subflowbpf"
	"mpproxy/test/netns"
)

// envChild makes the test program behave as a program that watches its own
// connections: the value is the server's address.
const envChild = "RTOWATCH_TEST_SERVER"

// envShared lets that program use a cgroup that it shares.
const envShared = "RTOWATCH_TEST_SHARED"

// report is one line of the child's output.
type report struct {
	Mechanism string
	Kind      subflowbpf.MechanismKind
	Why       string

	Ours, Foreign uapi.Token // of its two connections; only the first was added
	Local         netip.AddrPort

	Event *subflowbpf.Event
}

// child opens two connections, adds one, tells what it has, sends on both once it
// is told to, and tells the events until a timeout.
func child() error {
	out := json.NewEncoder(os.Stdout)
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	to, err := netip.ParseAddrPort(os.Getenv(envChild))
	if err != nil {
		return err
	}
	w, err := subflowbpf.Open(subflowbpf.Config{OwnCgroupOnly: os.Getenv(envShared) == ""}, nil)
	if err != nil {
		return err
	}
	r := report{Mechanism: w.Mechanism().String(), Kind: w.Mechanism().Kind}
	ours, err := (&mptcpsock.Dialer{Strict: true}).Dial(ctx, to)
	if err != nil {
		return err
	}
	defer ours.Close()
	foreign, err := (&mptcpsock.Dialer{Strict: true}).Dial(ctx, to)
	if err != nil {
		return err
	}
	defer foreign.Close()
	if err := w.Add(source{ours}); err != nil {
		return err
	}
	r.Ours, r.Foreign, r.Local = source{ours}.Token(), source{foreign}.Token(), ours.LocalAddrPort()
	if err := out.Encode(r); err != nil {
		return err
	}
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	for _, c := range []*mptcpsock.Conn{foreign, ours} {
		if _, err := c.Write(make([]byte, 32<<10)); err != nil {
			return err
		}
	}
	for e, err := range w.All(ctx) {
		if err != nil {
			return err
		}
		if err := out.Encode(report{Event: &e}); err != nil {
			return err
		}
		// Ours fell silent after the foreign one: that one's turn would have
		// come by its second timeout at the latest.
		if e.Kind == subflowbpf.Timeout && e.Retransmits >= 2 {
			break
		}
	}
	return w.Close()
}

// A childProcess runs and is connected.
type childProcess struct {
	*netns.Cmd
	first report
	stdin io.Writer
	lines *json.Decoder
}

// startChild starts the child in the client's host and waits until it is
// connected. prepare may change how it starts.
func startChild(t *testing.T, h hosts, prepare func(*netns.Cmd)) childProcess {
	t.Helper()
	to := netip.AddrPortFrom(linkAddrs[0]["v4"][1].Addr(), 4000)
	ctx := testContext(t)
	var ln *mptcpsock.Listener
	must(t, h.server.Do(ctx, func() (err error) {
		ln, err = (&mptcpsock.ListenConfig{Strict: true}).Listen(ctx, to)
		return err
	}))
	t.Cleanup(func() { _ = ln.Close() })
	must(t, ln.SetDeadline(time.Now().Add(30*time.Second)))

	cmd := h.client.Command(ctx, "/proc/self/exe")
	cmd.Env = append(cmd.Env, envChild+"="+to.String())
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	if prepare != nil {
		prepare(cmd)
	}
	must(t, cmd.Start())
	c := childProcess{Cmd: cmd, stdin: stdin, lines: json.NewDecoder(stdout)}
	must(t, c.lines.Decode(&c.first))
	for range 2 {
		conn, err := ln.Accept()
		must(t, err)
		t.Cleanup(func() { _ = conn.Close() })
	}
	return c
}

// runChild runs the child, silences its link once it is connected, and returns
// what it said and its events.
func runChild(t *testing.T, h hosts, prepare func(*netns.Cmd)) (report, []subflowbpf.Event) {
	t.Helper()
	c := startChild(t, h, prepare)
	must(t, h.links[0].SetBlackhole(true))
	_, err := io.WriteString(c.stdin, "go\n")
	must(t, err)
	var events []subflowbpf.Event
	for {
		var r report
		if err := c.lines.Decode(&r); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		t.Log(*r.Event)
		events = append(events, *r.Event)
	}
	must(t, c.Wait())
	return c.first, events
}

// checkOnlyOurs wants timeouts of the connection that was added, and nothing
// about the other one.
func checkOnlyOurs(t *testing.T, r report, events []subflowbpf.Event) {
	t.Helper()
	timeouts := 0
	for _, e := range events {
		if e.Token != r.Ours {
			t.Errorf("event of a connection that was not added: %v", e)
		}
		if e.Kind == subflowbpf.Timeout {
			timeouts++
			if e.Local != r.Local || e.RTO <= 0 {
				t.Errorf("got %+v, want one from %v", e, r.Local)
			}
		}
	}
	if timeouts == 0 {
		t.Error("no timeout was reported")
	}
}

// TestPollingWithoutCapabilities takes every capability from the child.
func TestPollingWithoutCapabilities(t *testing.T) {
	h := newHosts(t, "v4")
	// A program that root starts gets what is in the bounding set of the
	// starting thread, and this thread serves for nothing else any more.
	must(t, h.client.Do(testContext(t), dropBoundingSet))
	r, events := runChild(t, h, nil)
	if r.Kind != subflowbpf.Polling {
		t.Errorf("mechanism %v without capabilities", r.Mechanism)
	}
	for _, want := range []string{"polling", "CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"} {
		if !strings.Contains(r.Mechanism, want) {
			t.Errorf("mechanism %q does not say %s", r.Mechanism, want)
		}
	}
	checkOnlyOurs(t, r, events)
}

func dropBoundingSet() error {
	for c := 0; c <= unix.CAP_LAST_CAP; c++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil {
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	return nil
}

// TestFilteredOnSharedCgroup starts the child in a cgroup, made for this test, in
// which no further one can be made.
func TestFilteredOnSharedCgroup(t *testing.T) {
	// Is eBPF possible? It is given back at once: the child must see the
	// cgroups as they were.
	must(t, watch(t, subflowbpf.Config{}).Close())
	h := newHosts(t, "v4")
	dir := filepath.Join(cgroupDir(t), "subflowbpf-test-"+strconv.Itoa(os.Getpid()))
	must(t, os.Mkdir(dir, 0o755))
	t.Cleanup(func() { must(t, os.Remove(dir)) })
	must(t, os.WriteFile(filepath.Join(dir, "cgroup.max.descendants"), []byte("0"), 0))
	f, err := os.Open(dir)
	must(t, err)
	defer f.Close()
	r, events := runChild(t, h, func(c *netns.Cmd) {
		c.Env = append(c.Env, envShared+"=1")
		c.SysProcAttr.UseCgroupFD = true
		c.SysProcAttr.CgroupFD = int(f.Fd())
	})
	if r.Kind != subflowbpf.Filtered || !strings.HasPrefix(r.Mechanism, "eBPF, filtered (no cgroup of our own: ") {
		t.Errorf("mechanism %q in a cgroup that can have no child", r.Mechanism)
	}
	checkOnlyOurs(t, r, events)
}

// TestKilledProcessLeavesNothing kills a child that is in a cgroup of its own.
// The kernel takes its program away; the next Open removes the cgroup.
func TestKilledProcessLeavesNothing(t *testing.T) {
	must(t, watch(t, subflowbpf.Config{}).Close()) // or skip
	h := newHosts(t, "v4")
	c := startChild(t, h, nil)
	if c.first.Kind != subflowbpf.OwnCgroup {
		t.Fatal("mechanism ", c.first.Mechanism)
	}
	dir := filepath.Join(cgroupDir(t), "mpproxy-"+strconv.Itoa(c.Process.Pid))
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
	must(t, c.Process.Kill())
	if err := c.Wait(); err == nil {
		t.Error("the child ended in good order")
	}
	must(t, watch(t, subflowbpf.Config{}).Close())
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the cgroup of the killed process: %v", err)
	}
}
