package smpp

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/linxGnu/gosmpp/data"
	"github.com/linxGnu/gosmpp/pdu"

	"latchkey.dev/services/sms"
)

const (
	bindTimeout = 5 * time.Second
	minPause    = 100 * time.Millisecond // before another bind; doubled each time
	maxPause    = 30 * time.Second
	takers      = 8   // reports that are kept at once
	maxReports  = 256 // that wait to be; more are put off
)

// Run implements sms.ReceiptSource: it binds, and binds again after a pause with jitter.
func (s *Sender) Run(ctx context.Context, take func(context.Context, sms.Receipt) error) error {
	s.mu.Lock()
	if s.running {
		s.mu.Unlock()
		return errors.New("smpp: the connection is kept already")
	}
	s.running = true
	s.mu.Unlock()
	defer func() {
		s.set(nil, unreachable)
		s.mu.Lock()
		s.running = false
		s.mu.Unlock()
	}()
	pause := minPause
	for ctx.Err() == nil {
		if s.once(ctx, take) {
			pause = minPause
		}
		wait := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-ctx.Done():
		case <-wait.C:
		}
		wait.Stop()
		pause = min(2*pause, maxPause)
	}
	return nil
}

// once binds and serves one session, and reports whether it was of use.
func (s *Sender) once(ctx context.Context, take func(context.Context, sms.Receipt) error) (useful bool) {
	conn, out, err := s.bind(ctx)
	if err != nil {
		s.set(nil, out)
		return false
	}
	reports := make(chan *pdu.DeliverSM, maxReports)
	on := newSession(conn, s.o.Window, nil)
	on.report = func(d *pdu.DeliverSM) {
		select {
		case reports <- d:
		default:
			_ = on.acknowledge(d.SequenceNumber, data.ESME_RX_T_APPN)
		}
	}
	var all sync.WaitGroup
	for range takers {
		all.Go(func() {
			for d := range reports {
				s.deliver(ctx, on, d, take)
			}
		})
	}
	s.set(on, sms.Outcome{})
	on.run(ctx, s.o.EnquireEvery)
	s.set(nil, unreachable)
	close(reports)
	all.Wait()
	return on.useful
}

// deliver hands a report on, and acknowledges it when it is kept. One that could not be
// kept gets a temporary error, upon which the vendor sends it again.
func (s *Sender) deliver(ctx context.Context, on *session, d *pdu.DeliverSM, take func(context.Context, sms.Receipt) error) {
	receipt, ok := read(d)
	status := data.ESME_ROK
	if ok && take(ctx, receipt) != nil {
		status = data.ESME_RX_T_APPN
	}
	_ = on.acknowledge(d.SequenceNumber, status)
}

// set tells who sends, and who waits, how it stands.
func (s *Sender) set(on *session, why sms.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bound, s.why = on, why
	close(s.changed)
	s.changed = make(chan struct{})
}

var (
	errUnreachable = errors.New("the message centre cannot be reached")
	errRefused     = errors.New("the message centre does not take the system id and the password")
	errFails       = errors.New("the message centre refuses to bind")
)

// bind connects and binds as a transceiver. Where it cannot, the outcome is that of texts
// meanwhile.
func (s *Sender) bind(ctx context.Context) (net.Conn, sms.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, bindTimeout)
	defer cancel()
	conn, err := s.dial(ctx)
	if err != nil {
		return nil, unreachable, errUnreachable
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	request := pdu.NewBindRequest(pdu.Transceiver)
	request.SystemID, request.Password, request.SystemType = s.o.SystemID, s.o.Password.Reveal(), s.o.SystemType
	request.SetSequenceNumber(1)
	b := pdu.NewBuffer(nil)
	request.Marshal(b)
	var h pdu.Header
	if _, err = conn.Write(b.Bytes()); err == nil {
		h, _, err = readPDU(conn)
	}
	if !stop() || err != nil || h.CommandID != data.BIND_TRANSCEIVER_RESP {
		conn.Close()
		return nil, unreachable, errSilent
	}
	if h.CommandStatus == data.ESME_ROK {
		return conn, sms.Outcome{}, nil
	}
	conn.Close()
	out := classify(h.CommandStatus)
	if out.Reason == sms.ReasonMisconfigured {
		return nil, out, errRefused
	}
	return nil, out, errFails
}

func (s *Sender) dial(ctx context.Context) (net.Conn, error) {
	if s.o.Plaintext {
		return new(net.Dialer).DialContext(ctx, "tcp", s.o.Address)
	}
	c := s.o.TLS.Clone() // nil stays nil
	if c == nil {
		c = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return (&tls.Dialer{Config: c}).DialContext(ctx, "tcp", s.o.Address)
}

// Await waits until the connection that Run keeps is bound. It ends with ctx, or when the
// message centre does not take the account.
func (s *Sender) Await(ctx context.Context) error {
	for {
		s.mu.Lock()
		on, why, changed := s.bound, s.why, s.changed
		s.mu.Unlock()
		switch {
		case on != nil && !on.ended():
			return nil
		case on == nil && why.Reason == sms.ReasonMisconfigured:
			return errRefused
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return errUnreachable
		}
	}
}

// Check implements sms.Checker: whether the connection that Run keeps answers, or where it
// keeps none now, whether one can be bound.
func (s *Sender) Check(ctx context.Context) (account string, err error) {
	s.mu.Lock()
	on := s.bound
	s.mu.Unlock()
	if on != nil {
		if err := on.alive(ctx); err != nil {
			on.close()
			return "", err
		}
		return "", nil
	}
	conn, _, err := s.bind(ctx)
	if err != nil {
		return "", err
	}
	newSession(conn, 1, nil).leave()
	return "", nil
}
