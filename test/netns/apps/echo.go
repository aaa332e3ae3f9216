package apps

import (
	"context"
	"net"
	"sync"
)

// EchoServer sends back what it gets, and closes its direction when the peer
// closes the other.
type EchoServer struct {
	listener *net.TCPListener
	serving  sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]struct{}
}

// ServeEcho starts an echo server in a host; port 0 is any. The context bounds
// the start.
func ServeEcho(ctx context.Context, h Host, port int) (*EchoServer, error) {
	l, err := Listen(ctx, h, port)
	if err != nil {
		return nil, err
	}
	s := &EchoServer{listener: l, conns: map[net.Conn]struct{}{}}
	s.serving.Go(s.accept)
	return s, nil
}

// Port is where the server listens.
func (s *EchoServer) Port() int { return portOf(s.listener) }

// Connections is the number of connections that are open now.
func (s *EchoServer) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

func (s *EchoServer) accept() {
	for {
		c, err := s.listener.AcceptTCP()
		if err != nil {
			return
		}
		if !s.add(c) {
			c.Close()
			return
		}
		s.serving.Go(func() { s.echo(c) })
	}
}

func (s *EchoServer) add(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.conns[c] = struct{}{}
	}
	return !s.closed
}

// echo uses a small buffer: a scenario may keep thousands of idle connections.
func (s *EchoServer) echo(c *net.TCPConn) {
	defer func() {
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		c.Close()
	}()
	buf := make([]byte, 4<<10)
	for {
		n, err := c.Read(buf)
		if n > 0 {
			if _, err := c.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			_ = c.CloseWrite()
			return
		}
	}
}

// Close cuts all connections and waits for the server's goroutines.
func (s *EchoServer) Close() error {
	err := s.listener.Close()
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.serving.Wait()
	return err
}
