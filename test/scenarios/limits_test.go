package scenarios

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
)

// fill opens connections until one is refused, and returns the open ones with
// the reply to the refused one.
func fill(t *testing.T, r *rig.Rig, most int) (open []net.Conn, reply byte) {
	t.Helper()
	for range most {
		c, reply := ask(t, r, credentials{}, cmdConnect, r.Destination4.String(), 7)
		if reply != repSucceeded {
			c.Close()
			return open, reply
		}
		echo(t, c)
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
		echo(t, c)
	}
	open[0].Close()
	eventually(t, "a new connection", func() string {
		c, reply := ask(t, r, credentials{}, cmdConnect, r.Destination4.String(), 7)
		defer c.Close()
		if reply != repSucceeded {
			return fmt.Sprintf("reply %d although one has ended", reply)
		}
		echo(t, c)
		return ""
	})
	for _, c := range open[1:] {
		echo(t, c)
	}
}

func TestConnectionLimits(t *testing.T) {
	t.Parallel()
	const limit = 5
	for _, tt := range []struct {
		name           string
		client, server func(string) string
		reply          byte
		log            string
	}{
		{"of the client", with("limits.max_connections = 5"), nil, repGeneralFailure, "the limit of 5 connections is reached"},
		{"of the concentrator", nil, with("limits.max_connections = 5"), repGeneralFailure, "the limit of 5 connections is reached"},
		{"of the user", nil, with("limits.max_connections_per_user = 5"), repNotAllowed, "has reached the limit of 5 connections"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := start(t, rig.Config{EditClient: tt.client, EditServer: tt.server})
			// The check of the server at the start is a connection, too.
			saw(t, r.ClientDaemon, "the concentrator answers")
			open, reply := fill(t, r, 2*limit)
			if len(open) != limit || reply != tt.reply {
				t.Errorf("%d connections, then reply %d; want %d, then %d", len(open), reply, limit, tt.reply)
			}
			p := r.Server
			if tt.client != nil {
				p = r.ClientDaemon
				if st := statusOf(t, r); st.Totals.Refused != 1 {
					t.Errorf("%d refused in the status, want 1", st.Totals.Refused)
				}
			}
			saw(t, p, tt.log)
			oldOnesLive(t, r, open)
		})
	}
}

// TestDescriptorLimit: a program that may not open enough descriptors refuses
// in the protocol, in good time.
func TestDescriptorLimit(t *testing.T) {
	t.Parallel()
	const descriptorLimit = 64
	for _, which := range programs {
		t.Run(which.name, func(t *testing.T) {
			t.Parallel()
			r := start(t, rig.Config{NoClient: true})
			restrict := []string{fmt.Sprint(restrictFiles, descriptorLimit)}
			if which.name == "client" {
				if err := r.Join(t.Context()); err != nil {
					t.Fatal(err)
				}
				r.ClientDaemon = runRestricted(t, r.Client, restrict, r.ClientBinary(), "run", "--config", r.ClientConfig())
			} else {
				if err := r.Server.Stop(patient(t)); err != nil {
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
			saw(t, r.ClientDaemon, "the concentrator answers")
			open, reply := fill(t, r, descriptorLimit)
			if len(open) < 4 || reply != repGeneralFailure {
				t.Errorf("%d connections, then reply %d", len(open), reply)
			}
			p := which.process(r)
			line := saw(t, p, "connections is reached")
			if !strings.Contains(line, "ulimit -n") {
				t.Errorf("the log does not say what to do: %s", line)
			}
			oldOnesLive(t, r, open)
			if used := descriptors(t, p); used > descriptorLimit {
				t.Errorf("%d descriptors, so the limit was not in force", used)
			}
		})
	}
}

// runRestricted starts a program of ours with restrictions of helperConfine.
func runRestricted(t *testing.T, h *netns.Host, restrictions []string, program string, args ...string) *netns.Process {
	t.Helper()
	path, argv, env, err := confined(restrictions, program, args...)
	if err != nil {
		t.Fatal(err)
	}
	p, err := h.Start(t.Context(), netns.Spec{Path: path, Args: argv, Env: env})
	if err != nil {
		t.Fatal(err)
	}
	saw(t, p, "msg=ready")
	return p
}
