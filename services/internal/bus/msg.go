package bus

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// Msg is a message of the stream, to be settled with one Outcome. What is not settled
// is delivered again when the consumer's acknowledgement wait is over.
type Msg struct {
	ID        uuid.UUID // of the event: its Nats-Msg-Id
	Subject   string
	Data      []byte
	Header    map[string][]string
	Delivered int    // 1 for the first delivery
	StreamSeq uint64 // its place in the stream; starts anew when the store was wiped

	from    source
	settled atomic.Bool
}

// source is where a message came from; it hears what became of it.
type source interface {
	settle(m *Msg, o Outcome)
	bury(ctx context.Context, m *Msg, r Reason) error
}

// Outcome is how the handling of a message ended.
type Outcome struct {
	kind   outcomeKind
	delay  time.Duration
	reason Reason
}

type outcomeKind int

const (
	done outcomeKind = iota
	retry
	drop
)

// Done says that the message is handled.
func Done() Outcome { return Outcome{kind: done} }

// RetryAfter says that the message shall come again, not before d.
func RetryAfter(d time.Duration) Outcome { return Outcome{kind: retry, delay: d} }

// Drop says that the message shall not come again though it was not handled. Bury it
// first, or use Msg.Bury.
func Drop(r Reason) Outcome { return Outcome{kind: drop, reason: r} }

// Done reports whether the message is handled.
func (o Outcome) Done() bool { return o.kind == done }

// Dropped returns why the message shall not come again, if it shall not.
func (o Outcome) Dropped() (Reason, bool) { return o.reason, o.kind == drop }

// Settle tells the bus the outcome. The first of a message counts. It reports nothing:
// an outcome that does not arrive means that the message is delivered again.
func (m *Msg) Settle(o Outcome) {
	if !m.settled.Swap(true) {
		m.from.settle(m, o)
	}
}

// Ack is Settle(Done()).
func (m *Msg) Ack() { m.Settle(Done()) }

// Nak is Settle(RetryAfter(delay)).
func (m *Msg) Nak(delay time.Duration) { m.Settle(RetryAfter(delay)) }

// Term is Settle(Drop(r)).
func (m *Msg) Term(r Reason) { m.Settle(Drop(r)) }

// Bury makes a dead letter of the message and drops it. Where that fails the message
// comes again in some seconds, and the error says why.
func (m *Msg) Bury(ctx context.Context, r Reason) error {
	if err := m.from.bury(ctx, m, r); err != nil {
		m.Nak(2*time.Second + rand.N(3*time.Second))
		return err
	}
	m.Term(r)
	return nil
}

// delivery is a message that came over the stream.
type delivery struct {
	reply    string // where its outcome goes
	consumer *Consumer
}

// settle sends the outcome in the words of the server's consumer.go and of ADR-13.
func (d delivery) settle(m *Msg, o Outcome) {
	word := "+ACK"
	switch o.kind {
	case retry:
		word = fmt.Sprintf(`-NAK {"delay": %d}`, max(o.delay, time.Millisecond).Nanoseconds())
	case drop:
		word = "+TERM " + string(o.reason)
	}
	if err := d.consumer.conn.nc.Publish(d.reply, []byte(word)); err != nil {
		d.consumer.log.Debug("outcome of a message was not sent", "durable", d.consumer.opt.Durable, "stream_seq", m.StreamSeq, "error", err)
	}
}

func (d delivery) bury(ctx context.Context, m *Msg, r Reason) error {
	c := d.consumer
	err := c.opt.DeadLetter.Bury(ctx, Letter{Durable: c.opt.Durable, Subject: m.Subject, StreamSeq: m.StreamSeq, ID: m.ID,
		Headers: m.Header, Data: m.Data, Reason: r, Deliveries: m.Delivered})
	if err != nil {
		return fmt.Errorf("burying message %d of %s: %w", m.StreamSeq, c.opt.Durable, err)
	}
	c.metrics.buried.WithLabelValues(string(r)).Inc()
	c.log.WarnContext(ctx, "message put into the dead letters", "durable", c.opt.Durable, "stream_seq", m.StreamSeq,
		"event_id", m.ID, "reason", string(r), "deliveries", m.Delivered)
	return nil
}

// Unearth makes a message of a letter, for the handler that it was meant for: it comes
// from no stream, and settled hears its one outcome. Burying it is the outcome Drop.
func Unearth(l Letter, settled func(Outcome)) *Msg {
	return &Msg{ID: l.ID, Subject: l.Subject, Data: l.Data, Header: l.Headers, Delivered: l.Deliveries + 1, StreamSeq: l.StreamSeq, from: unearthed(settled)}
}

type unearthed func(Outcome)

func (u unearthed) settle(_ *Msg, o Outcome) { u(o) }

func (unearthed) bury(context.Context, *Msg, Reason) error { return nil }
