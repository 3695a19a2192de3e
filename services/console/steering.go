package console

import (
	queries "latchkey.dev/queries/console"
	"latchkey.dev/services/routing"
)

// steering is who carries texts where, by the same plan that the dispatchers keep to, and who
// decided it when.
type steering struct {
	routing.Plan
	rules []queries.ProviderRule
}

// decision is the rule by which an operator's order is in force in a country, nil for none.
func (s steering) decision(country string) *queries.ProviderRule {
	_, of, decided := s.Order(country)
	for i, r := range s.rules {
		if decided && r.Kind == routing.Order && r.Country == of {
			return &s.rules[i]
		}
	}
	return nil
}
