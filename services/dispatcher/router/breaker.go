package router

import (
	"context"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	queries "latchkey.dev/queries/dispatcher"
	"latchkey.dev/services/sms"
)

const (
	// A breaker opens at failMost failures among the newest failOf answers.
	failMost, failOf = 5, 20
	// When it begins to answer again, it closes at enough successes among as many answers.
	wellMost, wellOf = 4, 5
	// probePause is how long an open breaker lets nothing pass, and the least time between
	// two texts that try the provider, of all instances together.
	probePause = 10 * time.Second
	// lastHope is that time where no provider answers.
	lastHope = 2 * time.Second
	// writeTime bounds the telling of one change.
	writeTime = 3 * time.Second
)

const (
	closed   = "closed"
	open     = "open"
	halfOpen = "half_open"
)

var states = map[circuitbreaker.State]string{circuitbreaker.ClosedState: closed, circuitbreaker.OpenState: open, circuitbreaker.HalfOpenState: halfOpen}

// breaker is one circuit breaker. Whether an open one lets a probe pass is not its own
// decision: all instances share one, so the database rations them.
type breaker struct {
	failsafe   circuitbreaker.CircuitBreaker[any]
	changedAt  time.Time // by the database, of the change that is known here
	probeAfter time.Time // by this process's clock
}

func newBreaker() *breaker {
	return &breaker{failsafe: circuitbreaker.NewBuilder[any]().
		WithFailureThresholdRatio(failMost, failOf).
		WithSuccessThresholdRatio(wellMost, wellOf).
		WithDelay(365 * 24 * time.Hour). // a probe ends it, or another instance
		Build()}
}

func (b *breaker) state() string { return states[b.failsafe.State()] }

func (b *breaker) become(state string) {
	switch state {
	case open:
		b.failsafe.Open()
	case halfOpen:
		b.failsafe.HalfOpen()
	default:
		b.failsafe.Close()
	}
}

// transition is a change of a breaker that the others are to hear of.
type transition struct {
	key    key
	state  string
	reason sms.Reason
}

// verdict is what an answer says of a breaker.
type verdict int

const (
	neither verdict = iota
	failed
	well
)

// blame says what an answer tells of the provider as a whole and of its way into a country.
// A refusal that is about the number or the person, and a rate that was exceeded, tell nothing.
func blame(out sms.Outcome) (whole, here verdict) {
	if out.Ending == sms.Accepted {
		return well, well
	}
	switch out.Reason {
	case sms.ReasonThrottled, sms.ReasonBadNumber, sms.ReasonOptedOut:
		return neither, neither
	case sms.ReasonRefused:
		return neither, failed
	}
	return failed, failed
}

// record counts an answer, and tells the others when it changes the breaker.
func (r *Router) record(k key, v verdict, reason sms.Reason, probe bool) {
	if v == neither {
		return
	}
	r.mu.Lock()
	b := r.breakers[k]
	if b == nil {
		b = newBreaker()
		r.breakers[k] = b
	}
	before := b.state()
	switch {
	case v == well && probe && before == open:
		b.failsafe.HalfOpen()
		b.failsafe.RecordSuccess()
	case v == well:
		b.failsafe.RecordSuccess()
	default:
		b.failsafe.RecordFailure()
	}
	after := b.state()
	if after == open && before != open {
		b.probeAfter = time.Now().Add(probePause)
	}
	r.mu.Unlock()
	if after == before {
		return
	}
	r.log(k, after, reason)
	select {
	case r.writes <- transition{k, after, reason}:
	default: // so many at once come again: an open breaker stays open until a probe
	}
}

func (r *Router) log(k key, state string, reason sms.Reason) {
	r.metrics.changes.WithLabelValues(k.provider, state).Inc()
	if state == open {
		r.o.Logger.Warn("provider does not answer: others carry its texts", "provider", k.provider, "country", k.country, "reason", string(reason))
	} else {
		r.o.Logger.Info("provider answers again", "provider", k.provider, "country", k.country, "breaker", state)
	}
}

// tell writes changes of breakers for the other instances, until ctx ends.
func (r *Router) tell(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case t := <-r.writes:
			if err := r.write(ctx, t); err != nil && ctx.Err() == nil {
				r.o.Logger.Warn("the state of a provider could not be told to other instances", "provider", t.key.provider, "error", err)
			}
		}
	}
}

func (r *Router) write(ctx context.Context, t transition) error {
	limit, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	at, err := r.q.BreakerSet(limit, queries.BreakerSetParams{Provider: t.key.provider, Country: t.key.country, Breaker: t.state,
		Reason: string(t.reason), ProbeSeconds: probePause.Seconds()})
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.breakers[t.key].changedAt = at
	return nil
}

// claimProbe asks to be the one who tries an open provider now.
func (r *Router) claimProbe(ctx context.Context, k key, now time.Time, early time.Duration) bool {
	r.mu.Lock()
	b := r.breakers[k]
	due := b != nil && !b.probeAfter.After(now.Add(early))
	if due {
		b.probeAfter = now.Add(probePause) // whoever wins: nobody here asks again before
	}
	r.mu.Unlock()
	if !due {
		return false
	}
	limit, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	n, err := r.q.ProbeClaim(limit, queries.ProbeClaimParams{Provider: k.provider, Country: k.country, ProbeSeconds: probePause.Seconds(), EarlySeconds: early.Seconds()})
	return err == nil && n == 1
}

// stateOf is the worse of a provider's two breakers, and which it is. The lock is held.
func (r *Router) stateOf(provider, country string) (state string, of key) {
	state = closed
	for _, k := range []key{{provider, ""}, {provider, country}} {
		b := r.breakers[k]
		if b == nil {
			continue
		}
		if s := b.state(); s == open && state != open || s == halfOpen && state == closed {
			state, of = s, k
		}
	}
	return state, of
}

// follow takes over what another instance found. The lock is held.
func (r *Router) follow(row queries.HealthReadRow, dbNow, now time.Time) {
	k := key{row.Provider, row.Country}
	b := r.breakers[k]
	if b == nil {
		if row.Breaker == closed {
			return
		}
		b = newBreaker()
		r.breakers[k] = b
	}
	if row.ProbeAfter != nil {
		b.probeAfter = now.Add(row.ProbeAfter.Sub(dbNow))
	}
	if !row.BreakerChangedAt.After(b.changedAt) {
		return
	}
	b.changedAt = row.BreakerChangedAt
	if b.state() != row.Breaker {
		b.become(row.Breaker)
	}
}
