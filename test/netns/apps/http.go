package apps

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// closeWait bounds the time that Close gives to transfers.
const closeWait = 2 * time.Second

// HTTPServer is a file server at work.
type HTTPServer struct {
	server   *http.Server
	listener *net.TCPListener
	serving  sync.WaitGroup
}

// ServeHTTP starts the file server in a host; port 0 is any. The context bounds
// the start.
func ServeHTTP(ctx context.Context, h Host, port int) (*HTTPServer, error) {
	l, err := Listen(ctx, h, port)
	if err != nil {
		return nil, err
	}
	s := &HTTPServer{
		listener: l,
		server: &http.Server{
			Handler:           Handler(),
			ReadHeaderTimeout: 30 * time.Second,
			ErrorLog:          log.New(io.Discard, "", 0),
		},
	}
	s.serving.Go(s.serve)
	return s, nil
}

func (s *HTTPServer) serve() {
	_ = s.server.Serve(s.listener) // ErrServerClosed; Accept has no other end here
}

// Port is where the server listens.
func (s *HTTPServer) Port() int { return portOf(s.listener) }

// Close ends the server: transfers get two seconds, then they are cut off.
func (s *HTTPServer) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	err := s.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.server.Close()
	}
	s.serving.Wait()
	return err
}

func portOf(l net.Listener) int {
	return int(l.Addr().(*net.TCPAddr).AddrPort().Port())
}

// Handler serves what the package comment shows, for any http.Server.
func Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /bytes/{size}", serveBytes)
	for _, method := range []string{"PUT", "POST"} {
		mux.HandleFunc(method+" /upload", takeUpload)
		mux.HandleFunc(method+" /discard", discardUpload)
	}
	mux.HandleFunc("GET /peer", tellPeer)
	return mux
}

// serveBytes hands out content, whole or a range of it.
func serveBytes(w http.ResponseWriter, r *http.Request) {
	size, err := ParseSize(r.PathValue("size"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Accept-Ranges", "bytes")
	if r.Header.Get("Range") != "" {
		http.ServeContent(w, r, "", time.Time{}, NewContent(size))
		return
	}
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	if r.Method != http.MethodHead {
		_, _ = NewContent(size).WriteTo(w) // a reader that leaves is its own affair
	}
}

// takeUpload answers with the sum of the body, and its length in a header.
func takeUpload(w http.ResponseWriter, r *http.Request) {
	h := sha256.New()
	n, err := copyBody(h, r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("X-Received-Bytes", strconv.FormatInt(n, 10))
	fmt.Fprintln(w, hex.EncodeToString(h.Sum(nil)))
}

// discardUpload answers with the length of the body.
func discardUpload(w http.ResponseWriter, r *http.Request) {
	n, err := copyBody(io.Discard, r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Fprintln(w, n)
}

// tellPeer answers with the address from which the request came.
func tellPeer(w http.ResponseWriter, r *http.Request) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprintln(w, peer.Addr().Unmap())
}

func copyBody(w io.Writer, r *http.Request) (int64, error) {
	buf := chunks.Get().(*[chunk]byte)
	defer chunks.Put(buf)
	// Neither side may offer a shortcut with a buffer of its own.
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r.Body}, buf[:])
}
