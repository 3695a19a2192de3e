package auditor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	queries "latchkey.dev/queries/auditor"
	"latchkey.dev/services/internal/bus"
)

const (
	// lookPage and lookPages bound a look: so many events at a time, so many times a turn.
	lookPage, lookPages = 5000, 20
	// margin is how much before the last ordered event a new leader begins to look.
	margin = time.Minute
	// waitMost bounds the events that are known to wait.
	waitMost = 10_000
	// deepEvery is the pause between two looks at the whole log, for rows whose id is not
	// of the time they were written.
	deepEvery = time.Hour
	// longest is how long a service that still publishes old events is waited for.
	longest = 10 * time.Minute
)

// wait is an event that was seen in a table without a place.
type wait struct {
	service string
	since   time.Time // when it was first seen
}

// watch archives events that lie in the tables and do not pass the stream, with an alarm.
//
// The alarm shall mean that an event will not come by itself any more. So only time in
// which it could have come counts: the stream answers, and all that it held at the end of
// that time has been ordered. While the bus is down, or its store was wiped and is not
// provisioned again, nothing is archived. That has a second reason: a service publishes
// again what has no place yet, so an event archived meanwhile would never reach the
// stream. And when the bus is back, a service's backlog takes its time: as long as events
// that waited still come in over the stream, the others of that service wait on, 10
// minutes at most.
//
// What remains and alarms: a service that died between commit and publishing and stays
// away, a stream that lost what it had acknowledged, a stream that dropped messages before
// they were ordered, a right that is missing on the bus, a row that no service wrote.
type watch struct {
	a *Auditor
	o *orderer

	from     uuid.UUID // all events before have a place or wait, but for those with a wrong time in their id
	deep     uuid.UUID // how far the look at the whole log is
	deepNext time.Time
	waiting  map[uuid.UUID]wait
	moved    map[string]time.Time // by service: when last an event that waited came after all

	opened   time.Time // since when the stream answers; zero while it does not
	mark     uint64    // the end of the stream at markAt
	markAt   time.Time
	caughtUp time.Time // all that the stream held then has been ordered
}

func newWatch(a *Auditor, o *orderer) *watch {
	return &watch{a: a, o: o, waiting: map[uuid.UUID]wait{}, moved: map[string]time.Time{}}
}

// begin finds where to start: a little before the last event that has a place. What is
// older and has none is found by the look at the whole log.
func (w *watch) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return w.o.do(ctx, func(tx pgx.Tx) error {
		last, err := queries.New(tx).LeafLast(ctx)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the last place: %w", err)
		}
		if made := timeOf(last.EventID); made.Before(time.Now()) {
			w.from = floor(made.Add(-margin))
		} else {
			w.from = floor(time.Now().Add(-margin))
		}
		return nil
	})
}

// look is one turn: how far is the stream, what lies in the tables without a place, and
// what of that has lain too long.
func (w *watch) look(ctx context.Context) error {
	now := time.Now()
	position, err := w.a.consumer.Position(ctx)
	w.follow(position, err == nil && w.a.consumer.Healthy(), now)
	if err := w.settle(ctx, now); err != nil {
		return err
	}
	if err := w.find(ctx, now); err != nil {
		return err
	}
	w.measure(now)
	return w.archive(ctx, w.overdue())
}

// follow notes how far the stream has been ordered.
func (w *watch) follow(p bus.Position, open bool, now time.Time) {
	if !open || p.End < w.mark { // closed, or wiped: it numbers its messages anew
		w.opened, w.mark, w.markAt, w.caughtUp = time.Time{}, 0, time.Time{}, time.Time{}
	}
	if !open {
		w.a.metrics.open.Set(0)
		return
	}
	w.a.metrics.open.Set(1)
	w.a.metrics.lag.Set(float64(p.Unhandled))
	if w.opened.IsZero() {
		w.opened, w.mark, w.markAt = now, p.End, now
		return
	}
	if p.Handled >= w.mark {
		w.caughtUp = w.markAt
		w.mark, w.markAt = p.End, now
	}
}

// settle forgets the events that got their place meanwhile, which was over the stream.
func (w *watch) settle(ctx context.Context, now time.Time) error {
	if len(w.waiting) == 0 {
		return nil
	}
	ids := make([][16]byte, 0, len(w.waiting))
	for id := range w.waiting {
		ids = append(ids, id)
	}
	placed, err := w.a.q.LeafOf(ctx, ids)
	if err != nil {
		return fmt.Errorf("looking for places of waiting events: %w", err)
	}
	for _, id := range placed {
		w.moved[w.waiting[id].service] = now
		delete(w.waiting, id)
	}
	return nil
}

// find adds the events that have no place, the oldest first. Each is looked at once when
// it is as old as the grace, and then with the whole log: what was committed later than
// its id says is found there.
func (w *watch) find(ctx context.Context, now time.Time) error {
	before := floor(now.Add(-w.a.tempo.grace))
	for range lookPages {
		at, more, err := w.page(ctx, w.from, before, now)
		if err != nil {
			return err
		}
		if len(w.waiting) >= waitMost {
			return nil // from stays: the rest is looked at when some of these are settled
		}
		if !more {
			if bytes.Compare(before[:], w.from[:]) > 0 {
				w.from = before
			}
			break
		}
		w.from = at
	}
	if now.Before(w.deepNext) {
		return nil
	}
	at, more, err := w.page(ctx, w.deep, uuid.Max, now)
	if err != nil {
		return err
	}
	if w.deep = at; !more {
		w.deep, w.deepNext = uuid.Nil, now.Add(deepEvery)
	}
	return nil
}

// page looks at one page of events after an id, and returns the last and whether there
// may be more.
func (w *watch) page(ctx context.Context, after, before uuid.UUID, now time.Time) (uuid.UUID, bool, error) {
	if bytes.Compare(after[:], before[:]) >= 0 {
		return after, false, nil
	}
	rows, err := w.a.q.EventUnordered(ctx, queries.EventUnorderedParams{After: after, Before: before, Most: lookPage})
	if err != nil {
		return after, false, fmt.Errorf("looking for events without a place: %w", err)
	}
	more := false
	for _, r := range rows {
		if more = r.Last; more {
			after = r.ID
		}
		if r.Ordered {
			continue
		}
		if _, known := w.waiting[r.ID]; known || now.Sub(timeOf(r.ID)).Abs() < w.a.tempo.grace {
			continue // it is just about to come
		}
		w.waiting[r.ID] = wait{r.Service, now}
	}
	return after, more, nil
}

// measure tells the age and number of waiting events.
func (w *watch) measure(now time.Time) {
	age := time.Duration(0)
	for id, e := range w.waiting {
		made := timeOf(id)
		if id.Version() != 7 || made.After(now) { // an id that tells no time
			made = e.since
		}
		age = max(age, now.Sub(made))
	}
	w.a.metrics.age.Set(age.Seconds())
	w.a.metrics.waiting.Set(float64(len(w.waiting)))
}

// overdue returns the events that could have come and did not, sorted.
func (w *watch) overdue() []uuid.UUID {
	if w.caughtUp.IsZero() {
		return nil
	}
	due := func(id uuid.UUID) bool {
		e := w.waiting[id]
		counts := later(e.since, w.opened)
		if moved := w.moved[e.service]; moved.After(counts) {
			if counts = counts.Add(longest); moved.Before(counts) {
				counts = moved
			}
		}
		return !counts.Add(w.a.o.Patience).After(w.caughtUp)
	}
	ids := slices.DeleteFunc(slices.Collect(maps.Keys(w.waiting)), func(id uuid.UUID) bool { return !due(id) })
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}

// archive gives the events their places, in the order of their ids, and raises an alarm
// for each. One that came over the stream in this very moment gets none.
func (w *watch) archive(ctx context.Context, ids []uuid.UUID) error {
	for batch := range slices.Chunk(ids, batchMost) {
		raw := make([][16]byte, len(batch))
		for i, id := range batch {
			raw[i] = id
		}
		var p placing
		err := w.o.do(ctx, func(tx pgx.Tx) error {
			p = placing{}
			rows, err := read(ctx, tx, raw)
			if err != nil {
				return err
			}
			for _, id := range batch {
				if row, held := rows[id]; held && !row.Ordered {
					p.place(id, row.Body)
					p.alarms = append(p.alarms, alarm{NotInStream, id, fmt.Sprintf("it lay in the table of %s and did not pass the stream", w.waiting[id].service)})
				}
			}
			return p.write(ctx, tx)
		})
		if err != nil {
			return fmt.Errorf("archiving events: %w", err)
		}
		for _, id := range batch {
			delete(w.waiting, id)
		}
		w.a.metrics.ordered.WithLabelValues("table").Add(float64(len(p.ids)))
		w.a.tell(ctx, p.alarms)
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// floor is the smallest UUIDv7 of a moment (RFC 9562 section 5.7).
func floor(t time.Time) (id uuid.UUID) {
	ms := uint64(max(t.UnixMilli(), 0))
	for i := range 6 {
		id[i] = byte(ms >> (8 * (5 - i)))
	}
	return id
}

// timeOf is the moment in a UUIDv7, whatever the id's version says.
func timeOf(id uuid.UUID) time.Time {
	ms := int64(0)
	for _, b := range id[:6] {
		ms = ms<<8 | int64(b)
	}
	return time.UnixMilli(ms)
}
