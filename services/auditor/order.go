package auditor

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	queries "latchkey.dev/queries/auditor"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/bus"
)

// Kind is what an alarm says; a closed set, and a metric label.
type Kind string

// The kinds there are.
const (
	NotInTable  Kind = "not_in_table"  // the stream brought an event that no service wrote
	BytesDiffer Kind = "bytes_differ"  // the stream's bytes are not the table's
	NotInStream Kind = "not_in_stream" // an event lay in a table and did not pass the stream
)

// Kinds lists every Kind.
func Kinds() []Kind { return []Kind{NotInTable, BytesDiffer, NotInStream} }

// LeafHash is the hash of an event's leaf in the log (RFC 9162 section 2.1.1).
func LeafHash(body []byte) [sha256.Size]byte {
	return sha256.Sum256(append([]byte{0}, body...))
}

// alarm is one to be raised.
type alarm struct {
	kind   Kind
	event  uuid.UUID
	detail string
}

// placing is what is to be written of a batch.
type placing struct {
	ids    [][16]byte
	hashes [][]byte
	alarms []alarm
}

func (p *placing) place(id uuid.UUID, body []byte) {
	hash := LeafHash(body)
	p.ids, p.hashes = append(p.ids, id), append(p.hashes, hash[:])
}

// handle orders the events of a batch of messages, in the order of the stream: looked up
// in the tables, compared byte by byte, placed, and acknowledged after the commit. What is
// ordered already is acknowledged, so a replay of the stream changes nothing.
func (a *Auditor) handle(ctx context.Context, batch []*bus.Msg) {
	o := a.orderer.Load()
	if o == nil { // lost meanwhile: the active instance gets them
		for _, m := range batch {
			m.Nak(0)
		}
		return
	}
	began := time.Now()
	bad := map[*bus.Msg]bus.Reason{}
	var p placing
	err := o.do(ctx, func(tx pgx.Tx) error {
		clear(bad)
		p = placing{}
		rows, err := read(ctx, tx, idsOf(batch))
		if err != nil {
			return err
		}
		placed := map[uuid.UUID]bool{}
		for _, m := range batch {
			row, held := rows[m.ID]
			if held && !row.Ordered && !placed[m.ID] {
				// The table's bytes are the archive; what the stream says of them is compared.
				placed[m.ID] = true
				p.place(m.ID, row.Body)
			}
			if reason, alarm := judge(m, row, held); reason != "" {
				bad[m] = reason
				if alarm.kind != "" {
					p.alarms = append(p.alarms, alarm)
				}
			}
		}
		return p.write(ctx, tx)
	})
	if err != nil {
		a.o.Logger.WarnContext(ctx, "messages were not ordered yet", "messages", len(batch), "error", err)
		for _, m := range batch {
			m.Nak(pause(m, err))
		}
		return
	}
	a.metrics.ordered.WithLabelValues("stream").Add(float64(len(p.ids)))
	a.metrics.seconds.Observe(time.Since(began).Seconds())
	a.tell(ctx, p.alarms)
	for _, m := range batch {
		reason, isBad := bad[m]
		if !isBad {
			m.Ack()
			continue
		}
		if err := m.Bury(ctx, reason); err != nil {
			a.o.Logger.ErrorContext(ctx, "message was not put aside yet", "error", err)
		}
	}
}

// pause is how long a message waits that could not be ordered: not at all where another
// instance can do it, and longer and longer while the database is away.
func pause(m *bus.Msg, err error) time.Duration {
	if errors.Is(err, errLost) {
		return 0
	}
	return min(time.Duration(m.Delivered)*time.Second, longestPause)
}

// judge compares a message with the row of its id. A message that says what no table says
// is kept as a dead letter: its bytes are the evidence, and the stream forgets them.
func judge(m *bus.Msg, row queries.EventReadRow, held bool) (bus.Reason, alarm) {
	if held && bytes.Equal(m.Data, row.Body) {
		if m.Subject != event.BusSubject(row.Type, row.AccountID) {
			return bus.Refused, alarm{} // the right event at the wrong place
		}
		return "", alarm{}
	}
	if held {
		return bus.Refused, alarm{BytesDiffer, m.ID, fmt.Sprintf("the table's leaf hash is %x, the stream's %x, on %.200q", LeafHash(row.Body), LeafHash(m.Data), m.Subject)}
	}
	e, err := event.Decode(m.Data)
	switch {
	case errors.Is(err, event.ErrUnknownType):
		return bus.UnknownType, alarm{}
	case err != nil:
		return bus.Undecodable, alarm{}
	case e.ID != m.ID:
		return bus.Refused, alarm{}
	}
	return bus.Refused, alarm{NotInTable, m.ID, fmt.Sprintf("the stream's leaf hash is %x, on %.200q", LeafHash(m.Data), m.Subject)}
}

func idsOf(batch []*bus.Msg) [][16]byte {
	ids := make([][16]byte, len(batch))
	for i, m := range batch {
		ids[i] = m.ID
	}
	return ids
}

// read returns those of the events that the tables hold.
func read(ctx context.Context, db queries.DBTX, ids [][16]byte) (map[uuid.UUID]queries.EventReadRow, error) {
	compare := func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) }
	sorted := slices.Compact(slices.SortedFunc(slices.Values(ids), compare))
	rows, err := queries.New(db).EventRead(ctx, queries.EventReadParams{Ids: sorted, Lowest: sorted[0], Highest: sorted[len(sorted)-1]})
	if err != nil {
		return nil, fmt.Errorf("reading events: %w", err)
	}
	byID := make(map[uuid.UUID]queries.EventReadRow, len(rows))
	for _, r := range rows {
		byID[r.ID] = r
	}
	return byID, nil
}

// write gives the events their places and keeps the alarms.
func (p *placing) write(ctx context.Context, tx pgx.Tx) error {
	q := queries.New(tx)
	if len(p.ids) > 0 {
		places := make([]int64, len(p.ids))
		for i := range places {
			places[i] = int64(i) + 1
		}
		if _, err := q.LeafInsert(ctx, queries.LeafInsertParams{Places: places, EventIds: p.ids, Hashes: p.hashes}); err != nil {
			return fmt.Errorf("placing events: %w", err)
		}
	}
	if len(p.alarms) == 0 {
		return nil
	}
	in := queries.AlarmInsertParams{}
	for _, al := range p.alarms {
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("making an alarm's id: %w", err)
		}
		in.Ids, in.Kinds = append(in.Ids, id), append(in.Kinds, string(al.kind))
		in.EventIds, in.Details = append(in.EventIds, al.event), append(in.Details, al.detail)
	}
	if _, err := q.AlarmInsert(ctx, in); err != nil {
		return fmt.Errorf("raising alarms: %w", err)
	}
	return nil
}

// tell makes alarms heard; they are in the table already.
func (a *Auditor) tell(ctx context.Context, alarms []alarm) {
	count := map[Kind]int{}
	first := map[Kind]uuid.UUID{}
	for _, al := range alarms {
		if count[al.kind] == 0 {
			first[al.kind] = al.event
		}
		count[al.kind]++
	}
	for kind, n := range count {
		a.metrics.alarms.WithLabelValues(string(kind)).Add(float64(n))
		a.o.Logger.ErrorContext(ctx, "audit alarm", "kind", string(kind), "events", n, "first_event", first[kind])
	}
}
