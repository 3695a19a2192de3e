package console

import (
	"maps"
	"slices"

	queries "latchkey.dev/queries/console"
)

// The kinds of rules that operators make for providers.
const (
	Pin   = "pin"   // a provider is asked first, whatever its health
	Drain = "drain" // it gets no new text

	ruleOrder = "order" // replaces the configured one
)

// steering is who carries texts where: what is configured, and what operators decided. A
// country is "" for all that nothing else was said of. It decides as the dispatchers' router
// does for providers in good health.
type steering struct {
	providers []string            // configured, in their order
	routes    map[string][]string // configured orders of countries
	rules     []queries.ProviderRule
}

// find returns the rules of a kind in a country, of one provider or with "" of all.
func (s steering) find(kind, country, provider string) (all []queries.ProviderRule) {
	for _, r := range s.rules {
		if r.Kind == kind && r.Country == country && (provider == "" || r.Provider == provider) {
			all = append(all, r)
		}
	}
	return all
}

// with returns the steering after the rules of a kind in a country were replaced, of one
// provider or with "" of all.
func (s steering) with(kind, country, provider string, now ...string) steering {
	s.rules = slices.DeleteFunc(slices.Clone(s.rules), func(r queries.ProviderRule) bool {
		return r.Kind == kind && r.Country == country && (provider == "" || r.Provider == provider)
	})
	for _, p := range now {
		s.rules = append(s.rules, queries.ProviderRule{Kind: kind, Country: country, Provider: p})
	}
	return s
}

// configured is the order of a country by the configuration.
func (s steering) configured(country string) []string {
	if order, ok := s.routes[country]; ok {
		return order
	}
	return s.providers
}

// decided is an operator's order of a country: of providers that are configured.
func (s steering) decided(country string) (all []queries.ProviderRule) {
	for _, r := range s.find(ruleOrder, country, "") {
		if slices.Contains(s.providers, r.Provider) {
			all = append(all, r)
		}
	}
	return all
}

// order is the order of a country: an operator's for it, the configured one for it, an
// operator's for all, the configured one for all. by is the operator's, if it is one.
func (s steering) order(country string) (order []string, by *queries.ProviderRule) {
	rules := s.decided(country)
	if _, own := s.routes[country]; len(rules) == 0 && !own {
		rules = s.decided("")
	}
	if len(rules) == 0 {
		return s.configured(country), nil
	}
	for _, r := range rules {
		order = append(order, r.Provider)
	}
	return order, &rules[0]
}

func (s steering) drained(provider, country string) bool {
	return len(s.find(Drain, country, provider)) > 0 || len(s.find(Drain, "", provider)) > 0
}

// pinned is who is pinned for a country, and may be none of its carriers.
func (s steering) pinned(country string) (provider string) {
	for _, of := range []string{country, ""} {
		if pins := s.find(Pin, of, ""); len(pins) > 0 {
			return pins[0].Provider
		}
	}
	return ""
}

// carriers are those that get new texts for a country, the first is asked first.
func (s steering) carriers(country string) (all []string) {
	order, _ := s.order(country)
	pin := s.pinned(country)
	for _, p := range order {
		switch {
		case s.drained(p, country):
		case p == pin:
			all = slices.Insert(all, 0, p)
		default:
			all = append(all, p)
		}
	}
	return all
}

// countries are those of which something of their own was said, in order, after "" for all others.
func (s steering) countries() []string {
	all := map[string]bool{"": true}
	for country := range s.routes {
		all[country] = true
	}
	for _, r := range s.rules {
		all[r.Country] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// stranded are the countries that somebody carried texts to, and nobody does then.
func (s steering) stranded(then steering) (all []string) {
	for _, country := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(s.countries(), then.countries())))) {
		if len(s.carriers(country)) > 0 && len(then.carriers(country)) == 0 {
			all = append(all, country)
		}
	}
	return all
}
