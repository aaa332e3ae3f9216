package subflowbpf

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"time"

	"mpproxy/mptcpsock/uapi"
)

// Limits is what the eBPF program is told of a connection.
type Limits struct {
	// Linger bounds how long a byte waits and travels on each subflow, from when
	// the scheduler gives it to the subflow until it is acknowledged. The rest
	// waits in the connection's own queue, from where it can still take any path.
	// 0 to 1 h.
	//
	// The scheduler fills the subflow on which a byte would linger least, and waits
	// when that one is full (net/mptcp/protocol.c, mptcp_subflow_get_send). A bound
	// below the round trip of the slowest subflow in use would therefore idle it.
	Linger time.Duration
	// Modest makes subflows begin with the kernel's own window instead of what
	// their path carries, because they share the path with others of the
	// connection.
	Modest bool
}

// SetLimits tells the program of a connection, until Remove. It has an effect with
// Config.Backlog, with eBPF, and since Linux 5.17.
func (w *Watcher) SetLimits(t uapi.Token, l Limits) error {
	return w.use(func() error { return w.sensor.limit(t, l) })
}

func (s *bpfSensor) limit(t uapi.Token, l Limits) error {
	if !s.steers {
		return nil
	}
	v := subflowLimits{Linger: uint32(min(max(l.Linger, 0), time.Hour).Microseconds())}
	if l.Modest {
		v.Modest = 1
	}
	if err := s.kernel.LimitsByToken.Put(uint32(t), v); err != nil {
		return fmt.Errorf("subflowbpf: limit %v: %w", t, err)
	}
	return nil
}

// SetFirstRate says what a path carries, in bytes a second. Subflows that begin on
// the path from now on have a first window for that rate. The path is known by the
// client's address: the local one of subflows that this end opens, the remote one
// of subflows that it accepts. It has an effect with Config.Backlog, on a cgroup of
// our own.
func (w *Watcher) SetFirstRate(path netip.Addr, rate uint64) error {
	return w.use(func() error { return w.sensor.firstRate(path, rate) })
}

func (s *bpfSensor) firstRate(path netip.Addr, rate uint64) error {
	if !s.steers {
		return nil
	}
	if err := s.kernel.RateByPath.Put(pathKey(path), uint32(min(rate, math.MaxInt32))); err != nil {
		return fmt.Errorf("subflowbpf: note the rate of %v: %w", path, err)
	}
	return nil
}

// pathKey is what path_key in steering.bpf.h makes of an address. Word 2 is left
// out, because it is what tells a mapped IPv4 address from the IPv4 address.
func pathKey(a netip.Addr) uint32 {
	b := a.As16()
	word := func(i int) uint32 { return binary.NativeEndian.Uint32(b[4*i:]) }
	return word(0) ^ word(1) ^ word(3)
}
