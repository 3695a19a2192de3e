package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	queries "latchkey.dev/queries/dispatcher"
	"latchkey.dev/services/code"
	"latchkey.dev/services/dispatcher/router"
	"latchkey.dev/services/event"
	"latchkey.dev/services/sms"
)

// Begin is Deliver for the first text of a challenge that was asked for just now, as its
// event tells: nothing is known of it that could decide otherwise, so it is claimed by the
// statement that reads it, which is one round trip less before the text leaves. What that
// statement does not find as expected goes the way of every other request.
func (d *Dispatcher) Begin(ctx context.Context, e event.Event, asked *event.CodeRequested, from Source) (later time.Duration, err error) {
	leave, err := d.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	after, begun, err := d.first(ctx, e.Account, asked, from)
	if err != nil || after < 0 {
		return 0, err
	}
	if begun && after > 0 {
		return after, nil
	}
	return d.deliver(ctx, Request{Challenge: asked.Challenge, No: 1}, from)
}

// first makes the first attempt of a challenge, if there is none yet. after is as of attempt.
func (d *Dispatcher) first(ctx context.Context, account uuid.UUID, asked *event.CodeRequested, from Source) (after time.Duration, begun bool, err error) {
	if d.spends.stops(account, asked.Country) {
		return 0, false, nil // the long way says why
	}
	c, wait := d.router.Choose(ctx, router.Want{Country: asked.Country, Challenge: asked.Challenge})
	if wait > 0 {
		return wait, true, nil
	}
	id, err := uuid.NewV7()
	if err != nil {
		return 0, false, fmt.Errorf("making an attempt: %w", err)
	}
	about := event.SMSAttempt{Challenge: asked.Challenge, Attempt: id, AttemptNo: 1, Request: 1, Text: 1, Provider: c.Provider, Country: asked.Country}
	told, err := event.New("dispatcher", account, time.Now(), event.SMSAttempted{SMSAttempt: about, Why: string(c.Why)})
	if err != nil {
		return 0, false, err
	}
	row, err := d.firsts.Do(ctx, claim{about: about, account: account, event: told})
	if err != nil {
		return 0, false, fmt.Errorf("claiming a first text: %w", err)
	}
	if row == nil {
		return 0, false, nil
	}
	d.o.Bus.Publish(told)
	d.metrics.work.WithLabelValues(string(from)).Inc()
	st, err := d.admit(row)
	if err != nil {
		return 0, true, err
	}
	to, body, err := d.compose(ctx, row, about.Text)
	switch {
	case undeliverable(err):
		// It is claimed, so that this has to be told of the attempt before the request is given up.
		after, err = d.record(context.WithoutCancel(ctx), row, st, about, "", sms.Outcome{Ending: sms.RefusedNever, Reason: sms.ReasonBadNumber}, 0)
	case errors.Is(err, errPrefixFull): // the next look at it gives it up
		after, err = d.record(context.WithoutCancel(ctx), row, st, about, "", sms.Outcome{Ending: sms.RefusedElsewhere, Reason: sms.ReasonRefused}, 0)
	case err == nil:
		after, err = d.send(ctx, row, c, st, about, sms.Message{AttemptID: id, To: to, Country: row.PhoneCountry, Body: body, Validity: row.ExpiresAt.Sub(row.Now)})
	}
	return after, true, err
}

// claimFirst is the batch of first.
func (d *Dispatcher) claimFirst(ctx context.Context, batch []claim) ([]*queries.DeliveryReadRow, error) {
	p := queries.AttemptFirstParams{LeaseSeconds: lease.Seconds(), MarginSeconds: code.Margin.Seconds()}
	by := map[uuid.UUID]int{} // which of the batch claims a challenge; of two the later finds it taken
	for i, c := range batch {
		if _, twice := by[c.about.Challenge]; twice {
			continue
		}
		by[c.about.Challenge] = i
		p.ChallengeIds = append(p.ChallengeIds, c.about.Challenge)
		p.Ids = append(p.Ids, c.about.Attempt)
		p.AccountIds = append(p.AccountIds, c.account)
		p.Countries = append(p.Countries, c.about.Country)
		p.Providers = append(p.Providers, c.about.Provider)
		p.EventIds = append(p.EventIds, c.event.ID)
		p.EventBodies = append(p.EventBodies, c.event.Body)
	}
	rows, err := d.q.AttemptFirst(ctx, p)
	if err != nil {
		return nil, err
	}
	out := make([]*queries.DeliveryReadRow, len(batch))
	for _, r := range rows {
		row := queries.DeliveryReadRow(r)
		out[by[r.ID]] = &row
	}
	return out, nil
}
