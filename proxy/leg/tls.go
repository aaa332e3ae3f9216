package leg

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"io"

	"mpproxy/proxy"
	"mpproxy/proxy/socks"
)

// pinError distinguishes our own verdict from TLS errors of other kinds.
type pinError struct{ got proxy.Pin }

func (e pinError) Error() string {
	return fmt.Sprintf("%v (it shows %x…)", ErrPinMismatch, e.got[:6])
}
func (e pinError) Unwrap() error { return ErrPinMismatch }

// ClientTLS returns the configuration of a leg to the server with that pin.
// TLS 1.3 only. Sessions are resumed, which saves each new connection the
// certificate and its signature; the pin is checked then, too.
func ClientTLS(serverName string, pin proxy.Pin) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		ServerName:         serverName,
		ClientSessionCache: tls.NewLRUClientSessionCache(16),
		// One connection carries one stream over several paths: large records
		// cost least, and there is no reason to start with small ones.
		DynamicRecordSizingDisabled: true,
		// Each connection is a handshake, and P-256 is the fastest exchange of
		// crypto/tls: half the CPU of a connection with the hybrid post-quantum
		// one, a third less than with X25519.
		CurvePreferences: []tls.CurveID{tls.CurveP256},
		// The pin stands in for the certificate authorities.
		InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			if len(cs.PeerCertificates) == 0 {
				return fmt.Errorf("%w: it shows no certificate", ErrPinMismatch)
			}
			got := proxy.Pin(sha256.Sum256(cs.PeerCertificates[0].RawSubjectPublicKeyInfo))
			if subtle.ConstantTimeCompare(got[:], pin[:]) != 1 {
				return pinError{got}
			}
			return nil
		},
	}
}

// ServerTLS returns the concentrator's configuration. TLS 1.3 only.
func ServerTLS(cert tls.Certificate) *tls.Config {
	return &tls.Config{
		MinVersion:                  tls.VersionTLS13,
		Certificates:                []tls.Certificate{cert},
		DynamicRecordSizingDisabled: true,
	}
}

// tlsError names what failed between TCP and authentication.
func tlsError(err error) error {
	var record tls.RecordHeaderError
	switch {
	case errors.Is(err, ErrPinMismatch):
		return err
	case errors.As(err, &record):
		return fmt.Errorf("%w: whoever answers there does not speak TLS (a captive portal, or security = \"none\" at the server?): %w", socks.ErrProtocol, err)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("whoever answers there closed the connection during the TLS handshake (a captive portal, or security = \"none\" at the server?): %w", err)
	}
	return fmt.Errorf("TLS handshake with the concentrator: %w", err)
}
