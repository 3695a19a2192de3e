package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/bus"
)

// ReplyHeader carries where a verdict's wake-up goes. It is no part of the event.
const ReplyHeader = "Latchkey-Reply"

// Line is a service's way to the bus. Publishing never waits and never fails for the
// caller: the rows are the truth, and what was not acknowledged is published again.
type Line struct {
	publisher *bus.Publisher
	conn      *bus.Conn
	log       *slog.Logger
}

// Publish sends an event at once and returns without waiting.
func (l *Line) Publish(e event.Event) { l.PublishFor(e, "") }

// PublishFor is Publish for an event whose handling shall wake a subject; "" for none.
func (l *Line) PublishFor(e event.Event, reply string) {
	m := bus.Message{ID: e.ID, Subject: e.BusSubject(), Data: e.Body}
	if reply != "" {
		m.Header = map[string]string{ReplyHeader: reply}
	}
	l.publisher.PublishAsync([]bus.Message{m}, func(id uuid.UUID, err error) {
		if err != nil && !errors.Is(err, bus.ErrDown) {
			l.log.Warn("event was not published yet", "event", id, "error", err)
		}
	})
}

// Notify wakes whoever waits at subject, or nobody.
func (l *Line) Notify(subject string, data []byte) {
	if err := l.conn.Notify(subject, data); err != nil && !errors.Is(err, bus.ErrDown) {
		l.log.Warn("nobody was woken", "error", err)
	}
}

// Bus is the service's connection to the bus, closed with the host.
func (h *Host) Bus() *bus.Conn { return h.Line.conn }

// Inbox opens an inbox of the service, closed with the host.
func (h *Host) Inbox() (*bus.Inbox, error) {
	in, err := h.Line.conn.Inbox()
	if err != nil {
		return nil, fmt.Errorf("opening the inbox of %s: %w", h.service, err)
	}
	h.closers = append(h.closers, in.Close)
	return in, nil
}

// Drain waits until what was published has been acknowledged, or has failed, limit at most.
// It is for a process that ends: one that goes on need not care.
func (l *Line) Drain(ctx context.Context, limit time.Duration) { l.conn.Drain(ctx, limit) }
