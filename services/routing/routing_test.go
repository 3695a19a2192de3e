package routing_test

import (
	"slices"
	"strings"
	"testing"

	"latchkey.dev/services/routing"
)

func rules(kind, country string, providers ...string) (all []routing.Rule) {
	for _, p := range providers {
		all = append(all, routing.Rule{Kind: kind, Country: country, Provider: p})
	}
	return all
}

func TestCarriers(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, country string
		rules         []routing.Rule
		want          string
	}{
		{"as configured", "CA", nil, "a b c"},
		{"as configured for the country", "DE", nil, "b a"},
		{"an order for all", "CA", rules(routing.Order, "", "c", "a"), "c a"},
		{"an order for all does not reach a country with a route", "DE", rules(routing.Order, "", "c", "a"), "b a"},
		{"an order for the country", "DE", rules(routing.Order, "DE", "c", "a"), "c a"},
		{"the country's order before that for all", "CA", append(rules(routing.Order, "", "c"), rules(routing.Order, "CA", "b", "a")...), "b a"},
		{"an order of providers that are configured no more", "DE", rules(routing.Order, "DE", "x"), "b a"},
		{"one of an order is configured no more", "CA", rules(routing.Order, "CA", "x", "c"), "c"},
		{"a pin everywhere", "CA", rules(routing.Pin, "", "c"), "c a b"},
		{"the country's pin before that for all", "CA", append(rules(routing.Pin, "", "c"), rules(routing.Pin, "CA", "b")...), "b a c"},
		{"a pin of one that carries nothing there", "DE", rules(routing.Pin, "", "c"), "b a"},
		{"a drain of the country", "DE", rules(routing.Drain, "DE", "b"), "a"},
		{"a drain everywhere", "DE", rules(routing.Drain, "", "b"), "a"},
		{"a drain elsewhere", "DE", rules(routing.Drain, "FR", "b"), "b a"},
		{"a drain before a pin", "CA", append(rules(routing.Pin, "", "a"), rules(routing.Drain, "CA", "a")...), "b c"},
		{"all drained", "DE", rules(routing.Drain, "", "a", "b"), ""},
	} {
		p := routing.Plan{Providers: []string{"a", "b", "c"}, Routes: map[string][]string{"DE": {"b", "a"}}, Rules: tc.rules}
		if got := strings.Join(p.Carriers(tc.country), " "); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// A plan tells which countries a change would leave without anybody.
func TestStranded(t *testing.T) {
	t.Parallel()
	p := routing.Plan{Providers: []string{"a", "b"}, Routes: map[string][]string{"DE": {"b"}}}
	if got := p.Stranded(p.With(routing.Drain, "", "b", "b")); !slices.Equal(got, []string{"DE"}) {
		t.Errorf("draining b strands %q, want DE alone", got)
	}
	if got := p.Stranded(p.With(routing.Drain, "", "", "a", "b")); !slices.Equal(got, []string{"", "DE"}) {
		t.Errorf("draining all strands %q", got)
	}
	if got := p.With(routing.Drain, "DE", "b", "b").Stranded(p); len(got) != 0 {
		t.Errorf("resuming strands %q", got)
	}
	if len(p.Rules) != 0 {
		t.Error("a plan was changed by asking what would be")
	}
}
