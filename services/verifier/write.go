package verifier

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	queries "latchkey.dev/queries/verifier"
	"latchkey.dev/services/event"
	"latchkey.dev/services/factor"
	"latchkey.dev/services/internal/store"
	"latchkey.dev/services/notice"
)

// proveNumber is the purpose of a challenge that proves a number and registers nothing.
const proveNumber = "prove_number"

// write keeps what was judged: verdicts, tries, registrations and the events that tell it.
func (v *Verifier) write(ctx context.Context, db *queries.Queries, out []verdict, rows []queries.JudgeReadRow) ([]event.Event, error) {
	var (
		p     queries.JudgeWriteParams
		tries queries.MemberTryWriteParams
		seen  = map[any]bool{}
	)
	for _, d := range out {
		p.EntryIds = append(p.EntryIds, d.id)
		p.EntryChallengeIds = append(p.EntryChallengeIds, d.challenge.id)
		p.Results = append(p.Results, string(d.result))
		p.TriesLeft = append(p.TriesLeft, int16(d.triesLeft))
		if c := d.challenge; !seen[c] && !c.closed {
			seen[c] = true
			p.ChallengeIds = append(p.ChallengeIds, c.id)
			p.Tries = append(p.Tries, int16(c.tries))
			p.EndReasons = append(p.EndReasons, string(c.ended))
			p.TypedTexts = append(p.TypedTexts, int16(c.typedText))
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
	if len(tries.Ids) > 0 {
		if err := db.MemberTryWrite(ctx, tries); err != nil {
			return nil, fmt.Errorf("counting a member's tries: %w", err)
		}
	}
	told, err := v.register(ctx, db, &p, out, rows)
	if err != nil {
		return nil, err
	}
	events, err := tell(out, told)
	if err != nil {
		return nil, err
	}
	noticed, err := notify(&p, rows, told)
	if err != nil {
		return nil, err
	}
	events = append(events, noticed...)
	for _, e := range events {
		p.EventIds = append(p.EventIds, e.ID)
		p.EventTypes = append(p.EventTypes, e.Type)
		p.EventAccountIds = append(p.EventAccountIds, e.Account)
		p.EventBodies = append(p.EventBodies, e.Body)
	}
	if err := db.JudgeWrite(ctx, p); err != nil {
		return nil, fmt.Errorf("writing verdicts: %w", err)
	}
	return events, nil
}

// register adds the devices and proofs of right codes to what is written, and returns what
// is told of them, by entry.
func (v *Verifier) register(ctx context.Context, db *queries.Queries, p *queries.JudgeWriteParams, out []verdict,
	rows []queries.JudgeReadRow) (map[uuid.UUID]event.Data, error) {
	told := map[uuid.UUID]event.Data{}
	rowOf := map[uuid.UUID]queries.JudgeReadRow{}
	for _, r := range rows {
		rowOf[r.ID] = r
	}
	var retire queries.DeviceRetireParams
	var spend queries.RegistrationCodeUseParams
	for _, d := range out {
		r := rowOf[d.id]
		if d.result == Proved {
			p.ProofMemberIds = append(p.ProofMemberIds, r.MemberID)
			p.ProofPhoneVersions = append(p.ProofPhoneVersions, r.PhoneVersion)
			told[d.id] = event.NumberProved{Challenge: r.ChallengeID, Member: r.MemberID, Version: int(r.PhoneVersion), Text: d.challenge.typedText, Entry: d.id}
		}
		if d.result != Registered {
			continue
		}
		id, err := uuid.NewV7()
		if err != nil {
			return nil, fmt.Errorf("registering a device: %w", err)
		}
		if r.HasDevice {
			retire.MemberIds = append(retire.MemberIds, r.MemberID)
			retire.SoftwareIds = append(retire.SoftwareIds, r.SoftwareID)
			retire.Thumbprints = append(retire.Thumbprints, r.DeviceThumbprint)
		}
		p.DeviceIds = append(p.DeviceIds, id)
		p.DeviceAccountIds = append(p.DeviceAccountIds, r.AccountID)
		p.DeviceMemberIds = append(p.DeviceMemberIds, r.MemberID)
		p.DeviceSoftwareIds = append(p.DeviceSoftwareIds, r.SoftwareID)
		p.DeviceKinds = append(p.DeviceKinds, r.DeviceKind)
		p.DeviceThumbprints = append(p.DeviceThumbprints, r.DeviceThumbprint)
		p.DeviceChallengeIds = append(p.DeviceChallengeIds, r.ChallengeID)
		p.DeviceFacets = append(p.DeviceFacets, r.DeviceFacets)
		p.DeviceFactors = append(p.DeviceFactors, string(d.challenge.by))
		in := event.DeviceRegistered{Challenge: r.ChallengeID, Member: r.MemberID, Device: id, Software: r.SoftwareID, Kind: r.DeviceKind,
			Thumbprint: r.DeviceThumbprint, Text: d.challenge.typedText, Entry: d.id}
		if d.challenge.by == factor.RegistrationCode {
			spend.Ids = append(spend.Ids, d.challenge.registrationCode)
			spend.ChallengeIds = append(spend.ChallengeIds, r.ChallengeID)
			in.Factor, in.RegistrationCode = string(d.challenge.by), &d.challenge.registrationCode
		}
		told[d.id] = in
	}
	if len(spend.Ids) > 0 {
		if n, err := db.RegistrationCodeUse(ctx, spend); err != nil || int(n) != len(spend.Ids) {
			return nil, fmt.Errorf("spending registration codes: %d of %d: %w", n, len(spend.Ids), err)
		}
	}
	if len(retire.MemberIds) > 0 {
		if err := db.DeviceRetire(ctx, retire); err != nil {
			return nil, fmt.Errorf("ending earlier registrations: %w", err)
		}
	}
	return told, nil
}

// notify adds the notices of new registrations to what is written: a text, and an e-mail
// where there is an address.
func notify(p *queries.JudgeWriteParams, rows []queries.JudgeReadRow, right map[uuid.UUID]event.Data) (events []event.Event, err error) {
	for _, r := range rows {
		registered, ok := right[r.ID].(event.DeviceRegistered)
		if !ok {
			continue
		}
		for _, c := range notice.Channels {
			if c == notice.Email && !r.HasEmail {
				continue
			}
			id, err := uuid.NewV7()
			if err != nil {
				return nil, fmt.Errorf("writing a notice: %w", err)
			}
			p.NoticeIds = append(p.NoticeIds, id)
			p.NoticeAccountIds = append(p.NoticeAccountIds, r.AccountID)
			p.NoticeMemberIds = append(p.NoticeMemberIds, r.MemberID)
			p.NoticeChannels = append(p.NoticeChannels, string(c))
			p.NoticeSoftwareIds = append(p.NoticeSoftwareIds, r.SoftwareID)
			p.NoticeDeviceIds = append(p.NoticeDeviceIds, registered.Device)
			p.NoticeFacets = append(p.NoticeFacets, r.DeviceFacets)
			e, err := event.New("verifier", r.AccountID, time.Now(), event.NoticeRequested{Notice: id, Member: r.MemberID,
				Kind: string(notice.DeviceRegistered), Channel: string(c), Device: &registered.Device})
			if err != nil {
				return nil, err
			}
			events = append(events, e)
		}
	}
	return events, nil
}

func tell(out []verdict, right map[uuid.UUID]event.Data) ([]event.Event, error) {
	var events []event.Event
	for _, d := range out {
		var data event.Data = event.CodeRejected{Challenge: d.challenge.id, Member: d.challenge.member, Entry: d.id, Result: string(d.result), TriesLeft: d.triesLeft}
		if r, ok := right[d.id]; ok {
			data = r
		}
		e, err := event.New("verifier", d.challenge.account, time.Now(), data)
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, nil
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
