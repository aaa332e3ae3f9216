package clients

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"mpproxy/test/netns/apps"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

func TestOpenSSH(t *testing.T) {
	t.Parallel()
	client := scene.Need(t, "ssh")
	r := scene.Start(t, rig.Config{Links: scene.ClientLinks()})
	dir := t.TempDir()
	server := serveSSH(t, r.Destination, dir)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := func(stdin io.Reader, command string) (string, error) {
		cmd := r.Client.Command(scene.Patient(t), client, "-F", "none", "-i", filepath.Join(dir, "key"), "-p", fmt.Sprint(server.port),
			"-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes",
			"-o", "UserKnownHostsFile="+filepath.Join(dir, "known_hosts"), "-o", "GlobalKnownHostsFile=/dev/null",
			"-o", "StrictHostKeyChecking=yes",
			"-o", fmt.Sprintf("ProxyCommand='%s' %%h %%p", self), "tester@dest.example", command)
		cmd.Env = append(cmd.Env, scene.EnvHelper+"="+scene.HelperConnect)
		cmd.Stdin = stdin
		out, err := cmd.Output()
		return string(out), err
	}

	out, err := run(strings.NewReader("from the other side"), "upper")
	if err != nil || out != "FROM THE OTHER SIDE" {
		t.Errorf("upper: %q, %v", out, err)
	}
	_, err = run(nil, "exit 42")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 42 {
		t.Errorf("exit 42: %v", err)
	}
	s := scene.NewSink(scene.NewGate(t))
	out, err = run(nil, "content")
	if _, _ = io.WriteString(s, out); err != nil {
		t.Error(err)
	}
	s.Check(t, 2_000_000)
	scene.Saw(t, r.ClientDaemon, fmt.Sprintf("destination=dest.example:%d", server.port))
}

// sshServer is an SSH server with three commands.
type sshServer struct {
	config   *ssh.ServerConfig
	listener *net.TCPListener
	port     int
	serving  sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

// serveSSH starts one in a host, and writes the user's key and the known_hosts
// file that belong to it.
func serveSSH(t *testing.T, h apps.Host, dir string) *sshServer {
	t.Helper()
	hostKey, _ := newSSHKey(t)
	userKey, userPEM := newSSHKey(t)
	l, err := apps.Listen(t.Context(), h, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &sshServer{listener: l, port: l.Addr().(*net.TCPAddr).Port}
	s.config = &ssh.ServerConfig{PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if c.User() != "tester" || !bytes.Equal(key.Marshal(), userKey.PublicKey().Marshal()) {
			return nil, errors.New("not this user")
		}
		return nil, nil
	}}
	s.config.AddHostKey(hostKey)
	known := fmt.Sprintf("[dest.example]:%d %s", s.port, ssh.MarshalAuthorizedKey(hostKey.PublicKey()))
	for name, data := range map[string][]byte{"key": userPEM, "known_hosts": []byte(known)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.serving.Go(s.accept)
	t.Cleanup(s.close)
	return s
}

func newSSHKey(t *testing.T) (ssh.Signer, []byte) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	return signer, pem.EncodeToMemory(block)
}

func (s *sshServer) close() {
	s.listener.Close()
	s.mu.Lock()
	for _, c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.serving.Wait()
}

func (s *sshServer) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns = append(s.conns, c)
		s.mu.Unlock()
		s.serving.Go(func() { s.serve(c) })
	}
}

func (s *sshServer) serve(c net.Conn) {
	defer c.Close()
	_, channels, requests, err := ssh.NewServerConn(c, s.config)
	if err != nil {
		return
	}
	s.serving.Go(func() { ssh.DiscardRequests(requests) })
	for nc := range channels {
		if nc.ChannelType() != "session" {
			_ = nc.Reject(ssh.UnknownChannelType, "sessions only")
			continue
		}
		ch, reqs, err := nc.Accept()
		if err != nil {
			return
		}
		s.serving.Go(func() { session(ch, reqs) })
	}
}

// session runs one command.
func session(ch ssh.Channel, requests <-chan *ssh.Request) {
	defer ch.Close()
	for req := range requests {
		var command struct{ Text string }
		if req.Type != "exec" || ssh.Unmarshal(req.Payload, &command) != nil {
			_ = req.Reply(req.Type == "env", nil)
			continue
		}
		_ = req.Reply(true, nil)
		status := perform(ch, command.Text)
		_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{status}))
		return
	}
}

func perform(ch ssh.Channel, command string) (status uint32) {
	switch command {
	case "upper":
		in, err := io.ReadAll(ch)
		if err != nil {
			return 1
		}
		_, _ = ch.Write(bytes.ToUpper(in))
		return 0
	case "content":
		_, _ = io.Copy(ch, apps.NewContent(2_000_000))
		return 0
	case "exit 42":
		return 42
	}
	return 127
}
