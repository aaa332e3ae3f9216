package mptcppm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"

	"mpproxy/mptcpsock/uapi"
)

// DefaultTimeout bounds one exchange with the kernel. The kernel handles a
// command before the system call that sends it returns, so this is a safety net
// and no latency to plan with.
const DefaultTimeout = 5 * time.Second

// Config says how sockets are opened. A nil *Config means the defaults.
type Config struct {
	// NetNS is a file descriptor of the network namespace to work in, which needs
	// CAP_SYS_ADMIN. 0 is the namespace of the calling thread.
	NetNS int
	// Timeout bounds one exchange with the kernel; 0 is DefaultTimeout.
	Timeout time.Duration
	// ReadBuffer is the size of the events socket's receive buffer in bytes, 0 is
	// DefaultReadBuffer. With CAP_NET_ADMIN it may exceed net.core.rmem_max.
	ReadBuffer int
	// Without are kinds of events that the kernel is to keep to itself: nobody
	// wakes for them. A few at the most.
	Without []EventKind
}

func (cfg *Config) orDefault() Config {
	var c Config
	if cfg != nil {
		c = *cfg
	}
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.ReadBuffer <= 0 {
		c.ReadBuffer = DefaultReadBuffer
	}
	return c
}

// dial opens a socket and finds the family.
func (cfg Config) dial(buffer int) (*genetlink.Conn, genetlink.Family, error) {
	conn, err := genetlink.Dial(&netlink.Config{NetNS: cfg.NetNS, MessageBufferSize: buffer})
	if err != nil {
		return nil, genetlink.Family{}, &OpError{Op: "open socket", Err: err}
	}
	family, err := cfg.findFamily(conn)
	if err != nil {
		_ = conn.Close()
		return nil, genetlink.Family{}, err
	}
	return conn, family, nil
}

// findFamily asks the kernel for the family's number, and for explanations of
// errors. The kernel may be too old for the latter.
func (cfg Config) findFamily(conn *genetlink.Conn) (genetlink.Family, error) {
	_ = conn.SetOption(netlink.ExtendedAcknowledge, true)
	op := operation{name: "find the mptcp_pm family", since: "5.7"}
	if err := conn.SetDeadline(time.Now().Add(cfg.Timeout)); err != nil {
		return genetlink.Family{}, op.fail(nil, err)
	}
	family, err := conn.GetFamily(familyName)
	if err != nil {
		e := op.fail(nil, err).(*OpError)
		if errors.Is(e, ErrNotFound) {
			e.Kind = &NotSupportedError{Feature: "MPTCP path management", MinKernel: op.since}
		}
		return genetlink.Family{}, e
	}
	return family, nil
}

// Client sends commands to the path manager of one network namespace. Its
// methods may be called by several goroutines; they take turns.
//
// Methods look at their context before they send and take its deadline over;
// see DefaultTimeout for why a cancellation during the exchange is not seen.
// Every error is an *OpError.
type Client struct {
	conn    *genetlink.Conn
	family  genetlink.Family
	timeout time.Duration
	turn    chan struct{} // holds a token while the socket is free
	closed  atomic.Bool
}

// Dial opens a command socket. It needs no privilege; most commands do. Where
// the kernel has no MPTCP the error matches ErrNotSupported.
func Dial(cfg *Config) (*Client, error) {
	c := cfg.orDefault()
	conn, family, err := c.dial(0)
	if err != nil {
		return nil, err
	}
	return newClient(conn, family, c.Timeout), nil
}

func newClient(conn *genetlink.Conn, family genetlink.Family, timeout time.Duration) *Client {
	c := &Client{conn: conn, family: family, timeout: timeout, turn: make(chan struct{}, 1)}
	c.turn <- struct{}{}
	return c
}

// Close closes the socket. Methods called afterwards fail with fs.ErrClosed.
func (c *Client) Close() error {
	c.closed.Store(true)
	return c.conn.Close()
}

// EventsGroup is the number of the multicast group that MPTCP's events go to, 0
// on a kernel that has none.
func (c *Client) EventsGroup() uint32 {
	for _, g := range c.family.Groups {
		if g.Name == eventsGroup {
			return g.ID
		}
	}
	return 0
}

// reply is what a command is answered with, apart from errors.
type reply uint8

const (
	replyAck  reply = iota // an acknowledgement
	replyOne               // one message
	replyDump              // any number of messages
)

func (r reply) flags() netlink.HeaderFlags {
	switch r {
	case replyOne:
		return netlink.Request
	case replyDump:
		return netlink.Request | netlink.Dump
	}
	return netlink.Request | netlink.Acknowledge
}

// operation is one call: what it sends, and what its errors say.
type operation struct {
	cmd     command
	reply   reply
	name    string       // for OpError.Op
	on      fmt.Stringer // for OpError.On, worded only when there is an error; may be nil
	since   string       // first kernel version that has it
	looksUp bool         // what is sent is always valid: EINVAL means that it names nothing that exists
}

// about says what the operation is on, for an error.
func (op operation) about() string {
	if op.on == nil {
		return ""
	}
	return op.on.String()
}

// execute is the one way to the kernel: it encodes, takes its turn, sends,
// waits for the answer and makes an error of whatever goes wrong.
func (c *Client) execute(ctx context.Context, op operation, req request) ([]genetlink.Message, error) {
	attrs, err := req.encode()
	if err != nil {
		return nil, &OpError{Op: op.name, On: op.about(), Kind: ErrInvalid, Err: err}
	}
	select {
	case <-c.turn:
		defer func() { c.turn <- struct{}{} }()
	case <-ctx.Done():
	}
	if err := ctx.Err(); err != nil {
		return nil, op.fail(attrs, err)
	}
	msgs, err := c.exchange(ctx, op, attrs)
	switch {
	case err != nil && c.closed.Load(): // the socket's own error for it has no name
		return nil, op.fail(attrs, fs.ErrClosed)
	case err != nil:
		return nil, op.fail(attrs, err)
	}
	return msgs, nil
}

func (c *Client) exchange(ctx context.Context, op operation, attrs []byte) ([]genetlink.Message, error) {
	deadline := time.Now().Add(c.timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := c.conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	req, err := c.conn.Send(genetlink.Message{
		Header: genetlink.Header{Command: uint8(op.cmd), Version: familyVersion},
		Data:   attrs,
	}, c.family.ID, op.reply.flags())
	if err != nil {
		return nil, err
	}
	for {
		msgs, done, err := c.receive(op.reply, req.Header.Sequence)
		if done || err != nil {
			return msgs, err
		}
	}
}

// receive reads once. What belongs to an earlier request, whose caller gave up
// waiting, is dropped; done says that something was ours.
func (c *Client) receive(want reply, sequence uint32) (ours []genetlink.Message, done bool, err error) {
	msgs, headers, err := c.conn.Receive()
	if err != nil {
		var nl *netlink.OpError
		if errors.As(err, &nl) && nl.Sequence != 0 && nl.Sequence != sequence {
			return nil, false, nil
		}
		return nil, false, err
	}
	if len(msgs) == 0 { // an empty dump, reduced to its end marker
		return nil, want == replyDump, nil
	}
	for i, h := range headers {
		switch {
		case h.Header.Sequence != sequence:
		case h.Header.Type == netlink.Error: // number 0: the acknowledgement
			done = true
		default:
			ours, done = append(ours, msgs[i]), true
		}
	}
	return ours, done, nil
}

// one executes a command that is answered by one message.
func (c *Client) one(ctx context.Context, op operation, req request) ([]byte, error) {
	op.reply = replyOne
	msgs, err := c.execute(ctx, op, req)
	if err != nil {
		return nil, err
	}
	if len(msgs) != 1 {
		return nil, op.fail(nil, fmt.Errorf("%d messages for one: %w", len(msgs), errMalformed))
	}
	return msgs[0].Data, nil
}

// do executes a command that is only acknowledged.
func (c *Client) do(ctx context.Context, op operation, req request) error {
	_, err := c.execute(ctx, op, req)
	return err
}

// invalid refuses an argument before it is sent.
func (op operation) invalid(format string, args ...any) error {
	return &OpError{Op: op.name, On: op.about(), Kind: ErrInvalid, Err: fmt.Errorf(format, args...)}
}

// checkAddr refuses what cannot be told to the kernel.
func (op operation) checkAddr(what string, addr netip.Addr) error {
	switch {
	case !addr.IsValid():
		return op.invalid("%s has no address", what)
	case addr.Zone() != "":
		return op.invalid("%s %v has a zone: give the interface index instead", what, addr)
	}
	return nil
}

func (op operation) checkEndpoint(e Endpoint) error {
	if e.IfIndex < 0 || e.IfIndex > math.MaxInt32 {
		return op.invalid("interface index %d", e.IfIndex)
	}
	return op.checkAddr("endpoint", e.Addr)
}

func (op operation) checkPair(local, remote netip.AddrPort) error {
	if err := op.checkAddr("local end", local.Addr()); err != nil {
		return err
	}
	if err := op.checkAddr("remote end", remote.Addr()); err != nil {
		return err
	}
	if local.Addr().Is4() != remote.Addr().Is4() {
		return op.invalid("%v and %v are of two families", local.Addr(), remote.Addr())
	}
	if local.Port() == 0 || remote.Port() == 0 {
		return op.invalid("a subflow is named by both of its ports, got %v and %v", local, remote)
	}
	return nil
}

// onSubflow names one subflow in an error.
type onSubflow struct {
	token         uapi.Token
	local, remote any
}

func (o onSubflow) String() string {
	return fmt.Sprintf("%s %v to %v", onToken(o.token), o.local, o.remote)
}

// said is a name that has its words already.
type said string

func (s said) String() string { return string(s) }

func onToken(token uapi.Token) string { return "of token " + token.String() }
