package coexist

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mpproxy/pathctl/mptcppm"
)

// fakeProc is a procfs with what the scanner reads.
type fakeProc struct {
	t    *testing.T
	root string
}

func newFakeProc(t *testing.T) fakeProc {
	t.Helper()
	p := fakeProc{t, t.TempDir()}
	p.write("net/netlink", netlinkHeading)
	p.link("self/ns/net", "net:[1]")
	return p
}

const netlinkHeading = "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n"

func (p fakeProc) write(name, text string) {
	p.t.Helper()
	file := filepath.Join(p.root, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
		p.t.Fatal(err)
	}
}

func (p fakeProc) link(name, target string) {
	p.t.Helper()
	file := filepath.Join(p.root, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.Symlink(target, file)); err != nil {
		p.t.Fatal(err)
	}
}

// process adds one, with a socket unless inode is 0.
func (p fakeProc) process(pid int, name, ns string, inode uint64) {
	p.t.Helper()
	p.write(fmt.Sprintf("%d/comm", pid), name+"\n")
	p.link(fmt.Sprintf("%d/ns/net", pid), ns)
	if inode != 0 {
		p.link(fmt.Sprintf("%d/fd/7", pid), fmt.Sprintf("socket:[%d]", inode))
	}
}

// netlinkLine is one of /proc/net/netlink.
func netlinkLine(protocol int, port uint32, groups uint32, inode uint64) string {
	return fmt.Sprintf("00000000b17b2b58 %-3d %-10d %08x 0        0        0     2        0        %-8d\n", protocol, port, groups, inode)
}

const testGroup = 9

var equateAddrs = cmpopts.EquateComparable(netip.Addr{})

func (p fakeProc) scanner(endpoints ...mptcppm.Endpoint) *Scanner {
	return &Scanner{
		Endpoints:   func(context.Context) ([]mptcppm.Endpoint, error) { return endpoints, nil },
		Ours:        func(e mptcppm.Endpoint) bool { return e.ID >= 160 },
		EventsGroup: testGroup, Proc: p.root,
	}
}

func TestScan(t *testing.T) {
	p := newFakeProc(t)
	p.write("sys/net/mptcp/path_manager", "userspace\n")
	const bit = 1 << (testGroup - 1)
	p.write("net/netlink", netlinkHeading+
		netlinkLine(16, 712, bit, 1001)+ // mptcpd
		netlinkLine(16, 4194, bit, 1002)+ // ours
		netlinkLine(16, 800, bit, 1003)+ // of a process that cannot be looked into
		netlinkLine(16, 4111222333, bit, 1004)+ // of nobody who can be found
		netlinkLine(16, 713, bit<<1, 1005)+ // another group
		netlinkLine(0, 714, bit, 1006)+ // another protocol
		"nonsense\n")
	p.process(712, "mptcpd", "net:[1]", 1001)
	p.process(4194, "mpproxy-client", "net:[1]", 1002)
	p.process(800, "sleuth", "net:[1]", 0)
	p.process(900, "NetworkManager", "net:[2]", 0) // elsewhere
	implicit, ours := endpoint, endpoint
	implicit.ID, implicit.Flags = 2, mptcppm.FlagImplicit
	ours.ID = 161
	s := p.scanner(endpoint, implicit, ours)
	want := Facts{
		Userspace: true, Endpoints: []mptcppm.Endpoint{endpoint},
		Listeners: []Process{{712, "mptcpd"}, {800, "sleuth"}, {}},
		Programs:  []Process{{712, "mptcpd"}},
	}
	for _, when := range []string{"first", "again"} {
		got, err := s.Scan(t.Context())
		if diff := cmp.Diff(want, got, equateAddrs); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", when, err, diff)
		}
	}
	if err := os.RemoveAll(filepath.Join(p.root, "712")); err != nil {
		t.Fatal(err)
	}
	p.write("net/netlink", netlinkHeading)
	got, err := s.Scan(t.Context())
	if diff := cmp.Diff(Facts{Userspace: true, Endpoints: []mptcppm.Endpoint{endpoint}}, got, equateAddrs); diff != "" || err != nil {
		t.Errorf("after mptcpd ended: %v\n%s", err, diff)
	}
}

func TestScanOlderKernels(t *testing.T) {
	for _, tt := range []struct {
		name, value string
		want        bool
	}{{"user space", "1\n", true}, {"kernel", "0\n", false}, {"before 5.19", "", false}} {
		t.Run(tt.name, func(t *testing.T) {
			p := newFakeProc(t)
			if tt.value != "" {
				p.write("sys/net/mptcp/pm_type", tt.value)
			}
			f, err := p.scanner().Scan(t.Context())
			if err != nil || f.Userspace != tt.want {
				t.Errorf("got %+v, %v", f, err)
			}
		})
	}
}

// TestScanFailures: what cannot be read costs only itself.
func TestScanFailures(t *testing.T) {
	p := newFakeProc(t)
	p.write("sys/net/mptcp/path_manager", "userspace\n")
	broken := errors.New("broken")
	s := p.scanner()
	s.Endpoints = func(context.Context) ([]mptcppm.Endpoint, error) { return nil, broken }
	if err := os.Remove(filepath.Join(p.root, "net/netlink")); err != nil {
		t.Fatal(err)
	}
	f, err := s.Scan(t.Context())
	if !errors.Is(err, broken) || !errors.Is(err, os.ErrNotExist) || !f.Userspace {
		t.Errorf("got %+v, %v", f, err)
	}
}

func FuzzParseSocket(f *testing.F) {
	f.Add(netlinkHeading)
	f.Add(netlinkLine(16, 712, 256, 1001))
	f.Add("1 2 3 4 5 6 7 8 9 010")
	f.Add("1 2 3 g 5 6 7 8 9 10")
	f.Fuzz(func(t *testing.T, line string) {
		if l, ok := parseSocket(line); ok && !strings.Contains(line, fmt.Sprint(l.inode)) {
			t.Errorf("%q was read as %+v", line, l)
		}
	})
}
