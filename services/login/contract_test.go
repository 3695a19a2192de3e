package login_test

import (
	"maps"
	"slices"
	"testing"

	"latchkey.dev/services/device"
	"latchkey.dev/services/internal/contracttest"
	"latchkey.dev/services/login"
)

// description is the document that the public API is held to.
const description = "public.yaml"

func TestEveryRouteIsDescribedAndTheReverse(t *testing.T) {
	t.Parallel()
	contracttest.Routes(t, description, new(login.Login).Routes())
}

func TestBodiesAreTheGoTypes(t *testing.T) {
	t.Parallel()
	answers := maps.Clone(login.Answers)
	answers["Facets"] = device.Facets{}
	contracttest.Bodies(t, description, login.Requests, answers)
	doc := contracttest.Describe(t, description)
	all, _ := contracttest.Fields(login.Standings)
	both := map[string]bool{}
	for _, name := range []string{"Standing", "Asked"} {
		for field := range doc.Components.Schemas[name].Value.Properties {
			both[field] = true
		}
	}
	if got := slices.Sorted(maps.Keys(both)); !slices.Equal(got, all) {
		t.Errorf("Standing and Asked have %q, the type %q", got, all)
	}
}

func TestEveryProblemIsDescribedAndTheReverse(t *testing.T) {
	t.Parallel()
	contracttest.Problems(t, description, ".", "../internal/web", "../internal/password")
}
