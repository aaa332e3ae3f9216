package scene

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
	CmdConnect   = 1
	CmdBind      = 2
	CmdAssociate = 3

	RepSucceeded      = 0
	RepGeneralFailure = 1
	RepNotAllowed     = 2
	RepNetUnreachable = 3
	RepHostUnreach    = 4
	RepRefused        = 5
	RepTTLExpired     = 6
	RepCommand        = 7
	RepAddressType    = 8
)

// ErrAuth is the answer to a user name or password that is not taken.
var ErrAuth = errors.New("authentication refused")

// Credentials of a SOCKS5 client; the zero value offers none.
type Credentials struct{ User, Password string }

// DialSocks connects an application in the client's host to the proxy.
func DialSocks(t *testing.T, r *rig.Rig) *net.TCPConn {
	t.Helper()
	c, err := r.Client.DialContext(Patient(t), "tcp", rig.Socks)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(Patience))
	return c.(*net.TCPConn)
}

// Ask asks for a command on a new connection and returns it with the reply.
func Ask(t *testing.T, r *rig.Rig, cred Credentials, cmd byte, host string, port uint16) (*net.TCPConn, byte) {
	t.Helper()
	c := DialSocks(t, r)
	reply, err := Converse(c, cred, Request(cmd, host, port))
	if err != nil {
		t.Fatalf("%s port %d: %v", host, port, err)
	}
	return c, reply
}

// Through opens a connection through the proxy that must succeed.
func Through(t *testing.T, r *rig.Rig, host string, port uint16) *net.TCPConn {
	t.Helper()
	c, reply := Ask(t, r, Credentials{}, CmdConnect, host, port)
	if reply != RepSucceeded {
		t.Fatalf("%s port %d: reply %d", host, port, reply)
	}
	return c
}

// Echo sends something over a connection to the echo server and back.
func Echo(t *testing.T, c net.Conn) {
	t.Helper()
	want := fmt.Sprintf("it is %v", time.Now())
	got := make([]byte, len(want))
	_ = c.SetDeadline(time.Now().Add(Patience))
	if _, err := io.WriteString(c, want); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("echo: %q, %v", got, err)
	}
}

// Works wants a new connection through the proxy to carry bytes.
func Works(t *testing.T, r *rig.Rig) {
	t.Helper()
	c := Through(t, r, r.Destination4.String(), 7)
	Echo(t, c)
	c.Close()
}

// greeting selects the method and shows the credentials.
func (c Credentials) Greet(rw io.ReadWriter) error {
	method := byte(0)
	if c != (Credentials{}) {
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
		return fmt.Errorf("method %d: %w", answer[1], ErrAuth)
	}
	if method == 0 {
		return nil
	}
	b := append([]byte{1, byte(len(c.User))}, c.User...)
	b = append(append(b, byte(len(c.Password))), c.Password...)
	if _, err := rw.Write(b); err != nil {
		return err
	}
	if _, err := io.ReadFull(rw, answer); err != nil {
		return fmt.Errorf("reading the answer to the password: %w", err)
	}
	if answer[1] != 0 {
		return ErrAuth
	}
	return nil
}

func Request(cmd byte, host string, port uint16) []byte {
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

// Converse runs a client's side of the protocol and returns the reply code.
func Converse(rw io.ReadWriter, cred Credentials, request []byte) (reply byte, err error) {
	if err := cred.Greet(rw); err != nil {
		return 0, err
	}
	if _, err := rw.Write(request); err != nil {
		return 0, err
	}
	return ReadReply(rw)
}

func ReadReply(r io.Reader) (reply byte, err error) {
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
