package subflowbpf

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"

	"mpproxy/internal/bpfenv"
	"mpproxy/mptcpsock/uapi"
)

// A bpfSensor is the eBPF program, loaded, with its maps, and attached to a
// cgroup.
type bpfSensor struct {
	log     *slog.Logger
	tick    time.Duration
	ring    *ebpf.Map
	counter *ebpf.Map
	tokens  *ebpf.Map // nil on a cgroup of our own
	limits  *ebpf.Map // nil without Config.Backlog
	rates   *ebpf.Map // the same
	prog    *ebpf.Program
	link    link.Link
	reader  *ringbuf.Reader
	ownsOne bool // of the users of the process's own cgroup
}

// enterOwnCgroup attaches the program to a cgroup of the process's own, and moves
// the process there: in this order, so that no socket is missed.
func (s *bpfSensor) enterOwnCgroup() error {
	cgroup, err := acquireOwnCgroup()
	if err != nil {
		return err
	}
	s.ownsOne = true
	if err := s.attach(cgroup.dir); err != nil {
		return err
	}
	return cgroup.enter(os.Getpid())
}

// openOwnCgroup loads the program and attaches it to a cgroup of the process's
// own. loaded tells where it failed: without eBPF nothing else needs trying.
func openOwnCgroup(c Config, log *slog.Logger) (_ *bpfSensor, loaded bool, err error) {
	s, err := loadSensor(c, false, log)
	if err != nil {
		return nil, false, err
	}
	if err := s.enterOwnCgroup(); err != nil {
		return nil, true, errors.Join(explainCgroup(err), s.close())
	}
	return s, true, nil
}

// openFiltered loads the program and attaches it to the cgroup where the process
// is.
func openFiltered(c Config, log *slog.Logger) (_ *bpfSensor, err error) {
	dir, err := bpfenv.CurrentCgroup()
	if err != nil {
		return nil, err
	}
	s, err := loadSensor(c, true, log)
	if err != nil {
		return nil, err
	}
	if err := s.attach(dir); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// loadSensor makes the maps, the program and the reader, attached to nothing.
func loadSensor(c Config, filtered bool, log *slog.Logger) (_ *bpfSensor, err error) {
	s := &bpfSensor{log: log}
	defer func() {
		if err != nil {
			_ = s.close()
			err = bpfenv.ExplainDenial(err)
		}
	}()
	if s.tick, err = bpfenv.TickLength(); err != nil {
		return nil, err
	}
	p := program{rtt: c.RTT, states: !c.TimeoutsOnly, backlog: c.Backlog}
	if p.fields, err = findFields(); err != nil {
		return nil, err
	}
	if err := s.makeMaps(c.ringSize(os.Getpagesize()), filtered); err != nil {
		return nil, err
	}
	p.ring, p.lost = s.ring.FD(), s.counter.FD()
	if c.Backlog {
		if s.limits, err = ebpf.NewMap(limitsSpec()); err != nil {
			return nil, fmt.Errorf("make the map of limits: %w", err)
		}
		p.limits = s.limits.FD()
		if s.rates, err = ebpf.NewMap(ratesSpec()); err != nil {
			return nil, fmt.Errorf("make the map of rates: %w", err)
		}
		p.rates = s.rates.FD()
	}
	if filtered {
		cookie, err := bpfenv.NetnsCookie()
		if err != nil {
			return nil, err
		}
		p.filter = &filter{netnsCookie: cookie, tokens: s.tokens.FD()}
	}
	if s.prog, err = ebpf.NewProgram(p.spec()); err != nil {
		return nil, fmt.Errorf("load the eBPF program: %w", bpfenv.ClassifyLoad(err))
	}
	if s.reader, err = ringbuf.NewReader(s.ring); err != nil {
		return nil, fmt.Errorf("map the ring of events: %w", err)
	}
	return s, nil
}

func (s *bpfSensor) makeMaps(ringSize uint32, filtered bool) (err error) {
	if s.ring, err = ebpf.NewMap(ringSpec(ringSize)); err != nil {
		return fmt.Errorf("make the ring of events: %w", err)
	}
	if s.counter, err = ebpf.NewMap(lostSpec()); err != nil {
		return fmt.Errorf("make the counter of lost events: %w", err)
	}
	if !filtered {
		return nil
	}
	if s.tokens, err = ebpf.NewMap(tokensSpec()); err != nil {
		return fmt.Errorf("make the set of tokens: %w", err)
	}
	return nil
}

func (s *bpfSensor) attach(dir string) (err error) {
	s.link, err = link.AttachCgroup(link.CgroupOptions{Path: dir, Attach: ebpf.AttachCGroupSockOps, Program: s.prog})
	if err != nil {
		return fmt.Errorf("attach the eBPF program to cgroup %s: %w", dir, bpfenv.ExplainDenial(err))
	}
	return nil
}

// run hands the events of the ring on.
func (s *bpfSensor) run(ctx context.Context, emit func(Event) bool) error {
	var record ringbuf.Record
	for {
		if err := s.reader.ReadInto(&record); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("subflowbpf: read events: %w", err)
		}
		event, err := decodeRecord(record.RawSample, readClock(), s.tick)
		if err != nil { // the program and we are of one version
			s.log.Error("event cannot be decoded", "error", err)
			continue
		}
		if !emit(event) {
			return ctx.Err()
		}
	}
}

// interrupt makes the reader return what there is, and then an error.
func (s *bpfSensor) interrupt() { _ = s.reader.Flush() }

func (s *bpfSensor) add(token uapi.Token, _ Source) error {
	if s.tokens == nil {
		return nil
	}
	if err := s.tokens.Put(uint32(token), uint8(1)); err != nil {
		return fmt.Errorf("subflowbpf: watch %v: %w", token, err)
	}
	return nil
}

func (s *bpfSensor) remove(token uapi.Token) error {
	if err := s.forgetLimits(token); err != nil || s.tokens == nil {
		return err
	}
	if err := s.tokens.Delete(uint32(token)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("subflowbpf: forget %v: %w", token, err)
	}
	return nil
}

func (s *bpfSensor) lost() (n uint64, err error) {
	if err := s.counter.Lookup(uint32(0), &n); err != nil {
		return 0, fmt.Errorf("subflowbpf: read the counter of lost events: %w", err)
	}
	return n, nil
}

// close undoes things in the reverse order in which they were done.
func (s *bpfSensor) close() error {
	var errs []error
	if s.link != nil {
		errs = append(errs, s.link.Close())
	}
	if s.ownsOne {
		errs = append(errs, releaseOwnCgroup())
	}
	if s.reader != nil {
		errs = append(errs, s.reader.Close())
	}
	errs = append(errs, s.prog.Close(), s.limits.Close(), s.rates.Close(), s.tokens.Close(), s.counter.Close(), s.ring.Close())
	return errors.Join(errs...)
}
