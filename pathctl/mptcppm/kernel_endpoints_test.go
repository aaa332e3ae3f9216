package mptcppm

import (
	"errors"
	"io/fs"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/test/linux"
)

var cmpNetip = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

func TestKernelEndpoints(t *testing.T) {
	newNetNS(t)
	ctx, c := testContext(t), dialClient(t)
	want := []Endpoint{
		{ID: 1, Addr: addr("192.0.2.1"), Flags: FlagSubflow},
		{ID: 2, Addr: addr("2001:db8::1"), Flags: FlagSubflow | FlagFullmesh, IfIndex: 1},
		{ID: 9, Addr: addr("127.0.0.3"), Port: 4000, Flags: FlagSignal},
		{ID: 77, Addr: addr("::ffff:192.0.2.9"), Flags: FlagSubflow | FlagBackup},
		{ID: 255, Addr: addr("2001:db8::2"), Flags: FlagSubflow | FlagSignal},
	}
	for _, e := range want {
		must(t, c.AddEndpoint(ctx, e))
	}
	list := func(what string) {
		t.Helper()
		got, err := c.Endpoints(ctx)
		must(t, err)
		if diff := cmp.Diff(want, got, cmpNetip); diff != "" {
			t.Fatalf("endpoints %s (-want +got):\n%s", what, diff)
		}
	}
	list("after adding")
	for _, e := range want {
		got, err := c.Endpoint(ctx, e.ID)
		must(t, err)
		if diff := cmp.Diff(e, got, cmpNetip); diff != "" {
			t.Errorf("endpoint %d (-want +got):\n%s", e.ID, diff)
		}
	}

	must(t, c.SetFlags(ctx, Endpoint{ID: 1, Flags: FlagBackup}))
	must(t, c.SetFlags(ctx, Endpoint{Addr: addr("2001:db8::1"), Flags: FlagBackup}))
	want[0].Flags = FlagSubflow | FlagBackup
	want[1].Flags = FlagSubflow | FlagBackup
	list("after new flags")

	must(t, c.DelEndpoint(ctx, 77))
	want = slices.Delete(want, 3, 4)
	list("after deletion")
	must(t, c.DelInitialAddr(ctx, addr("192.0.2.1")))
	list("after deletion of an initial address")

	must(t, c.FlushEndpoints(ctx))
	want = []Endpoint{}
	list("after flush")
}

func TestKernelChoosesID(t *testing.T) {
	newNetNS(t)
	ctx, c := testContext(t), dialClient(t)
	must(t, c.AddEndpoint(ctx, Endpoint{Addr: addr("192.0.2.1"), Flags: FlagSubflow}))
	got, err := c.Endpoints(ctx)
	must(t, err)
	if len(got) != 1 || got[0].ID == 0 {
		t.Errorf("got %v, want one endpoint with an id", got)
	}
}

func TestKernelLimits(t *testing.T) {
	newNetNS(t)
	ctx, c := testContext(t), dialClient(t)
	for _, want := range []Limits{{}, {Subflows: 3, AddAddrAccepted: 5}, {Subflows: MaxEndpoints, AddAddrAccepted: MaxEndpoints}} {
		must(t, c.SetLimits(ctx, want))
		got, err := c.Limits(ctx)
		must(t, err)
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

// TestKernelEndpointErrors holds the classification of answers against the
// running kernel.
func TestKernelEndpointErrors(t *testing.T) {
	newNetNS(t)
	ctx, c := testContext(t), dialClient(t)
	must(t, c.AddEndpoint(ctx, Endpoint{ID: 1, Addr: addr("192.0.2.1"), Flags: FlagSubflow}))
	must(t, c.AddEndpoint(ctx, Endpoint{ID: 2, Addr: addr("192.0.2.2"), Flags: FlagSignal}))
	add := func(e Endpoint) func() error {
		return func() error { return c.AddEndpoint(ctx, e) }
	}
	for _, tt := range []struct {
		name  string
		do    func() error
		kind  error
		std   error
		errno syscall.Errno
	}{
		{"same address", add(Endpoint{Addr: addr("192.0.2.1"), Flags: FlagSubflow}), ErrExists, fs.ErrExist, syscall.EEXIST},
		{"same address, mapped", add(Endpoint{Addr: addr("::ffff:192.0.2.1"), Flags: FlagSubflow}), ErrExists, fs.ErrExist, syscall.EEXIST},
		{"same id", add(Endpoint{ID: 1, Addr: addr("192.0.2.3"), Flags: FlagSubflow}), ErrExists, fs.ErrExist, syscall.EBUSY},
		{"signal and fullmesh", add(Endpoint{Addr: addr("192.0.2.3"), Flags: FlagSignal | FlagFullmesh}), ErrInvalid, fs.ErrInvalid, syscall.EINVAL},
		{"port without signal", add(Endpoint{Addr: addr("192.0.2.3"), Port: 80, Flags: FlagSubflow}), ErrInvalid, fs.ErrInvalid, syscall.EINVAL},
		{"implicit", add(Endpoint{Addr: addr("192.0.2.3"), Flags: FlagImplicit}), ErrInvalid, fs.ErrInvalid, syscall.EINVAL},
		{"port on an address that is not here", add(Endpoint{Addr: addr("192.0.2.3"), Port: 80, Flags: FlagSignal}), nil, nil, syscall.EADDRNOTAVAIL},
		{"delete unknown id", func() error { return c.DelEndpoint(ctx, 200) }, ErrNotFound, fs.ErrNotExist, syscall.EINVAL},
		{"get unknown id", func() error { _, err := c.Endpoint(ctx, 200); return err }, ErrNotFound, fs.ErrNotExist, syscall.EINVAL},
		{"flags of unknown id", func() error { return c.SetFlags(ctx, Endpoint{ID: 200, Flags: FlagBackup}) }, ErrNotFound, fs.ErrNotExist, syscall.EINVAL},
		{"flags of unknown address", func() error { return c.SetFlags(ctx, Endpoint{Addr: addr("192.0.2.9")}) }, ErrNotFound, fs.ErrNotExist, syscall.EINVAL},
		{"fullmesh of a signal endpoint", func() error { return c.SetFlags(ctx, Endpoint{ID: 2, Flags: FlagFullmesh}) }, ErrInvalid, fs.ErrInvalid, syscall.EINVAL},
		{"subflow limit", func() error { return c.SetLimits(ctx, Limits{Subflows: MaxEndpoints + 1}) }, ErrInvalid, fs.ErrInvalid, syscall.EINVAL},
		{"address limit", func() error { return c.SetLimits(ctx, Limits{AddAddrAccepted: MaxEndpoints + 1}) }, ErrInvalid, fs.ErrInvalid, syscall.EINVAL},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name == "fullmesh of a signal endpoint" && !linux.Since(6, 2) {
				checkError(t, tt.do(), ErrNotFound, fs.ErrNotExist, syscall.EINVAL)
				return
			}
			checkError(t, tt.do(), tt.kind, tt.std, numbered(tt.errno))
		})
	}
}

func TestKernelEndpointTable(t *testing.T) {
	newNetNS(t)
	ctx, c := testContext(t), dialClient(t)
	a := addr("192.0.2.1")
	for range MaxEndpoints {
		must(t, c.AddEndpoint(ctx, Endpoint{Addr: a, Flags: FlagSubflow}))
		a = a.Next()
	}
	err := c.AddEndpoint(ctx, Endpoint{Addr: a, Flags: FlagSubflow})
	checkError(t, err, ErrTooMany, nil, numbered(syscall.ERANGE))
}

// numbered is the kernel's number for an endpoint that cannot be added: Linux 6.1 has
// EINVAL for all.
func numbered(errno syscall.Errno) syscall.Errno {
	special := errno == syscall.EEXIST || errno == syscall.EBUSY || errno == syscall.ERANGE
	if special && !linux.Since(6, 2) {
		return syscall.EINVAL
	}
	return errno
}

// checkError wants an error that is kind (nil: of no kind), std and errno, and
// that is nothing else of the package.
func checkError(t *testing.T, err, kind, std error, errno syscall.Errno) {
	t.Helper()
	t.Log(err)
	if _, ok := errors.AsType[*OpError](err); !ok {
		t.Fatalf("got %v, want an OpError", err)
	}
	if errno != 0 && !errors.Is(err, errno) {
		t.Errorf("got %v, want errno %v", err, errno)
	}
	if std != nil && !errors.Is(err, std) {
		t.Errorf("got %v, want a %v", err, std)
	}
	for _, k := range allKinds {
		if errors.Is(err, k) != (k == kind) {
			t.Errorf("got %v: Is(%v) = %t", err, k, k != kind)
		}
	}
}

var allKinds = []error{
	ErrPermission, ErrExists, ErrNotFound, ErrNoConnection, ErrNotUserspace,
	ErrTooMany, ErrInvalid, ErrNotSupported, ErrEventsLost,
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// noToken is a token that no connection of a fresh namespace has.
const noToken uapi.Token = 0x12345678
