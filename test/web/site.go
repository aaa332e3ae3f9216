package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"mpproxy/test/netns"
	"mpproxy/test/netns/apps"
)

// The page is what pages are like in size: a document, 4 style sheets, 10 scripts and
// 48 pictures from six hosts, 63 objects and 1.9 MB. Six of the pictures are only asked
// for by a script.
const (
	hostsOfPage    = 6
	styles         = 4
	scripts        = 10
	pictures       = 48
	latePictures   = 6
	objectsOfPage  = 1 + styles + scripts + pictures
	documentSize   = 60_000
	styleSize      = 30_000
	scriptSize     = 52_000
	pictureSize    = 25_000 // the mean; see sizeOfPicture
	leastPageBytes = 1_800_000
)

// hostName is a host of a site. Each has a certificate of its own, so that a browser
// needs a connection to each.
func hostName(site string, i int) string { return fmt.Sprintf("%s-%d.example", site, i) }

// destination is where netns puts the destination.
var destination = netip.MustParseAddr("203.0.113.129")

// names returns the entries of /etc/hosts for all hosts that are visited or fetched from.
func names(opt options) (out []netns.NameEntry) {
	for _, site := range sites(opt) {
		for i := range hostsOfPage {
			out = append(out, netns.NameEntry{Addr: destination, Name: hostName(site, i)})
		}
	}
	for i := range opt.fetches * len(fetchSizes) {
		out = append(out, netns.NameEntry{Addr: destination, Name: unknownHost(i)})
	}
	return out
}

// sites are as many as first visits: each goes where nobody has been.
func sites(opt options) (out []string) {
	for i := range opt.loads {
		out = append(out, fmt.Sprintf("site%d", i))
	}
	return out
}

// serveSite serves all sites in a host, over HTTPS.
func serveSite(ctx context.Context, h *netns.Host) (io.Closer, error) {
	l, err := apps.Listen(ctx, h, 443)
	if err != nil {
		return nil, err
	}
	certificates, err := newCertificates()
	if err != nil {
		return nil, err
	}
	s := &http.Server{
		Handler:           http.HandlerFunc(serveObject),
		TLSConfig:         &tls.Config{GetCertificate: certificates.of},
		ReadHeaderTimeout: 30 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	go func() { _ = s.ServeTLS(l, "", "") }() // it ends with Close
	return s, nil
}

// serveObject serves what document names: the path says what it is and how large.
func serveObject(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Timing-Allow-Origin", "*")
	kind, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	_, digits, _ := strings.Cut(rest, "-")
	size, _ := strconv.Atoi(digits)
	switch kind {
	case "":
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write(document(strings.TrimSuffix(r.Host, "-0.example")))
	case "style":
		w.Header().Set("Content-Type", "text/css")
		_, _ = w.Write(padded("body{margin:0}", size))
	case "script":
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = w.Write(padded("window.lateness=1;", size))
	case "picture":
		w.Header().Set("Content-Type", "image/svg+xml")
		_, _ = w.Write(padded(`<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10">`, size-len("</svg>")))
		_, _ = w.Write([]byte("</svg>"))
	default:
		http.NotFound(w, r)
	}
}

// padded fills text up with blanks, which no transport compresses here.
func padded(text string, size int) []byte {
	return append([]byte(text), bytes.Repeat([]byte(" "), max(size-len(text), 0))...)
}

// document returns the page of a site. Style sheets and scripts come from the first three
// hosts, pictures from all.
func document(site string) []byte {
	var b bytes.Buffer
	b.WriteString("<!doctype html><title>page</title>")
	for i := range styles {
		fmt.Fprintf(&b, `<link rel="stylesheet" href="https://%s/style/%d-%d">`, hostName(site, i%3), i, styleSize)
	}
	for i := range scripts {
		fmt.Fprintf(&b, `<script defer src="https://%s/script/%d-%d"></script>`, hostName(site, i%3), i, scriptSize)
	}
	for i := range pictures - latePictures {
		fmt.Fprintf(&b, `<img width="10" height="10" src="%s">`, pictureAddress(site, i))
	}
	b.WriteString("<script>addEventListener('DOMContentLoaded',()=>{for(const a of [")
	for i := pictures - latePictures; i < pictures; i++ {
		fmt.Fprintf(&b, "%q,", pictureAddress(site, i))
	}
	b.WriteString("]){const i=new Image();i.src=a;document.body.append(i)}})</script>")
	return padded(b.String(), documentSize)
}

func pictureAddress(site string, i int) string {
	return fmt.Sprintf("https://%s/picture/%d-%d", hostName(site, i%hostsOfPage), i, sizeOfPicture(i))
}

// sizeOfPicture is from 4 to 46 KB.
func sizeOfPicture(i int) int { return pictureSize * (4 + i%8*6) / 25 }

// certificates makes one for each host when it is asked for first.
type certificates struct{ key *ecdsa.PrivateKey }

func newCertificates() (certificates, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return certificates{key}, err
}

func (c certificates) of(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: hello.ServerName},
		DNSNames:     []string{hello.ServerName},
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &c.key.PublicKey, c.key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: c.key}, nil
}
