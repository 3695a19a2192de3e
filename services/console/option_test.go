package console_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"latchkey.dev/services/access"
	"latchkey.dev/services/console"
	"latchkey.dev/services/device"
)

func (c *clinic) optionsOf() console.AccountOptions {
	c.t.Helper()
	o, err := c.ReadOptions(c.t.Context(), c.by)
	if err != nil {
		c.t.Fatal(err)
	}
	return o
}

// Every option that differs is one event with before and after; the same again is none.
func TestEachOptionIsAnEvent(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{})
	strict := device.Strict
	all := console.OptionsUpdate{TwoFactor: ptr(true), Demographics: ptr(true), UpgradePolicy: &strict, UpgradeJump: ptr(7), BearerRefused: ptr(true),
		Countries: &[]string{"us", "CA", "US"}, Language: ptr("fr"), CooldownHours: ptr(24), Contact: ptr("the front desk")}
	refused(t, "all options", c.ChangeOptions(t.Context(), c.by, 1, all), "")
	c.tells("all options", slices.Repeat([]string{"account.option_changed"}, 9)...)
	for option, want := range map[string][2]string{"two_factor": {"false", "true"}, "demographics": {"false", "true"}, "upgrade_policy": {"evergreen", "strict"},
		"upgrade_jump": {"4", "7"}, "bearer_refused": {"false", "true"}, "countries": {"any", "CA,US"}, "language": {"en", "fr"},
		"number_cooldown_hours": {"0", "24"}, "contact": {"none", "given"}} {
		if n := c.count(`SELECT count(*) FROM console_event WHERE convert_from(body, 'UTF8')::jsonb -> 'data' @> $1::jsonb`,
			fmt.Sprintf(`{"option":%q,"before":%q,"after":%q,"by":"operator"}`, option, want[0], want[1])); n != 1 {
			t.Errorf("%d events tell that %s went from %s to %s, want 1", n, option, want[0], want[1])
		}
	}
	o := c.optionsOf()
	if !o.TwoFactor || !o.Demographics || o.UpgradePolicy != strict || o.UpgradeJump != 7 || !o.BearerRefused || !slices.Equal(o.Countries, []string{"CA", "US"}) ||
		o.Language != "fr" || o.CooldownHours != 24 || o.Contact != "the front desk" || o.Version != 2 {
		t.Errorf("the options are %+v", o)
	}
	refused(t, "the same again", c.ChangeOptions(t.Context(), c.by, 2, all), "")
	c.tells("the same again")
	refused(t, "a version of before", c.ChangeOptions(t.Context(), c.by, 1, console.OptionsUpdate{TwoFactor: ptr(false)}), "changed-meanwhile")
	refused(t, "any version", c.ChangeOptions(t.Context(), c.by, 0, console.OptionsUpdate{Contact: ptr("Ms Doe, room 5")}), "")
	if told := c.last("account.option_changed"); strings.Contains(told, "Doe") {
		t.Errorf("an event names a person: %s", told)
	}
}

func TestBadOptionsAreRefused(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{})
	policy := device.Policy("sometimes")
	refused(t, "all that is bad", c.ChangeOptions(t.Context(), c.by, 0, console.OptionsUpdate{UpgradePolicy: &policy, UpgradeJump: ptr(0), Countries: &[]string{"CA", "XX"},
		Language: ptr("it"), CooldownHours: ptr(169), Contact: ptr("a\nb")}), "bad-options",
		"countries bad_country", "upgrade_policy bad_policy", "upgrade_jump bad_jump", "language bad_language", "number_cooldown_hours bad_cooldown", "contact bad_contact")
	mobile := newClinic(t, console.Account{Kind: device.StandaloneMobile})
	refused(t, "a Standalone Mobile account without", mobile.ChangeOptions(t.Context(), mobile.by, 0, console.OptionsUpdate{TwoFactor: ptr(false)}), "bad-options", "two_factor always_on")
	if o := mobile.optionsOf(); !o.TwoFactor {
		t.Error("a Standalone Mobile account shows the feature as off")
	}
	c.tells("what was refused")
}

// Rule 2: options are the owner's alone.
func TestOptionsAreTheOwnersAlone(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{})
	elsewhere := c.open(console.Account{})
	c.bus.forget()
	for _, by := range []access.Actor{{Kind: access.Product, Account: c.account}, {Kind: access.Member, Account: c.account, Role: device.Administrator},
		{Kind: access.Member, Account: c.account, Role: device.Supervisor}, {Kind: access.Member, Account: c.account, Role: device.Provider},
		{Kind: access.Member, Account: c.account, Role: device.Client}, {}} {
		_, err := c.ReadOptions(t.Context(), by)
		refused(t, "seeing as "+string(by.Role), err, "forbidden")
		refused(t, "changing as "+string(by.Role), c.ChangeOptions(t.Context(), by, 0, console.OptionsUpdate{Demographics: ptr(true)}), "forbidden")
	}
	other := access.Actor{Kind: access.Operator, Account: elsewhere}
	refused(t, "another account", c.ChangeOptions(t.Context(), other, 0, console.OptionsUpdate{Demographics: ptr(true)}), "")
	if c.optionsOf().Demographics {
		t.Error("options of another account were changed")
	}
}

// The switch takes effect when the owner's own number is proved: by a code of the last hour,
// or by a registration that came of one.
func TestAnOwnerProvesTheOwnNumberFirst(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{})
	owner := c.person(console.NewMember{Role: device.Owner, UserID: "owner"})
	on, off := console.OptionsUpdate{TwoFactor: ptr(true)}, console.OptionsUpdate{TwoFactor: ptr(false)}
	try := func(what, problem string) {
		t.Helper()
		err := c.ChangeOptions(t.Context(), owner, 0, on)
		refused(t, what, err, problem)
		if got := c.optionsOf().TwoFactor; got != (problem == "") {
			t.Errorf("%s: the feature is on: %t", what, got)
		}
		if err == nil {
			refused(t, "off again", c.ChangeOptions(t.Context(), owner, 0, off), "")
		}
	}
	try("without a number", "own-number-missing")
	refused(t, "a number", c.UpdateMember(t.Context(), c.by, owner.ID, 0, console.MemberUpdate{Phone: ptr("+16044410142")}), "")
	try("with one that is not proved", "number-not-proved")
	version := c.count("SELECT phone_version FROM member WHERE id = $1", owner.ID)
	c.exec("INSERT INTO number_proof (member_id, phone_version, proved_at) VALUES ($1, $2, now() - interval '61 minutes')", owner.ID, version)
	try("an hour after a proof", "number-not-proved")
	c.exec("UPDATE number_proof SET proved_at = now() - interval '59 minutes', phone_version = $1", version-1)
	try("after a proof of another number", "number-not-proved")
	c.exec("UPDATE number_proof SET phone_version = $1", version)
	try("within an hour of a proof", "")
	c.exec("DELETE FROM number_proof")
	registration := c.register(owner.ID)
	c.exec("UPDATE challenge SET phone_version = $1", version)
	try("on a registered device", "")
	c.exec("UPDATE device SET revoked_at = now(), revoke_reason = 'member' WHERE id = $1", registration)
	try("after that was revoked", "number-not-proved")
	refused(t, "countries without the own", c.ChangeOptions(t.Context(), owner, 0, console.OptionsUpdate{Countries: &[]string{"FR"}}), "bad-options", "countries own_country")
}

// The report counts active people, and registrations outlive the switch.
func TestTheReportSaysWhomOptionsReach(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{Demographics: true})
	ada := c.person(console.NewMember{Role: device.Provider, UserID: "ada", Phone: "+16044410142"})
	c.person(console.NewMember{Role: device.Provider, UserID: "bob", Phone: "+33612345678"})
	c.person(console.NewMember{Role: device.Supervisor, UserID: "cy"})
	c.person(console.NewMember{Role: device.Client})
	c.person(console.NewMember{Role: device.Client, Phone: "+16044410143"})
	gone := c.person(console.NewMember{Role: device.Provider, UserID: "gone"})
	refused(t, "deactivating", c.Deactivate(t.Context(), c.by, gone.ID), "")
	c.register(ada.ID)
	c.register(ada.ID)
	c.exec(`UPDATE device SET seen_facets = '{"browser":"Mobile Safari"}' WHERE id = (SELECT min(id::text)::uuid FROM device)`)
	for _, on := range []bool{true, false, true} {
		refused(t, "switching", c.ChangeOptions(t.Context(), c.by, 0, console.OptionsUpdate{TwoFactor: &on, Countries: &[]string{"CA"}}), "")
	}
	o := c.optionsOf()
	want := console.OptionsReport{Staff: 3, StaffWithoutNumber: 1, Clients: 2, ClientsWithoutNumber: 1, Elsewhere: 1, PeopleRegistered: 1, Devices: 2, StrictTexts: 15}
	if o.Report != want {
		t.Errorf("the report is %+v, want %+v", o.Report, want)
	}
	for on, n := range map[[2]bool]int{{true, true}: 3, {true, false}: 2, {false, true}: 0} {
		if got := o.Report.Protected(device.Pro, on[0], on[1]); got != n {
			t.Errorf("with two factor %t and demographics %t, %d people are protected, want %d", on[0], on[1], got, n)
		}
	}
	if c.devices(ada.ID) != 2 {
		t.Error("a registration did not outlive the switch")
	}
}
