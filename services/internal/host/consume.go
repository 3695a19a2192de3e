package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/bus"
)

// Consumer returns a consumer that hands the messages of a durable to handler, up to
// parallel batches at a time. It is not running yet: add it as a part.
func (h *Host) Consumer(durable string, parallel int, letters Letters, handler func(context.Context, []*bus.Msg)) (*bus.Consumer, error) {
	c, err := bus.NewConsumer(h.Line.conn, bus.ConsumerOptions{Durable: durable, Parallel: parallel, Handler: handler, DeadLetter: letters})
	if err != nil {
		return nil, fmt.Errorf("consuming %s: %w", durable, err)
	}
	return c, nil
}

// Read decodes a message that should be one of our events; one that is not is put aside.
func Read(ctx context.Context, m *bus.Msg, log *slog.Logger) (event.Event, bool) {
	e, err := event.Decode(m.Data)
	reason := bus.Undecodable
	if errors.Is(err, event.ErrUnknownType) {
		reason = bus.UnknownType
	}
	if err == nil && e.ID != m.ID {
		err, reason = errors.New("its id is not the event's"), bus.Refused
	}
	if err == nil {
		return e, true
	}
	log.Error("message is not an event of ours", "message", m.ID, "reason", string(reason))
	if err := m.Bury(ctx, reason); err != nil {
		log.Error("message was not put aside yet", "error", err)
	}
	return e, false
}

// mostPatience is the longest pause before a message that could not be handled comes again.
const mostPatience = 30 * time.Second

// Failed lets a message come again later. However often work fails, it is never put aside
// for that: what fails is a database, and the sweeps would find the work there anyway.
func Failed(m *bus.Msg, err error, log *slog.Logger) {
	log.Warn("message was not handled", "message", m.ID, "deliveries", m.Delivered, "error", err)
	m.Nak(min(time.Duration(m.Delivered)*time.Second, mostPatience))
}

// Letters keeps dead letters in Postgres.
type Letters func(ctx context.Context, l bus.Letter, headers []byte) error

var _ bus.DeadLetter = Letters(nil)

// Bury implements bus.DeadLetter.
func (keep Letters) Bury(ctx context.Context, l bus.Letter) error {
	headers, err := json.Marshal(l.Headers)
	if err == nil {
		err = keep(ctx, l, headers)
	}
	if err != nil {
		return fmt.Errorf("keeping a dead letter: %w", err)
	}
	return nil
}
