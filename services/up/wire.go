package up

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	dispatcherqueries "latchkey.dev/queries/dispatcher"
	verifierqueries "latchkey.dev/queries/verifier"
	"latchkey.dev/services/dispatcher"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/verifier"
)

// replyHeader carries where the verdict's wake-up goes. It is no part of the event.
const replyHeader = "Latchkey-Reply"

// replyPrefix begins every subject that a wake-up may go to.
const replyPrefix = "_INBOX_login."

// line is a service's way to the bus. Publishing never waits and never fails for the
// caller: the rows are the truth, and what was not acknowledged is published again.
type line struct {
	publisher *bus.Publisher
	inbox     *bus.Inbox // login's alone
	conn      *bus.Conn
	log       *slog.Logger
}

func (l *line) publish(e event.Event, reply string) {
	m := bus.Message{ID: e.ID, Subject: e.BusSubject(), Data: e.Body}
	if reply != "" {
		m.Header = map[string]string{replyHeader: reply}
	}
	l.publisher.PublishAsync([]bus.Message{m}, func(id uuid.UUID, err error) {
		if err != nil && !errors.Is(err, bus.ErrDown) {
			l.log.Warn("event was not published yet", "event", id, "error", err)
		}
	})
}

// loginLine is the bus as login sees it.
type loginLine struct{ *line }

func (l loginLine) Publish(e event.Event, reply string) { l.publish(e, reply) }

func (l loginLine) Await(token string) (string, <-chan []byte, func()) {
	woken, cancel := l.inbox.Await(token)
	return l.inbox.Subject(token), woken, cancel
}

// serviceLine is the bus as the dispatcher and the verifier see it.
type serviceLine struct{ *line }

func (l serviceLine) Publish(e event.Event) { l.publish(e, "") }

func (l serviceLine) Notify(subject string, data []byte) {
	if err := l.conn.Notify(subject, data); err != nil && !errors.Is(err, bus.ErrDown) {
		l.log.Warn("nobody was woken", "error", err)
	}
}

// maxDeliveries is how often a message is tried before it is put aside.
const maxDeliveries = 3

// read decodes a message that should be one of ours; one that is not becomes a dead letter.
func read(ctx context.Context, m *bus.Msg, log *slog.Logger) (event.Event, bool) {
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
	log.Error("message is not an event of ours", "subject", m.Subject, "reason", string(reason))
	if err := m.Bury(ctx, reason); err != nil {
		log.Error("message was not put aside yet", "error", err)
	}
	return e, false
}

// failed gives a message another chance later. Work that fails at every delivery is put
// aside: the sweeps still see it in the database.
func failed(ctx context.Context, m *bus.Msg, err error, log *slog.Logger) {
	log.Warn("message was not handled", "message", m.ID, "deliveries", m.Delivered, "error", err)
	if m.Delivered < maxDeliveries {
		m.Nak(time.Duration(m.Delivered) * time.Second)
		return
	}
	if err := m.Bury(ctx, bus.Exhausted); err != nil {
		log.Error("message was not put aside yet", "error", err)
	}
}

// deliver hands requested texts to the dispatcher, each by itself: one slow provider
// holds up nobody else.
func deliver(d *dispatcher.Dispatcher, log *slog.Logger) func(context.Context, []*bus.Msg) {
	return func(ctx context.Context, batch []*bus.Msg) {
		var wg sync.WaitGroup
		for _, m := range batch {
			wg.Go(func() {
				e, ok := read(ctx, m, log)
				if !ok {
					return
				}
				r, ok := dispatcher.RequestOf(e)
				if !ok {
					m.Ack() // not for the dispatcher
					return
				}
				later, err := d.Deliver(ctx, r, dispatcher.Stream)
				switch {
				case err != nil:
					failed(ctx, m, err, log)
				case later > 0:
					m.Nak(later)
				default:
					m.Ack()
				}
			})
		}
		wg.Wait()
	}
}

// judge hands typed codes to the verifier, a whole batch in one transaction.
func judge(v *verifier.Verifier, log *slog.Logger) func(context.Context, []*bus.Msg) {
	return func(ctx context.Context, batch []*bus.Msg) {
		var entries []verifier.Entry
		var good []*bus.Msg
		for _, m := range batch {
			e, ok := read(ctx, m, log)
			if !ok {
				continue
			}
			d, ok := e.Data.(*event.CodeEntered)
			if !ok {
				m.Ack()
				continue
			}
			reply := ""
			if h := m.Header[replyHeader]; len(h) == 1 && strings.HasPrefix(h[0], replyPrefix) {
				reply = h[0]
			}
			entries, good = append(entries, verifier.Entry{ID: d.Entry, Reply: reply}), append(good, m)
		}
		if len(entries) == 0 {
			return
		}
		all := v.Judge(ctx, entries, verifier.Stream)
		for i, m := range good {
			err, some := all, verifier.Failures(nil)
			if errors.As(all, &some) {
				err = some[entries[i].ID] // its neighbours were judged
			}
			if err != nil {
				failed(ctx, m, err, log)
				continue
			}
			m.Ack()
		}
	}
}

// letters keeps dead letters in Postgres.
type letters func(ctx context.Context, l bus.Letter, headers []byte) error

func (keep letters) Bury(ctx context.Context, l bus.Letter) error {
	headers, err := json.Marshal(l.Headers)
	if err == nil {
		err = keep(ctx, l, headers)
	}
	if err != nil {
		return fmt.Errorf("keeping a dead letter: %w", err)
	}
	return nil
}

func dispatcherLetters(pool *pgxpool.Pool) letters {
	q := dispatcherqueries.New(pool)
	return func(ctx context.Context, l bus.Letter, headers []byte) error {
		return q.DeadLetterInsert(ctx, dispatcherqueries.DeadLetterInsertParams{ID: uuid.New(), Consumer: l.Durable, Subject: l.Subject, MessageID: l.ID.String(),
			StreamSequence: int64(l.StreamSeq), Headers: headers, Data: l.Data, Reason: string(l.Reason), Deliveries: int32(l.Deliveries)})
	}
}

func verifierLetters(pool *pgxpool.Pool) letters {
	q := verifierqueries.New(pool)
	return func(ctx context.Context, l bus.Letter, headers []byte) error {
		return q.DeadLetterInsert(ctx, verifierqueries.DeadLetterInsertParams{ID: uuid.New(), Consumer: l.Durable, Subject: l.Subject, MessageID: l.ID.String(),
			StreamSequence: int64(l.StreamSeq), Headers: headers, Data: l.Data, Reason: string(l.Reason), Deliveries: int32(l.Deliveries)})
	}
}
