package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// maxInFlight is the most messages that wait for their acknowledgement at a time.
	maxInFlight = 8192
	// ackTimeout is how long an acknowledgement may take.
	ackTimeout = 5 * time.Second
)

// ErrFull says that too many messages wait for their acknowledgement, so this one was not sent.
var ErrFull = errors.New("bus: too many messages in flight")

// Message is what is published: an event with its id. Data must not be changed after.
type Message struct {
	ID      uuid.UUID // also the Nats-Msg-Id: within two minutes the stream keeps one of each
	Subject string
	Data    []byte
	Header  map[string]string // trace context and the like; may be nil
}

// Publisher publishes to the stream and remembers what the stream acknowledged.
type Publisher struct {
	conn  *Conn
	acked *acked
}

// NewPublisher returns a Publisher on c. It remembers acknowledged ids for ten minutes.
func NewPublisher(c *Conn, now func() time.Time) *Publisher {
	return &Publisher{conn: c, acked: newAcked(now, rememberFor, rememberMost)}
}

// Acked reports whether the stream acknowledged id to this Publisher in the last ten
// minutes. It may have forgotten; it never says yes without an acknowledgement. (An
// acknowledgement is no fsync: the stream may lose the message yet.)
func (p *Publisher) Acked(id uuid.UUID) bool { return p.acked.has(id) }

// PublishAsync sends the messages and calls done for each exactly once: with nil when
// the stream has it (also when it had it before), else with an error, and then the
// stream may have it nevertheless. done may be nil; it is called from this or another
// goroutine and must not block. While the bus is down it fails at once with ErrDown.
func (p *Publisher) PublishAsync(msgs []Message, done func(id uuid.UUID, err error)) {
	for _, m := range msgs {
		p.conn.publish(m, func(err error) {
			if err == nil {
				p.acked.add(m.ID)
			}
			if done != nil {
				done(m.ID, err)
			}
		})
	}
}

// Publish sends the messages and waits until each is acknowledged or has failed, or ctx
// ends. The error joins the failures; Acked tells the messages apart.
func (p *Publisher) Publish(ctx context.Context, msgs []Message) error {
	results := make(chan error, len(msgs))
	p.PublishAsync(msgs, func(id uuid.UUID, err error) {
		if err != nil {
			err = fmt.Errorf("publishing %s: %w", id, err)
		}
		results <- err
	})
	var errs []error
	for range msgs {
		select {
		case err := <-results:
			errs = append(errs, err)
		case <-ctx.Done():
			return errors.Join(append(errs, context.Cause(ctx))...)
		}
	}
	return errors.Join(errs...)
}

// flight is a message on its way to the stream.
type flight struct {
	since time.Time
	done  func(error)
}

// flights are the messages on their way. Whoever takes a flight out ends it, so each
// ends once, however many ways the client library has to report it.
type flights struct {
	mu   sync.Mutex
	byID map[*nats.Msg]flight
}

func (f *flights) init() { f.byID = map[*nats.Msg]flight{} }

func (f *flights) add(m *nats.Msg, fl flight) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.byID) >= maxInFlight {
		return false
	}
	f.byID[m] = fl
	return true
}

func (f *flights) take(m *nats.Msg) (flight, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl, ok := f.byID[m]
	delete(f.byID, m)
	return fl, ok
}

func (f *flights) failAll(err error) {
	f.mu.Lock()
	all := f.byID
	f.byID = map[*nats.Msg]flight{}
	f.mu.Unlock()
	for _, fl := range all {
		fl.done(err)
	}
}

func (c *Conn) publish(m Message, done func(error)) {
	if !c.nc.IsConnected() {
		c.metrics.published.WithLabelValues("not_sent").Inc()
		done(ErrDown)
		return
	}
	header := make(nats.Header, len(m.Header)+2)
	for k, v := range m.Header {
		header.Set(k, v)
	}
	header.Set(jetstream.MsgIDHeader, m.ID.String())
	header.Set(jetstream.ExpectedStreamHeader, Stream)
	msg := &nats.Msg{Subject: m.Subject, Data: m.Data, Header: header}
	if !c.flights.add(msg, flight{time.Now(), done}) {
		c.metrics.published.WithLabelValues("not_sent").Inc()
		done(ErrFull)
		return
	}
	if _, err := c.js.PublishMsgAsync(msg); err != nil {
		if errors.Is(err, nats.ErrReconnectBufExceeded) {
			err = ErrDown // it went down just now
		}
		c.land(msg, false, err)
	}
}

func (c *Conn) acked(_ jetstream.JetStream, m *nats.Msg, ack *jetstream.PubAck) {
	c.land(m, ack.Duplicate, nil)
}

// land ends the flight of m.
func (c *Conn) land(m *nats.Msg, duplicate bool, err error) {
	fl, ok := c.flights.take(m)
	if !ok {
		return
	}
	switch {
	case err != nil:
		c.metrics.published.WithLabelValues("failed").Inc()
	case duplicate:
		c.metrics.published.WithLabelValues("duplicate").Inc()
	default:
		c.metrics.published.WithLabelValues("stored").Inc()
	}
	if err == nil {
		c.metrics.ackSeconds.Observe(time.Since(fl.since).Seconds())
	}
	fl.done(err)
}
