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

// A bpfSensor is the eBPF program (subflow.bpf.c), loaded and attached to a cgroup.
type bpfSensor struct {
	log     *slog.Logger
	tick    time.Duration
	kernel  subflowObjects // the program and its maps
	shared  bool           // other programs are in the cgroup
	steers  bool           // Config.Backlog
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

// loadSensor loads the program, and attaches it to nothing.
func loadSensor(c Config, shared bool, log *slog.Logger) (*bpfSensor, error) {
	options, err := bpfenv.LoadOptions()
	if err != nil {
		return nil, bpfenv.ExplainDenial(err)
	}
	s := &bpfSensor{log: log, shared: shared, steers: c.Backlog}
	if err := s.load(c, options); err != nil {
		_ = s.close()
		return nil, bpfenv.ExplainDenial(err)
	}
	return s, nil
}

func (s *bpfSensor) load(c Config, options *ebpf.CollectionOptions) (err error) {
	if s.tick, err = bpfenv.TickLength(); err != nil {
		return err
	}
	spec, err := s.configure(c)
	if err != nil {
		return fmt.Errorf("prepare the eBPF program: %w", err)
	}
	if err := spec.LoadAndAssign(&s.kernel, options); err != nil {
		return fmt.Errorf("load the eBPF program: %w", bpfenv.ClassifyLoad(err))
	}
	if s.reader, err = ringbuf.NewReader(s.kernel.Ring); err != nil {
		return fmt.Errorf("map the ring of events: %w", err)
	}
	return nil
}

// configure returns the program with its settings. Maps that are not used are made
// as small as they can be.
func (s *bpfSensor) configure(c Config) (*ebpf.CollectionSpec, error) {
	spec, err := loadSubflow()
	if err != nil {
		return nil, err
	}
	var parts subflowSpecs
	if err := spec.Assign(&parts); err != nil {
		return nil, err
	}
	parts.Ring.MaxEntries = c.ringSize(os.Getpagesize())
	if !s.shared {
		parts.Tokens.MaxEntries = 1
	}
	if !s.steers {
		parts.LimitsByToken.MaxEntries, parts.RateByPath.MaxEntries = 1, 1
	}
	cookie, err := bpfenv.NetnsCookie()
	if err != nil {
		return nil, err
	}
	return spec, errors.Join(
		parts.ReportRtt.Set(c.RTT),
		parts.ReportStates.Set(!c.TimeoutsOnly),
		parts.Steer.Set(s.steers),
		parts.SharedCgroup.Set(s.shared),
		parts.NetnsCookie.Set(cookie),
	)
}

func (s *bpfSensor) attach(dir string) (err error) {
	s.link, err = link.AttachCgroup(link.CgroupOptions{Path: dir, Attach: ebpf.AttachCGroupSockOps, Program: s.kernel.MpproxySubflow})
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
	if !s.shared {
		return nil
	}
	if err := s.kernel.Tokens.Put(uint32(token), uint8(1)); err != nil {
		return fmt.Errorf("subflowbpf: watch %v: %w", token, err)
	}
	return nil
}

func (s *bpfSensor) remove(token uapi.Token) error {
	for _, m := range []*ebpf.Map{s.kernel.LimitsByToken, s.kernel.Tokens} {
		if err := m.Delete(uint32(token)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("subflowbpf: forget %v: %w", token, err)
		}
	}
	return nil
}

func (s *bpfSensor) lost() (n uint64, err error) {
	if err := s.kernel.Lost.Get(&n); err != nil {
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
	return errors.Join(append(errs, s.kernel.Close())...)
}
