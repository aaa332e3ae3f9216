package subflowbpf

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"mpproxy/mptcpsock/uapi"
)

// Limits is what the eBPF program is told of a connection.
type Limits struct {
	// Linger bounds how long a byte waits and travels on each subflow, from when
	// the scheduler gives it to the subflow until it is acknowledged: the rest
	// waits in the connection's own queue, from where it can still take any path.
	// 0 to 1 h.
	//
	// The scheduler fills the subflow on which a byte would linger least, and waits
	// when that one is full (net/mptcp/protocol.c, mptcp_subflow_get_send). A bound
	// below the round trip of the slowest subflow in use would therefore idle it.
	Linger time.Duration
	// Modest lets subflows begin with the kernel's own window, and not with what
	// their path carries: they share it with others of the connection.
	Modest bool
}

// limitsValue is Limits in the program's map.
type limitsValue struct{ Linger, Modest uint32 } // µs; 0 or 1

// Where its fields are.
const (
	limitsLinger = 0
	limitsModest = 4
	limitsSize   = 8
)

// SetLimits tells the program of a connection, until Remove. It has an effect with
// Config.Backlog, with eBPF, and since Linux 5.17.
func (w *Watcher) SetLimits(t uapi.Token, l Limits) error {
	return w.use(func() error { return w.sensor.limit(t, l) })
}

func (s *bpfSensor) limit(t uapi.Token, l Limits) error {
	if s.limits == nil {
		return nil
	}
	v := limitsValue{Linger: uint32(min(max(l.Linger, 0), time.Hour).Microseconds())}
	if l.Modest {
		v.Modest = 1
	}
	if err := s.limits.Put(uint32(t), v); err != nil {
		return fmt.Errorf("subflowbpf: limit %v: %w", t, err)
	}
	return nil
}

func (s *bpfSensor) forgetLimits(t uapi.Token) error {
	if s.limits == nil {
		return nil
	}
	if err := s.limits.Delete(uint32(t)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("subflowbpf: forget the limits of %v: %w", t, err)
	}
	return nil
}

func limitsSpec() *ebpf.MapSpec {
	return &ebpf.MapSpec{
		Name: "mpproxy_limits", Type: ebpf.Hash, KeySize: 4, ValueSize: limitsSize,
		MaxEntries: maxTokens, Flags: unix.BPF_F_NO_PREALLOC,
	}
}
