package limits

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"mpproxy/test/netns"
	"mpproxy/test/netns/measure"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// fill opens connections until one is refused, and returns the open ones with
// the reply to the refused one.
func fill(t *testing.T, r *rig.Rig, most int) (open []net.Conn, reply byte) {
	t.Helper()
	for range most {
		c, reply := scene.Ask(t, r, scene.Credentials{}, scene.CmdConnect, r.Destination4.String(), 7)
		if reply != scene.RepSucceeded {
			c.Close()
			return open, reply
		}
		scene.Echo(t, c)
		open = append(open, c)
	}
	t.Fatalf("%d connections, and no limit", len(open))
	return nil, 0
}

// oldOnesLive wants the connections to work still, and, when one of them has
// ended, a new one.
func oldOnesLive(t *testing.T, r *rig.Rig, open []net.Conn) {
	t.Helper()
	for _, c := range open {
		scene.Echo(t, c)
	}
	open[0].Close()
	scene.Eventually(t, "a new connection", func() string {
		c, reply := scene.Ask(t, r, scene.Credentials{}, scene.CmdConnect, r.Destination4.String(), 7)
		defer c.Close()
		if reply != scene.RepSucceeded {
			return fmt.Sprintf("reply %d although one has ended", reply)
		}
		scene.Echo(t, c)
		return ""
	})
	for _, c := range open[1:] {
		scene.Echo(t, c)
	}
}

// honest has each application told what became of its own request, also where an earlier
// one has reached the destination, and opens no legs but those that the test asks for.
var honest = scene.With("early_answer = false", "limits.idle_legs = 0")

func TestConnectionLimits(t *testing.T) {
	t.Parallel()
	const limit = 5
	for _, tt := range []struct {
		name           string
		client, server func(string) string
		reply          byte
		log            string
	}{
		{"of the client", scene.With("limits.max_connections = 5"), nil, scene.RepGeneralFailure, "the limit of 5 connections is reached"},
		{"of the concentrator", nil, scene.With("limits.max_connections = 5"), scene.RepGeneralFailure, "the limit of 5 connections is reached"},
		{"of the user", nil, scene.With("limits.max_connections_per_user = 5"), scene.RepNotAllowed, "has reached the limit of 5 connections"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := scene.Start(t, rig.Config{EditClient: measure.Edits(honest, tt.client), EditServer: tt.server})
			// The check of the server at the start is a connection, too.
			scene.Saw(t, r.ClientDaemon, "the concentrator answers")
			open, reply := fill(t, r, 2*limit)
			if len(open) != limit || reply != tt.reply {
				t.Errorf("%d connections, then reply %d; want %d, then %d", len(open), reply, limit, tt.reply)
			}
			p := r.Server
			if tt.client != nil {
				p = r.ClientDaemon
				if st := scene.StatusOf(t, r); st.Totals.Refused != 1 {
					t.Errorf("%d refused in the status, want 1", st.Totals.Refused)
				}
			}
			scene.Saw(t, p, tt.log)
			oldOnesLive(t, r, open)
		})
	}
}

// TestDescriptorLimit: a program that may not open enough descriptors refuses
// in the protocol, in good time.
func TestDescriptorLimit(t *testing.T) {
	t.Parallel()
	const descriptorLimit = 64
	for _, which := range scene.Ends {
		t.Run(which.Name, func(t *testing.T) {
			t.Parallel()
			r := scene.Start(t, rig.Config{NoClient: true, EditClient: honest})
			restrict := []string{fmt.Sprint(scene.RestrictFiles, descriptorLimit)}
			if which.Name == "client" {
				if err := r.Join(t.Context()); err != nil {
					t.Fatal(err)
				}
				r.ClientDaemon = runRestricted(t, r.Client, restrict, r.ClientBinary(), "run", "--config", r.ClientConfig())
			} else {
				if err := r.Server.Stop(scene.Patient(t)); err != nil {
					t.Fatal(err)
				}
				r.Server = runRestricted(t, r.Concentrator, restrict, r.ServerBinary(), "run", "--config", r.ServerConfig())
				if err := r.Join(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := r.StartClient(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			scene.Saw(t, r.ClientDaemon, "the concentrator answers")
			open, reply := fill(t, r, descriptorLimit)
			if len(open) < 4 || reply != scene.RepGeneralFailure {
				t.Errorf("%d connections, then reply %d", len(open), reply)
			}
			p := which.Process(r)
			line := scene.Saw(t, p, "connections is reached")
			if !strings.Contains(line, "ulimit -n") {
				t.Errorf("the log does not say what to do: %s", line)
			}
			oldOnesLive(t, r, open)
			if used := scene.Descriptors(t, p); used > descriptorLimit {
				t.Errorf("%d descriptors, so the limit was not in force", used)
			}
		})
	}
}

// runRestricted starts a program of ours with restrictions of scene.Confined.
func runRestricted(t *testing.T, h *netns.Host, restrictions []string, program string, args ...string) *netns.Process {
	t.Helper()
	path, argv, env, err := scene.Confined(restrictions, program, args...)
	if err != nil {
		t.Fatal(err)
	}
	p, err := h.Start(t.Context(), netns.Spec{Path: path, Args: argv, Env: env})
	if err != nil {
		t.Fatal(err)
	}
	scene.Saw(t, p, "msg=ready")
	return p
}
