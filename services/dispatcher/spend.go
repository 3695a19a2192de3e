package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	queries "latchkey.dev/queries/dispatcher"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/run"
	"latchkey.dev/services/internal/store"
)

// Spend bounds what the texts of an account to one country may cost. Amounts are millionths
// of the currency. The zero value bounds nothing, and counts texts at no cost.
type Spend struct {
	Price     int64            // of a text
	Prices    map[string]int64 // by country
	Hour, Day int64            // at which texts stop until the hour's or the day's end (UTC); 0: never
	Alarm     float64          // share of them at which operators are told
}

// price is what a text to a country costs.
func (s Spend) price(country string) int64 {
	if p, ok := s.Prices[country]; ok {
		return p
	}
	return s.Price
}

// limit is the most that may be spent in a span, never where there is none.
func (s Spend) limit(span string) int64 {
	limit := s.Day
	if span == "hour" {
		limit = s.Hour
	}
	if limit == 0 {
		return never
	}
	return limit
}

const (
	never      = int64(1) << 60
	spendEvery = time.Second // a stop is overshot by what is sent meanwhile
	levelAlarm = "alarm"
	levelStop  = "stop"
	// spendStop is the reason for abandoning a text whose account may spend no more on its country.
	spendStop = "spend_stop"
)

// account names what is spent: an account's texts to a country.
type account struct {
	id      uuid.UUID
	country string
}

// guard watches what is spent. Every instance does, over the same rows, and they tell each
// change once.
type guard struct {
	d       *Dispatcher
	stopped atomic.Pointer[map[account]bool]
	judged  bool
	swept   time.Time

	full            atomic.Pointer[map[string]bool] // prefixes to which no text goes for now
	counted, looked time.Time
}

func newGuard(d *Dispatcher) *guard {
	g := &guard{d: d}
	g.stopped.Store(&map[account]bool{})
	g.full.Store(&map[string]bool{})
	return g
}

func (g *guard) stops(id uuid.UUID, country string) bool {
	return (*g.stopped.Load())[account{id, country}]
}

func (g *guard) loop() *run.Loop {
	return run.NewLoop(run.LoopOptions{Name: "spend", Every: spendEvery, Jitter: spendEvery / 10, Timeout: 5 * time.Second, RunOnce: g.once, Log: g.d.o.Logger})
}

// once finds who reached which level, keeps it for login, and tells what changed; then it
// looks at the prefixes.
func (g *guard) once(ctx context.Context) error {
	// Where nothing is bounded the first turn takes back what an earlier configuration stopped.
	if bounded := g.d.o.Spend.Hour > 0 || g.d.o.Spend.Day > 0; bounded || !g.judged {
		if err := g.judge(ctx); err != nil {
			return fmt.Errorf("judging what was spent: %w", err)
		}
		g.judged = true
	}
	if err := g.prefixes(ctx); err != nil {
		return err
	}
	if time.Since(g.swept) > time.Hour {
		g.swept = time.Now()
		return errors.Join(g.d.q.SpendSweep(ctx), g.d.q.ConversionSweep(ctx))
	}
	return nil
}

// judge writes the levels and the events of those that changed, in one transaction.
func (g *guard) judge(ctx context.Context) error {
	var told []event.Event
	stopped := map[account]bool{}
	err := store.InTx(ctx, g.d.o.Pool, func(tx pgx.Tx) error {
		q := g.d.q.WithTx(tx)
		if err := q.SpendLock(ctx); err != nil {
			return err
		}
		write, spent, err := g.reached(ctx, q, stopped)
		if err != nil {
			return err
		}
		over, err := q.SpendStateClear(ctx, queries.SpendStateClearParams{AccountIds: write.AccountIds, Countries: write.Countries, Spans: write.Spans})
		if err != nil {
			return err
		}
		for _, o := range over {
			g.d.o.Logger.Info("spending is below its level again", "account", uuid.UUID(o.AccountID), "country", o.Country, "span", o.Span, "level", o.Level)
		}
		if len(write.AccountIds) == 0 {
			return nil
		}
		changed, err := q.SpendStateWrite(ctx, write)
		if err != nil || len(changed) == 0 {
			return err
		}
		told, err = g.tell(ctx, q, changed, spent)
		return err
	})
	if err != nil {
		return err
	}
	g.stopped.Store(&stopped)
	for _, e := range told {
		g.d.o.Bus.Publish(e)
	}
	return nil
}

// reached reads who spent as much as is worth an alarm, and adds to stopped who may spend no more.
func (g *guard) reached(ctx context.Context, q *queries.Queries, stopped map[account]bool) (write queries.SpendStateWriteParams, spent map[string]int64, err error) {
	s := g.d.o.Spend
	threshold := func(span string) int64 {
		limit := s.limit(span)
		if limit == never {
			return never
		}
		return int64(float64(limit) * s.Alarm)
	}
	rows, err := q.SpendReached(ctx, queries.SpendReachedParams{HourMicros: threshold("hour"), DayMicros: threshold("day")})
	if err != nil {
		return write, nil, err
	}
	spent = map[string]int64{}
	for _, r := range rows {
		level := levelAlarm
		if r.CostMicros >= s.limit(r.Span) {
			level = levelStop
			stopped[account{r.AccountID, r.Country}] = true
		}
		spent[spendKey(r.AccountID, r.Country, r.Span)] = r.CostMicros
		write.AccountIds, write.Countries, write.Spans = append(write.AccountIds, r.AccountID), append(write.Countries, r.Country), append(write.Spans, r.Span)
		write.Levels, write.Untils = append(write.Levels, level), append(write.Untils, r.Until)
	}
	return write, spent, nil
}

// tell writes the events of what changed.
func (g *guard) tell(ctx context.Context, q *queries.Queries, changed []queries.SpendStateWriteRow, spent map[string]int64) (told []event.Event, err error) {
	var events queries.EventInsertParams
	for _, c := range changed {
		e, err := event.New("dispatcher", c.AccountID, time.Now(), event.SpendReached{Account: c.AccountID, Country: c.Country, Span: c.Span, Level: c.Level,
			Percent: int(min(9999, 100*spent[spendKey(c.AccountID, c.Country, c.Span)]/g.d.o.Spend.limit(c.Span)))})
		if err != nil {
			return nil, err
		}
		told = append(told, e)
		events.Ids, events.Types = append(events.Ids, e.ID), append(events.Types, e.Type)
		events.AccountIds, events.Bodies = append(events.AccountIds, e.Account), append(events.Bodies, e.Body)
		g.d.metrics.spends.WithLabelValues(c.Span, c.Level).Inc()
		g.d.o.Logger.Warn("an account spent much on texts", "account", uuid.UUID(c.AccountID), "country", c.Country, "span", c.Span, "level", c.Level, "until", c.Until)
	}
	return told, q.EventInsert(ctx, events)
}

func spendKey(id uuid.UUID, country, span string) string { return id.String() + country + span }
