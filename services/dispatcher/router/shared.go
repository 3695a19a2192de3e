package router

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	queries "latchkey.dev/queries/dispatcher"
	"latchkey.dev/services/internal/store"
	"latchkey.dev/services/routing"
)

// read takes over what operators decided and what all instances know.
func (r *Router) read(ctx context.Context, dbNow time.Time) error {
	written, err := r.q.RuleRead(ctx)
	if err != nil {
		return fmt.Errorf("reading operators' rules for providers: %w", err)
	}
	known, err := r.q.HealthRead(ctx)
	if err != nil {
		return fmt.Errorf("reading the health of providers: %w", err)
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.plan.Rules = rulesOf(written)
	for _, row := range known {
		if r.paces[row.Provider] == nil {
			continue // configured no more
		}
		r.health[key{row.Provider, row.Country}] = healthOf(row)
		r.follow(row, dbNow, now)
	}
	return nil
}

func rulesOf(rows []queries.RuleReadRow) (all []routing.Rule) {
	for _, w := range rows {
		all = append(all, routing.Rule{Kind: w.Kind, Country: w.Country, Provider: w.Provider})
	}
	return all
}

func healthOf(row queries.HealthReadRow) Health {
	h := Health{Accepted: int(row.Accepted), Typed: int(row.Typed), Usual: row.Usual, Demotions: int(row.Demotions),
		Receipt: time.Duration(row.ReceiptSeconds * float64(time.Second))}
	for from, to := range map[*time.Time]*time.Time{row.DemotedAt: &h.DemotedAt, row.DemotedUntil: &h.DemotedUntil, row.JudgedSince: &h.JudgedSince} {
		if from != nil {
			*to = *from
		}
	}
	if row.Reports.Valid {
		h.Reports = &row.Reports.Bool
	}
	return h
}

// measure counts, judges and writes, when it is this instance's turn: every time is the database's.
func (r *Router) measure(ctx context.Context, now time.Time) error {
	return store.InTx(ctx, r.o.Pool, func(tx pgx.Tx) error {
		q := r.q.WithTx(tx)
		mine, err := q.MeasureBegin(ctx, measurePause.Seconds())
		if err != nil || !mine {
			return err
		}
		rows, err := q.Measure(ctx, queries.MeasureParams{Most: newest, Sample: sample})
		if err != nil {
			return fmt.Errorf("measuring conversion: %w", err)
		}
		for _, changed := range r.judgeAll(rows, now) {
			if err := q.HealthWrite(ctx, changed); err != nil {
				return fmt.Errorf("writing the health of a provider: %w", err)
			}
		}
		return nil
	})
}

// judgeAll brings the measures into what is known, and decides on every provider's place
// in each country, the first of the order first: of two that fell one keeps its place.
func (r *Router) judgeAll(rows []queries.MeasureRow, now time.Time) (changed []queries.HealthWriteParams) {
	r.mu.Lock()
	defer r.mu.Unlock()
	countries := map[string]bool{}
	for _, m := range rows {
		if r.paces[m.Provider] == nil {
			continue
		}
		countries[m.Country] = true
		k := key{m.Provider, m.Country}
		h, known := r.health[k]
		if !known {
			h.Usual = -1
		}
		r.health[k] = h.measured(m)
	}
	for country := range countries {
		order, _, _ := r.plan.Order(country)
		for _, p := range order {
			k := key{p, country}
			before, known := r.health[k]
			if !known {
				continue
			}
			after := judge(before, r.others(p, order, country), now)
			r.health[k] = after
			if after.demoted() != before.demoted() {
				r.logPlace(k, after)
			}
			changed = append(changed, after.row(k))
		}
	}
	return changed
}

// others are the providers that may be asked instead of one. The lock is held.
func (r *Router) others(than string, order []string, country string) (all []Health) {
	for _, p := range order {
		if p == than || r.plan.Drained(p, country) {
			continue
		}
		if state, _ := r.stateOf(p, country); state == open {
			continue
		}
		h, known := r.health[key{p, country}]
		if !known {
			h.Usual = -1
		}
		all = append(all, h)
	}
	return slices.Clip(all)
}

func (r *Router) logPlace(k key, h Health) {
	if h.demoted() {
		r.metrics.demotions.WithLabelValues(k.provider, "demoted").Inc()
		r.o.Logger.Warn("provider lost its place: the codes that it carries are not typed in", "provider", k.provider, "country", k.country,
			"accepted", h.Accepted, "typed", h.Typed, "until", h.DemotedUntil)
		return
	}
	r.metrics.demotions.WithLabelValues(k.provider, "restored").Inc()
	r.o.Logger.Info("provider has its place again", "provider", k.provider, "country", k.country, "accepted", h.Accepted, "typed", h.Typed)
}

// measured brings a measure in.
func (h Health) measured(m queries.MeasureRow) Health {
	h.Accepted, h.Typed = int(m.Accepted), int(m.Typed)
	if m.Arrived < arrivedLeast {
		return h
	}
	reports := 2*m.Reported >= m.Arrived
	h.Reports = &reports
	if reports && m.ReceiptSeconds > 0 {
		h.Receipt = time.Duration(m.ReceiptSeconds * float64(time.Second))
	}
	return h
}

func (h Health) row(k key) queries.HealthWriteParams {
	row := queries.HealthWriteParams{Provider: k.provider, Country: k.country, Accepted: int32(h.Accepted), Typed: int32(h.Typed), Usual: h.Usual,
		Demotions: int32(h.Demotions), ReceiptSeconds: h.Receipt.Seconds()}
	at := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	row.DemotedAt, row.DemotedUntil, row.JudgedSince = at(h.DemotedAt), at(h.DemotedUntil), at(h.JudgedSince)
	if h.Reports != nil {
		row.Reports = pgtype.Bool{Bool: *h.Reports, Valid: true}
	}
	return row
}
