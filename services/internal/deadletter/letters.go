// Package deadletter keeps the messages that a consumer could not handle, shows them to
// operators, and hands them to their consumer once more when an operator asks for it.
// All of it is in Postgres: it works while the bus is down.
package deadletter

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	auditorqueries "latchkey.dev/queries/auditor"
	dispatcherqueries "latchkey.dev/queries/dispatcher"
	verifierqueries "latchkey.dev/queries/verifier"
	"latchkey.dev/services/internal/bus"
)

// insert, marked, mark and rebury are what the folder in queries/ of every service with a
// consumer has for its letters.
type (
	insert = struct {
		ID             [16]byte
		Consumer       string
		Subject        string
		MessageID      string
		StreamSequence int64
		Headers        []byte
		Data           []byte
		Reason         string
		Deliveries     int32
	}
	marked = struct {
		Consumer string
		After    [16]byte
		Most     int32
	}
	letter = struct {
		ID             [16]byte
		Subject        string
		MessageID      string
		StreamSequence int64
		Headers        []byte
		Data           []byte
		Reason         string
		Deliveries     int32
		Redrives       int32
	}
	rebury = struct {
		Reason string
		ID     [16]byte
	}
)

// Letters are the dead letters of one consumer, as its service may see them.
type Letters struct {
	consumer string
	insert   func(context.Context, insert) error
	marked   func(context.Context, marked) ([]letter, error)
	redriven func(context.Context, [16]byte) error
	rebury   func(context.Context, rebury) error
}

var _ bus.DeadLetter = (*Letters)(nil)

// Dispatcher returns the letters of bus.DispatcherSend; the pool is latchkey_dispatcher's.
func Dispatcher(pool *pgxpool.Pool) *Letters {
	q := dispatcherqueries.New(pool)
	return &Letters{bus.DispatcherSend,
		func(ctx context.Context, p insert) error {
			return q.DeadLetterInsert(ctx, dispatcherqueries.DeadLetterInsertParams(p))
		},
		func(ctx context.Context, p marked) ([]letter, error) {
			return letters(q.DeadLetterMarked(ctx, dispatcherqueries.DeadLetterMarkedParams(p)))
		},
		q.DeadLetterRedriven,
		func(ctx context.Context, p rebury) error {
			return q.DeadLetterRebury(ctx, dispatcherqueries.DeadLetterReburyParams(p))
		},
	}
}

// Verifier returns the letters of bus.VerifierJudge; the pool is latchkey_verifier's.
func Verifier(pool *pgxpool.Pool) *Letters {
	q := verifierqueries.New(pool)
	return &Letters{bus.VerifierJudge,
		func(ctx context.Context, p insert) error {
			return q.DeadLetterInsert(ctx, verifierqueries.DeadLetterInsertParams(p))
		},
		func(ctx context.Context, p marked) ([]letter, error) {
			return letters(q.DeadLetterMarked(ctx, verifierqueries.DeadLetterMarkedParams(p)))
		},
		q.DeadLetterRedriven,
		func(ctx context.Context, p rebury) error {
			return q.DeadLetterRebury(ctx, verifierqueries.DeadLetterReburyParams(p))
		},
	}
}

// Auditor returns the letters of bus.AuditorOrder; the pool is latchkey_auditor's.
func Auditor(pool *pgxpool.Pool) *Letters {
	q := auditorqueries.New(pool)
	return &Letters{bus.AuditorOrder,
		func(ctx context.Context, p insert) error {
			return q.DeadLetterInsert(ctx, auditorqueries.DeadLetterInsertParams(p))
		},
		func(ctx context.Context, p marked) ([]letter, error) {
			return letters(q.DeadLetterMarked(ctx, auditorqueries.DeadLetterMarkedParams(p)))
		},
		q.DeadLetterRedriven,
		func(ctx context.Context, p rebury) error {
			return q.DeadLetterRebury(ctx, auditorqueries.DeadLetterReburyParams(p))
		},
	}
}

// Consumer is the durable whose letters these are.
func (l *Letters) Consumer() string { return l.consumer }

// letters gives one type to rows that differ by their package alone.
func letters[R interface {
	~struct {
		ID             [16]byte
		Subject        string
		MessageID      string
		StreamSequence int64
		Headers        []byte
		Data           []byte
		Reason         string
		Deliveries     int32
		Redrives       int32
	}
}](in []R, err error) ([]letter, error) {
	out := make([]letter, len(in))
	for i, r := range in {
		out[i] = letter(r)
	}
	return out, err
}

// Bury keeps a letter. The same message buried again, whatever its number in the stream,
// changes nothing.
func (l *Letters) Bury(ctx context.Context, m bus.Letter) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("keeping a dead letter: %w", err)
	}
	headers, err := json.Marshal(clean(m.Headers))
	if err == nil {
		err = l.insert(ctx, insert{ID: id, Consumer: l.consumer, Subject: text(m.Subject), MessageID: m.ID.String(), StreamSequence: int64(m.StreamSeq),
			Headers: headers, Data: append([]byte{}, m.Data...), Reason: string(m.Reason), Deliveries: int32(m.Deliveries)})
	}
	if err != nil {
		return fmt.Errorf("keeping a dead letter: %w", err)
	}
	return nil
}

// text makes of what came from outside a string that Postgres takes: a letter that cannot
// be kept would come again for ever.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func clean(headers map[string][]string) map[string][]string {
	out := make(map[string][]string, len(headers))
	for k, values := range headers {
		k = text(k)
		for _, v := range values {
			out[k] = append(out[k], text(v))
		}
	}
	return out
}
