package dispatcher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	queries "latchkey.dev/queries/dispatcher"
	"latchkey.dev/services/code"
	"latchkey.dev/services/dispatcher/router"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/seal"
	"latchkey.dev/services/phone"
	"latchkey.dev/services/sms"
	"latchkey.dev/services/words"
)

// rounds bounds how many attempts one call makes; what is left is due in the database.
const rounds = 8

// deliverTime bounds what one delivery of a message may take, waiting for a slot included.
const deliverTime = time.Minute

// Deliver takes a requested text as far as it can now: until a provider has it, until it
// is to be tried again later, or until it is given up. later is when it is worth coming
// again, 0 for never. Doing it twice, or for a request that is settled or unknown, does
// nothing. An error says that the databases did not answer and nothing is known.
func (d *Dispatcher) Deliver(ctx context.Context, r Request, from Source) (later time.Duration, err error) {
	leave, err := d.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	return d.deliver(ctx, r, from)
}

// enter waits for one of the slots, which bound how many texts are under way.
func (d *Dispatcher) enter(ctx context.Context) (leave func(), err error) {
	leave = func() { <-d.slots }
	select {
	case d.slots <- struct{}{}:
		return leave, nil
	default:
	}
	d.codes.add()
	defer d.codes.done()
	select {
	case d.slots <- struct{}{}:
		return leave, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// deliver is Deliver in a slot.
func (d *Dispatcher) deliver(ctx context.Context, r Request, from Source) (later time.Duration, err error) {
	for range rounds {
		row, err := d.reads.Do(ctx, r)
		if err != nil {
			return 0, fmt.Errorf("reading a challenge: %w", err)
		}
		if row == nil {
			return 0, nil
		}
		st, err := d.admit(row)
		if err != nil {
			return 0, err
		}
		s := next(st)
		switch s.do {
		case nothing:
			return 0, nil
		case wait:
			return s.after, nil
		case settle:
			if err := d.q.AttemptSettle(ctx, queries.AttemptSettleParams{ChallengeID: row.ID, RequestNo: row.RequestNo}); err != nil {
				return 0, fmt.Errorf("settling a text: %w", err)
			}
			return 0, nil
		case abandon:
			if done, err := d.abandon(ctx, row, s); err != nil || done {
				return 0, err
			}
		case send:
			after, err := d.attempt(ctx, row, s, st, from)
			if err != nil || after < 0 {
				return 0, err
			}
			if after > 0 {
				return after, nil
			}
		}
	}
	return time.Second, nil
}

// admit reads what is known of a request into the state that decides.
func (d *Dispatcher) admit(row *queries.DeliveryReadRow) (state, error) {
	st := state{request: int(row.RequestNo), now: row.Now, expiresAt: row.ExpiresAt, open: row.Open, stopped: d.spends.stops(row.AccountID, row.PhoneCountry)}
	if err := json.Unmarshal(row.Attempts, &st.attempts); err != nil {
		return st, fmt.Errorf("reading attempts: %w", err)
	}
	return st, nil
}

// attempt claims, sends and records. It says when to look at the request again: negative
// for never, zero for at once.
func (d *Dispatcher) attempt(ctx context.Context, row *queries.DeliveryReadRow, s step, st state, from Source) (after time.Duration, err error) {
	c := router.Choice{Provider: s.provider}
	if s.provider == "" {
		asked := st.asked()
		var wait time.Duration
		if c, wait = d.router.Choose(ctx, router.Want{Country: row.PhoneCountry, Challenge: row.ID, Turns: asked}); wait > 0 {
			return wait, nil
		}
		if s.reason != "" { // a text that is out already goes to somebody else, or to nobody
			if asked[c.Provider] > 0 {
				return 0, d.q.AttemptSettle(ctx, queries.AttemptSettleParams{ChallengeID: row.ID, RequestNo: row.RequestNo})
			}
			d.metrics.failovers.WithLabelValues(s.reason).Inc()
		}
	}
	to, body, err := d.compose(ctx, row, s.text)
	if undeliverable(err) || errors.Is(err, errPrefixFull) {
		if s.reason = neverDeliverable; errors.Is(err, errPrefixFull) {
			s.reason = prefixFull
		}
		if done, err := d.abandon(ctx, row, s); err != nil || !done {
			return 0, err
		}
		return -1, nil
	}
	if err != nil {
		return 0, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return 0, fmt.Errorf("making an attempt: %w", err)
	}
	about := event.SMSAttempt{Challenge: row.ID, Attempt: id, AttemptNo: s.attempt, Request: st.request, Text: s.text, Provider: c.Provider, Country: row.PhoneCountry}
	told, err := event.New("dispatcher", row.AccountID, time.Now(), event.SMSAttempted{SMSAttempt: about, Rescued: s.rescued, Why: string(c.Why)})
	if err != nil {
		return 0, err
	}
	won, err := d.claims.Do(ctx, claim{about: about, account: row.AccountID, event: told})
	if err != nil {
		return 0, fmt.Errorf("claiming a text: %w", err)
	}
	if !won {
		// Another dispatcher has it, another text of the challenge took the number, or the
		// challenge has ended: the database knows which.
		return 0, nil
	}
	d.o.Bus.Publish(told)
	d.metrics.work.WithLabelValues(string(from)).Inc()
	return d.send(ctx, row, c, st, about, sms.Message{AttemptID: id, To: to, Country: row.PhoneCountry, Body: body, Validity: row.ExpiresAt.Sub(row.Now)})
}

// undeliverable reports whether an error of compose means that there is no number to text.
func undeliverable(err error) bool {
	return errors.Is(err, seal.ErrCannotOpen) || errors.Is(err, phone.ErrNotANumber) || errors.Is(err, phone.ErrCannotReceive)
}

// send hands the text to the provider and records how it ended. Neither is cut short
// when ctx ends: a request that has left would only be repeated by somebody else.
func (d *Dispatcher) send(ctx context.Context, row *queries.DeliveryReadRow, c router.Choice, st state, about event.SMSAttempt, m sms.Message) (after time.Duration, err error) {
	ctx = context.WithoutCancel(ctx)
	pause(c.Delay)
	sender := d.providers[c.Provider]
	out := sms.Outcome{Ending: sms.RefusedElsewhere, Reason: sms.ReasonMisconfigured} // a provider that is configured no more
	began := time.Now()
	if sender != nil {
		limit, cancel := context.WithTimeout(ctx, sms.MaxAttempt)
		out = sender.Send(limit, m)
		cancel()
	}
	took := time.Since(began)
	d.metrics.texts.WithLabelValues(c.Provider, string(out.Ending)).Inc()
	d.router.Done(c, row.PhoneCountry, out)
	return d.record(ctx, row, st, about, m.To.Prefix(), out, took)
}

// pause waits for a provider's rate: router.maxDelay at most, so whatever ends meanwhile is not missed.
func pause(d time.Duration) {
	if d > 0 {
		<-time.After(d)
	}
}

// record keeps how an attempt ended, with its event. after is as of attempt.
func (d *Dispatcher) record(ctx context.Context, row *queries.DeliveryReadRow, st state, about event.SMSAttempt, prefix string, out sms.Outcome, took time.Duration) (after time.Duration, err error) {
	answer := event.SMSAnswer{SMSAttempt: about, Reason: string(out.Reason), VendorCode: out.VendorCode, TookMS: int(took.Milliseconds())}
	var data event.Data
	switch out.Ending {
	case sms.Accepted:
		data = event.SMSAccepted{SMSAnswer: answer}
		if st.request == 1 { // the others are asked for long after
			d.metrics.accept.Observe(row.Now.Sub(row.CreatedAt).Seconds() + took.Seconds())
		}
	case sms.Ambiguous:
		data = event.SMSUnanswered{SMSAnswer: answer}
	default:
		data = event.SMSRefused{SMSAnswer: answer, Never: out.Ending == sms.RefusedNever}
	}
	if out.Ending != sms.Accepted {
		d.metrics.failovers.WithLabelValues(string(out.Reason)).Inc()
		d.o.Logger.Warn("text was not accepted", "challenge", about.Challenge, "attempt", about.Attempt, "provider", about.Provider,
			"ending", string(out.Ending), "reason", string(out.Reason), "vendor_code", out.VendorCode)
	}
	told, err := event.New("dispatcher", row.AccountID, time.Now(), data)
	if err != nil {
		return 0, err
	}
	follow := d.follow(st, about, out.Ending)
	keep, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	followed, err := d.records.Do(keep, record{about: about, account: row.AccountID, prefix: prefix, outcome: out, follow: follow, event: told})
	if err != nil {
		return 0, fmt.Errorf("recording how a text ended: %w", err)
	}
	d.o.Bus.Publish(told)
	if !followed || out.Ending == sms.Accepted {
		return -1, nil // settled, taken for lost and repeated meanwhile, or its receipt decides
	}
	return follow, nil
}

// follow says when to look at a request again after an attempt ended: negative for never,
// zero for at once. A text that was taken is looked at when its receipt is overdue, if
// another could be sent.
func (d *Dispatcher) follow(st state, about event.SMSAttempt, ending sms.Ending) time.Duration {
	if ending == sms.Accepted {
		after, ok := d.router.Silence(about.Provider, about.Country)
		if !ok || freeText(st.attempts, max(about.Text, highestText(st.attempts))) == 0 {
			return -1
		}
		return after
	}
	turns := st.turns()
	turns[about.Provider]++
	return followUp(ending, turns, d.router.Rank(about.Country, about.Challenge))
}

// compose opens the number and derives the code, at the last moment.
func (d *Dispatcher) compose(ctx context.Context, row *queries.DeliveryReadRow, text int) (to phone.Number, body sms.Body, err error) {
	if to, err = seal.OpenNumber(d.o.NumberKey, row.PhoneSealed, row.MemberID, int(row.PhoneVersion)); err != nil {
		return to, body, err
	}
	if (*d.spends.full.Load())[to.Prefix()] {
		return to, body, errPrefixFull
	}
	key, err := d.epochs.key(ctx, row.Epoch)
	if err != nil {
		return to, body, err
	}
	c := code.Derive(key, row.ID, text, row.Seed, d.o.Digits)
	minutes := int(row.ExpiresAt.Sub(row.Now) / time.Minute)
	lang, _ := words.Parse(row.Language)
	written, err := code.Compose(lang, row.SoftwareName, c, max(minutes, 1), code.Autofill{Host: row.AutofillHost, AppHash: row.AppHash})
	if err != nil {
		return to, body, fmt.Errorf("composing a text of software: %w", err)
	}
	return to, sms.NewBody(written), nil
}

// abandon gives a requested text up, once, and tells why. It is not done when another
// attempt of the challenge took the number.
func (d *Dispatcher) abandon(ctx context.Context, row *queries.DeliveryReadRow, s step) (done bool, err error) {
	id, err := uuid.NewV7()
	if err != nil {
		return false, fmt.Errorf("abandoning a text: %w", err)
	}
	told, err := event.New("dispatcher", row.AccountID, time.Now(), event.SMSAbandoned{Challenge: row.ID, Request: int(row.RequestNo), Reason: s.reason})
	if err != nil {
		return false, err
	}
	about := event.SMSAttempt{Challenge: row.ID, Attempt: id, AttemptNo: s.attempt, Request: int(row.RequestNo)}
	done, err = d.abandons.Do(ctx, claim{about: about, account: row.AccountID, event: told, reason: s.reason})
	if err != nil {
		return false, fmt.Errorf("abandoning a text: %w", err)
	}
	if done {
		d.metrics.abandoned.WithLabelValues(s.reason).Inc()
		d.o.Bus.Publish(told)
	}
	return done, nil
}
