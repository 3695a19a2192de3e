package console

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	queries "latchkey.dev/queries/console"
	"latchkey.dev/services/access"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/phone"
	"latchkey.dev/services/routing"
	"latchkey.dev/services/sms"
)

// Providers is who carries texts, and how well.
type Providers struct {
	Providers   []Provider      `json:"providers"`
	Routes      []ProviderRoute `json:"routes"`      // of countries with something of their own, after that of all others
	Dispatchers int             `json:"dispatchers"` // that run
}

// Provider is what is known of one.
type Provider struct {
	Name       string  `json:"name"`
	Kind       string  `json:"kind,omitempty"` // absent of one that is not configured any more
	Rate       float64 `json:"rate,omitempty"` // texts a second, as configured; absent: what is usual for the kind
	Configured bool    `json:"configured"`

	Rules  []ProviderRule   `json:"rules"`
	Health []ProviderHealth `json:"health"`
}

// ProviderRule is what an operator decided of a provider.
type ProviderRule struct {
	Rule    string    `json:"rule"`              // pin, drain
	Country string    `json:"country,omitempty"` // absent: everywhere
	SetAt   time.Time `json:"set_at"`
	SetBy   string    `json:"set_by"`
}

// ProviderHealth is what dispatchers have learnt of a provider in a country.
type ProviderHealth struct {
	Country string `json:"country,omitempty"` // absent: of the provider as a whole

	Breaker       string    `json:"breaker"` // closed: it is asked; open: it does not answer; half_open: it begins to
	BreakerReason string    `json:"breaker_reason,omitempty"`
	BreakerSince  time.Time `json:"breaker_since"`

	Accepted       int        `json:"accepted"` // of the newest texts old enough to have been typed
	Typed          int        `json:"typed"`    // of those
	DemotedAt      *time.Time `json:"demoted_at,omitempty"`
	DemotedUntil   *time.Time `json:"demoted_until,omitempty"`   // the earliest
	ReceiptSeconds float64    `json:"receipt_seconds,omitempty"` // that nearly all receipts take; absent: not known
}

// ProviderRoute is who gets the new texts of a country while all are in health.
type ProviderRoute struct {
	Country   string     `json:"country,omitempty"` // absent: all that are not named
	Providers []string   `json:"providers"`         // the first is asked first
	SetAt     *time.Time `json:"set_at,omitempty"`  // of an operator's order; absent: as configured
	SetBy     string     `json:"set_by,omitempty"`
}

var (
	errLastProvider = web.NewProblem(http.StatusConflict, "last-provider", "Nobody would carry texts", "No provider would be left.")
	errNotInOrder   = web.NewProblem(http.StatusConflict, "provider-not-in-order", "Carries nothing there", "The provider is not in the order of this country. Name it in an order first.")
	errBadCountry   = web.NewProblem(http.StatusBadRequest, "bad-query", "Not a country", "A country is written as two capital letters, as CA, of one that has phone numbers.")
	errDrained      = web.NewProblem(http.StatusConflict, "provider-drained", "The provider is drained", "A drained provider gets no new texts, pinned or not. Resume it first.")
)

// Providers returns who carries texts, where, and how well.
func (c *Console) Providers(ctx context.Context, by access.Actor) (Providers, error) {
	if !by.In(access.SeeProviders) {
		return Providers{}, errForbidden
	}
	s, err := c.steering(ctx, c.q)
	if err != nil {
		return Providers{}, err
	}
	health, err := c.q.ProviderHealth(ctx)
	if err != nil {
		return Providers{}, fmt.Errorf("reading the providers' health: %w", err)
	}
	dispatchers, err := c.q.DispatcherCount(ctx)
	if err != nil {
		return Providers{}, fmt.Errorf("counting the dispatchers: %w", err)
	}
	out := Providers{Providers: c.describe(s, health), Dispatchers: int(dispatchers)}
	for _, country := range s.Countries() {
		out.Routes = append(out.Routes, s.route(country))
	}
	return out, nil
}

// describe tells of the configured providers in their order, and then of those that are
// configured no more and have rules yet.
func (c *Console) describe(s steering, health []queries.ProviderHealthRow) []Provider {
	all := []Provider{}
	at := func(name string) *Provider {
		i := slices.IndexFunc(all, func(p Provider) bool { return p.Name == name })
		if i < 0 {
			return nil
		}
		return &all[i]
	}
	for _, p := range c.o.Delivery.Providers {
		all = append(all, Provider{Name: p.Name, Kind: p.Kind, Rate: p.Rate, Configured: true, Rules: []ProviderRule{}, Health: []ProviderHealth{}})
	}
	for _, r := range s.rules {
		if at(r.Provider) == nil {
			all = append(all, Provider{Name: r.Provider, Rules: []ProviderRule{}, Health: []ProviderHealth{}})
		}
		if r.Kind != routing.Order {
			p := at(r.Provider)
			p.Rules = append(p.Rules, ProviderRule{r.Kind, r.Country, r.SetAt, r.SetBy})
		}
	}
	for _, h := range health {
		if p := at(h.Provider); p != nil {
			p.Health = append(p.Health, ProviderHealth{h.Country, h.Breaker, h.BreakerReason, h.BreakerChangedAt, int(h.Accepted), int(h.Typed), h.DemotedAt, h.DemotedUntil, h.ReceiptSeconds})
		}
	}
	return all
}

func (s steering) route(country string) ProviderRoute {
	r := ProviderRoute{Country: country, Providers: s.Carriers(country)}
	if r.Providers == nil {
		r.Providers = []string{}
	}
	if by := s.decision(country); by != nil {
		r.SetAt, r.SetBy = &by.SetAt, by.SetBy
	}
	return r
}

// steering reads what operators decided.
func (c *Console) steering(ctx context.Context, db *queries.Queries) (steering, error) {
	s := steering{Plan: routing.Plan{Routes: c.o.Delivery.Routes}}
	for _, p := range c.o.Delivery.Providers {
		s.Providers = append(s.Providers, p.Name)
	}
	var err error
	if s.rules, err = db.ProviderRules(ctx); err != nil {
		return s, fmt.Errorf("reading what was decided of providers: %w", err)
	}
	for _, r := range s.rules {
		s.Rules = append(s.Rules, routing.Rule{Kind: r.Kind, Country: r.Country, Provider: r.Provider})
	}
	return s, nil
}

// steer makes one decision of an operator for a country, or with "" for all.
func (c *Console) steer(ctx context.Context, by access.Actor, country string, do func(*queries.Queries, steering) ([]event.Data, error)) error {
	switch {
	case !by.In(access.SteerProviders):
		return errForbidden
	case country != "" && !phone.Country(country):
		return errBadCountry
	}
	return c.changeAndTell(ctx, uuid.Nil, func(db *queries.Queries) ([]event.Data, error) {
		if err := db.ProviderRulesLock(ctx); err != nil {
			return nil, fmt.Errorf("waiting for another decision: %w", err)
		}
		s, err := c.steering(ctx, db)
		if err != nil {
			return nil, err
		}
		return do(db, s)
	})
}

// PinProvider has a provider asked before all others, in the place of one that was pinned there.
func (c *Console) PinProvider(ctx context.Context, by access.Actor, name, country string) error {
	return c.steer(ctx, by, country, func(db *queries.Queries, s steering) ([]event.Data, error) {
		where := []string{country}
		if country == "" {
			where = s.Countries()
		}
		ordered := slices.ContainsFunc(where, func(c string) bool { order, _, _ := s.Order(c); return slices.Contains(order, name) })
		switch {
		case !slices.Contains(s.Providers, name):
			return nil, s.unknown(name)
		case !ordered:
			return nil, errNotInOrder
		case s.Drained(name, country):
			return nil, errDrained
		case len(s.Find(routing.Pin, country, name)) > 0:
			return nil, nil
		}
		return []event.Data{event.ProviderPinned{Provider: name, Country: country, By: by.By()}}, setRule(ctx, db, routing.Pin, country, "", by, name)
	})
}

// DrainProvider gives a provider no new texts. Where nobody would be left to carry them it
// must be forced.
func (c *Console) DrainProvider(ctx context.Context, by access.Actor, name, country string, force bool) error {
	return c.steer(ctx, by, country, func(db *queries.Queries, s steering) ([]event.Data, error) {
		if !slices.Contains(s.Providers, name) {
			return nil, s.unknown(name)
		}
		if len(s.Find(routing.Drain, country, name)) > 0 {
			return nil, nil
		}
		forced, err := s.allow(s.With(routing.Drain, country, name, name), force)
		if err != nil {
			return nil, err
		}
		return []event.Data{event.ProviderDrained{Provider: name, Country: country, Forced: forced, By: by.By()}}, setRule(ctx, db, routing.Drain, country, name, by, name)
	})
}

// ResumeProvider takes away what was decided of a provider in exactly this scope: pin, drain or both.
func (c *Console) ResumeProvider(ctx context.Context, by access.Actor, name, country string, kinds ...string) error {
	return c.steer(ctx, by, country, func(db *queries.Queries, s steering) ([]event.Data, error) {
		// What was decided of a provider that is configured no more can be taken away yet.
		if !slices.Contains(s.Providers, name) && !slices.ContainsFunc(s.rules, func(r queries.ProviderRule) bool { return r.Provider == name }) {
			return nil, s.unknown(name)
		}
		var gone []string
		for _, kind := range kinds {
			n, err := db.ProviderRuleClear(ctx, queries.ProviderRuleClearParams{Kind: kind, Country: country, Provider: name})
			if err != nil {
				return nil, fmt.Errorf("taking a rule away: %w", err)
			}
			if n > 0 {
				gone = append(gone, kind)
			}
		}
		if len(gone) == 0 {
			return nil, nil
		}
		return []event.Data{event.ProviderResumed{Provider: name, Country: country, Rules: gone, By: by.By()}}, nil
	})
}

// OrderProviders replaces the order in which providers are asked; none goes back to the
// configured one. Who is not named carries nothing there. Where nobody would be left it must be forced.
func (c *Console) OrderProviders(ctx context.Context, by access.Actor, country string, names []string, force bool) error {
	return c.steer(ctx, by, country, func(db *queries.Queries, s steering) ([]event.Data, error) {
		if err := s.orderFaults(country, names); err != nil {
			return nil, err
		}
		var now []string
		for _, r := range s.Find(routing.Order, country, "") {
			now = append(now, r.Provider)
		}
		if slices.Equal(now, names) {
			return nil, nil
		}
		forced, err := s.allow(s.With(routing.Order, country, "", names...), force)
		if err != nil {
			return nil, err
		}
		told := event.ProviderOrdered{Providers: append([]string{}, names...), Country: country, Forced: forced, By: by.By()}
		return []event.Data{told}, setRule(ctx, db, routing.Order, country, "", by, names...)
	})
}

// orderFaults says what is wrong with an order: every name is one of the country's own.
func (s steering) orderFaults(country string, names []string) error {
	var f faults
	for i, name := range names {
		switch {
		case !slices.Contains(s.Providers, name):
			f.add("providers", "unknown", fmt.Sprintf("%.40q is not configured.", name))
		case !slices.Contains(s.Configured(country), name):
			f.add("providers", "not_configured_there", fmt.Sprintf("%s carries nothing to %s by the configuration.", name, country))
		case slices.Contains(names[:i], name):
			f.add("providers", "twice", fmt.Sprintf("%s is named twice.", name))
		}
	}
	return f.orderProblem()
}

// orderProblem is that of an order that cannot be; nil where nothing is wrong.
func (f faults) orderProblem() error {
	return f.of(web.NewProblem(http.StatusUnprocessableEntity, "bad-order", "Not an order of these providers", f.sentences()))
}

// unknown is the problem of a provider that is not configured.
func (s steering) unknown(name string) error {
	p := *web.NotFound
	p.Detail = fmt.Sprintf("There is no provider %.40q. Configured are: %s.", name, strings.Join(s.Providers, ", "))
	return &p
}

// allow reports whether a decision had to be forced, since it leaves nobody to carry texts
// somewhere; one that was not is refused.
func (s steering) allow(then routing.Plan, force bool) (forced bool, err error) {
	stranded := s.Stranded(then)
	if len(stranded) == 0 || force {
		return len(stranded) > 0, nil
	}
	p := *errLastProvider
	p.Detail = "No provider would be left to carry texts to " + places(stranded) + ": nobody there would get a code, and nobody there could register a device until one is resumed. Force it if that is meant."
	return false, &p
}

// places names countries for a sentence.
func places(countries []string) string {
	named := slices.DeleteFunc(slices.Clone(countries), func(c string) bool { return c == "" })
	switch {
	case len(named) == len(countries):
		return strings.Join(named, ", ")
	case len(named) == 0:
		return "any country"
	}
	return "any country, " + strings.Join(named, ", ") + " included"
}

// setRule replaces rules of one kind in a country.
func setRule(ctx context.Context, db *queries.Queries, kind, country, of string, by access.Actor, providers ...string) error {
	if _, err := db.ProviderRuleClear(ctx, queries.ProviderRuleClearParams{Kind: kind, Country: country, Provider: of}); err != nil {
		return fmt.Errorf("replacing a rule: %w", err)
	}
	if len(providers) == 0 {
		return nil
	}
	if err := db.ProviderRuleSet(ctx, queries.ProviderRuleSetParams{Kind: kind, Country: country, Providers: providers, SetBy: by.By()}); err != nil {
		return fmt.Errorf("writing a rule: %w", err)
	}
	return nil
}

// ProviderTested keeps that an operator sent a text by a provider: where to, and its ending.
func (c *Console) ProviderTested(ctx context.Context, by access.Actor, name string, to phone.Number, ending sms.Ending) error {
	if !by.In(access.SteerProviders) {
		return errForbidden
	}
	told := event.ProviderTested{Provider: name, Country: to.Country(), Ending: string(ending), By: by.By()}
	return c.change(ctx, uuid.Nil, []event.Data{told}, func(*queries.Queries) error { return nil })
}
