package subopt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestEndsOf(t *testing.T) {
	four := netip.MustParseAddrPort("192.0.2.1:258")
	mapped := netip.AddrPortFrom(netip.AddrFrom16(four.Addr().As16()), four.Port())
	six := netip.MustParseAddrPort("[2001:db8::1]:258")
	plain, ipv6, err := endsOf(four, four)
	if err != nil || ipv6 {
		t.Fatal(ipv6, err)
	}
	if other, _, err := endsOf(mapped, mapped); err != nil || other != plain {
		t.Errorf("mapped addresses give %x, %v, want %v", other, err, plain)
	}
	if other, _, err := endsOf(mapped, four); err != nil || other != plain {
		t.Errorf("a mapped address gives %v, %v, want %v", other, err, plain)
	}
	if plain.LocalPort != 258 || plain.RemotePort != 258 {
		t.Errorf("ports %d and %d, want 258", plain.LocalPort, plain.RemotePort)
	}
	over6, ipv6, err := endsOf(six, six)
	if err != nil || !ipv6 || over6.Ipv6 != 1 {
		t.Errorf("IPv6: %v, %v, %v", over6, ipv6, err)
	}
}

// matches does what the program does.
func (p pattern) matches(e suboptEnds) bool {
	have, mask, want := encoded(e), encoded(p.mask), encoded(p.want)
	for i := range have {
		if have[i]&mask[i] != want[i] {
			return false
		}
	}
	return true
}

// encoded returns a value as it lies in memory.
func encoded(v any) []byte {
	var b bytes.Buffer
	if err := binary.Write(&b, binary.NativeEndian, v); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func TestPatterns(t *testing.T) {
	ap := netip.MustParseAddrPort
	local4, remote4 := ap("192.0.2.1:1000"), ap("192.0.2.2:80")
	local6, remote6 := ap("[2001:db8::1]:1000"), ap("[2001:db8::2]:80")
	for _, tt := range []struct {
		name       string
		match      Match
		four, six  bool // is it for local4→remote4, local6→remote6
		four1001   bool // for the same with the local port 1001
		patternsOf int
	}{
		{"anything of a connection", Match{Cookie: 1}, true, true, true, 2},
		{"a port", Match{Local: ap("0.0.0.0:1000")}, true, true, false, 2},
		{"a port of any family", Match{Local: ap("[::]:1000")}, true, true, false, 2},
		{"local address", Match{Local: netip.AddrPortFrom(local4.Addr(), 0)}, true, false, true, 1},
		{"mapped local address", Match{Local: ap("[::ffff:192.0.2.1]:1000")}, true, false, false, 1},
		{"another local address", Match{Local: ap("192.0.2.3:1000")}, false, false, false, 1},
		{"remote address", Match{Remote: netip.AddrPortFrom(remote6.Addr(), 0)}, false, true, false, 1},
		{"remote port", Match{Remote: ap("[::]:80")}, true, true, true, 2},
		{"another remote port", Match{Remote: ap("[::]:81")}, false, false, false, 2},
		{"both ends", Match{Local: local6, Remote: remote6}, false, true, false, 1},
	} {
		over, err := tt.match.patterns()
		if err != nil || len(over) != tt.patternsOf {
			t.Errorf("%s: %d patterns, %v, want %d", tt.name, len(over), err, tt.patternsOf)
		}
		for _, is := range []struct {
			local, remote netip.AddrPort
			want          bool
		}{{local4, remote4, tt.four}, {local6, remote6, tt.six}, {ap("192.0.2.1:1001"), remote4, tt.four1001}} {
			e, ipv6, err := endsOf(is.local, is.remote)
			if err != nil {
				t.Fatal(err)
			}
			p, ok := over[ipv6]
			if got := ok && p.matches(e); got != is.want {
				t.Errorf("%s: is for %v→%v: %v, want %v", tt.name, is.local, is.remote, got, is.want)
			}
			if ok && over[!ipv6].mask != (suboptEnds{}) && over[!ipv6].matches(e) {
				t.Errorf("%s: the pattern for the other IP version is for %v→%v", tt.name, is.local, is.remote)
			}
		}
	}
}

// TestNewRules counts what a rule becomes: TOS has a name for each IP version.
func TestNewRules(t *testing.T) {
	for _, tt := range []struct {
		match  Match
		option Option
		value  Value
		want   []uint32 // codes
	}{
		{Match{Cookie: 1}, Mark, Number(1), []uint32{unix.SO_MARK}},
		{Match{Cookie: 1}, TOS, Number(8), []uint32{unix.IP_TOS, unix.IPV6_TCLASS}},
		{Match{Local: netip.MustParseAddrPort("192.0.2.1:80")}, TOS, Number(8), []uint32{unix.IP_TOS}},
		{Match{Local: netip.MustParseAddrPort("[2001:db8::1]:80")}, TOS, Number(8), []uint32{unix.IPV6_TCLASS}},
	} {
		rules, err := newRules(tt.match, tt.option, tt.value, 9)
		if err != nil || len(rules) != len(tt.want) {
			t.Fatalf("%v of %+v: %d rules, %v", tt.option, tt.match, len(rules), err)
		}
		for i, r := range rules {
			if r.Code != tt.want[i] || r.Id != 9 {
				t.Errorf("%v of %+v: rule %d has code %d and id %d, want code %d", tt.option, tt.match, i, r.Code, r.Id, tt.want[i])
			}
		}
	}
}

// TestValues encodes and decodes.
func TestValues(t *testing.T) {
	for o, values := range map[Option][]Value{
		Congestion:   {Text("a"), Text("0123456789abcde")},
		Mark:         {Number(0), Number(1<<32 - 1)},
		TOS:          {Number(0), Number(252)},
		UserTimeout:  {Duration(0), Duration(time.Millisecond), Duration((1<<31 - 1) * time.Millisecond)},
		NotSentLowat: {Number(1)},
	} {
		for _, v := range values {
			s := o.over(true)
			b, _, err := s.encode(v)
			if err != nil {
				t.Errorf("%v %v: %v", o, v, err)
			} else if got := s.decode(b); got != v {
				t.Errorf("%v: %v came back as %v", o, v, got)
			}
		}
	}
	for _, tt := range []struct {
		value Value
		want  string
	}{{Text("bbr"), "bbr"}, {Number(7), "7"}, {Duration(40 * time.Millisecond), "40ms"}, {Value{}, "none"}} {
		if got := tt.value.String(); got != tt.want {
			t.Errorf("%#v is %q, want %q", tt.value, got, tt.want)
		}
	}
	if v := Text("x"); v.Number() != 0 || v.Duration() != 0 || Number(1).Text() != "" || Number(1).Duration() != 0 || Duration(1).Number() != 0 {
		t.Error("a value is of another kind as well")
	}
	for o := Congestion; o <= NotSentLowat; o++ {
		if s, ok := specs[o]; !ok || o.String() != s.name {
			t.Errorf("option %d has no name: %v", uint8(o), o)
		}
	}
}

// reads returns one thing after the other.
type reads []struct {
	data string
	err  error
}

func (r *reads) Read(b []byte) (int, error) {
	if len(*r) == 0 {
		return 0, io.EOF
	}
	next := (*r)[0]
	*r = (*r)[1:]
	return copy(b, next.data), next.err
}

// TestReadWalk goes on where the kernel stops after a million sockets.
func TestReadWalk(t *testing.T) {
	full := string(make([]byte, requestSize))
	for _, tt := range []struct {
		name  string
		reads reads
		want  error
	}{
		{"found", reads{{full, nil}}, nil},
		{"found later", reads{{"", unix.EAGAIN}, {"", unix.EAGAIN}, {full, nil}}, nil},
		{"not found", reads{{"", io.EOF}}, ErrNoSubflow},
		{"not found later", reads{{"", unix.EAGAIN}, {"", io.EOF}}, ErrNoSubflow},
		{"failed", reads{{"", unix.ENOMEM}}, unix.ENOMEM},
	} {
		if _, err := readWalk(t.Context(), &tt.reads); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if _, err := readWalk(t.Context(), &reads{{"short", nil}}); err == nil {
		t.Error("an answer that is too short was taken")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(make([]byte, requestSize), uint8(Congestion), int64(4*time.Millisecond), int64(0))
	f.Add(bytes.Repeat([]byte{0xff}, requestSize), uint8(MinRTO), int64(time.Millisecond), int64(-1))
	f.Add(make([]byte, requestSize), uint8(TOS), int64(1), -int64(unix.EINVAL))
	f.Fuzz(func(t *testing.T, b []byte, option uint8, tick, answer int64) {
		o := Option(option)
		if _, ok := specs[o]; !ok {
			return
		}
		if r, err := decodeRequest(b); err == nil {
			for _, ipv6 := range []bool{false, true} {
				v := r.result(o.over(ipv6), time.Duration(tick))
				if v.kind != specs[o].kind || len(v.Text()) > valueSize {
					t.Errorf("%v: %#v", o, v)
				}
			}
		}
		if out := (suboptTally{Answer: answer}).outcome(o); out.Err == nil && int32(answer) < 0 {
			t.Error("an error is lost")
		}
	})
}
