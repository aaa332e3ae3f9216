package subopt_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mpproxy/mptcpsock/subopt"
	"mpproxy/test/conns"
)

// TestMisuse wants the documented error for each mistake.
func TestMisuse(t *testing.T) {
	w := newWorld(t, "IPv4")
	s := open(t, w.client)
	p := w.dial(t, "IPv4", w.listen(t, netip.AddrPortFrom(netip.IPv6Unspecified(), port)))
	e := p.ends(t)[0]
	six := netip.MustParseAddrPort("[2001:db8::1]:4000")
	ctx := testContext(t)
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	for _, tt := range []struct {
		name          string
		ctx           context.Context
		local, remote netip.AddrPort
		option        subopt.Option
		value         subopt.Value
		want          error
	}{
		{"no such subflow", ctx, e.local, netip.AddrPortFrom(e.remote.Addr(), 1), subopt.Mark, subopt.Number(1), subopt.ErrNoSubflow},
		{"the other end is in another namespace", ctx, e.remote, e.local, subopt.Mark, subopt.Number(1), subopt.ErrNoSubflow},
		{"two families", ctx, e.local, six, subopt.Mark, subopt.Number(1), subopt.ErrInvalid},
		{"no address", ctx, netip.AddrPort{}, e.remote, subopt.Mark, subopt.Number(1), subopt.ErrInvalid},
		{"no port", ctx, netip.AddrPortFrom(e.local.Addr(), 0), e.remote, subopt.Mark, subopt.Number(1), subopt.ErrInvalid},
		{"no option", ctx, e.local, e.remote, 0, subopt.Number(1), subopt.ErrInvalid},
		{"option beyond the last", ctx, e.local, e.remote, 200, subopt.Number(1), subopt.ErrInvalid},
		{"no value", ctx, e.local, e.remote, subopt.Mark, subopt.Value{}, subopt.ErrInvalid},
		{"value of another kind", ctx, e.local, e.remote, subopt.MinRTO, subopt.Number(40), subopt.ErrInvalid},
		{"unknown congestion control", ctx, e.local, e.remote, subopt.Congestion, subopt.Text("nonesuch"), subopt.ErrUnknownCongestion},
		{"long name", ctx, e.local, e.remote, subopt.Congestion, subopt.Text("0123456789abcdef"), subopt.ErrInvalid},
		{"empty name", ctx, e.local, e.remote, subopt.Congestion, subopt.Text(""), subopt.ErrInvalid},
		{"name with a zero byte", ctx, e.local, e.remote, subopt.Congestion, subopt.Text("reno\x00x"), subopt.ErrInvalid},
		{"TOS with ECN bits", ctx, e.local, e.remote, subopt.TOS, subopt.Number(1), subopt.ErrInvalid},
		{"TOS too large", ctx, e.local, e.remote, subopt.TOS, subopt.Number(256), subopt.ErrInvalid},
		{"minimum RTO too long", ctx, e.local, e.remote, subopt.MinRTO, subopt.Duration(201 * time.Millisecond), subopt.ErrInvalid},
		{"minimum RTO too short", ctx, e.local, e.remote, subopt.MinRTO, subopt.Duration(time.Microsecond), subopt.ErrInvalid},
		{"negative time", ctx, e.local, e.remote, subopt.UserTimeout, subopt.Duration(-time.Second), subopt.ErrInvalid},
		{"part of a unit", ctx, e.local, e.remote, subopt.UserTimeout, subopt.Duration(time.Microsecond), subopt.ErrInvalid},
		{"priority too large", ctx, e.local, e.remote, subopt.Priority, subopt.Number(1 << 31), subopt.ErrInvalid},
		{"cancelled", cancelled, e.local, e.remote, subopt.Mark, subopt.Number(1), context.Canceled},
	} {
		err := s.Set(tt.ctx, tt.local, tt.remote, tt.option, tt.value)
		var e *subopt.Error
		if !errors.Is(err, tt.want) || !errors.As(err, &e) || e.Option != tt.option || !strings.Contains(err.Error(), tt.option.String()) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
		if tt.want == subopt.ErrInvalid && !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%s: %v is no fs.ErrInvalid", tt.name, err)
		}
	}
	if _, err := s.Get(ctx, e.remote, e.local, subopt.Congestion); !errors.Is(err, subopt.ErrNoSubflow) {
		t.Errorf("get of no subflow: %v", err)
	}
	if _, err := s.Get(ctx, e.local, e.remote, 0); !errors.Is(err, subopt.ErrInvalid) {
		t.Errorf("get of no option: %v", err)
	}
}

// TestMisuseOfRules is the same for SetOnConnect.
func TestMisuseOfRules(t *testing.T) {
	s := open(t, conns.NewHost(t, "one"))
	four, six := netip.MustParseAddrPort("192.0.2.1:80"), netip.MustParseAddrPort("[2001:db8::1]:80")
	for _, tt := range []struct {
		name   string
		match  subopt.Match
		option subopt.Option
		value  subopt.Value
		want   error
	}{
		{"neither cookie nor port", subopt.Match{Remote: four}, subopt.Mark, subopt.Number(1), subopt.ErrInvalid},
		{"no cookie", subopt.Match{Cookie: 1 << 63}, subopt.Mark, subopt.Number(1), subopt.ErrInvalid},
		{"two families", subopt.Match{Local: four, Remote: six}, subopt.Mark, subopt.Number(1), subopt.ErrInvalid},
		{"no option", subopt.Match{Local: four}, 0, subopt.Number(1), subopt.ErrInvalid},
		{"value of another kind", subopt.Match{Local: four}, subopt.Mark, subopt.Text("x"), subopt.ErrInvalid},
	} {
		if _, err := s.SetOnConnect(tt.match, tt.option, tt.value); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
	rules := make([]*subopt.Rule, 0, subopt.MaxRulesPerScope)
	for range subopt.MaxRulesPerScope {
		r, err := s.SetOnConnect(subopt.Match{Cookie: 1}, subopt.Mark, subopt.Number(1))
		must(t, err)
		rules = append(rules, r)
	}
	if _, err := s.SetOnConnect(subopt.Match{Cookie: 1}, subopt.Mark, subopt.Number(1)); !errors.Is(err, subopt.ErrTooManyRules) {
		t.Errorf("one rule too many: %v", err)
	}
	must(t, rules[3].Remove())
	_, err := s.SetOnConnect(subopt.Match{Cookie: 1}, subopt.Mark, subopt.Number(1))
	must(t, err)
	must(t, s.Close())
	if err := rules[0].Remove(); err != nil {
		t.Errorf("removing a rule after Close: %v", err)
	}
	if _, err := rules[1].Outcome(); !errors.Is(err, subopt.ErrClosed) {
		t.Errorf("outcome after Close: %v", err)
	}
	if _, err := s.SetOnConnect(subopt.Match{Cookie: 1}, subopt.Mark, subopt.Number(1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("rule after Close: %v", err)
	}
	if err := s.Set(testContext(t), four, four, subopt.Mark, subopt.Number(1)); !errors.Is(err, subopt.ErrClosed) {
		t.Errorf("set after Close: %v", err)
	}
	if err := s.Close(); !errors.Is(err, subopt.ErrClosed) {
		t.Errorf("closing again: %v", err)
	}
}
