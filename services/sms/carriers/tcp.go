package carriers

import (
	"net"
	"sync"
)

// tcpServer serves connections of a protocol that is not HTTP.
type tcpServer struct {
	ln    net.Listener
	serve func(net.Conn)
	all   sync.WaitGroup

	mu     sync.Mutex
	open   map[net.Conn]bool
	closed bool
}

func newTCPServer(ln net.Listener, serve func(net.Conn)) *tcpServer {
	s := &tcpServer{ln: ln, serve: serve, open: map[net.Conn]bool{}}
	s.all.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			s.take(conn)
		}
	})
	return s
}

func (s *tcpServer) take(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		conn.Close()
		return
	}
	s.open[conn] = true
	s.all.Go(func() {
		s.serve(conn)
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.open, conn)
	})
}

// Close closes the listener and every connection, and waits for who served them.
func (s *tcpServer) Close() error {
	s.mu.Lock()
	s.closed = true
	err := s.ln.Close()
	for conn := range s.open {
		conn.Close()
	}
	s.mu.Unlock()
	s.all.Wait()
	return err
}
