package access_test

import (
	_ "embed"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"latchkey.dev/services/access"
	"latchkey.dev/services/device"
)

// The table that people read is the table that holds.
//
//go:embed README.md
var readme string

var me = uuid.MustParse("0190f3b4-7c1e-7000-8000-000000000001")

// actors are the columns of the table.
var actors = []struct {
	name  string
	actor access.Actor
}{
	{"owner", access.Actor{Kind: access.Member, ID: me, Role: device.Owner}},
	{"administrator", access.Actor{Kind: access.Member, ID: me, Role: device.Administrator}},
	{"supervisor", access.Actor{Kind: access.Member, ID: me, Role: device.Supervisor}},
	{"provider", access.Actor{Kind: access.Member, ID: me, Role: device.Provider}},
	{"client", access.Actor{Kind: access.Member, ID: me, Role: device.Client}},
	{"API key", access.Actor{Kind: access.Product, ID: me}},
	{"operator", access.Actor{Kind: access.Operator}},
	{"operator right", access.Actor{Kind: access.Member, ID: me, Role: device.Provider, Operates: true}},
}

// targets are the words of its cells, in their order.
var targets = []struct {
	name   string
	target func(access.Actor) access.Target
}{
	{"self", func(a access.Actor) access.Target { return access.Target{ID: me, Role: a.Role} }},
	{"owner", of(device.Owner)}, {"administrator", of(device.Administrator)}, {"supervisor", of(device.Supervisor)},
	{"provider", of(device.Provider)}, {"client", of(device.Client)},
	{"own client", func(access.Actor) access.Target { return access.Target{Role: device.Client, Assigned: true} }},
}

func of(r device.Role) func(access.Actor) access.Target {
	return func(access.Actor) access.Target { return access.Target{Role: r} }
}

// cell says to whom an actor may do something, in the words of the table.
func cell(a access.Actor, action access.Action) string {
	if a.In(action) {
		return "yes"
	}
	may := map[string]bool{}
	for _, t := range targets {
		may[t.name] = (t.name != "self" || a.Kind == access.Member) && a.To(action, t.target(a))
	}
	everybody, belowOwner := may["administrator"] && may["supervisor"] && may["provider"] && may["client"] && may["owner"], may["administrator"] && may["supervisor"] && may["provider"] && may["client"]
	person := a.Kind == access.Member
	switch {
	case everybody && person && !may["self"]:
		return "all but self"
	case everybody:
		return "all"
	case belowOwner && person && !may["self"]:
		return "below owner, not self"
	case belowOwner:
		return "below owner"
	}
	var some []string
	for _, t := range targets {
		if may[t.name] {
			some = append(some, t.name)
		}
	}
	if len(some) == 0 {
		return "–"
	}
	if len(some) == 2 && some[0] == "client" && some[1] == "own client" {
		return "clients"
	}
	return strings.Join(some, ", ")
}

func TestTheTableHolds(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("| |")
	for _, a := range actors {
		fmt.Fprintf(&b, " %s |", a.name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(actors)) + "\n")
	for _, action := range access.Actions {
		fmt.Fprintf(&b, "| %s |", strings.ReplaceAll(string(action), "_", " "))
		for _, a := range actors {
			fmt.Fprintf(&b, " %s |", cell(a.actor, action))
		}
		b.WriteString("\n")
	}
	if !strings.Contains(readme, b.String()) {
		t.Errorf("README.md should hold this table:\n%s", b.String())
	}
}

func TestTheZeroActorMayNothing(t *testing.T) {
	t.Parallel()
	var nobody access.Actor
	for _, action := range access.Actions {
		if nobody.In(action) {
			t.Errorf("nobody may %s", action)
		}
		for _, r := range device.Roles {
			if nobody.To(action, access.Target{ID: me, Role: r}) {
				t.Errorf("nobody may %s a person with role %s", action, r)
			}
		}
	}
}
