package socks

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	. "mpproxy/proxy/proxytest"
)

// others are the first bytes of other protocols, and what is said to them.
var others = map[string]struct {
	in    string
	right func(answer []byte) bool
}{
	"SOCKS4":        {"\x04\x01\x00P\xc0\x00\x02\x01\x00", func(b []byte) bool { return bytes.Equal(b, []byte{0, 0x5b, 0, 0, 0, 0, 0, 0}) }},
	"SOCKS4a":       {"\x04\x01\x00P\x00\x00\x00\x01\x00www.example.com\x00", func(b []byte) bool { return len(b) == 8 && b[1] == 0x5b }},
	"TLS":           {"\x16\x03\x01\x02\x00\x01", func(b []byte) bool { return bytes.Equal(b, []byte{21, 3, 1, 0, 2, 2, 40}) }},
	"HTTP":          {"GET http://www.example.com/ HTTP/1.1\r\nHost: www.example.com\r\n\r\n", saysHTTP},
	"CONNECT":       {"CONNECT www.example.com:443 HTTP/1.1\r\n\r\n", saysHTTP},
	"SEARCH":        {"SEARCH / HTTP/1.1\r\n\r\n", saysHTTP},
	"SSH":           {"SSH-2.0-OpenSSH_9.9\r\n", saysSSH},
	"nothing known": {"\x00\x01", func(b []byte) bool { return len(b) == 0 }},
}

func saysHTTP(b []byte) bool {
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), nil)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return err == nil && resp.StatusCode == 501 && strings.Contains(string(body), "SOCKS5")
}

func saysSSH(b []byte) bool {
	version, packet, found := bytes.Cut(b, []byte("\r\n"))
	if !found || !bytes.HasPrefix(version, []byte("SSH-2.0-")) || len(packet) < 5 {
		return false
	}
	length, padding := int(binary.BigEndian.Uint32(packet)), int(packet[4])
	return length == len(packet)-4 && len(packet)%8 == 0 && padding >= 4 && packet[5] == 1 &&
		bytes.Contains(packet[:len(packet)-padding], []byte("SOCKS5"))
}

// TestExplain: a peer of another protocol is told in it what it has met, and nothing where
// strangers are.
func TestExplain(t *testing.T) {
	for name, tt := range others {
		t.Run(name, func(t *testing.T) {
			for _, in := range []io.Reader{strings.NewReader(tt.in), iotest.OneByteReader(strings.NewReader(tt.in))} {
				c := &scriptConn{in: in}
				if _, err := (&Server{Auth: Alice, Explain: true}).Handshake(t.Context(), c); !errors.Is(err, ErrProtocol) {
					t.Error(err)
				}
				if !tt.right(c.out.Bytes()) {
					t.Errorf("answer %q", c.out.Bytes())
				}
			}
			c := &scriptConn{in: strings.NewReader(tt.in)}
			if _, err := (&Server{Auth: Alice}).Handshake(t.Context(), c); !errors.Is(err, ErrProtocol) || c.out.Len() > 0 {
				t.Errorf("a stranger is told %q, %v", c.out.Bytes(), err)
			}
		})
	}
}
