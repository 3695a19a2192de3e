package verifier

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	queries "latchkey.dev/queries/verifier"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/store"
)

// write keeps what was judged: verdicts, tries, registrations and the events that tell it.
func (v *Verifier) write(ctx context.Context, db *queries.Queries, out []verdict) ([]event.Event, error) {
	var (
		verdicts queries.VerdictInsertParams
		counts   queries.ChallengeCountParams
		tries    queries.MemberTryWriteParams
		devices  []verdict
		seen     = map[any]bool{}
	)
	for _, d := range out {
		verdicts.EntryIds = append(verdicts.EntryIds, d.id)
		verdicts.ChallengeIds = append(verdicts.ChallengeIds, d.challenge.id)
		verdicts.Results = append(verdicts.Results, string(d.result))
		verdicts.TriesLeft = append(verdicts.TriesLeft, int16(d.triesLeft))
		if d.result == Registered {
			devices = append(devices, d)
		}
		if c := d.challenge; !seen[c] && !c.closed {
			seen[c] = true
			counts.Ids = append(counts.Ids, c.id)
			counts.Tries = append(counts.Tries, int16(c.tries))
			counts.EndReasons = append(counts.EndReasons, string(c.ended))
			counts.TypedTexts = append(counts.TypedTexts, int16(c.typedText))
		}
		if t := d.tally; !seen[t] && t.changed {
			seen[t] = true
			tries.Ids = append(tries.Ids, d.challenge.member)
			tries.HourStarts = append(tries.HourStarts, t.hourStart)
			tries.HourCounts = append(tries.HourCounts, int32(t.hour))
			tries.DayStarts = append(tries.DayStarts, t.dayStart)
			tries.DayCounts = append(tries.DayCounts, int32(t.day))
			tries.Consecutives = append(tries.Consecutives, int32(t.consecutive))
		}
	}
	if _, err := db.VerdictInsert(ctx, verdicts); err != nil {
		return nil, fmt.Errorf("writing verdicts: %w", err)
	}
	if len(counts.Ids) > 0 {
		if err := db.ChallengeCount(ctx, counts); err != nil {
			return nil, fmt.Errorf("counting tries: %w", err)
		}
	}
	if len(tries.Ids) > 0 {
		if err := db.MemberTryWrite(ctx, tries); err != nil {
			return nil, fmt.Errorf("counting a member's tries: %w", err)
		}
	}
	registered, err := v.register(ctx, db, devices)
	if err != nil {
		return nil, err
	}
	return v.tell(ctx, db, out, registered)
}

// register inserts the devices of right codes, and returns them by entry.
func (v *Verifier) register(ctx context.Context, db *queries.Queries, right []verdict) (map[uuid.UUID]event.DeviceRegistered, error) {
	told := map[uuid.UUID]event.DeviceRegistered{}
	if len(right) == 0 {
		return told, nil
	}
	ids := make([][16]byte, len(right))
	for i, d := range right {
		ids[i] = d.challenge.id
	}
	rows, err := db.ChallengeLock(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("reading challenges: %w", err)
	}
	rowOf := map[[16]byte]queries.ChallengeLockRow{}
	var retire queries.DeviceRetireParams
	for _, r := range rows {
		rowOf[r.ID] = r
		retire.MemberIds = append(retire.MemberIds, r.MemberID)
		retire.SoftwareIds = append(retire.SoftwareIds, r.SoftwareID)
		retire.Thumbprints = append(retire.Thumbprints, r.DeviceThumbprint)
	}
	if err := db.DeviceRetire(ctx, retire); err != nil {
		return nil, fmt.Errorf("ending earlier registrations: %w", err)
	}
	var insert queries.DeviceInsertParams
	for _, d := range right {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, fmt.Errorf("registering a device: %w", err)
		}
		r := rowOf[d.challenge.id]
		insert.Ids = append(insert.Ids, id)
		insert.ChallengeIds = append(insert.ChallengeIds, d.challenge.id)
		told[d.id] = event.DeviceRegistered{Challenge: r.ID, Member: r.MemberID, Device: id, Software: r.SoftwareID, Kind: r.DeviceKind,
			Thumbprint: r.DeviceThumbprint, Text: d.challenge.typedText, Entry: d.id}
	}
	if err := db.DeviceInsert(ctx, insert); err != nil {
		return nil, fmt.Errorf("registering devices: %w", err)
	}
	return told, nil
}

func (v *Verifier) tell(ctx context.Context, db *queries.Queries, out []verdict, registered map[uuid.UUID]event.DeviceRegistered) ([]event.Event, error) {
	var events []event.Event
	for _, d := range out {
		var data event.Data = event.CodeRejected{Challenge: d.challenge.id, Member: d.challenge.member, Entry: d.id, Result: string(d.result), TriesLeft: d.triesLeft}
		if r, ok := registered[d.id]; ok {
			data = r
		}
		e, err := event.New("verifier", d.challenge.account, time.Now(), data)
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, insert(ctx, db, events)
}

func insert(ctx context.Context, db *queries.Queries, events []event.Event) error {
	if len(events) == 0 {
		return nil
	}
	var p queries.EventInsertParams
	for _, e := range events {
		p.Ids = append(p.Ids, e.ID)
		p.Types = append(p.Types, e.Type)
		p.AccountIds = append(p.AccountIds, e.Account)
		p.Bodies = append(p.Bodies, e.Body)
	}
	if err := db.EventInsert(ctx, p); err != nil {
		return fmt.Errorf("writing events: %w", err)
	}
	return nil
}

// batch bounds what one turn of a loop takes on.
const batch = 500

// expire closes challenges whose time is over.
func (v *Verifier) expire(ctx context.Context) error {
	var events []event.Event
	err := store.InTx(ctx, v.o.Pool, func(tx pgx.Tx) error {
		events = nil
		db := v.q.WithTx(tx)
		rows, err := db.ChallengeExpire(ctx, batch)
		if err != nil {
			return fmt.Errorf("closing challenges: %w", err)
		}
		for _, r := range rows {
			e, err := event.New("verifier", r.AccountID, time.Now(), event.CodeExpired{Challenge: r.ID, Member: r.MemberID})
			if err != nil {
				return err
			}
			events = append(events, e)
		}
		return insert(ctx, db, events)
	})
	if err != nil {
		return err
	}
	v.metrics.ends.WithLabelValues("expired").Add(float64(len(events)))
	for _, e := range events {
		v.o.Bus.Publish(e)
	}
	return nil
}

const (
	// sweepLag is how long the stream has before the sweep takes an entry.
	sweepLag = time.Second
	// sweepOverlap is looked at again, for rows that were committed late.
	sweepOverlap = 10 * time.Second
	// sweepStart is how far back the first sweep looks: longer than any code lives.
	sweepStart = 15 * time.Minute
)

// sweep judges entries that the stream did not bring.
func (v *Verifier) sweep(ctx context.Context) error {
	now, err := v.q.DatabaseTime(ctx)
	if err != nil {
		return err
	}
	if v.since.IsZero() {
		v.since = now.Add(-sweepStart)
	}
	rows, err := v.q.EntryUnjudged(ctx, queries.EntryUnjudgedParams{Since: v.since, LagSeconds: sweepLag.Seconds(), Most: batch})
	if err != nil {
		return fmt.Errorf("looking for entries: %w", err)
	}
	if len(rows) > 0 {
		entries := make([]Entry, len(rows))
		for i, r := range rows {
			entries[i] = Entry{ID: r.ID}
		}
		if err := v.Judge(ctx, entries, Sweep); err != nil {
			return err // the window stays: the next turn tries again
		}
		v.o.Logger.Info("entries judged by the sweep", "entries", len(rows))
	}
	if len(rows) < batch {
		v.since = now.Add(-sweepOverlap)
	}
	return nil
}
