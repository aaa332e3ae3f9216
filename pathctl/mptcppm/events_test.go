package mptcppm

import (
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// message is one netlink message with a generic netlink header.
func message(family uint16, kind EventKind, attrs []byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+unix.GENL_HDRLEN+len(attrs)))
	b = binary.NativeEndian.AppendUint16(b, family)
	b = append(b, make([]byte, unix.NLMSG_HDRLEN-len(b))...)
	b = append(b, byte(kind), familyVersion, 0, 0)
	return append(b, attrs...)
}

// arrived returns a stream in which these datagrams are there.
func arrived(t *testing.T, datagrams ...[]byte) *Events {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	far, near := os.NewFile(uintptr(pair[0]), "far"), os.NewFile(uintptr(pair[1]), "near")
	t.Cleanup(func() { _, _ = far.Close(), near.Close() })
	for _, d := range datagrams {
		_, err := far.Write(d)
		must(t, err)
	}
	e, err := newEvents(near, fakeFamily.ID)
	must(t, err)
	return e
}

// TestEventsOfDatagrams: what cannot be read is a gap, behind the events of its
// datagram; what follows is delivered, other families' messages are not. What has
// arrived is given although the deadline has passed.
func TestEventsOfDatagrams(t *testing.T) {
	removed := fromHex(t, goldenEvents[5].hex)
	tooShort := message(fakeFamily.ID, EventRemoved, removed)[:unix.NLMSG_HDRLEN+unix.GENL_HDRLEN+2]
	e := arrived(
		t,
		message(fakeFamily.ID, EventRemoved, removed),
		message(fakeFamily.ID, EventCreated, []byte{5, 0, 1, 0, 2, 0, 0, 0}),
		slices.Concat(message(0x99, 0, []byte{1, 1, 0, 0}), message(fakeFamily.ID, 200, nil)),
		tooShort,
		message(fakeFamily.ID, 201, nil),
	)
	must(t, e.SetDeadline(time.Unix(1, 0)))
	var got []string
	for len(got) < 9 {
		ev, err := e.Next()
		switch {
		case errors.Is(err, ErrEventsLost):
			got = append(got, "lost")
		case err != nil:
			checkError(t, err, nil, os.ErrDeadlineExceeded, 0)
			if diff := cmp.Diff([]string{"removed", "lost", "event-200", "lost", "event-201"}, got); diff != "" {
				t.Errorf("stream (-want +got):\n%s", diff)
			}
			return
		default:
			got = append(got, ev.Kind.String())
		}
	}
	t.Error("more than was sent:", got)
}

// TestEventsDeadlineEndsAWait: a wait that is under way ends when another
// goroutine moves the deadline, and the stream goes on.
func TestEventsDeadlineEndsAWait(t *testing.T) {
	e := arrived(t)
	must(t, e.SetDeadline(time.Time{}))
	ended := make(chan error, 1)
	go nextOf(e, ended)
	must(t, e.SetDeadline(time.Unix(1, 0)))
	checkError(t, <-ended, nil, os.ErrDeadlineExceeded, 0)
}

func nextOf(e *Events, ended chan<- error) {
	_, err := e.Next()
	ended <- err
}

func FuzzDatagram(f *testing.F) {
	f.Add(message(fakeFamily.ID, 200, nil))
	f.Add(slices.Concat(message(0x99, 0, []byte{1}), message(fakeFamily.ID, EventCreated, []byte{5, 0, 1, 0})))
	f.Fuzz(func(t *testing.T, b []byte) {
		e := &Events{family: fakeFamily.ID}
		if err := e.decode(b); err == nil && len(e.pending) > len(b)/(unix.NLMSG_HDRLEN+unix.GENL_HDRLEN) {
			t.Errorf("%d events of %d bytes", len(e.pending), len(b))
		}
	})
}
