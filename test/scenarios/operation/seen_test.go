package operation

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mpproxy/internal/admin"
	"mpproxy/internal/status"
	"mpproxy/pathctl/engine"
	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// end is one of the two programs, looked at from its own host.
type end struct {
	host            *netns.Host
	program, config string
	http, trace     string
}

func (e *end) command(t *testing.T, args ...string) *netns.Cmd {
	return e.host.Command(scene.Patient(t), e.program, args...)
}

// output is what a command of the running program prints.
func (e *end) output(t *testing.T, command string, args ...string) string {
	t.Helper()
	out, err := e.command(t, append([]string{command, "--config", e.config}, args...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func (e *end) status(t *testing.T) (st status.Status) {
	t.Helper()
	if err := json.Unmarshal([]byte(e.output(t, "status", "--json")), &st); err != nil {
		t.Fatal(err)
	}
	return st
}

// TestSteeredIsSeen: while a path goes dark under two transfers, both ends show
// what they do, count it as they show it, and decide the same when their traces
// are replayed.
func TestSteeredIsSeen(t *testing.T) {
	t.Parallel()
	// What is in flight when the path goes dark is what does not fit into the
	// receive buffers of 8 MiB.
	const size = scene.TransferSize
	dir := t.TempDir()
	client := &end{http: "127.0.0.1:9480", trace: filepath.Join(dir, "client.trace")}
	server := &end{http: "[::1]:9481", trace: filepath.Join(dir, "server.trace")}
	cfg := scene.Steered(rig.DSLAndLTE())
	// The traces have the two transfers and no legs that wait for others.
	cfg.EditClient = scene.With(`path_manager = "userspace"`, fmt.Sprintf("admin.http = %q", client.http), "limits.idle_legs = 0")
	cfg.EditServer = scene.With(`path_manager = "userspace"`, fmt.Sprintf("admin.http = %q", server.http))
	cfg.ClientArgs, cfg.ServerArgs = []string{"--trace", client.trace}, []string{"--trace", server.trace}
	r := scene.Start(t, cfg)
	client.host, client.program, client.config = r.Client, r.ClientBinary(), r.ClientConfig()
	server.host, server.program, server.config = r.Concentrator, r.ServerBinary(), r.ServerConfig()
	both := []*end{client, server}

	follow, err := r.Client.Start(t.Context(), netns.Spec{Path: client.program, Args: []string{"events", "--config", client.config, "--json", "--follow"}, Name: "events"})
	if err != nil {
		t.Fatal(err)
	}
	down := scene.StartDownload(t, r, scene.NewGate(t, size/8), size)
	up := scene.StartUpload(t, r, scene.NewGate(t, size/8), size)
	down.Gate.Wait(t)
	up.Gate.Wait(t)
	for _, e := range both {
		e.busy(t)
	}
	if err := r.Links[0].SetBlackhole(true); err != nil {
		t.Fatal(err)
	}
	down.Gate.Next()
	up.Gate.Next()
	down.Finish(t)
	up.Finish(t)

	events := make(map[*end]string)
	for _, e := range both {
		e.idle(t)
		events[e] = e.output(t, "events", "--json")
		e.counted(t, events[e], size)
	}
	if text := events[client]; !strings.Contains(text, `"path":"dsl0"`) || !strings.Contains(text, `"action":"destroy"`) && !strings.Contains(text, `"action":"make backup"`) {
		t.Errorf("the client's events do not say what became of dsl0:\n%s", text)
	}
	if events[server] == "" {
		t.Error("the concentrator, which sent the download over the path that went dark, has decided nothing")
	}
	scene.Eventually(t, "events --follow", func() string { return cmp.Diff(events[client], follow.Output()) })
	for _, e := range both {
		e.safe(t)
	}
	for _, p := range []*netns.Process{r.ClientDaemon, r.Server} {
		if err := p.Stop(scene.Patient(t)); err != nil {
			t.Error(err)
		}
	}
	scene.Saw(t, follow, "mpproxy-client: it has stopped; waiting for it to come back")
	if err := follow.Kill(); err != nil {
		t.Error(err)
	}
	for _, e := range both {
		e.replays(t, events[e])
	}
}

// busy checks what is to be seen in the middle of the transfers.
func (e *end) busy(t *testing.T) {
	t.Helper()
	st := e.status(t)
	scene.Steers(t, st)
	if len(st.Connections) != 2 {
		t.Fatalf("connections: %+v", st.Connections)
	}
	for _, c := range st.Connections {
		if c.Mode != "aggregate" || c.Destination == "" || len(c.Subflows) == 0 {
			t.Errorf("connection: %+v", c)
		}
		for _, f := range c.Subflows {
			if f.Path == "" || f.Path == "?" || f.RTTMillis <= 0 || f.RTOMillis < f.RTTMillis {
				t.Errorf("subflow: %+v", f)
			}
		}
	}
	if st.Program == status.Concentrator && (st.Connections[0].User != "alice" || st.Connections[0].Peer == "" || len(st.Listen) != 1) {
		t.Errorf("status: %+v", st)
	}
	text := e.output(t, "status")
	for _, want := range []string{st.Program, "timeouts noticed by " + st.PathManager.Timeouts, "mode aggregate", "RTO ", "receiving "} {
		if !strings.Contains(text, want) {
			t.Errorf("the status for people does not say %q:\n%s", want, text)
		}
	}
	m := e.scrape(t)
	m.want(t, `mpproxy_connections{mode="aggregate"}`, 2)
	m.want(t, "mpproxy_controller_steering", 1)
	m.want(t, "mpproxy_controller_ebpf", truth(!strings.HasPrefix(st.PathManager.Timeouts, "polling")))
	scene.Eventually(t, "the number of subflows", func() string { // which may change between the two
		n, subflows := e.scrape(t).sum("mpproxy_subflows"), 0
		for _, c := range e.status(t).Connections {
			subflows += len(c.Subflows)
		}
		if n != float64(subflows) {
			return fmt.Sprintf("%v in the metrics, %d in the status", n, subflows)
		}
		return ""
	})
	if st.Program == status.Client {
		m.want(t, `mpproxy_path_up{path="dsl0"}`, 1)
		m.want(t, "mpproxy_concentrator_ok", 1)
		if rtt := m[`mpproxy_path_rtt_seconds{path="lte0"}`]; rtt < 0.05 || rtt > 5 { // 25 ms one way
			t.Errorf("RTT of lte0: %v s", rtt)
		}
	}
}

// idle waits until all connections have ended.
func (e *end) idle(t *testing.T) {
	t.Helper()
	scene.Eventually(t, "the end of all connections", func() string {
		if n := e.status(t).Totals.Live; n > 0 {
			return fmt.Sprint(n, " are live")
		}
		return ""
	})
}

// counted wants the metrics to agree with the transfers and the events.
func (e *end) counted(t *testing.T, events string, size float64) {
	t.Helper()
	m := e.scrape(t)
	m.want(t, `mpproxy_connections{mode="aggregate"}`, 0)
	opened := m.sum("mpproxy_connections_opened_total")
	if opened < 2 {
		t.Errorf("%v connections were opened", opened)
	}
	for _, name := range []string{"mpproxy_relayed_sent_bytes_total", "mpproxy_relayed_received_bytes_total"} {
		if n := m[name]; n < size || n > size+10_000 { // HTTP's headers
			t.Errorf("%s is %v after %v bytes each way", name, n, size)
		}
	}
	decided := map[string]float64{}
	for _, d := range decisions(t, events) {
		mode := d.Mode
		if mode == "" {
			mode = "other"
		}
		decided[fmt.Sprintf("mpproxy_decisions_total{action=%q,mode=%q,reason=%q}", d.Action, mode, d.Reason)]++
	}
	if diff := cmp.Diff(decided, map[string]float64(m.family("mpproxy_decisions_total"))); diff != "" {
		t.Errorf("decisions (-events +metrics):\n%s", diff)
	}
	if m["mpproxy_controller_look_seconds_count"] == 0 || m["mpproxy_controller_look_seconds_sum"] <= 0 {
		t.Error("looking took no time")
	}
}

func decisions(t *testing.T, lines string) (all []engine.Decision) {
	t.Helper()
	for line := range strings.Lines(lines) {
		var d struct {
			engine.Decision
			admin.Skipped
		}
		if err := json.Unmarshal([]byte(line), &d); err != nil || d.Skipped.Skipped > 0 {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, d.Decision)
	}
	return all
}

// replays wants the trace to lead to the decisions that events showed, and a
// forged or broken one not to pass.
func (e *end) replays(t *testing.T, events string) {
	t.Helper()
	var out, notes strings.Builder
	cmd := e.command(t, "replay", "--json", e.trace)
	cmd.Stdout, cmd.Stderr = &out, &notes
	if err := cmd.Run(); err != nil || !strings.Contains(notes.String(), " looks at 2 connections, ") {
		t.Errorf("replay: %v\n%s", err, notes.String())
	}
	if diff := cmp.Diff(strings.SplitAfter(events, "\n"), strings.SplitAfter(out.String(), "\n")); diff != "" {
		t.Errorf("%s (-events +replay):\n%s", e.program, diff)
	}
	text, err := os.ReadFile(e.trace)
	if err != nil {
		t.Fatal(err)
	}
	e.fails(t, strings.Replace(string(text), `"plan":{"Keep":[{"ID":1,`, `"plan":{"Keep":[{"ID":7,`, 1), 1, "not those that were recorded")
	e.fails(t, string(text[:len(text)-3]), 2, "cut off")
	e.fails(t, strings.Replace(string(text), `{"look"`, `{"lok"`, 1), 2, "line ")
}

func (e *end) fails(t *testing.T, trace string, code int, says string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "forged")
	if err := os.WriteFile(path, []byte(trace), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := e.command(t, "replay", path).CombinedOutput()
	exit, _ := err.(*exec.ExitError)
	if exit == nil || exit.ExitCode() != code || !strings.Contains(string(out), says) {
		t.Errorf("replay of a forged trace: %v, want the code %d and %q:\n%.2000s", err, code, says, out)
	}
}
