package clients

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/proxy"

	"mpproxy/config/joinlink"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

func TestCurl(t *testing.T) {
	t.Parallel()
	path := scene.Need(t, "curl")
	r := scene.Start(t, rig.Config{Links: scene.ClientLinks(), EditServer: scene.With(`log.level = "debug"`)})
	fetch := func(t *testing.T, args ...string) {
		t.Helper()
		s := scene.NewSink(scene.NewGate(t))
		cmd := r.Client.Command(t.Context(), path, append([]string{"-sS", "--fail"}, args...)...)
		cmd.Stdout = s
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		s.Check(t, 100_000)
	}
	name, four, six := "http://dest.example/bytes/100K", "http://203.0.113.129/bytes/100K", "http://[2001:db8:101::2]/bytes/100K"

	t.Run("--socks5", func(t *testing.T) {
		fetch(t, "--socks5", rig.Socks, name) // resolved by curl
		fetch(t, "--socks5", rig.Socks, four)
		fetch(t, "--socks5", rig.Socks, six)
	})
	t.Run("--socks5-hostname", func(t *testing.T) {
		fetch(t, "--socks5-hostname", rig.Socks, name)
		scene.Saw(t, r.Server, "destination=dest.example:80") // resolved by the concentrator
	})
	t.Run("mode as user name", func(t *testing.T) {
		g := scene.NewGate(t, 1)
		d := scene.StartDownload(t, r, g, 100_000, "--proxy", "socks5h://interactive@"+rig.Socks)
		g.Wait(t)
		st := scene.StatusOf(t, r)
		if len(st.Connections) != 1 || st.Connections[0].Mode != "interactive" {
			t.Errorf("status: want one connection of mode interactive: %+v", st.Connections)
		}
		scene.Saw(t, r.Server, "destination=dest.example:80 mode=interactive")
		d.Finish(t)
		line := scene.Saw(t, r.ClientDaemon, "mode=interactive")
		if !strings.Contains(line, "connection closed") {
			t.Errorf("the client's first line with the mode is %q", line)
		}
	})
	t.Run("upload", func(t *testing.T) {
		scene.StartUpload(t, r, scene.NewGate(t), 1_000_000).Finish(t)
	})
}

// Without TLS any SOCKS5 client is a client of the concentrator.
func TestCurlStraightToConcentrator(t *testing.T) {
	t.Parallel()
	path := scene.Need(t, "curl")
	r := scene.Start(t, rig.Config{Security: "none", NoClient: true})
	link, err := joinlink.Parse(r.Link)
	if err != nil {
		t.Fatal(err)
	}
	fetch := func(userinfo string) error {
		s := scene.NewSink(scene.NewGate(t))
		cmd := r.Client.Command(t.Context(), path, "-sS", "--fail", "--proxy",
			fmt.Sprintf("socks5h://%s@203.0.113.1:%d", userinfo, rig.Port), "http://dest.example/bytes/1M")
		cmd.Stdout = s
		err := cmd.Run()
		if err == nil {
			s.Check(t, 1_000_000)
		}
		return err
	}
	token := link.Token.Reveal()
	for _, userinfo := range []string{"alice:" + token, "alice%2Bhandover:" + token} {
		if err := fetch(userinfo); err != nil {
			t.Error(err)
		}
	}
	scene.Saw(t, r.Server, "mode=handover")
	for _, userinfo := range []string{"alice:x" + token, "bob:" + token, "alice%2Bnonsense:" + token} {
		if err := fetch(userinfo); err == nil {
			t.Errorf("the concentrator let %s pass", strings.ReplaceAll(userinfo, token, "TOKEN"))
		}
	}
	if strings.Contains(r.Server.Output(), token) {
		t.Error("the token is in the concentrator's log")
	}
}

func TestGoSocksClient(t *testing.T) {
	t.Parallel()
	r := scene.Start(t, rig.Config{Links: scene.ClientLinks()})
	for _, auth := range []*proxy.Auth{nil, {User: "lazy"}} {
		d, err := proxy.SOCKS5("tcp", rig.Socks, auth, r.Client)
		if err != nil {
			t.Fatal(err)
		}
		for _, to := range []string{"dest.example:7", "203.0.113.129:7", "[2001:db8:101::2]:7"} {
			c, err := d.(proxy.ContextDialer).DialContext(scene.Patient(t), "tcp", to)
			if err != nil {
				t.Fatalf("%s: %v", to, err)
			}
			scene.Echo(t, c)
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
