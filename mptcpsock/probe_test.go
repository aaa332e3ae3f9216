package mptcpsock

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestProbes holds the answers against the release of the running kernel.
func TestProbes(t *testing.T) {
	needMPTCP(t)
	for _, tt := range []struct {
		name      string
		probe     func() error
		minKernel [2]int
	}{
		{"MPTCP", ProbeMPTCP, [2]int{5, 6}},
		{"MPTCP_FULL_INFO", ProbeFullInfo, [2]int{6, 5}},
		{"user-space path manager", ProbeUserspacePM, [2]int{5, 19}},
		{"net.mptcp.path_manager", ProbePathManagerSysctl, [2]int{6, 15}},
	} {
		for range 2 { // asked, then remembered
			err := tt.probe()
			switch {
			case kernelHas(t, tt.minKernel) && err != nil:
				t.Errorf("%s: the kernel should have it: %v", tt.name, err)
			case !kernelHas(t, tt.minKernel) && err != nil && !errors.Is(err, ErrNotSupported):
				t.Errorf("%s: %v", tt.name, err)
			}
		}
	}
}

func kernelHas(t *testing.T, release [2]int) bool {
	t.Helper()
	var u unix.Utsname
	must(t, unix.Uname(&u))
	var have [2]int
	for i, part := range strings.SplitN(unix.ByteSliceToString(u.Release[:]), ".", 3)[:2] {
		for _, c := range part {
			if c < '0' || c > '9' {
				break
			}
			have[i] = have[i]*10 + int(c-'0')
		}
	}
	return have[0] > release[0] || have[0] == release[0] && have[1] >= release[1]
}

// TestProbeRemembers checks that decisions are kept and open questions are not.
func TestProbeRemembers(t *testing.T) {
	inconclusive := errors.New("no /proc")
	var answers []error
	p := probe{feature: "frobnication", minKernel: "9.9", ask: func() error {
		err := answers[0]
		answers = answers[1:]
		return err
	}}
	answers = []error{inconclusive, ErrDisabled, errLacking}
	for _, want := range []error{inconclusive, ErrDisabled} {
		if err := p.result(); !errors.Is(err, want) || errors.Is(err, ErrNotSupported) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	for range 2 {
		err := p.result()
		var lacking *NotSupportedError
		if !errors.As(err, &lacking) || lacking.MinKernel != "9.9" || !errors.Is(err, ErrNotSupported) || !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("got %v", err)
		}
		if got, want := err.Error(), "frobnication is not supported, needs Linux 9.9"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	answers = []error{nil}
	p = probe{ask: p.ask}
	for range 2 {
		must(t, p.result())
	}
}

func TestSocketError(t *testing.T) {
	for _, tt := range []struct {
		errno  error
		want   error // nil: passed through
		reason FallbackReason
	}{
		{unix.ENOPROTOOPT, ErrDisabled, FallbackDisabled},
		{unix.EPROTONOSUPPORT, ErrNotSupported, FallbackNoKernelSupport},
		{unix.EINVAL, ErrNotSupported, FallbackNoKernelSupport},
		{unix.EPERM, ErrDenied, FallbackDenied},
		{unix.EACCES, ErrDenied, FallbackDenied},
		{unix.EMFILE, nil, 0},
		{unix.EAFNOSUPPORT, nil, 0},
	} {
		err := socketError(os.NewSyscallError("socket", tt.errno))
		if !errors.Is(err, tt.errno) {
			t.Errorf("%v: the cause is lost in %v", tt.errno, err)
		}
		if got := unavailable(err); got != (tt.want != nil) {
			t.Errorf("%v: unavailable %v", err, got)
		}
		if tt.want == nil {
			continue
		}
		if !errors.Is(err, tt.want) {
			t.Errorf("%v: got %v, want %v", tt.errno, err, tt.want)
		}
		if got := reasonOf(err); got != tt.reason {
			t.Errorf("%v: reason %v, want %v", err, got, tt.reason)
		}
	}
	if got := reasonOf(nil); got != FallbackNone {
		t.Errorf("no error: %v", got)
	}
}

func TestFallbackReasonString(t *testing.T) {
	seen := map[string]bool{}
	for r := range FallbackDenied + 2 {
		s := r.String()
		if s == "" || seen[s] {
			t.Errorf("reason %d is %q", r, s)
		}
		seen[s] = true
	}
}
