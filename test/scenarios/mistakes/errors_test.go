package mistakes

import (
	"errors"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// TestServerErrors: a wrong token, a wrong pin and an unreachable server are
// three different things, wherever a user looks.
func TestServerErrors(t *testing.T) {
	t.Parallel()
	r := scene.Start(t, rig.Config{NoClient: true, EditServer: scene.With(`limits.auth_failure_delay = "10ms"`)})
	good, err := url.Parse(r.Link)
	if err != nil {
		t.Fatal(err)
	}
	change := func(f func(*url.URL)) string {
		u := *good
		f(&u)
		return u.String()
	}
	pin := good.Query().Get("pin")
	var advices []string
	for _, tt := range []struct {
		state, link string
		word        string // of the error, that names what is wrong
		reply       byte
	}{
		{"token refused", change(func(u *url.URL) { u.User = url.UserPassword("alice", "A"+scene.TokenOf(u)[1:]+"x") }), "token", scene.RepGeneralFailure},
		{"wrong pin", change(func(u *url.URL) { u.RawQuery = "pin=" + otherPin(pin) }), "key", scene.RepGeneralFailure},
		{"unreachable", change(func(u *url.URL) { u.Host = "203.0.113.1:9" }), "203.0.113.1:9", scene.RepNetUnreachable},
	} {
		t.Run(tt.state, func(t *testing.T) {
			joinFails(t, r, tt.link, tt.word)
			scene.RunWith(t, r, tt.link)
			line := scene.Saw(t, r.ClientDaemon, "cannot use the concentrator: "+tt.state)
			if !strings.Contains(line, "level=ERROR") || !strings.Contains(line, "advice=") || !strings.Contains(line, tt.word) {
				t.Errorf("the log does not say what is wrong and what to do: %s", line)
			}
			if strings.Contains(r.ClientDaemon.Output(), scene.TokenOf(good)) {
				t.Error("the token is in the log")
			}
			st := scene.StatusOf(t, r)
			if st.Server.State != tt.state || !strings.Contains(st.Server.Error, tt.word) || st.Server.Advice == "" || st.Server.Since.IsZero() {
				t.Errorf("status --json: %+v", st.Server)
			}
			advices = append(advices, st.Server.Advice)
			text, err := r.StatusText(t.Context())
			if err != nil || !strings.Contains(text, ": "+tt.state) || !strings.Contains(text, st.Server.Advice) {
				t.Errorf("status: %v\n%s", err, text)
			}
			if _, reply := scene.Ask(t, r, scene.Credentials{}, scene.CmdConnect, "dest.example", 7); reply != tt.reply {
				t.Errorf("an application gets reply %d, want %d", reply, tt.reply)
			}
			if err := r.ClientDaemon.Stop(scene.Patient(t)); err != nil {
				t.Errorf("stop: %v", err)
			}
		})
	}
	if len(advices) == 3 && (advices[0] == advices[1] || advices[1] == advices[2] || advices[0] == advices[2]) {
		t.Errorf("the same advice for different errors: %q", advices)
	}

	// And with the right link all is well.
	if err := r.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.StartClient(t.Context()); err != nil {
		t.Fatal(err)
	}
	scene.Works(t, r)
	if st := scene.StatusOf(t, r); st.Server.State != "ok" || st.Server.Error != "" {
		t.Errorf("status: %+v", st.Server)
	}
}

// otherPin changes the first letter.
func otherPin(pin string) string {
	if pin[0] == 'A' {
		return "B" + pin[1:]
	}
	return "A" + pin[1:]
}

// joinFails wants join to say what is wrong, and to write nothing.
func joinFails(t *testing.T, r *rig.Rig, link, word string) {
	t.Helper()
	cmd := r.Client.Command(scene.Patient(t), r.ClientBinary(), "join", "--config", r.ClientConfig())
	cmd.Stdin = strings.NewReader(link)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() <= 0 {
		t.Errorf("join: %v, want a status that is not zero", err)
	}
	if text := string(out); !strings.Contains(text, word) || !strings.Contains(text, "Nothing was written") {
		t.Errorf("join says %q, nothing of %s", text, word)
	}
	if _, err := os.Lstat(r.ClientConfig()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after a failed join there is a configuration (%v)", err)
	}
}

// TestTryingOut: run with nothing but a link works, and warns about the list of
// processes.
func TestTryingOut(t *testing.T) {
	t.Parallel()
	r := scene.Start(t, rig.Config{NoClient: true})
	scene.RunWith(t, r, r.Link, "--mode", "lazy", "--path", "eth*:metered")
	scene.Works(t, r)
	scene.Saw(t, r.ClientDaemon, "the link was given on the command line")
	st := scene.StatusOf(t, r)
	if st.Mode != "lazy" || len(st.Paths) != 1 || !st.Paths[0].Metered || st.Paths[0].Interface != "eth0" {
		t.Errorf("status: mode %s, paths %+v", st.Mode, st.Paths)
	}
}
