package subopt_test

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"mpproxy/mptcpsock/subopt"
	"mpproxy/test/conns"
	"mpproxy/test/netns"
)

// ownBPF returns the numbers of eBPF objects of which this process has a
// descriptor: of programs, maps and links, as the lines of proc(5) have them.
func ownBPF(t *testing.T) (programs, maps, links []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/self/fdinfo/*")
	must(t, err)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // that of Glob
		}
		must(t, err)
		for line := range strings.Lines(string(b)) {
			name, id, _ := strings.Cut(strings.TrimSpace(line), ":")
			switch id = strings.TrimSpace(id); name {
			case "prog_id":
				programs = append(programs, id)
			case "map_id":
				maps = append(maps, id)
			case "link_id":
				links = append(links, id)
			}
		}
	}
	return programs, maps, links
}

// TestCloseLeavesNothing uses everything and asks the kernel afterwards.
func TestCloseLeavesNothing(t *testing.T) {
	w := newWorld(t, "IPv4")
	s := open(t, w.client)
	p := w.dial(t, "IPv4", w.listen(t, netip.AddrPortFrom(netip.IPv6Unspecified(), port)))
	e := p.ends(t)[0]
	must(t, s.Set(testContext(t), e.local, e.remote, subopt.Mark, subopt.Number(7)))
	_, err := s.SetOnConnect(subopt.Match{Cookie: 1}, subopt.Mark, subopt.Number(7))
	must(t, err)
	programs, maps, links := ownBPF(t)
	if len(links) != 2 || len(maps) != 3 || len(programs) < 2 {
		t.Fatalf("programs %v, maps %v, links %v while open", programs, maps, links)
	}
	cgroup := cgroupOf(t)
	must(t, s.Close())
	if programs, maps, links := ownBPF(t); programs != nil || maps != nil || links != nil {
		t.Errorf("programs %v, maps %v, links %v after Close", programs, maps, links)
	}
	if now := cgroupOf(t); now != cgroup {
		t.Errorf("in cgroup %q after Close, was in %q", now, cgroup)
	}
	for _, id := range links {
		n := number(t, id)
		conns.Until(t, "link "+id+" to go", func() bool {
			l, err := link.NewFromID(link.ID(n))
			if err == nil {
				_ = l.Close()
			}
			return errors.Is(err, fs.ErrNotExist)
		})
	}
	for _, id := range programs {
		n := number(t, id)
		conns.Until(t, "program "+id+" to go", func() bool {
			p, err := ebpf.NewProgramFromID(ebpf.ProgramID(n))
			if err == nil {
				_ = p.Close()
			}
			return errors.Is(err, fs.ErrNotExist)
		})
	}
}

func cgroupOf(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/cgroup")
	must(t, err)
	return string(b)
}

// TestConcurrentUse does all at once, Close in the middle of it.
func TestConcurrentUse(t *testing.T) {
	w := newWorld(t, "IPv4")
	s := open(t, w.client)
	p := w.dial(t, "IPv4", w.listen(t, netip.AddrPortFrom(netip.IPv6Unspecified(), port)))
	e := p.ends(t)[0]
	ctx := testContext(t)
	var all sync.WaitGroup
	warm := make(chan struct{}, 8)
	for i := range 8 {
		all.Go(func() {
			for n := 0; ; n++ {
				if err := useAll(s, e, uint64(i+1), t); errors.Is(err, subopt.ErrClosed) {
					return
				} else if err != nil || ctx.Err() != nil {
					t.Error(err, ctx.Err())
					return
				}
				if n == 3 {
					warm <- struct{}{}
				}
			}
		})
	}
	for range 8 {
		select {
		case <-warm:
		case <-ctx.Done():
			t.Fatal(ctx.Err())
		}
	}
	must(t, s.Close())
	all.Wait()
}

// useAll uses every method once.
func useAll(s *subopt.Setter, e end, cookie uint64, t *testing.T) error {
	ctx := t.Context()
	r, err := s.SetOnConnect(subopt.Match{Cookie: cookie}, subopt.Mark, subopt.Number(7))
	if err != nil {
		return err
	}
	_, outcomeErr := r.Outcome()
	if err := r.Remove(); err != nil {
		return err
	}
	if outcomeErr != nil {
		return outcomeErr
	}
	if err := s.Set(ctx, e.local, e.remote, subopt.Priority, subopt.Number(3)); err != nil {
		return err
	}
	v, err := s.Get(ctx, e.local, e.remote, subopt.Priority)
	if err == nil && v != subopt.Number(3) {
		t.Errorf("priority %v, want 3", v)
	}
	return err
}

// TestOpenWithoutCapabilities takes them from a thread one by one: Open must say
// which is missing.
func TestOpenWithoutCapabilities(t *testing.T) {
	netns.Require(t)
	must(t, open(t, conns.NewHost(t, "one")).Close()) // or skip
	for name, drop := range map[string][]int{
		"CAP_BPF":       {unix.CAP_BPF},
		"CAP_PERFMON":   {unix.CAP_PERFMON},
		"CAP_NET_ADMIN": {unix.CAP_NET_ADMIN},
		"CAP_BPF and CAP_PERFMON and CAP_NET_ADMIN": {unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_NET_ADMIN},
	} {
		var s *subopt.Setter
		err := without(t, append(drop, unix.CAP_SYS_ADMIN), func() (err error) {
			if s, err = subopt.Open(); err != nil {
				return err
			}
			_, err = s.SetOnConnect(subopt.Match{Cookie: 1}, subopt.Mark, subopt.Number(1))
			return errors.Join(err, s.Close())
		})
		if !errors.Is(err, subopt.ErrNotPermitted) || !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
		t.Log(err)
	}
}

// without runs f on a thread of which some capabilities are not effective.
func without(t *testing.T, drop []int, f func() error) error {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var before [2]unix.CapUserData
	must(t, unix.Capget(&header, &before[0]))
	less := before
	for _, c := range drop {
		less[c/32].Effective &^= 1 << (c % 32)
	}
	must(t, unix.Capset(&header, &less[0]))
	defer func() { must(t, unix.Capset(&header, &before[0])) }()
	return f()
}

// TestOtherNamespace uses a Setter on a thread that is in another namespace than
// the one in which it was opened, and on one that is in it.
func TestOtherNamespace(t *testing.T) {
	w := newWorld(t, "IPv4")
	s := open(t, w.client)
	p := w.dial(t, "IPv4", w.listen(t, netip.AddrPortFrom(netip.IPv6Unspecified(), port)))
	e := p.ends(t)[0]
	ctx := testContext(t)
	for i, h := range []*netns.Host{w.client, w.server} {
		want := subopt.Duration(time.Duration(i+1) * time.Second)
		must(t, h.Do(ctx, func() error { return s.Set(ctx, e.local, e.remote, subopt.UserTimeout, want) }))
		must(t, h.Do(ctx, func() error {
			got, err := s.Get(ctx, e.local, e.remote, subopt.UserTimeout)
			if got != want {
				t.Errorf("user timeout %v, want %v", got, want)
			}
			return err
		}))
	}
}

func number(t *testing.T, id string) uint32 {
	t.Helper()
	n, err := strconv.ParseUint(id, 10, 32)
	must(t, err)
	return uint32(n)
}
