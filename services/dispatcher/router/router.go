// Package router says which provider carries a text. It weighs what operators decided
// (order, pin, drain), whether a provider answers (a circuit breaker by provider and
// country), how much its vendor takes (pacing), and whether the codes that it carried
// are typed in (conversion). What it learns is shared with every other instance through
// Postgres, and outlives all of them.
package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	queries "latchkey.dev/queries/dispatcher"
	"latchkey.dev/services/internal/run"
	"latchkey.dev/services/routing"
	"latchkey.dev/services/sms"
)

// Options configure a Router. Pool and Providers are required.
type Options struct {
	Pool      *pgxpool.Pool       // main database, as latchkey_dispatcher
	Providers []sms.Provider      // in the order in which they are asked
	Routes    map[string][]string // orders of their own, by country

	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Router ranks providers. It is safe for concurrent use.
type Router struct {
	o       Options
	q       *queries.Queries
	id      uuid.UUID // of this instance
	paces   map[string]*pace
	metrics *metrics
	loop    *run.Loop

	mu       sync.Mutex
	breakers map[key]*breaker
	plan     routing.Plan
	health   map[key]Health
	writes   chan transition
}

// key is a provider in a country, or with country "" the provider as a whole.
type key struct{ provider, country string }

const (
	// every is how often rules and health are read: a command works within two seconds.
	every = time.Second
	// measurePause is how often one of the instances measures conversion and receipts.
	measurePause = 2 * time.Second
)

// New makes a Router. Nothing is read yet: until Run does, providers are asked in the configured order.
func New(o Options) (*Router, error) {
	if o.Pool == nil || len(o.Providers) == 0 {
		return nil, errors.New("router: a database and at least one provider are required")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("router: naming this instance: %w", err)
	}
	r := &Router{o: o, q: queries.New(o.Pool), id: id, paces: map[string]*pace{}, breakers: map[key]*breaker{},
		health: map[key]Health{}, plan: routing.Plan{Routes: o.Routes}, writes: make(chan transition, 256)}
	for _, p := range o.Providers {
		r.plan.Providers = append(r.plan.Providers, p.Name)
		r.paces[p.Name] = newPace(p.Rate)
	}
	r.metrics = newMetrics(o.Registerer, r.plan.Providers)
	r.loop = run.NewLoop(run.LoopOptions{Name: "router", Every: every, Timeout: 5 * time.Second, RunOnce: r.Once, Log: o.Logger})
	return r, nil
}

// Run keeps the router in step with the database until ctx ends. Then the others have its
// share of the rates at once.
func (r *Router) Run(ctx context.Context) error {
	defer func() {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTime)
		defer cancel()
		if err := r.q.InstanceLeave(limit, r.id); err != nil {
			r.o.Logger.Warn("this dispatcher could not tell that it ends", "error", err)
		}
	}()
	return run.All(ctx, run.Component{Name: "router", Run: r.loop.Run}, run.Component{Name: "breakers", Run: r.tell})
}

// Once does one turn: it reads rules and health, and measures when it is this instance's turn.
func (r *Router) Once(ctx context.Context) error {
	beat, err := r.q.InstanceBeat(ctx, r.id)
	if err != nil {
		return fmt.Errorf("telling that this dispatcher runs: %w", err)
	}
	if err := r.read(ctx, beat.Now); err != nil {
		return err
	}
	now := time.Now()
	for _, p := range r.paces {
		p.tick(now, int(beat.Others)+1)
	}
	return r.measure(ctx, beat.Now)
}

// Want is a text that needs a provider.
type Want struct {
	Country   string
	Challenge uuid.UUID      // by which trials are drawn
	Turns     map[string]int // how often each provider was asked for this challenge's texts
}

// Choice is the provider for a text.
type Choice struct {
	Provider string
	Why      Why
	Delay    time.Duration // to wait before sending, for the vendor's rate: at most maxDelay
}

// Choose returns the provider to ask now. Where none may be asked it returns how long to
// wait before asking again, and no provider.
func (r *Router) Choose(ctx context.Context, w Want) (Choice, time.Duration) {
	now := time.Now()
	ranked, probes := r.rank(w, now)
	early := time.Duration(0)
	if len(ranked) == 0 {
		early = probePause - lastHope
	}
	for _, k := range probes {
		// A text that failed elsewhere tries nothing, unless nobody is left to ask.
		if (len(w.Turns) == 0 || len(ranked) == 0) && r.claimProbe(ctx, k, now, early) {
			return r.chosen(Choice{Provider: k.provider, Why: Probe}), 0
		}
	}
	return r.first(ranked, maxDelay, now)
}

// Turn is Choose for what may wait, as notices do: the n-th provider of the ranking, from 0,
// or the next that takes a text at once.
func (r *Router) Turn(country string, id uuid.UUID, n int) (Choice, time.Duration) {
	now := time.Now()
	ranked, _ := r.rank(Want{Country: country, Challenge: id}, now)
	if len(ranked) > 0 {
		n %= len(ranked)
		ranked = append(ranked[n:], ranked[:n]...)
	}
	return r.first(ranked, 0, now)
}

// first takes the place of a text with the first provider whose vendor takes one within a
// delay. Where none does it returns how long to wait.
func (r *Router) first(ranked []candidate, most time.Duration, now time.Time) (Choice, time.Duration) {
	wait := every
	for _, c := range ranked {
		delay, ok := r.paces[c.provider].take(now, most)
		if ok {
			return r.chosen(Choice{Provider: c.provider, Why: c.why, Delay: delay}), 0
		}
		wait = min(wait, delay)
	}
	return Choice{}, max(wait, 50*time.Millisecond)
}

func (r *Router) chosen(c Choice) Choice {
	r.metrics.choices.WithLabelValues(c.Provider, string(c.Why)).Inc()
	return c
}

// Rank returns the providers for a country, the best first, without taking anything of
// their rates. Those that do not answer are not in it.
func (r *Router) Rank(country string, id uuid.UUID) []string {
	ranked, _ := r.rank(Want{Country: country, Challenge: id}, time.Now())
	names := make([]string, len(ranked))
	for i, c := range ranked {
		names[i] = c.provider
	}
	return names
}

// Silence is how long after a provider took a text for a country its receipt is overdue, so
// that the next provider should send. ok is false where silence says nothing, since the
// provider reports nothing, and where there is nobody else to ask.
func (r *Router) Silence(provider, country string) (after time.Duration, ok bool) {
	reads := false
	for _, p := range r.o.Providers {
		if p.Name == provider {
			reads = p.Receipts != nil || p.Source != nil
		}
	}
	if !reads || len(r.Rank(country, uuid.Nil)) < 2 {
		return 0, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.health[key{provider, country}].silence()
}

// Done tells how a provider answered. It is for every answer, to a notice's text too.
func (r *Router) Done(c Choice, country string, out sms.Outcome) {
	now := time.Now()
	p := r.paces[c.Provider]
	if p == nil {
		return
	}
	if out.Reason == sms.ReasonThrottled {
		p.throttled(now, out.RetryAfter)
		r.metrics.throttled.WithLabelValues(c.Provider).Inc()
	} else if out.Ending == sms.Accepted {
		p.accepted(now)
	}
	whole, here := blame(out)
	r.record(key{c.Provider, ""}, whole, out.Reason, c.Why == Probe)
	r.record(key{c.Provider, country}, here, out.Reason, c.Why == Probe)
}
