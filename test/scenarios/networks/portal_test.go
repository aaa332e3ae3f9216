package networks

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"strings"
	"testing"

	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// TestCaptivePortal: a path on which somebody else answers in the concentrator's place
// costs a connection little, and none fails for it; status names what was met there.
func TestCaptivePortal(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		serve func(*testing.T) func(net.Conn)
		met   string
	}{
		{"closes", func(*testing.T) func(net.Conn) { return func(c net.Conn) { _ = c.Close() } }, "who is not the concentrator"},
		{"silent", silentPortal, "answers TCP's handshake"},
		{"another key", foreignPortal, "somebody else's key"},
	} {
		for _, mode := range []string{"aggregate", "handover"} {
			t.Run(tt.name+", "+mode, func(t *testing.T) {
				t.Parallel()
				cfg := scene.Steered(rig.DSLAndLTE(), `mode = "`+mode+`"`)
				cfg.NoClient = true
				r := scene.Start(t, cfg)
				if err := r.Join(t.Context()); err != nil {
					t.Fatal(err)
				}
				scene.Portal(t, r, r.Links[0], tt.serve(t))
				if err := r.StartClient(t.Context()); err != nil {
					t.Fatal(err)
				}
				for range 5 {
					fetch(t, r)
				}
				if text := scene.TextOf(t, r); !strings.Contains(text, tt.met) {
					t.Errorf("status does not say %q:\n%s", tt.met, text)
				}
			})
		}
	}
}

// silentPortal accepts and says nothing.
func silentPortal(t *testing.T) func(net.Conn) {
	return func(c net.Conn) { t.Cleanup(func() { _ = c.Close() }) }
}

// foreignPortal speaks TLS with a key of its own.
func foreignPortal(t *testing.T) func(net.Conn) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	conf := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}}}
	return func(c net.Conn) {
		go func() {
			_ = tls.Server(c, conf).Handshake()
			_ = c.Close()
		}()
	}
}

// TestStrippedFirstPath: where the first path loses the options of MPTCP, connections
// begin on the one that keeps them, also where MPTCP is required.
func TestStrippedFirstPath(t *testing.T) {
	t.Parallel()
	for _, settings := range []string{`mode = "handover"`, `require_mptcp = true`} {
		t.Run(settings, func(t *testing.T) {
			t.Parallel()
			cfg := scene.Steered(rig.DSLAndLTE(), settings)
			cfg.NoClient = true
			r := scene.Start(t, cfg)
			if err := r.Join(t.Context()); err != nil {
				t.Fatal(err)
			}
			scene.StripMPTCP(t, r, r.Links[0])
			if err := r.StartClient(t.Context()); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				fetch(t, r)
			}
			down := scene.StartDownload(t, r, scene.NewGate(t, scene.TransferSize/4), scene.TransferSize/2)
			down.Gate.Wait(t)
			for _, c := range scene.StatusOf(t, r).Connections {
				if c.Protocol != "mptcp" {
					t.Errorf("a connection is plain TCP: %+v", c)
				}
			}
			down.Gate.Next()
			down.Finish(t)
			if text := scene.TextOf(t, r); !strings.Contains(text, "MPTCP is stripped") {
				t.Errorf("status does not say that MPTCP is stripped:\n%s", text)
			}
		})
	}
}

// fetch downloads a little, over a leg of its own.
func fetch(t *testing.T, r *rig.Rig) {
	t.Helper()
	scene.StartDownload(t, r, scene.NewGate(t), 20_000, "--max-time", "20").Finish(t)
}
