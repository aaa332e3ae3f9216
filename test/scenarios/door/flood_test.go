package door

import (
	"context"
	"net"
	"testing"
	"time"

	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// TestFlood: whatever strangers do, from one address or from many, each connection of an
// honest user is opened.
func TestFlood(t *testing.T) {
	for _, tt := range []struct {
		name    string
		sources int
		atOnce  int
		renew   time.Duration
		say     func(net.Conn) error
		server  []string // settings of the concentrator
	}{
		{"silent, one address", 1, 100, time.Second, rig.Silent, nil},
		{"silent, many addresses", 200, 200, time.Second, rig.Silent, nil},
		{"silent, more than there are places", 300, 300, time.Second, rig.Silent, []string{"limits.max_unauthenticated = 200"}},
		{"silent, more than one source has places", 1, 100, time.Second, rig.Silent, []string{"limits.max_unauthenticated_per_source = 10"}},
		{"half a handshake", 100, 100, time.Second, rig.HalfHello, nil},
		{"wrong token", 50, 100, time.Second, rig.WrongToken, nil},
		{"random bytes", 50, 100, time.Second, rig.Noise, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := scene.Start(t, rig.Config{
				EditClient: scene.With("limits.idle_legs = 0"),
				EditServer: scene.With(append([]string{"limits.max_connections = 50"}, tt.server...)...),
			})
			f := &rig.Flood{Sources: tt.sources, AtOnce: tt.atOnce, Renew: tt.renew, Say: tt.say}
			ctx, cancel := context.WithCancel(scene.Patient(t))
			over := make(chan struct{})
			go func() { defer close(over); f.Run(ctx, r) }()
			scene.Eventually(t, "the strangers are there", func() string {
				if f.Came.Load() < int64(tt.atOnce) {
					return "some are on their way"
				}
				return ""
			})
			for range 20 {
				c := scene.Through(t, r, r.Destination4.String(), 7)
				scene.Echo(t, c)
				c.Close()
			}
			cancel()
			<-over
		})
	}
}
