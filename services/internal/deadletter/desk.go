package deadletter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	queries "latchkey.dev/queries/console"
)

// ErrNotFound says that there is no such letter.
var ErrNotFound = errors.New("there is no such dead letter")

// Summary is a letter without its words.
type Summary struct {
	ID         uuid.UUID
	Consumer   string // bus.DispatcherSend and the like
	Subject    string
	MessageID  string // of the event; the nil UUID where the message carried none
	StreamSeq  uint64
	Size       int    // of the data, in bytes
	Reason     string // bus.Reason; the last one
	Deliveries int
	BuriedAt   time.Time

	// MarkedAt is when an operator asked for it to be redriven: nil if nobody did, and
	// again when it was buried again. MarkedBy keeps who asked last.
	MarkedAt   *time.Time
	MarkedBy   string
	Redrives   int        // how often it was taken up
	RedrivenAt *time.Time // nil until it was handled
}

// State is the letter's state in one word: buried, marked or redriven.
func (s Summary) State() string {
	switch {
	case s.RedrivenAt != nil:
		return "redriven"
	case s.MarkedAt != nil:
		return "marked"
	default:
		return "buried"
	}
}

// Letter is a whole letter. Headers and Data are as somebody sent them: not to be trusted,
// and not to be printed to a terminal without escaping.
type Letter struct {
	Summary
	Headers map[string][]string
	Data    []byte
}

// Filter narrows a list; its zero value is every letter that is not redriven.
type Filter struct {
	Consumer, Reason string
	RedrivenToo      bool
}

// Desk is where operators read letters and ask for them to be redriven. It needs neither
// the bus nor the services: those take up what is marked when they run.
type Desk struct{ q *queries.Queries }

// NewDesk returns a Desk; the pool is latchkey_console's, of the main database.
func NewDesk(pool *pgxpool.Pool) *Desk { return &Desk{queries.New(pool)} }

// last is after every id.
var last = uuid.MustParse("ffffffff-ffff-ffff-ffff-ffffffffffff")

// most bounds a page.
const most = 1000

// List returns letters from the newest to the oldest, n at most (1 to 1,000). The first
// page has before uuid.Nil, the next one the last id of this one.
func (d *Desk) List(ctx context.Context, f Filter, before uuid.UUID, n int) ([]Summary, error) {
	if before == uuid.Nil {
		before = last
	}
	page, err := d.q.DeadLetterPage(ctx, queries.DeadLetterPageParams{Before: before, Consumer: f.Consumer, Reason: f.Reason,
		RedrivenToo: f.RedrivenToo, Most: int32(min(max(n, 1), most))})
	if err != nil {
		return nil, fmt.Errorf("listing dead letters: %w", err)
	}
	out := make([]Summary, len(page))
	for i, r := range page {
		out[i] = Summary{ID: r.ID, Consumer: r.Consumer, Subject: r.Subject, MessageID: r.MessageID, StreamSeq: uint64(r.StreamSequence), Size: int(r.Size),
			Reason: r.Reason, Deliveries: int(r.Deliveries), BuriedAt: r.BuriedAt, MarkedAt: r.RedriveRequestedAt, MarkedBy: word(r.RedriveRequestedBy),
			Redrives: int(r.Redrives), RedrivenAt: r.RedrivenAt}
	}
	return out, nil
}

// Show returns a whole letter, or ErrNotFound.
func (d *Desk) Show(ctx context.Context, id uuid.UUID) (Letter, error) {
	r, err := d.q.DeadLetterRead(ctx, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return Letter{}, ErrNotFound
	}
	if err != nil {
		return Letter{}, fmt.Errorf("reading a dead letter: %w", err)
	}
	l := Letter{Summary: Summary{ID: r.ID, Consumer: r.Consumer, Subject: r.Subject, MessageID: r.MessageID, StreamSeq: uint64(r.StreamSequence), Size: len(r.Data),
		Reason: r.Reason, Deliveries: int(r.Deliveries), BuriedAt: r.BuriedAt, MarkedAt: r.RedriveRequestedAt, MarkedBy: word(r.RedriveRequestedBy),
		Redrives: int(r.Redrives), RedrivenAt: r.RedrivenAt}, Data: r.Data}
	if err := json.Unmarshal(r.Headers, &l.Headers); err != nil {
		return Letter{}, fmt.Errorf("reading a dead letter's headers: %w", err)
	}
	return l, nil
}

// Redrive marks letters for their services to take up, and returns those that are marked
// now: not those that are unknown or redriven already. by is who asks, 1 to 200 bytes.
func (d *Desk) Redrive(ctx context.Context, by string, ids ...uuid.UUID) ([]uuid.UUID, error) {
	raw := make([][16]byte, len(ids))
	for i, id := range ids {
		raw[i] = id
	}
	marked, err := d.q.DeadLetterMark(ctx, queries.DeadLetterMarkParams{By: by, Ids: raw})
	if err != nil {
		return nil, fmt.Errorf("marking dead letters: %w", err)
	}
	out := make([]uuid.UUID, len(marked))
	for i, id := range marked {
		out[i] = id
	}
	return out, nil
}

// RedriveAll marks every letter that the filter lets through, was buried before a moment
// and is neither marked nor redriven, and returns how many.
func (d *Desk) RedriveAll(ctx context.Context, by string, f Filter, before time.Time) (int, error) {
	n, err := d.q.DeadLetterMarkAll(ctx, queries.DeadLetterMarkAllParams{By: by, Before: before, Consumer: f.Consumer, Reason: f.Reason})
	if err != nil {
		return 0, fmt.Errorf("marking dead letters: %w", err)
	}
	return int(n), nil
}

// Count is how many letters of a consumer wait for one reason, and how many of them are marked.
type Count struct {
	Consumer, Reason string
	Letters, Marked  int
}

// Counts returns how many letters are not redriven.
func (d *Desk) Counts(ctx context.Context) ([]Count, error) {
	rows, err := d.q.DeadLetterCount(ctx)
	if err != nil {
		return nil, fmt.Errorf("counting dead letters: %w", err)
	}
	out := make([]Count, len(rows))
	for i, r := range rows {
		out[i] = Count{r.Consumer, r.Reason, int(r.Letters), int(r.Marked)}
	}
	return out, nil
}

func word(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
