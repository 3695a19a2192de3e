package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/deadletter"
	"latchkey.dev/services/internal/run"
)

// Consumer returns what consumes a durable, to be added as a part: it hands the messages
// to handler, up to parallel batches at a time, and beside them the dead letters of the
// durable that an operator asked for.
func (h *Host) Consumer(letters *deadletter.Letters, parallel int, handler func(context.Context, []*bus.Msg)) (func(context.Context) error, error) {
	c, err := bus.NewConsumer(h.Line.conn, bus.ConsumerOptions{Durable: letters.Consumer(), Parallel: parallel, Handler: handler, DeadLetter: letters})
	if err != nil {
		return nil, fmt.Errorf("consuming %s: %w", letters.Consumer(), err)
	}
	r, err := deadletter.NewRedriver(deadletter.RedriverOptions{Letters: letters, Handler: handler, Logger: h.Log, Registerer: h.Registerer})
	if err != nil {
		return nil, fmt.Errorf("consuming %s: %w", letters.Consumer(), err)
	}
	return func(ctx context.Context) error {
		return run.All(ctx, run.Component{Name: "stream", Run: c.Run}, run.Component{Name: "redriver", Run: r.Run})
	}, nil
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
