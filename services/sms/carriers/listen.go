package carriers

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// listener is a carrier's own address. While the carrier is down nothing listens there.
type listener struct {
	address string
	handler http.Handler
	server  *http.Server   // nil while down
	tcp     func(net.Conn) // serves what is not HTTP; nil where it is
	centre  *tcpServer     // then: nil while down
	done    chan struct{}
}

// Listen gives a carrier an address of its own ("127.0.0.1:0" for any free port) that
// refuses connections while it is down, and returns where it listens. Close ends it.
func (s *Simulator) Listen(c Carrier, address string) (string, error) {
	l := s.lines[c]
	if l == nil {
		return "", fmt.Errorf("there is no carrier %q", c)
	}
	l.listening.Lock()
	defer l.listening.Unlock()
	if l.listener != nil {
		return "", fmt.Errorf("carrier %s listens on %s already", c, l.listener.address)
	}
	open := &listener{address: address, handler: s.carrierRoutes(c)}
	if c == SMPP {
		open.tcp = s.smpp.serve
	}
	if err := open.open(); err != nil {
		return "", fmt.Errorf("opening the line of %s: %w", c, err)
	}
	l.listener = open
	if l.get().Mode == Down {
		return open.address, open.shut()
	}
	return open.address, nil
}

func (l *listener) open() error {
	ln, err := net.Listen("tcp", l.address)
	if err != nil {
		return err
	}
	l.address = ln.Addr().String()
	if l.tcp != nil {
		l.centre = newTCPServer(ln, l.tcp)
		return nil
	}
	l.server, l.done = &http.Server{Handler: l.handler, ReadHeaderTimeout: 10 * time.Second}, make(chan struct{})
	go func(server *http.Server, done chan struct{}) {
		defer close(done)
		_ = server.Serve(ln) // always http.ErrServerClosed: the listener is closed by shut alone
	}(l.server, l.done)
	return nil
}

// up reports whether it listens.
func (l *listener) up() bool { return l.server != nil || l.centre != nil }

func (l *listener) shut() error {
	if l.centre != nil {
		err := l.centre.Close()
		l.centre = nil
		return err
	}
	if l.server == nil {
		return nil
	}
	err := l.server.Close()
	<-l.done
	l.server = nil
	return err
}

// answerOrNot opens or shuts the line as its behaviour says.
func (l *line) answerOrNot() error {
	l.listening.Lock()
	defer l.listening.Unlock()
	switch down := l.get().Mode == Down; {
	case l.listener == nil:
		return nil
	case down:
		return l.listener.shut()
	case !l.listener.up():
		return l.listener.open()
	}
	return nil
}

// address is where the line listens, or would if it were not down.
func (l *line) address() string {
	l.listening.Lock()
	defer l.listening.Unlock()
	if l.listener == nil {
		return ""
	}
	return l.listener.address
}

func (l *line) hangUp() {
	l.listening.Lock()
	defer l.listening.Unlock()
	if l.listener != nil {
		_ = l.listener.shut()
		l.listener = nil
	}
}

var errNoHijack = errors.New("the connection cannot be taken over")

// drop closes a request's connection without an answer.
func drop(w http.ResponseWriter) error {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return errors.Join(errNoHijack, err)
	}
	return conn.Close()
}
