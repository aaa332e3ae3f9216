package scenarios

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"mpproxy/test/netns/rig"
)

// The parts of RFC 1928 and RFC 1929 that scenarios speak themselves: clients
// from libraries hide the reply code, and send nothing that is wrong.
const (
	cmdConnect   = 1
	cmdBind      = 2
	cmdAssociate = 3

	repSucceeded      = 0
	repGeneralFailure = 1
	repNotAllowed     = 2
	repNetUnreachable = 3
	repHostUnreach    = 4
	repRefused        = 5
	repTTLExpired     = 6
	repCommand        = 7
	repAddressType    = 8
)

// errAuth is the answer to a user name or password that is not taken.
var errAuth = errors.New("authentication refused")

// credentials of a SOCKS5 client; the zero value offers none.
type credentials struct{ user, password string }

// dialSocks connects an application in the client's host to the proxy.
func dialSocks(t *testing.T, r *rig.Rig) *net.TCPConn {
	t.Helper()
	c, err := r.Client.DialContext(patient(t), "tcp", rig.Socks)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c.(*net.TCPConn)
}

// ask asks for a command on a new connection and returns it with the reply.
func ask(t *testing.T, r *rig.Rig, cred credentials, cmd byte, host string, port uint16) (*net.TCPConn, byte) {
	t.Helper()
	c := dialSocks(t, r)
	reply, err := converse(c, cred, request(cmd, host, port))
	if err != nil {
		t.Fatalf("%s port %d: %v", host, port, err)
	}
	return c, reply
}

// through opens a connection through the proxy that must succeed.
func through(t *testing.T, r *rig.Rig, host string, port uint16) *net.TCPConn {
	t.Helper()
	c, reply := ask(t, r, credentials{}, cmdConnect, host, port)
	if reply != repSucceeded {
		t.Fatalf("%s port %d: reply %d", host, port, reply)
	}
	return c
}

// echo sends something over a connection to the echo server and back.
func echo(t *testing.T, c net.Conn) {
	t.Helper()
	want := fmt.Sprintf("it is %v", time.Now())
	got := make([]byte, len(want))
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, want); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("echo: %q, %v", got, err)
	}
}

// works wants a new connection through the proxy to carry bytes.
func works(t *testing.T, r *rig.Rig) {
	t.Helper()
	c := through(t, r, r.Destination4.String(), 7)
	echo(t, c)
	c.Close()
}

// greeting selects the method and shows the credentials.
func (c credentials) greet(rw io.ReadWriter) error {
	method := byte(0)
	if c != (credentials{}) {
		method = 2
	}
	if _, err := rw.Write([]byte{5, 1, method}); err != nil {
		return err
	}
	answer := make([]byte, 2)
	if _, err := io.ReadFull(rw, answer); err != nil {
		return fmt.Errorf("reading the method: %w", err)
	}
	if answer[1] != method {
		return fmt.Errorf("method %d: %w", answer[1], errAuth)
	}
	if method == 0 {
		return nil
	}
	b := append([]byte{1, byte(len(c.user))}, c.user...)
	b = append(append(b, byte(len(c.password))), c.password...)
	if _, err := rw.Write(b); err != nil {
		return err
	}
	if _, err := io.ReadFull(rw, answer); err != nil {
		return fmt.Errorf("reading the answer to the password: %w", err)
	}
	if answer[1] != 0 {
		return errAuth
	}
	return nil
}

func request(cmd byte, host string, port uint16) []byte {
	b := []byte{5, cmd, 0}
	if a, err := netip.ParseAddr(host); err != nil {
		b = append(append(b, 3, byte(len(host))), host...)
	} else if a.Is4() {
		b = append(append(b, 1), a.AsSlice()...)
	} else {
		b = append(append(b, 4), a.AsSlice()...)
	}
	return binary.BigEndian.AppendUint16(b, port)
}

// converse runs a client's side of the protocol and returns the reply code.
func converse(rw io.ReadWriter, cred credentials, request []byte) (reply byte, err error) {
	if err := cred.greet(rw); err != nil {
		return 0, err
	}
	if _, err := rw.Write(request); err != nil {
		return 0, err
	}
	return readReply(rw)
}

func readReply(r io.Reader) (reply byte, err error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, fmt.Errorf("reading the reply: %w", err)
	}
	rest := map[byte]int{1: 4 + 2, 4: 16 + 2}[head[3]]
	if head[0] != 5 || rest == 0 {
		return 0, fmt.Errorf("malformed reply % x", head)
	}
	_, err = io.ReadFull(r, make([]byte, rest))
	return head[1], err
}
