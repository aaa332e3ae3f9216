package socks

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"mpproxy/proxy"
	. "mpproxy/proxy/proxytest"
)

// namedMode is an Authenticator that notes whether a mode was named, as the programs' do.
type namedMode struct{ Auth }

func (a namedMode) Authenticate(ctx context.Context, user, password string) (id proxy.Identity, err error) {
	id, err = a.Auth.Authenticate(ctx, user, password)
	id.Asked = strings.ContainsRune(user, '+')
	return id, err
}

// TestLeaveSubflows: the field of the greeting decides. Without it, as old clients and
// other programs greet, the user name does.
func TestLeaveSubflows(t *testing.T) {
	old := func(methods []byte, user string) []byte {
		b := append([]byte{5, byte(len(methods))}, methods...)
		return Join(b, GreetUser(user, "token")[3:], ConnectAddr(V4))
	}
	for _, tt := range []struct {
		name string
		in   []byte
		want bool
	}{
		{"old client, mode", old([]byte{2}, "alice+handover"), false},
		{"old client, no mode", old([]byte{2}, "alice"), true},
		{"old client, frames and mode", old([]byte{0x9A, 2}, "alice+handover"), false},
		{"old client, frames and no mode", old([]byte{0x9A, 2}, "alice"), true},
		{"managed, mode", old([]byte{0x9A, 0x9B, 2}, "alice+handover"), false},
		{"managed, no mode", old([]byte{0x9B, 2}, "alice"), false},
		{"alone, mode", old([]byte{0x9C, 2}, "alice+handover"), true},
		{"alone, no mode", old([]byte{0x9A, 0x9C, 2}, "alice"), true},
		{"our client, managed", Credentials{User: "alice+lazy", Password: "token", Frames: true}.Flight(To(V4)), false},
		{"our client, managed without a mode", Credentials{User: "alice", Password: "token"}.Flight(To(V4)), false},
		{"our client, alone", Credentials{User: "alice+lazy", Password: "token", LeaveSubflows: true}.Flight(To(V4)), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req, err := (&Server{Auth: namedMode{Alice}, Frames: true}).Handshake(t.Context(), &scriptConn{in: bytes.NewReader(tt.in)})
			Must(t, err)
			if req.LeaveSubflows() != tt.want || req.To != To(V4) {
				t.Errorf("leave alone: %v, to %v", req.LeaveSubflows(), req.To)
			}
		})
	}
}

// TestGreetingForOldServers: what a server that is older than the field, or another
// program's, finds in the greeting and behind it is what it always was.
func TestGreetingForOldServers(t *testing.T) {
	for _, cred := range []Credentials{
		{User: "alice", Password: "token"},
		{User: "alice+lazy", Password: "token", Frames: true},
		{User: "alice", Password: "token", Frames: true, LeaveSubflows: true},
	} {
		b := cred.Flight(To(V4))
		methods, rest := b[2:2+int(b[1])], b[2+int(b[1]):]
		if b[0] != 5 || slices.Contains(methods, 0x9A) != cred.Frames || !slices.Contains(methods, 2) || slices.Contains(methods, 0) {
			t.Errorf("%+v greets with % x", cred, b[:2+len(methods)])
		}
		if want := Join(GreetUser(cred.User, "token")[3:], ConnectAddr(V4)); !bytes.Equal(rest, want) {
			t.Errorf("behind the greeting % x, want % x", rest, want)
		}
		answers := map[byte]error{2: nil, 0x9B: ErrProtocol, 0x9C: ErrProtocol}
		if cred.Frames {
			answers[0x9A], answers[0x9D] = nil, nil
		}
		for method, want := range answers {
			agreed, err := cred.ReadGreeting(bytes.NewReader([]byte{5, method, 1, 0}))
			if want := (Agreed{Framed: method == 0x9A || method == 0x9D, Ready: method == 0x9D}); err == nil && agreed != want {
				t.Errorf("%+v, method %#x chosen: agreed %+v", cred, method, agreed)
			}
			if !errors.Is(err, want) || (err == nil) != (want == nil) {
				t.Errorf("%+v, method %#x chosen: %v", cred, method, err)
			}
		}
	}
	if none := (Credentials{LeaveSubflows: true}).Greeting(); !bytes.Equal(none, GreetNone()) {
		t.Errorf("without a user: % x", none)
	}
}
