// Package routing says which providers may carry texts to a country, and who is asked first:
// by the configuration, and by what operators decided. How well they are is not its matter.
package routing

import (
	"maps"
	"slices"
)

// The kinds of rules that operators make for providers.
const (
	Pin   = "pin"   // a provider is asked first, whatever its health
	Drain = "drain" // it gets no new text
	Order = "order" // replaces the configured one
)

// Rule is what an operator decided of a provider in a country, or with "" everywhere that
// nothing else was said of. Those of an order are in its order.
type Rule struct{ Kind, Country, Provider string }

// Plan is what is configured and decided.
type Plan struct {
	Providers []string            // configured, in their order
	Routes    map[string][]string // configured orders of countries
	Rules     []Rule
}

// Find returns the rules of a kind in a country, of one provider or with "" of all.
func (p Plan) Find(kind, country, provider string) (all []Rule) {
	for _, r := range p.Rules {
		if r.is(kind, country, provider) {
			all = append(all, r)
		}
	}
	return all
}

func (r Rule) is(kind, country, provider string) bool {
	return r.Kind == kind && r.Country == country && (provider == "" || r.Provider == provider)
}

// With returns the plan after the rules of a kind in a country were replaced, of one provider
// or with "" of all.
func (p Plan) With(kind, country, provider string, now ...string) Plan {
	p.Rules = slices.DeleteFunc(slices.Clone(p.Rules), func(r Rule) bool { return r.is(kind, country, provider) })
	for _, name := range now {
		p.Rules = append(p.Rules, Rule{kind, country, name})
	}
	return p
}

// Configured is the order of a country by the configuration.
func (p Plan) Configured(country string) []string {
	if order, ok := p.Routes[country]; ok {
		return order
	}
	return p.Providers
}

// decided is an operator's order of a country: of providers that are configured.
func (p Plan) decided(country string) (order []string) {
	for _, r := range p.Find(Order, country, "") {
		if slices.Contains(p.Providers, r.Provider) {
			order = append(order, r.Provider)
		}
	}
	return order
}

// Order is the order of a country: an operator's for it, the configured one for it, an
// operator's for all, the configured one for all. Where it is an operator's, of is the
// country that it was decided for.
func (p Plan) Order(country string) (order []string, of string, decided bool) {
	if order = p.decided(country); len(order) > 0 {
		return order, country, true
	}
	if _, own := p.Routes[country]; !own {
		if order = p.decided(""); len(order) > 0 {
			return order, "", true
		}
	}
	return p.Configured(country), "", false
}

// Drained reports whether a provider gets no new texts for a country.
func (p Plan) Drained(provider, country string) bool {
	return len(p.Find(Drain, country, provider)) > 0 || len(p.Find(Drain, "", provider)) > 0
}

// Pinned is who is pinned for a country, and may be none of its carriers; "" for nobody.
func (p Plan) Pinned(country string) string {
	for _, of := range []string{country, ""} {
		if pins := p.Find(Pin, of, ""); len(pins) > 0 {
			return pins[0].Provider
		}
	}
	return ""
}

// Carriers are those that get new texts for a country while all are in health, the first is
// asked first.
func (p Plan) Carriers(country string) (all []string) {
	order, _, _ := p.Order(country)
	pin := p.Pinned(country)
	for _, name := range order {
		switch {
		case p.Drained(name, country):
		case name == pin:
			all = slices.Insert(all, 0, name)
		default:
			all = append(all, name)
		}
	}
	return all
}

// Countries are those of which something of their own was said, in order, after "" for all others.
func (p Plan) Countries() []string {
	all := map[string]bool{"": true}
	for country := range p.Routes {
		all[country] = true
	}
	for _, r := range p.Rules {
		all[r.Country] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// Stranded are the countries that somebody carries texts to, and nobody does by another plan.
func (p Plan) Stranded(then Plan) (all []string) {
	for _, country := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(p.Countries(), then.Countries())))) {
		if len(p.Carriers(country)) > 0 && len(then.Carriers(country)) == 0 {
			all = append(all, country)
		}
	}
	return all
}
