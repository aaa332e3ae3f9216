package scenarios

import (
	"io"
	"net/netip"
	"testing"

	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
)

func TestReplyCodes(t *testing.T) {
	t.Parallel()
	for _, security := range []string{"tls", "none"} {
		t.Run(security, func(t *testing.T) {
			t.Parallel()
			replyCodes(t, security)
		})
	}
}

func replyCodes(t *testing.T, security string) {
	r := start(t, rig.Config{
		Security:   security,
		EditServer: with(`limits.connect_timeout = "500ms"`, `destinations.deny = ["203.0.113.200/32"]`),
		Prepare:    specialRoutes,
		Names: []netns.NameEntry{
			{Addr: netip.MustParseAddr("10.1.2.3"), Name: "inside.example"},
			{Addr: netip.MustParseAddr("203.0.113.129"), Name: "half.example"},
			{Addr: netip.MustParseAddr("fd00::1"), Name: "half.example"},
		},
	})
	for _, tt := range []struct {
		name string
		cmd  byte
		host string
		port uint16
		want byte
	}{
		{"IPv4", cmdConnect, "203.0.113.129", 7, repSucceeded},
		{"IPv6", cmdConnect, "2001:db8:101::2", 7, repSucceeded},
		{"name", cmdConnect, "dest.example", 7, repSucceeded},
		{"address as a name", cmdConnect, "203.0.113.129", 7, repSucceeded},
		{"name with a forbidden address besides", cmdConnect, "half.example", 7, repSucceeded},

		{"refused port", cmdConnect, "203.0.113.129", 81, repRefused},
		{"refused port, IPv6", cmdConnect, "2001:db8:101::2", 81, repRefused},
		{"refused port, name", cmdConnect, "dest.example", 81, repRefused},
		{"no route", cmdConnect, noRoute4, 80, repNetUnreachable},
		{"no route, IPv6", cmdConnect, noRoute6, 80, repNetUnreachable},
		{"unreachable host", cmdConnect, unreachableHost, 80, repHostUnreach},
		{"unknown name", cmdConnect, "nowhere.example", 80, repHostUnreach},
		{"timeout", cmdConnect, silentHost, 80, repTTLExpired},

		{"loopback", cmdConnect, "127.0.0.1", 7, repNotAllowed},
		{"loopback, IPv6", cmdConnect, "::1", 7, repNotAllowed},
		{"loopback in IPv6", cmdConnect, "::ffff:127.0.0.1", 7, repNotAllowed},
		{"loopback by name", cmdConnect, "localhost", 7, repNotAllowed},
		{"private", cmdConnect, "10.0.0.1", 7, repNotAllowed},
		{"private by name", cmdConnect, "inside.example", 7, repNotAllowed},
		{"link-local", cmdConnect, "169.254.1.1", 7, repNotAllowed},
		{"unique-local", cmdConnect, "fd00::1", 7, repNotAllowed},
		{"multicast", cmdConnect, "224.0.0.1", 7, repNotAllowed},
		{"unspecified", cmdConnect, "0.0.0.0", 7, repNotAllowed},
		{"the concentrator itself", cmdConnect, "203.0.113.1", rig.Port, repNotAllowed},
		{"denied by configuration", cmdConnect, "203.0.113.200", 80, repNotAllowed},
		{"port 0", cmdConnect, "203.0.113.129", 0, repNotAllowed},

		{"BIND", cmdBind, "203.0.113.129", 7, repCommand},
		{"UDP ASSOCIATE", cmdAssociate, "0.0.0.0", 0, repCommand},
		{"no command at all", 9, "203.0.113.129", 7, repCommand},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, reply := ask(t, r, credentials{}, tt.cmd, tt.host, tt.port)
			if reply != tt.want {
				t.Errorf("reply %d, want %d", reply, tt.want)
			}
			if reply == repSucceeded {
				echo(t, c)
			} else if n, err := io.Copy(io.Discard, c); n != 0 || err != nil {
				t.Errorf("behind the refusal: %d bytes, %v; want a clean end", n, err)
			}
			c.Close()
		})
	}
	t.Run("no address type at all", func(t *testing.T) {
		c := dialSocks(t, r)
		if reply, err := converse(c, credentials{}, []byte{5, cmdConnect, 0, 9, 1, 2, 3, 4, 0, 80}); reply != repAddressType {
			t.Errorf("reply %d, %v; want %d", reply, err, repAddressType)
		}
	})
	nothingLingers(t, r.ClientDaemon, r.Server)
	if st := statusOf(t, r); st.Server.State != "ok" || st.Totals.Live != 0 || st.Totals.Failed == 0 {
		t.Errorf("after failed destinations: server %q, totals %+v", st.Server.State, st.Totals)
	}
}
