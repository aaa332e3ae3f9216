package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"

	"mpproxy/proxy"

	"mpproxy/config"
)

// certificateLife is long: clients pin the key, and nobody checks the dates.
const certificateLife = 100 * 365 * 24 * time.Hour

// keyPair is a new server key with a self-signed certificate, both as PEM.
type keyPair struct{ key, cert []byte }

// newKeyPair makes an ECDSA P-256 key, whose signatures are the fastest that
// crypto/tls has.
func newKeyPair(host string) (keyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return keyPair{}, fmt.Errorf("making a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return keyPair{}, fmt.Errorf("making a certificate: %w", err)
	}
	now := time.Now()
	template := x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "mpproxy"},
		NotBefore:    now.Add(-24 * time.Hour),
		NotAfter:     now.Add(certificateLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	cert, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return keyPair{}, fmt.Errorf("making a certificate: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return keyPair{}, fmt.Errorf("encoding the key: %w", err)
	}
	return keyPair{
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
	}, nil
}

// loadCertificate reads the server's certificate and key.
func loadCertificate(conf config.Server) (tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(conf.Certificate, conf.Key)
	if err != nil {
		return cert, fmt.Errorf("certificate %s with key %s: %w: make a new pair with `mpproxy-server init`, or name the right files", conf.Certificate, conf.Key, err)
	}
	return cert, nil
}

// pinOf returns what clients pin: the SHA-256 of the SubjectPublicKeyInfo
// (RFC 7469 §2.4 names the same).
func pinOf(cert tls.Certificate) (proxy.Pin, error) {
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		return proxy.Pin{}, fmt.Errorf("the server's certificate: %w", err)
	}
	return sha256.Sum256(leaf.RawSubjectPublicKeyInfo), nil
}
