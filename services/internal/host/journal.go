package host

import (
	"context"

	"github.com/google/uuid"

	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/journal"
)

// Window and Row are what every service's folder in queries/ has for its own events.
type (
	Window = struct {
		Since  [16]byte
		Before [16]byte
		Most   int32
	}
	Row = struct {
		ID        [16]byte
		Type      string
		AccountID [16]byte
		Body      []byte
	}
)

// Journal adds a part that publishes a service's own events again that the bus may have
// missed. W and R are the service's types of Window and Row.
func Journal[W ~struct {
	Since  [16]byte
	Before [16]byte
	Most   int32
}, R ~struct {
	ID        [16]byte
	Type      string
	AccountID [16]byte
	Body      []byte
}](h *Host, window func(context.Context, W) ([][16]byte, error), unordered func(context.Context, [][16]byte) ([][16]byte, error), read func(context.Context, [][16]byte) ([]R, error)) {
	h.Part("journal", journal.New(journal.Options{
		Window: func(ctx context.Context, since, before uuid.UUID, most int) ([]uuid.UUID, error) {
			ids, err := window(ctx, W(Window{since, before, int32(most)}))
			return convert[uuid.UUID](ids), err
		},
		Unordered: func(ctx context.Context, ids []uuid.UUID) ([]uuid.UUID, error) {
			left, err := unordered(ctx, convert[[16]byte](ids))
			return convert[uuid.UUID](left), err
		},
		Read: func(ctx context.Context, ids []uuid.UUID) ([]journal.Event, error) {
			found, err := read(ctx, convert[[16]byte](ids))
			out := make([]journal.Event, len(found))
			for i, r := range found {
				r := Row(r)
				out[i] = journal.Event{ID: r.ID, Type: r.Type, Account: r.AccountID, Body: r.Body}
			}
			return out, err
		},
		Acked:     h.Line.publisher.Acked,
		Connected: h.Line.conn.Connected,
		Publish: func(ctx context.Context, missed []journal.Event) error {
			msgs := make([]bus.Message, len(missed))
			for i, e := range missed {
				msgs[i] = bus.Message{ID: e.ID, Subject: event.BusSubject(e.Type, e.Account), Data: e.Body}
			}
			return h.Line.publisher.Publish(ctx, msgs)
		},
		Registerer: h.Registerer, Logger: h.Log,
	}).Run)
}

// convert turns ids into those of the other type.
func convert[To, From ~[16]byte](ids []From) []To {
	out := make([]To, len(ids))
	for i, id := range ids {
		out[i] = To(id)
	}
	return out
}
