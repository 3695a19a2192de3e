package console_test

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	"latchkey.dev/services/access"
	"latchkey.dev/services/console"
	"latchkey.dev/services/device"
)

// names lists people by page of two, so that every list turns a page.
func (c *clinic) names(s console.Search) (all []string) {
	c.t.Helper()
	s.Most = 2
	for {
		page, more, err := c.List(c.t.Context(), c.by, s)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, p := range page {
			all = append(all, p.UserID)
		}
		if !more {
			return all
		}
		end := page[len(page)-1]
		s.After = console.Place{UserID: end.UserID, ID: end.ID}
	}
}

func (c *clinic) lists(what string, s console.Search, want ...string) {
	c.t.Helper()
	if got := c.names(s); !slices.Equal(got, want) {
		c.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestPeopleAreFoundByWhatTheyAreCalledAndReachedBy(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{})
	for _, n := range []console.NewMember{
		{Role: device.Provider, UserID: "Ada", Phone: "604 555 0142", Email: "ada@example.org"}, {Role: device.Provider, UserID: "adam", Phone: "604 555 0142"},
		{Role: device.Supervisor, UserID: "Çelik"}, {Role: device.Administrator, UserID: "a_b"}, {Role: device.Provider, UserID: "axb", Phone: "604 555 0199"},
	} {
		c.person(n)
	}
	elsewhere := c.open(console.Account{})
	if _, err := c.CreateMember(t.Context(), access.Actor{Kind: access.Operator, Account: elsewhere},
		console.NewMember{Role: device.Provider, UserID: "adagio", Phone: "604 555 0142", Email: "ada@example.org"}, ""); err != nil {
		t.Fatal(err)
	}
	c.lists("everybody", console.Search{}, "a_b", "Ada", "adam", "axb", "Çelik")
	c.lists("a beginning", console.Search{Text: "aDa"}, "Ada", "adam")
	c.lists("a beginning in letters that are not of ASCII", console.Search{Text: "ÇE"}, "Çelik")
	c.lists("a sign that patterns know", console.Search{Text: "a_"}, "a_b")
	c.lists("another sign that patterns know", console.Search{Text: "%"})
	c.lists("a number as it is written at home", console.Search{Text: "(604) 555-0142"}, "Ada", "adam")
	c.lists("a number as it is written abroad", console.Search{Text: "+1 604 555 0142"}, "Ada", "adam")
	c.lists("a part of a number", console.Search{Text: "555 0142"})
	c.lists("an address", console.Search{Text: "ada@example.org"}, "Ada")
	c.lists("the beginning of an address", console.Search{Text: "ada@"})
	c.lists("country and last two digits", console.Search{Text: "ca 42"}, "Ada", "adam")
	c.lists("country and last two digits, of another role", console.Search{Text: "CA 42", Roles: []device.Role{device.Client}})
	c.lists("no number", console.Search{NoNumber: true}, "a_b", "Çelik")
	c.lists("two roles", console.Search{Roles: []device.Role{device.Supervisor, device.Administrator}}, "a_b", "Çelik")
	c.lists("what no table can hold", console.Search{Text: "a\x00"})
}

// A list never misses who has no device or is locked, before and after the upkeep.
func TestListsFollowDevicesAndLocks(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{})
	ada, bob := c.person(console.NewMember{Role: device.Provider, UserID: "ada"}), c.person(console.NewMember{Role: device.Provider, UserID: "bob"})
	c.person(console.NewMember{Role: device.Provider, UserID: "cyd"})
	lacking, locked := console.Search{NoDevice: true}, console.Search{Locked: true}
	check := func(when string, s console.Search, want ...string) {
		t.Helper()
		c.lists(when, s, want...)
		for range 2 {
			if err := console.Sweep(c.Console, t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		c.lists(when+", after the upkeep", s, want...)
	}
	check("nobody has a device", lacking, "ada", "bob", "cyd")
	one, two := c.register(ada.ID), c.register(ada.ID)
	c.register(bob.ID)
	check("two have one", lacking, "cyd")
	if n := c.count("SELECT count(*) FROM member WHERE may_lack_device"); n != 1 {
		t.Errorf("the upkeep leaves %d people to look at, want 1", n)
	}
	for _, id := range []uuid.UUID{one, two} {
		if err := c.RevokeDevice(t.Context(), c.by, ada.ID, id); err != nil {
			t.Fatal(err)
		}
		if id == one {
			check("one of two ended", lacking, "cyd")
		}
	}
	check("both ended", lacking, "ada", "cyd")
	c.register(ada.ID)
	check("another one came", lacking, "cyd")

	check("nobody is locked", locked)
	c.exec("INSERT INTO member_try VALUES ($1, now(), 1, now(), 1, 1), ($2, now(), 1, now(), 1, 100)", ada.ID, bob.ID)
	check("many wrong codes", locked, "bob")
	c.exec("UPDATE member_try SET hour_count = 10 WHERE member_id = $1", ada.ID)
	check("wrong codes came to a limit", locked, "ada", "bob")
	c.exec("UPDATE member_try SET hour_started_at = now() - interval '2 hours' WHERE member_id = $1", ada.ID)
	check("an hour passed", locked, "bob")
	if n := c.count("SELECT count(*) FROM member WHERE may_be_capped"); n != 1 {
		t.Errorf("the upkeep leaves %d people to look at, want 1", n)
	}
	c.exec("UPDATE member SET locked_at = now() WHERE id = $1", ada.ID)
	check("this was not me", locked, "ada", "bob")
	for _, id := range []uuid.UUID{ada.ID, bob.ID} {
		if err := c.Unlock(t.Context(), c.by, id); err != nil {
			t.Fatal(err)
		}
	}
	check("unlocked", locked)
}
