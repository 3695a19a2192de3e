package auditor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	queries "latchkey.dev/queries/auditor"
)

// ReplayOptions say which events to print, and how. Its zero value is all of them, a line
// of JSON each. Every condition that is set must hold.
type ReplayOptions struct {
	Since, Until time.Time // by the time in the event's id; Until itself is left out
	Type         string    // as latchkey.code.requested
	Account      uuid.UUID
	// Member is whom an event is about or who did it. Events about a text name no member:
	// they are found by their challenge, if the event that began it is in the time too.
	Member    uuid.UUID
	Challenge uuid.UUID
	Format    Format // JSONL if empty
}

// Replayed is what a replay saw.
type Replayed struct {
	Looked  int // events in the time asked for
	Printed int
	// First and Last are the places that were looked through; -1 for none.
	First, Last int64
	// Faults are the places where the log is not what was written: at most the first 100.
	Faults []Fault
}

// Fault is a place where the log is not what was written.
type Fault struct {
	Index int64
	Event uuid.UUID // uuid.Nil for a missing place
	What  string    // "bytes differ from the leaf hash", "the event is missing", "the place is missing"
}

// The ways a place can be wrong.
const (
	faultHash  = "bytes differ from the leaf hash"
	faultEvent = "the event is missing"
	faultPlace = "the place is missing"
)

// ErrAltered says that a replay printed events, but the log is not what was written:
// Replayed.Faults says where.
var ErrAltered = errors.New("the log was altered")

const (
	replayPage = 500
	mostFaults = 100
)

// Replay prints events in their order and changes nothing. Each body is held against its
// leaf hash, those that are not printed included: a mismatch is printed as a fault in the
// event's place, and the replay goes on and ends with ErrAltered. A missing place is one, too.
// The pool is latchkey_auditor's. What is ordered after the replay began is left out.
func Replay(ctx context.Context, pool *pgxpool.Pool, o ReplayOptions, w io.Writer) (Replayed, error) {
	r := &replay{o: o, seen: Replayed{First: -1, Last: -1}}
	var err error
	if r.out, err = newPrinter(o.Format, w); err != nil {
		return r.seen, err
	}
	first, last, err := r.bounds(ctx, pool)
	if err != nil {
		return r.seen, err
	}
	if first >= 0 {
		r.seen.First, r.seen.Last = first, last
	}
	for next := first; next >= 0 && next <= last; {
		page, err := r.page(ctx, pool, next, last)
		if err != nil {
			return r.seen, err
		}
		for _, row := range page {
			if err := r.missing(next, row.Index); err != nil {
				return r.seen, err
			}
			if err := r.row(row); err != nil {
				return r.seen, err
			}
			next = row.Index + 1
		}
		if len(page) < replayPage {
			if err := r.missing(next, last+1); err != nil {
				return r.seen, err
			}
			break
		}
	}
	if err := r.out.end(); err != nil {
		return r.seen, fmt.Errorf("printing events: %w", err)
	}
	if r.faults > 0 {
		return r.seen, fmt.Errorf("%w: %d faults", ErrAltered, r.faults)
	}
	return r.seen, nil
}

type replay struct {
	o      ReplayOptions
	out    printer
	seen   Replayed
	faults int
	// challenges are the member's, as far as they were begun in what was looked through.
	challenges map[uuid.UUID]bool
}

// reading runs f in a transaction that cannot write. Each page has one of its own: the log
// only grows, and a reader that waits must not hold a transaction open.
func reading(ctx context.Context, pool *pgxpool.Pool, f func(*queries.Queries) error) error {
	return pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		// Looking through the ids of years takes longer than a service's query may.
		if _, err := tx.Exec(ctx, "SET LOCAL statement_timeout = '5min'"); err != nil {
			return err
		}
		return f(queries.New(tx))
	})
}

// bounds returns the first and last place to look at, -1 for none.
func (r *replay) bounds(ctx context.Context, pool *pgxpool.Pool) (first, last int64, err error) {
	since, until := r.o.Since, r.o.Until
	if begun := timeOf(r.o.Challenge); r.o.Challenge.Version() == 7 && begun.After(since) {
		since = begun // nothing is told of a challenge before it is made
	}
	first, last = 0, -1
	err = reading(ctx, pool, func(q *queries.Queries) error {
		if since.IsZero() && until.IsZero() {
			row, err := q.LeafLast(ctx)
			if errors.Is(err, pgx.ErrNoRows) {
				first = -1
				return nil
			}
			last = row.Index
			return err
		}
		if until.IsZero() {
			until = time.UnixMilli(1<<48 - 1)
		}
		if since.IsZero() {
			since = time.UnixMilli(0)
		}
		row, err := q.LeafRange(ctx, queries.LeafRangeParams{Since: since, Until: until})
		first, last = row.First, row.Last
		return err
	})
	if err != nil {
		return -1, -1, fmt.Errorf("finding the events' places: %w", err)
	}
	return first, last, nil
}

func (r *replay) page(ctx context.Context, pool *pgxpool.Pool, first, last int64) (page []queries.LeafPageRow, err error) {
	err = reading(ctx, pool, func(q *queries.Queries) error {
		page, err = q.LeafPage(ctx, queries.LeafPageParams{First: first, Last: last, Most: replayPage})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading events from place %d on: %w", first, err)
	}
	return page, nil
}

// missing notes the places from next to before index, which should not be empty.
func (r *replay) missing(next, index int64) error {
	for ; next < index; next++ {
		if err := r.fault(Fault{Index: next, What: faultPlace}, nil); err != nil {
			return err
		}
		if r.faults >= mostFaults { // a hole may be as large as the log
			r.faults += int(index - next - 1)
			break
		}
	}
	return nil
}

func (r *replay) fault(f Fault, row *queries.LeafPageRow) error {
	r.faults++
	if len(r.seen.Faults) < mostFaults {
		r.seen.Faults = append(r.seen.Faults, f)
	}
	if err := r.out.fault(f, row); err != nil {
		return fmt.Errorf("printing events: %w", err)
	}
	return nil
}

func (r *replay) row(row queries.LeafPageRow) error {
	made := timeOf(row.EventID)
	inTime := !made.Before(r.o.Since) && (r.o.Until.IsZero() || made.Before(r.o.Until))
	if inTime {
		r.seen.Looked++
	}
	if row.Body == nil {
		return r.fault(Fault{row.Index, row.EventID, faultEvent}, &row)
	}
	if hash := LeafHash(row.Body); !bytes.Equal(hash[:], row.Hash) {
		return r.fault(Fault{row.Index, row.EventID, faultHash}, &row)
	}
	if !inTime {
		return nil
	}
	var s summary
	if err := json.Unmarshal(row.Body, &s); err != nil {
		s = summary{} // it is what was written; conditions on its content do not hold
	}
	if !r.wanted(s) {
		return nil
	}
	r.seen.Printed++
	if err := r.out.event(row, s); err != nil {
		return fmt.Errorf("printing events: %w", err)
	}
	return nil
}

// summary is what a replay reads of an event, of whatever version.
type summary struct {
	Type    string    `json:"type"`
	Source  string    `json:"source"`
	Subject string    `json:"subject"`
	Account uuid.UUID `json:"account"`
	Time    time.Time `json:"time"`
	Data    struct {
		Member    *uuid.UUID `json:"member"`
		Challenge *uuid.UUID `json:"challenge"`
		By        string     `json:"by"`
	} `json:"data"`
}

func (r *replay) wanted(s summary) bool {
	if r.o.Type != "" && s.Type != r.o.Type || r.o.Account != uuid.Nil && s.Account != r.o.Account {
		return false
	}
	challenge := uuid.Nil
	if s.Data.Challenge != nil {
		challenge = *s.Data.Challenge
	}
	if r.o.Challenge != uuid.Nil && challenge != r.o.Challenge {
		return false
	}
	if r.o.Member == uuid.Nil {
		return true
	}
	id := r.o.Member.String()
	if s.Data.Member != nil && *s.Data.Member == r.o.Member || s.Subject == id || s.Data.By == id || s.Data.By == "member:"+id {
		if challenge != uuid.Nil {
			if r.challenges == nil {
				r.challenges = map[uuid.UUID]bool{}
			}
			r.challenges[challenge] = true
		}
		return true
	}
	return r.challenges[challenge]
}
