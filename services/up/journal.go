package up

import (
	"context"

	"github.com/google/uuid"

	dispatcherqueries "latchkey.dev/queries/dispatcher"
	loginqueries "latchkey.dev/queries/login"
	verifierqueries "latchkey.dev/queries/verifier"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/journal"
)

// window and row are what every service's folder in queries/ has for its own events.
type window = struct {
	Since  [16]byte
	Before [16]byte
	Most   int32
}

type row = struct {
	ID        [16]byte
	Type      string
	AccountID [16]byte
	Body      []byte
}

// events reads a service's own events.
type events struct {
	unordered func(context.Context, window) ([][16]byte, error)
	read      func(context.Context, [][16]byte) ([]row, error)
}

func loginEvents(s service) events {
	q := loginqueries.New(s.main)
	return events{
		func(ctx context.Context, w window) ([][16]byte, error) {
			return q.EventUnordered(ctx, loginqueries.EventUnorderedParams(w))
		},
		func(ctx context.Context, ids [][16]byte) ([]row, error) { return rows(q.EventRead(ctx, ids)) },
	}
}

func dispatcherEvents(s service) events {
	q := dispatcherqueries.New(s.main)
	return events{
		func(ctx context.Context, w window) ([][16]byte, error) {
			return q.EventUnordered(ctx, dispatcherqueries.EventUnorderedParams(w))
		},
		func(ctx context.Context, ids [][16]byte) ([]row, error) { return rows(q.EventRead(ctx, ids)) },
	}
}

func verifierEvents(s service) events {
	q := verifierqueries.New(s.main)
	return events{
		func(ctx context.Context, w window) ([][16]byte, error) {
			return q.EventUnordered(ctx, verifierqueries.EventUnorderedParams(w))
		},
		func(ctx context.Context, ids [][16]byte) ([]row, error) { return rows(q.EventRead(ctx, ids)) },
	}
}

// rows gives one type to rows that differ by their package alone.
func rows[R interface {
	~struct {
		ID        [16]byte
		Type      string
		AccountID [16]byte
		Body      []byte
	}
}](in []R, err error) ([]row, error) {
	out := make([]row, len(in))
	for i, r := range in {
		out[i] = row(r)
	}
	return out, err
}

// keepJournal publishes a service's events again that the bus may have missed.
func (k *Latchkey) keepJournal(name string, s service, from events) {
	k.part(name+" journal", journal.New(journal.Options{
		Unordered: func(ctx context.Context, since, before uuid.UUID, most int) ([]uuid.UUID, error) {
			ids, err := from.unordered(ctx, window{since, before, int32(most)})
			out := make([]uuid.UUID, len(ids))
			for i, id := range ids {
				out[i] = id
			}
			return out, err
		},
		Read: func(ctx context.Context, ids []uuid.UUID) ([]journal.Event, error) {
			raw := make([][16]byte, len(ids))
			for i, id := range ids {
				raw[i] = id
			}
			found, err := from.read(ctx, raw)
			out := make([]journal.Event, len(found))
			for i, r := range found {
				out[i] = journal.Event{ID: r.ID, Type: r.Type, Account: r.AccountID, Body: r.Body}
			}
			return out, err
		},
		Acked:     s.line.publisher.Acked,
		Connected: s.line.conn.Connected,
		Publish: func(ctx context.Context, missed []journal.Event) error {
			msgs := make([]bus.Message, len(missed))
			for i, e := range missed {
				msgs[i] = bus.Message{ID: e.ID, Subject: event.BusSubject(e.Type, e.Account), Data: e.Body}
			}
			return s.line.publisher.Publish(ctx, msgs)
		},
		Registerer: s.registry, Logger: s.log,
	}).Run)
}
