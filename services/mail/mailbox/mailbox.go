// Package mailbox is a simulated mail server, for demonstrations and tests: what it takes
// lies in everybody's mailbox on one page, and it fails as it is told.
package mailbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"mime"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// Mail is one message that reached a mailbox.
type Mail struct {
	Seq     uint64    `json:"seq"` // 1 and up, without gaps
	At      time.Time `json:"at"`
	To      string    `json:"to"`
	From    string    `json:"from"` // as the header has it
	Subject string    `json:"subject"`
	ID      string    `json:"id"`   // its Message-ID
	Text    string    `json:"text"` // decoded where it is plain text
}

// Mode says what the server does with a message.
type Mode string

const (
	Accept Mode = "accept" // takes it
	Refuse Mode = "refuse" // answers 550 to the recipient: for good
	Defer  Mode = "defer"  // answers 451 to the recipient: for now
	Hang   Mode = "hang"   // reads the recipient and never answers
	Down   Mode = "down"   // refuses connections
)

// Modes is the closed set of modes.
var Modes = []Mode{Accept, Refuse, Defer, Hang, Down}

const (
	maxMails   = 1000
	maxMessage = 1 << 20 // bytes
	maxHang    = 5 * time.Minute
)

// Options configure a Server.
type Options struct {
	Listen string       // "127.0.0.1:0" if empty
	Logger *slog.Logger // slog.Default() if nil
}

// Server is a simulated mail server.
type Server struct {
	o      Options
	ctx    context.Context
	cancel context.CancelFunc

	listening sync.Mutex // held while it comes up or goes down
	address   string
	listener  net.Listener
	server    *smtp.Server // nil while down
	served    chan struct{}

	mu    sync.Mutex
	mode  Mode
	mails []Mail // the latest, oldest first
	seq   uint64
	grown chan struct{} // closed at the next mail
}

// Start makes a Server that listens.
func Start(o Options) (*Server, error) {
	o.Listen = cmp.Or(o.Listen, "127.0.0.1:0")
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	s := &Server{o: o, address: o.Listen, mode: Accept, grown: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("the simulated mail server cannot listen: %w", err)
	}
	return s, nil
}

// Address is where it takes mail, or would if it were not down.
func (s *Server) Address() string {
	s.listening.Lock()
	defer s.listening.Unlock()
	return s.address
}

// Close ends it, and whatever hangs.
func (s *Server) Close() {
	s.cancel()
	s.listening.Lock()
	defer s.listening.Unlock()
	s.shut()
}

func (s *Server) open() error {
	l, err := net.Listen("tcp", s.address)
	if err != nil {
		return err
	}
	s.address = l.Addr().String()
	srv := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{s: s}, nil }))
	srv.Domain, srv.MaxMessageBytes, srv.MaxRecipients = "mailbox.localhost", maxMessage, 10
	srv.ReadTimeout, srv.WriteTimeout = time.Minute, time.Minute
	srv.ErrorLog = log.New(io.Discard, "", 0) // clients that go away
	done := make(chan struct{})
	s.listener, s.server, s.served = l, srv, done
	go func() {
		defer close(done)
		_ = srv.Serve(l) // always because shut closed it
	}()
	return nil
}

func (s *Server) shut() {
	if s.server != nil {
		_ = s.listener.Close() // the server may not have come to know it yet
		_ = s.server.Close()
		<-s.served
		s.server = nil
	}
}

// Behave has it do something else with what comes from now on.
func (s *Server) Behave(m Mode) error {
	if !slices.Contains(Modes, m) {
		return fmt.Errorf("the modes of the mail server are %v", Modes)
	}
	s.listening.Lock()
	defer s.listening.Unlock()
	s.mu.Lock()
	s.mode = m
	s.mu.Unlock()
	switch {
	case m == Down:
		s.shut()
	case s.server == nil:
		return s.open()
	}
	return nil
}

// Mode is what it does now.
func (s *Server) Mode() Mode {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mode
}

// Mails returns what came after a seq, oldest first, to one address or to all (""), and a
// channel that is closed at the next mail.
func (s *Server) Mails(to string, after uint64) ([]Mail, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := []Mail{}
	for _, m := range s.mails {
		if m.Seq > after && (to == "" || strings.EqualFold(m.To, to)) {
			found = append(found, m)
		}
	}
	return found, s.grown
}

// Wait returns the n-th mail that is kept of an address, counted from 1, once it is there.
func (s *Server) Wait(ctx context.Context, to string, n int) (Mail, error) {
	for {
		found, grown := s.Mails(to, 0)
		if len(found) >= n {
			return found[n-1], nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return Mail{}, ctx.Err()
		}
	}
}

func (s *Server) keep(m Mail) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	m.Seq, m.At = s.seq, time.Now().UTC()
	if s.mails = append(s.mails, m); len(s.mails) > maxMails {
		s.mails = slices.Delete(s.mails, 0, 1)
	}
	close(s.grown)
	s.grown = make(chan struct{})
}

// session is one connection.
type session struct {
	s  *Server
	to []string
}

func (c *session) Reset()                               { c.to = nil }
func (c *session) Logout() error                        { return nil }
func (c *session) Mail(string, *smtp.MailOptions) error { return nil }

func (c *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	switch c.s.Mode() {
	case Refuse:
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such mailbox"}
	case Defer:
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "try again later"}
	case Hang:
		select {
		case <-c.s.ctx.Done():
		case <-time.After(maxHang):
		}
		return errors.New("hung up")
	}
	c.to = append(c.to, to)
	return nil
}

func (c *session) Data(r io.Reader) error {
	m, err := read(r)
	if err != nil {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "not a message"}
	}
	for _, to := range c.to {
		m.To = to
		c.s.keep(m)
	}
	return nil
}

// read reads a message as a mail program shows it.
func read(r io.Reader) (Mail, error) {
	msg, err := netmail.ReadMessage(r)
	if err != nil {
		return Mail{}, err
	}
	words := new(mime.WordDecoder)
	header := func(name string) string {
		text, err := words.DecodeHeader(msg.Header.Get(name))
		if err != nil {
			return msg.Header.Get(name)
		}
		return text
	}
	body := msg.Body
	if strings.EqualFold(msg.Header.Get("Content-Transfer-Encoding"), "quoted-printable") {
		body = quotedprintable.NewReader(body)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return Mail{}, err
	}
	return Mail{From: header("From"), Subject: header("Subject"), ID: strings.Trim(header("Message-ID"), "<>"),
		Text: strings.ReplaceAll(string(text), "\r\n", "\n")}, nil
}
