package router

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/routing"
	"latchkey.dev/services/sms"
)

func newRouter(t *testing.T, routes map[string][]string, names ...string) *Router {
	t.Helper()
	r := &Router{plan: routing.Plan{Providers: names, Routes: routes}, paces: map[string]*pace{}, breakers: map[key]*breaker{}, health: map[key]Health{}}
	for _, n := range names {
		r.paces[n] = newPace(0)
		r.o.Providers = append(r.o.Providers, sms.Provider{Name: n})
	}
	return r
}

func (r *Router) ranking(w Want) string {
	ranked, _ := r.rank(w, time.Now())
	var all []string
	for _, c := range ranked {
		all = append(all, c.provider+":"+string(c.why))
	}
	return strings.Join(all, " ")
}

func rule(kind, country string, providers ...string) (rows []routing.Rule) {
	for _, p := range providers {
		rows = append(rows, routing.Rule{Kind: kind, Country: country, Provider: p})
	}
	return rows
}

func TestRank(t *testing.T) {
	t.Parallel()
	fallen := Health{Usual: -1, DemotedAt: time.Now()}
	openAt := func(r *Router, k key) {
		r.breakers[k] = newBreaker()
		r.breakers[k].failsafe.Open()
		r.breakers[k].probeAfter = time.Now().Add(time.Hour)
	}
	// A challenge that draws neither a trial nor a place while half-open, of any provider.
	id := uuid.MustParse("019a5b3c-7d00-7000-8000-000000000c4a")
	for id[15] = 0; slices.ContainsFunc([]string{"a", "b", "c"}, func(p string) bool { return lot(id, p) < halfOpenShare }); id[15]++ {
	}
	for _, tc := range []struct {
		name  string
		rules []routing.Rule
		spoil func(*Router)
		turns map[string]int
		want  string
	}{
		{"as configured for the country", nil, nil, nil, "b:order a:overflow"},
		{"an operator's order for all beats no route of the country", rule("order", "", "c", "a"), nil, nil, "b:order a:overflow"},
		{"an operator's order for the country", rule("order", "DE", "c", "a"), nil, nil, "c:order a:overflow"},
		{"an order of providers that are configured no more", rule("order", "DE", "x"), nil, nil, "b:order a:overflow"},
		{"a pin", rule("pin", "", "a"), nil, nil, "a:pin b:overflow"},
		{"the country's own pin", append(rule("pin", "", "b"), rule("pin", "DE", "a")...), nil, nil, "a:pin b:overflow"},
		{"a drain", rule("drain", "DE", "b"), nil, nil, "a:order"},
		{"a drain everywhere", rule("drain", "", "b"), nil, nil, "a:order"},
		{"a drain elsewhere", rule("drain", "FR", "b"), nil, nil, "b:order a:overflow"},
		{"all drained", rule("drain", "", "a", "b"), nil, nil, ""},
		{"one was asked already", nil, nil, map[string]int{"b": 1}, "a:failover b:failover"},
		{"each was asked once", nil, nil, map[string]int{"a": 1, "b": 1}, "b:failover a:failover"},
		{"does not answer", nil, func(r *Router) { openAt(r, key{"b", ""}) }, nil, "a:order"},
		{"does not answer in the country", nil, func(r *Router) { openAt(r, key{"b", "DE"}) }, nil, "a:order"},
		{"does not answer in another country", nil, func(r *Router) { openAt(r, key{"b", "FR"}) }, nil, "b:order a:overflow"},
		{"nobody answers", nil, func(r *Router) { openAt(r, key{"a", ""}); openAt(r, key{"b", ""}) }, nil, ""},
		{"a pin beats a breaker", rule("pin", "DE", "b"), func(r *Router) { openAt(r, key{"b", ""}) }, nil, "b:pin a:overflow"},
		{"lost its place", nil, func(r *Router) { r.health[key{"b", "DE"}] = fallen }, nil, "a:order b:reserve"},
		{"a pin beats the router", rule("pin", "DE", "b"), func(r *Router) { r.health[key{"b", "DE"}] = fallen }, nil, "b:pin a:overflow"},
		{"one lost its place and the other does not answer", nil, func(r *Router) { r.health[key{"b", "DE"}] = fallen; openAt(r, key{"a", ""}) }, nil, "b:reserve"},
		{"begins to answer", nil, func(r *Router) { openAt(r, key{"b", ""}); r.breakers[key{"b", ""}].failsafe.HalfOpen() }, nil, "a:order b:reserve"},
		{"asks to be left alone", nil, func(r *Router) { r.paces["b"].throttled(time.Now(), time.Minute) }, nil, "a:order"},
	} {
		r := newRouter(t, map[string][]string{"DE": {"b", "a"}}, "a", "b", "c")
		r.plan.Rules = tc.rules
		if tc.spoil != nil {
			tc.spoil(r)
		}
		if got := r.ranking(Want{Country: "DE", Challenge: id, Turns: tc.turns}); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// A demoted provider gets a small share of the first texts, and none of what others failed to send.
func TestTrialsAreASmallShare(t *testing.T) {
	t.Parallel()
	r := newRouter(t, nil, "a", "b")
	r.health[key{"a", "CA"}] = Health{DemotedAt: time.Now()}
	trials, late := 0, 0
	const n = 20_000
	for range n {
		id := uuid.Must(uuid.NewV7())
		if ranked, _ := r.rank(Want{Country: "CA", Challenge: id}, time.Now()); ranked[0].provider == "a" {
			trials++
		}
		if ranked, _ := r.rank(Want{Country: "CA", Challenge: id, Turns: map[string]int{"b": 0, "a": 0}}, time.Now()); ranked[0].provider == "a" {
			late++
		}
	}
	if share := float64(trials) / n; share < 0.8*trialShare || share > 1.2*trialShare {
		t.Errorf("%.3f of the texts were trials, want about %.2f", share, trialShare)
	}
	if late != 0 {
		t.Errorf("%d texts that others failed to send were trials", late)
	}
}
