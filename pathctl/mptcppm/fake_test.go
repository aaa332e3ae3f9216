package mptcppm

import (
	"errors"
	"iter"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
	"github.com/mdlayher/netlink/nlenc"
)

// fakeFamily is what a fake kernel calls mptcp_pm.
var fakeFamily = genetlink.Family{ID: 0x1d, Name: familyName}

// fakeKernel is a netlink socket whose other end is a function from a request to
// the datagrams that answer it.
type fakeKernel struct {
	answer func(req *netlink.Message) []datagram

	mu       sync.Mutex
	queue    []datagram
	deadline time.Time
}

// datagram is what one receive call gives.
type datagram struct{ msgs []netlink.Message }

func newFake(answer func(req *netlink.Message) []datagram) *genetlink.Conn {
	return genetlink.NewConn(netlink.NewConn(&fakeKernel{answer: answer}, 1))
}

func (k *fakeKernel) Send(m netlink.Message) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.queue = append(k.queue, k.answer(&m)...)
	return nil
}

// ReceiveIter times out at once where a real socket would wait until the
// deadline that it must have been given.
func (k *fakeKernel) ReceiveIter() iter.Seq2[netlink.Message, error] {
	return func(yield func(netlink.Message, error) bool) {
		k.mu.Lock()
		defer k.mu.Unlock()
		if len(k.queue) == 0 {
			err := os.ErrDeadlineExceeded
			if k.deadline.IsZero() {
				err = errors.New("waiting without a deadline")
			}
			yield(netlink.Message{}, err)
			return
		}
		d := k.queue[0]
		k.queue = k.queue[1:]
		for _, m := range d.msgs {
			if !yield(m, nil) {
				return
			}
		}
	}
}

func (k *fakeKernel) SetDeadline(t time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.deadline = t
	return nil
}

func (k *fakeKernel) SetReadDeadline(t time.Time) error        { return k.SetDeadline(t) }
func (k *fakeKernel) SetWriteDeadline(time.Time) error         { return nil }
func (k *fakeKernel) SendMessages([]netlink.Message) error     { return errors.ErrUnsupported }
func (k *fakeKernel) Receive() ([]netlink.Message, error)      { return nil, errors.ErrUnsupported }
func (k *fakeKernel) SetOption(netlink.ConnOption, bool) error { return nil }
func (k *fakeKernel) Close() error                             { return nil }

// reply builds a datagram out of one answer to req.
func replyTo(req *netlink.Message, typ netlink.HeaderType, flags netlink.HeaderFlags, data []byte) datagram {
	return datagram{msgs: []netlink.Message{{
		Header: netlink.Header{Type: typ, Flags: flags, Sequence: req.Header.Sequence, PID: 1},
		Data:   data,
	}}}
}

func ackTo(req *netlink.Message, errno syscall.Errno) datagram {
	data := append(nlenc.Int32Bytes(-int32(errno)), make([]byte, 16)...)
	return replyTo(req, netlink.Error, 0, data)
}

func dataTo(req *netlink.Message, flags netlink.HeaderFlags, cmd command, attrs []byte) datagram {
	return replyTo(req, netlink.HeaderType(fakeFamily.ID), flags, append([]byte{byte(cmd), 1, 0, 0}, attrs...))
}

// older is a request whose caller gave up before its answer came.
func older(req *netlink.Message) *netlink.Message {
	old := *req
	old.Header.Sequence--
	return &old
}

func fakeClient(answer func(req *netlink.Message) []datagram) *Client {
	return newClient(newFake(answer), fakeFamily, time.Minute)
}

// TestFakeRequests looks at the headers of what is sent.
func TestFakeRequests(t *testing.T) {
	var got netlink.Message
	c := fakeClient(func(req *netlink.Message) []datagram { got = *req; return []datagram{ackTo(req, 0)} })
	must(t, c.FlushEndpoints(t.Context()))
	if want := netlink.Request | netlink.Acknowledge; got.Header.Flags != want || got.Header.Type != netlink.HeaderType(fakeFamily.ID) {
		t.Errorf("header %+v, want flags %v and family %d", got.Header, want, fakeFamily.ID)
	}
	if diff := cmp.Diff([]byte{byte(cmdFlushAddrs), familyVersion, 0, 0}, got.Data); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

// TestFakeDump: a dump comes in several datagrams, or is empty.
func TestFakeDump(t *testing.T) {
	endpoint4, endpoint6 := fromHex(t, goldenEndpoint4), fromHex(t, goldenEndpoint6)
	full := true
	c := fakeClient(func(req *netlink.Message) []datagram {
		done := replyTo(req, netlink.Done, netlink.Multi, nlenc.Int32Bytes(0))
		if !full {
			return []datagram{done}
		}
		return []datagram{
			dataTo(req, netlink.Multi, cmdGetAddr, endpoint6), dataTo(req, netlink.Multi, cmdGetAddr, endpoint4), done,
		}
	})
	got, err := c.Endpoints(t.Context())
	must(t, err)
	if len(got) != 2 || got[0].ID != 2 || got[1].ID != 9 {
		t.Errorf("got %v, want endpoints 2 and 9", got)
	}
	full = false
	if got, err = c.Endpoints(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("empty dump gave %v, %v", got, err)
	}
}

// TestFakeLateAnswers: answers to requests that nobody waits for any more, good
// and bad ones, are not taken for ours.
func TestFakeLateAnswers(t *testing.T) {
	limits := fromHex(t, goldenLimits)
	c := fakeClient(func(req *netlink.Message) []datagram {
		return []datagram{
			ackTo(older(req), syscall.EPERM), ackTo(older(req), 0), dataTo(older(req), 0, cmdGetLimits, nil),
			dataTo(req, 0, cmdGetLimits, limits),
		}
	})
	got, err := c.Limits(t.Context())
	must(t, err)
	if want := (Limits{Subflows: 3, AddAddrAccepted: 5}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestFakeErrors(t *testing.T) {
	call := func(do func(c *Client) error, answer func(req *netlink.Message) []datagram) error {
		return do(fakeClient(answer))
	}
	announce := func(c *Client) error {
		return c.Announce(t.Context(), noToken, Endpoint{ID: 1, Addr: addr("192.0.2.1")})
	}
	limits := func(c *Client) error { _, err := c.Limits(t.Context()); return err }

	err := call(announce, func(req *netlink.Message) []datagram { return []datagram{ackTo(req, syscall.EOPNOTSUPP)} })
	checkError(t, err, ErrNotSupported, errors.ErrUnsupported, syscall.EOPNOTSUPP)
	var lacks *NotSupportedError
	if !errors.As(err, &lacks) || lacks.MinKernel != userspaceSince {
		t.Errorf("got %v, want one that names Linux %s", err, userspaceSince)
	}

	err = call(announce, func(*netlink.Message) []datagram { return nil })
	checkError(t, err, nil, os.ErrDeadlineExceeded, 0)

	err = call(limits, func(req *netlink.Message) []datagram {
		return []datagram{dataTo(req, 0, cmdGetLimits, []byte{1, 0, 2, 0})}
	})
	checkError(t, err, nil, errMalformed, 0)
}

func TestFakeNoFamily(t *testing.T) {
	conn := newFake(func(req *netlink.Message) []datagram {
		return []datagram{ackTo(req, syscall.ENOENT)}
	})
	_, err := (&Config{}).orDefault().findFamily(conn)
	checkError(t, err, ErrNotSupported, errors.ErrUnsupported, syscall.ENOENT)
	err = joinEvents(conn, fakeFamily, 1)
	checkError(t, err, ErrNotSupported, errors.ErrUnsupported, 0)
}

// TestFakeOldKernel: a kernel that ignores the token of GET_ADDR would answer
// with addresses that are not the connection's.
func TestFakeOldKernel(t *testing.T) {
	endpoint := fromHex(t, goldenEndpoint4)
	for name, endpoints := range map[string]int{"with endpoints": 2, "without": 0} {
		t.Run(name, func(t *testing.T) {
			c := fakeClient(func(req *netlink.Message) (answer []datagram) {
				for range endpoints {
					answer = append(answer, dataTo(req, netlink.Multi, cmdGetAddr, endpoint))
				}
				return append(answer, replyTo(req, netlink.Done, netlink.Multi, nlenc.Int32Bytes(0)))
			})
			_, err := c.LocalAddrs(t.Context(), noToken)
			checkError(t, err, ErrNotSupported, errors.ErrUnsupported, 0)
		})
	}
}
