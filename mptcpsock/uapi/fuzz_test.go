package uapi

import (
	"net/netip"
	"testing"
)

// The fuzzers look for panics, and for answers that break what the callers of
// the decoders rely on.

func FuzzDecodeInfo(f *testing.F) {
	f.Add([]byte(infoBlob()))
	f.Add([]byte(infoBlob()[:48]))
	f.Fuzz(func(t *testing.T, b []byte) {
		i, err := DecodeInfo(b)
		if (err == nil) != (len(b) >= infoMin) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
		if i.LastDataSent < 0 || i.LastDataReceived < 0 || i.LastAckReceived < 0 {
			t.Errorf("negative time in %+v", i)
		}
	})
}

func FuzzDecodeTCPInfo(f *testing.F) {
	f.Add([]byte(tcpInfoBlob()))
	f.Add([]byte(tcpInfoBlob()[:232]))
	f.Fuzz(func(t *testing.T, b []byte) {
		i, err := DecodeTCPInfo(b)
		if (err == nil) != (len(b) >= tcpInfoMin) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
		if min(i.RTT, i.RTTVar, i.MinRTT, i.RTO, i.LastAckReceived, i.BusyTime, i.RwndLimited, i.SndbufLimited) < 0 {
			t.Errorf("negative time in %+v", i)
		}
		_ = i.State.String() + i.CAState.String()
	})
}

func FuzzDecodeSubflowInfo(f *testing.F) {
	a, b := netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("[2001:db8::1]:2")
	f.Add([]byte(putAddrs(make(blob, 264), 8, a, b)))
	f.Fuzz(func(t *testing.T, b []byte) {
		info, err := DecodeSubflowInfo(b)
		if err != nil {
			return
		}
		addrs, err := DecodeSubflowAddrs(b[8:])
		if err != nil || addrs != info.SubflowAddrs {
			t.Errorf("got %v, %v, want %v", addrs, err, info.SubflowAddrs)
		}
		for _, a := range []netip.AddrPort{addrs.Local, addrs.Remote} {
			if !a.IsValid() || a.Addr().Is4In6() || a.Addr().Zone() != "" {
				t.Errorf("address %v", a)
			}
		}
	})
}

func FuzzDecodeSubflowArray(f *testing.F) {
	b := make([]byte, 16+2*256)
	PutSubflowDataRequest(b, 256)
	f.Add([]byte(blob(b).u32(4, 2).u32(8, 256)))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := DecodeSubflowArray(b)
		if err == nil && len(a.Elements) > a.Total {
			t.Errorf("%d elements of %d", len(a.Elements), a.Total)
		}
		n := 0
		for _, e := range a.Elements {
			n += len(e)
		}
		if n > len(b) {
			t.Errorf("%d bytes of elements in %d", n, len(b))
		}
	})
}

func FuzzDecodeFullInfo(f *testing.F) {
	b := make(blob, FullInfoSize)
	FullInfoRequest{Subflows: 16}.Put(b)
	f.Add([]byte(b.u32(0, 280).u32(8, 264).u32(16, 2)))
	f.Fuzz(func(t *testing.T, b []byte) {
		i, err := DecodeFullInfo(b)
		if err != nil {
			return
		}
		if i.Subflows < 0 || i.SubflowInfoLen > i.SubflowInfoStep || i.TCPInfoLen > i.TCPInfoStep ||
			i.SubflowInfoStep > SubflowInfoSize || i.TCPInfoStep > TCPInfoSize {
			t.Errorf("beyond the arrays: %+v", i)
		}
	})
}
