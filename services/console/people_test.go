package console_test

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/access"
	"latchkey.dev/services/console"
	"latchkey.dev/services/device"
	"latchkey.dev/services/internal/seal"
)

const number, other = "604 441 0142", "604 441 0143"

func ptr[T any](v T) *T { return &v }

// What cannot be saved says why, field by field, in either kind of account.
func TestWhoCanBeSaved(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		account console.Account
		n       console.NewMember
		faults  []string
	}{
		{"staff without a number", console.Account{}, console.NewMember{Role: device.Provider, UserID: "ada"}, nil},
		{"staff without a user ID", console.Account{}, console.NewMember{Role: device.Provider}, nil},
		{"staff with all", console.Account{}, console.NewMember{Role: device.Owner, UserID: "ada", Phone: number, Email: "ada@example.org", Language: "fr"}, nil},
		{"a client", console.Account{}, console.NewMember{Role: device.Client}, nil},
		{"a client's number without Demographics", console.Account{}, console.NewMember{Role: device.Client, Phone: number}, []string{"phone demographics_off"}},
		{"a client's number with Demographics", console.Account{Demographics: true}, console.NewMember{Role: device.Client, Phone: number}, nil},
		{"a client's own user ID", console.Account{}, console.NewMember{Role: device.Client, UserID: "ada"}, []string{"user_id user_id_is_made"}},
		{"no number", console.Account{Kind: device.StandaloneMobile}, console.NewMember{Role: device.Provider, UserID: "ada"}, []string{"phone number_required"}},
		{"no number of a client", console.Account{Kind: device.StandaloneMobile}, console.NewMember{Role: device.Client}, []string{"phone number_required"}},
		{"a client with a number", console.Account{Kind: device.StandaloneMobile}, console.NewMember{Role: device.Client, Phone: number}, nil},
		{"all wrong", console.Account{}, console.NewMember{Role: "king", UserID: "a\nb", Phone: "12", Email: "ada", Language: "xx"},
			[]string{"role bad_role", "user_id bad_user_id", "phone not_a_number", "email not_an_address", "language bad_language"}},
		{"a landline", console.Account{}, console.NewMember{Role: device.Provider, Phone: "+44 20 7946 0958"}, []string{"phone cannot_receive"}},
		{"a user ID with a space at its end", console.Account{}, console.NewMember{Role: device.Provider, UserID: "ada "}, []string{"user_id bad_user_id"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := newClinic(t, tc.account)
			made, err := c.CreateMember(t.Context(), c.by, tc.n, "")
			if tc.faults != nil {
				refused(t, "saving", err, "bad-member", tc.faults...)
				c.tells("a refusal")
				return
			}
			refused(t, "saving", err, "")
			c.tells("saving", "member.created")
			if signsIn := tc.n.UserID != "" || tc.n.Role == device.Client; signsIn != (made.UserID != "") || signsIn == made.Password.Empty() {
				t.Errorf("made user ID %q, and a password: %v", made.UserID, !made.Password.Empty())
			}
		})
	}
	t.Run("a country that is not allowed", func(t *testing.T) {
		t.Parallel()
		c := newClinic(t, console.Account{})
		c.exec("UPDATE account SET countries = '{GB}'")
		_, err := c.CreateMember(t.Context(), c.by, console.NewMember{Role: device.Provider, Phone: number}, "")
		refused(t, "a Canadian number", err, "bad-member", "phone country_not_allowed")
		_, err = c.CreateMember(t.Context(), c.by, console.NewMember{Role: device.Provider, Phone: "+44 7400 123456"}, "")
		refused(t, "a British number", err, "")
	})
	t.Run("a country that the installation does not reach", func(t *testing.T) {
		t.Parallel()
		c := newClinic(t, console.Account{})
		c.options.Reach = []string{"GB"}
		reaching, err := console.New(c.options)
		if err != nil {
			t.Fatal(err)
		}
		made, err := reaching.CreateMember(t.Context(), c.by, console.NewMember{Role: device.Provider, Phone: "+44 7400 123456"}, "")
		refused(t, "a British number", err, "")
		canadian := number
		_, err = reaching.CreateMember(t.Context(), c.by, console.NewMember{Role: device.Provider, Phone: canadian}, "")
		refused(t, "a Canadian number", err, "bad-member", "phone country_not_allowed")
		refused(t, "a Canadian number later", reaching.UpdateMember(t.Context(), c.by, made.ID, 0, console.MemberUpdate{Phone: &canadian}), "bad-member", "phone country_not_allowed")
	})
}

func TestWhatIsKeptOfAPersonIsSealed(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{})
	ada := c.person(console.NewMember{Role: device.Provider, UserID: "ada", Phone: number, Email: "ada@example.org"})
	var phoneSealed, emailSealed []byte
	var digest string
	if err := c.owner.QueryRow(t.Context(), `SELECT phone_sealed, email_sealed, digest FROM member m JOIN credential c ON c.member_id = m.id
		WHERE id = $1 AND must_change_since IS NOT NULL`, ada.ID).Scan(&phoneSealed, &emailSealed, &digest); err != nil {
		t.Fatal(err)
	}
	if n, err := seal.OpenNumber(c.dispatcher, phoneSealed, ada.ID, 1); err != nil || n.E164() != "+16044410142" {
		t.Errorf("the number opens as %q, %v", n.E164(), err)
	}
	if a, err := seal.OpenEmail(c.dispatcher, emailSealed, ada.ID, 1); err != nil || a.Reveal() != "ada@example.org" {
		t.Errorf("the address opens as %q, %v", a.Reveal(), err)
	}
	var keys int
	if err := c.db.KeysOwner(t).QueryRow(t.Context(), "SELECT count(*) FROM member_key WHERE member_id = $1", ada.ID).Scan(&keys); err != nil || keys != 1 {
		t.Errorf("%d keys of the person, %v", keys, err)
	}
}

func TestARequestSentAgainMakesNobodyElse(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{})
	n := console.NewMember{Role: device.Client}
	var mu sync.Mutex
	var ids []uuid.UUID
	var shown int
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			made, err := c.CreateMember(context.Background(), c.by, n, "one")
			mu.Lock()
			defer mu.Unlock()
			refused(t, "a request sent again", err, "")
			ids = append(ids, made.ID)
			if !made.Password.Empty() {
				shown++
			}
		})
	}
	all.Wait()
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return strings.Compare(a.String(), b.String()) })
	if len(slices.Compact(ids)) != 1 || shown != 1 || c.count("SELECT count(*) FROM member") != 1 {
		t.Errorf("the same request made %v and showed %d passwords", ids, shown)
	}
	c.tells("four requests", "member.created")
	_, err := c.CreateMember(t.Context(), c.by, console.NewMember{Role: device.Provider}, "one")
	refused(t, "the key with another body", err, "idempotency-key-reused")
	_, err = c.CreateMember(t.Context(), c.by, n, strings.Repeat("x", 129))
	refused(t, "a long key", err, "bad-idempotency-key")
	ada := c.person(console.NewMember{Role: device.Owner, UserID: "ada"})
	if made, err := c.CreateMember(t.Context(), ada, n, "one"); err != nil || made.Repeated {
		t.Errorf("another's request with the same key: %+v, %v", made, err)
	}
	c.exec("UPDATE idempotency_key SET kept_until = kept_until - interval '1 day'")
	if err := console.Sweep(c.Console, t.Context()); err != nil {
		t.Fatal(err)
	}
	if made, err := c.CreateMember(t.Context(), c.by, n, "one"); err != nil || made.Repeated {
		t.Errorf("the key a day later: %+v, %v", made, err)
	}
}

func TestAnUpdateChangesWhatDiffersAndTellsOfIt(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{})
	ada := c.person(console.NewMember{Role: device.Provider, UserID: "ada", Phone: number, Email: "ada@example.org"})
	c.person(console.NewMember{Role: device.Provider, UserID: "bob"})
	version := 1
	update := func(what string, in console.MemberUpdate, problem string, told ...string) {
		t.Helper()
		var faults []string
		if problem != "" && told != nil {
			faults, told = told, nil
		}
		refused(t, what, c.UpdateMember(t.Context(), c.by, ada.ID, version, in), problem, faults...)
		c.tells(what, told...)
		version = c.count("SELECT version FROM member WHERE id = $1", ada.ID)
	}
	update("nothing", console.MemberUpdate{}, "")
	update("the same", console.MemberUpdate{Role: ptr(device.Provider), UserID: ptr("ada"), Phone: ptr("+1 604-441-0142"), Email: ptr("ada@example.org"), Language: ptr("")}, "")
	if version != 1 {
		t.Errorf("nothing changed, and the version is %d", version)
	}
	update("all but the number", console.MemberUpdate{Role: ptr(device.Supervisor), UserID: ptr("ada.l"), Email: ptr("ada@example.net"), Language: ptr("de")}, "", "member.updated", "notice.requested", "notice.requested", "notice.requested")
	const former = "SELECT count(*) FROM notice n JOIN member m ON m.id = n.member_id WHERE n.address_sealed IS NOT NULL AND n.address_sealed IS DISTINCT FROM m.phone_sealed AND n.address_sealed IS DISTINCT FROM m.email_sealed"
	if n, old := c.count("SELECT count(*) FROM notice WHERE kind = 'email_changed'"), c.count(former); n != 3 || old != 1 {
		t.Errorf("of a new address %d are told, %d of them at the former one, want 3 and 1", n, old)
	}
	if e := c.last("member.updated"); !strings.Contains(e, `"changed":["email","language","role","user_id"]`) || strings.Contains(e, "example") {
		t.Errorf("member.updated tells %s", e)
	}
	update("a taken user ID", console.MemberUpdate{UserID: ptr("BOB")}, "user-id-taken", "user_id user_id_taken")
	update("no user ID", console.MemberUpdate{UserID: ptr("")}, "bad-member", "user_id bad_user_id")
	update("staff as a client", console.MemberUpdate{Role: ptr(device.Client)}, "bad-member", "role client_or_staff")
	first, second := c.register(ada.ID), c.register(ada.ID)
	update("another number", console.MemberUpdate{Phone: ptr(other)}, "", "member.number_changed", "device.revoked", "device.revoked", "notice.requested", "notice.requested", "notice.requested")
	if n, old := c.count("SELECT count(*) FROM notice WHERE kind = 'number_changed'"), c.count(former); n != 3 || old != 2 {
		t.Errorf("of a new number %d are told, %d at former ones, want 3 and 2", n, old)
	}
	if c.devices(ada.ID) != 0 || c.sessions(ada.ID) != 0 {
		t.Error("registrations or sessions outlived the number")
	}
	if e := c.last("device.revoked"); !strings.Contains(e, `"reason":"number_changed","by":"operator"`) || !strings.Contains(e, first.String()) && !strings.Contains(e, second.String()) {
		t.Errorf("device.revoked tells %s", e)
	}
	if v := c.count("SELECT phone_version FROM member WHERE id = $1", ada.ID); v != 2 {
		t.Errorf("the number's version is %d, want 2", v)
	}
	update("no number, no address", console.MemberUpdate{Phone: ptr(""), Email: ptr("")}, "", "member.number_changed", "member.updated", "notice.requested", "notice.requested")
	version--
	update("what was changed meanwhile", console.MemberUpdate{Language: ptr("es")}, "changed-meanwhile")
}

func TestAStandaloneMemberKeepsANumber(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{Kind: device.StandaloneMobile})
	ada := c.person(console.NewMember{Role: device.Provider, UserID: "ada", Phone: number})
	refused(t, "removing the number", c.UpdateMember(t.Context(), c.by, ada.ID, 1, console.MemberUpdate{Phone: ptr("")}), "bad-member", "phone number_required")
	refused(t, "changing it", c.UpdateMember(t.Context(), c.by, ada.ID, 1, console.MemberUpdate{Phone: ptr(other)}), "")
	c.exec("UPDATE member SET phone_sealed = NULL, phone_details = NULL, phone_country = NULL, phone_last_two = NULL, phone_index = NULL")
	refused(t, "saving who has lost it", c.UpdateMember(t.Context(), c.by, ada.ID, 0, console.MemberUpdate{Language: ptr("fr")}), "bad-member", "phone number_required")
	refused(t, "deactivating", c.Deactivate(t.Context(), c.by, ada.ID), "")
	refused(t, "reactivating without a number", c.Reactivate(t.Context(), c.by, ada.ID), "bad-member", "phone number_required")
}

func TestAnAccountKeepsAnOwner(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{})
	ada := c.person(console.NewMember{Role: device.Owner, UserID: "ada"})
	refused(t, "deactivating the last owner", c.Deactivate(t.Context(), c.by, ada.ID), "last-owner")
	refused(t, "another role for the last owner", c.UpdateMember(t.Context(), ada, ada.ID, 0, console.MemberUpdate{Role: ptr(device.Administrator)}), "last-owner")
	bob := c.person(console.NewMember{Role: device.Owner, UserID: "bob"})
	var all sync.WaitGroup
	var errs [2]error
	for i, pair := range [][2]access.Actor{{ada, bob}, {bob, ada}} {
		all.Go(func() { errs[i] = c.Deactivate(context.Background(), pair[0], pair[1].ID) })
	}
	all.Wait()
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Errorf("two owners deactivating each other: %v, %v; want one of them to be refused", errs[0], errs[1])
	}
	if n := c.count("SELECT count(*) FROM member WHERE role = 'owner' AND deactivated_at IS NULL"); n != 1 {
		t.Errorf("%d active owners are left, want 1", n)
	}
}

func TestDeactivatedPeopleAreOut(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{})
	ada := c.person(console.NewMember{Role: device.Provider, UserID: "ada", Phone: number})
	c.register(ada.ID)
	c.session(ada.ID, nil)
	refused(t, "deactivating", c.Deactivate(t.Context(), c.by, ada.ID), "")
	c.tells("deactivating", "member.deactivated", "device.revoked")
	if c.devices(ada.ID) != 0 || c.sessions(ada.ID) != 0 {
		t.Error("a deactivated person has registrations or sessions")
	}
	refused(t, "deactivating again", c.Deactivate(t.Context(), c.by, ada.ID), "")
	c.tells("deactivating again")
	refused(t, "reactivating", c.Reactivate(t.Context(), c.by, ada.ID), "")
	c.tells("reactivating", "member.reactivated")
	if c.devices(ada.ID) != 0 {
		t.Error("a registration came to life again")
	}
}

func TestUnlockingLiftsWhatHoldsBack(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{})
	ada := c.person(console.NewMember{Role: device.Provider, UserID: "Ada"})
	c.exec("UPDATE member SET locked_at = now()")
	c.exec("INSERT INTO member_try VALUES ($1, now(), 10, now(), 20, 100)", ada.ID)
	for _, of := range []string{"ada", "bob"} {
		c.exec("INSERT INTO limit_counter VALUES ('password_member', $1, now(), 10)", c.options.People.UserLimit(of))
	}
	refused(t, "unlocking", c.Unlock(t.Context(), c.by, ada.ID), "")
	c.tells("unlocking", "member.unlocked")
	if m, err := c.Member(t.Context(), c.by, ada.ID); err != nil || m.Locked {
		t.Errorf("after unlocking: %+v, %v", m, err)
	}
	if n := c.count("SELECT hour_count + day_count + consecutive FROM member_try"); n != 0 {
		t.Errorf("%d wrong codes are counted still", n)
	}
	if n := c.count("SELECT count(*) FROM limit_counter"); n != 1 {
		t.Errorf("%d counters of wrong passwords are left, want that of somebody else", n)
	}
}

func TestAPasswordIsResetAndMustBeChanged(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{})
	ada := c.person(console.NewMember{Role: device.Provider, UserID: "ada", Phone: "604 441 0142", Email: "ada@example.org"})
	c.exec("UPDATE credential SET must_change_since = NULL")
	c.session(ada.ID, nil)
	before := c.count("SELECT count(*) FROM credential")
	made, err := c.ResetPassword(t.Context(), c.by, ada.ID)
	if err != nil || len(made.Reveal()) < 20 {
		t.Fatalf("made a password of %d characters, %v", len(made.Reveal()), err)
	}
	c.tells("resetting", "member.password_reset", "notice.requested", "notice.requested")
	if n := c.count("SELECT count(*) FROM notice WHERE member_id = $1 AND kind = 'password_reset'", ada.ID); n != 2 {
		t.Errorf("the person is told %d times, want by text and by mail", n)
	}
	if m, err := c.Member(t.Context(), c.by, ada.ID); err != nil || !m.MustChange || c.sessions(ada.ID) != 0 || before != 1 {
		t.Errorf("after a reset: %+v, %d sessions, %v", m, c.sessions(ada.ID), err)
	}
	nameless := c.person(console.NewMember{Role: device.Provider})
	_, err = c.ResetPassword(t.Context(), c.by, nameless.ID)
	refused(t, "a password for who has no user ID", err, "no-user-id")
}

// A link is another one each time, and changes nothing before it is used.
func TestALinkToChooseAPassword(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{})
	ada := c.person(console.NewMember{Role: device.Provider, UserID: "ada"})
	c.session(ada.ID, nil)
	var links []string
	for range 2 {
		made, err := c.MakePasswordLink(t.Context(), c.by, ada.ID)
		if err != nil || time.Until(made.ExpiresAt).Round(time.Hour) != 24*time.Hour {
			t.Fatalf("a link until %v, %v", made.ExpiresAt, err)
		}
		c.tells("a link", "member.password_link_made")
		links = append(links, made.Address.Reveal())
	}
	path, token, _ := strings.Cut(links[1], "/choose-password/")
	digest := sha256.Sum256([]byte(token))
	if n := c.count("SELECT count(*) FROM password_link WHERE member_id = $1 AND token_digest = $2", ada.ID, digest[:]); n != 1 || path != "" || links[0] == links[1] || c.count("SELECT count(*) FROM password_link") != 1 {
		t.Errorf("%d links are kept, of %q", n, links)
	}
	if c.sessions(ada.ID) != 1 {
		t.Error("the sessions ended before the link was used")
	}
	nameless := c.person(console.NewMember{Role: device.Provider})
	_, err := c.MakePasswordLink(t.Context(), c.by, nameless.ID)
	refused(t, "a link for who has no user ID", err, "no-user-id")
}

func TestDevicesAreSeenAndRevoked(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{})
	admin := c.person(console.NewMember{Role: device.Administrator, UserID: "admin"})
	ada, bob := c.person(console.NewMember{Role: device.Provider, UserID: "ada"}), c.person(console.NewMember{Role: device.Provider, UserID: "bob"})
	first := c.register(ada.ID)
	c.register(ada.ID)
	c.exec("UPDATE device SET seen_country = 'CA' WHERE member_id = $1", ada.ID)
	bobs := c.register(bob.ID)
	all, err := c.Devices(t.Context(), admin, ada.ID)
	if err != nil || len(all) != 2 || all[0].Name != "Desk" || all[0].Provider != "vonage" || all[0].Seen.BrowserMajor != 141 || all[0].SoftwareName != "Maple" || all[0].SeenCountry != "CA" {
		t.Fatalf("devices: %+v, %v", all, err)
	}
	refused(t, "another's device", c.RevokeDevice(t.Context(), admin, ada.ID, bobs), "not-found")
	refused(t, "a device", c.RevokeDevice(t.Context(), admin, ada.ID, first), "")
	c.tells("a device", "device.revoked")
	if e := c.last("device.revoked"); !strings.Contains(e, `"reason":"administrator","by":"member:`+admin.ID.String()) {
		t.Errorf("device.revoked tells %s", e)
	}
	refused(t, "a device again", c.RevokeDevice(t.Context(), admin, ada.ID, first), "not-found")
	if c.devices(ada.ID) != 1 || c.sessions(ada.ID) != 1 {
		t.Errorf("%d devices and %d sessions are left, want one of each", c.devices(ada.ID), c.sessions(ada.ID))
	}
	key := access.Actor{Kind: access.Product, Account: c.account, ID: uuid.New()}
	refused(t, "all devices", c.RevokeAllDevices(t.Context(), key, ada.ID), "")
	c.tells("all devices", "device.revoked")
	refused(t, "all of none", c.RevokeAllDevices(t.Context(), key, ada.ID), "")
	c.tells("all of none")
	if c.devices(ada.ID) != 0 || c.devices(bob.ID) != 1 {
		t.Error("too few or too many devices were revoked")
	}
}

func TestStaffSeeTheClientsThatAreTheirs(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{})
	admin := c.person(console.NewMember{Role: device.Administrator, UserID: "admin"})
	ada := c.person(console.NewMember{Role: device.Provider, UserID: "ada"})
	client := c.person(console.NewMember{Role: device.Client})
	_, err := c.Member(t.Context(), ada, client.ID)
	refused(t, "somebody else's client", err, "forbidden")
	refused(t, "assigning", c.Assign(t.Context(), admin, client.ID, ada.ID), "")
	c.tells("assigning", "member.assigned")
	refused(t, "assigning again", c.Assign(t.Context(), admin, client.ID, ada.ID), "")
	c.tells("assigning again")
	_, err = c.Member(t.Context(), ada, client.ID)
	refused(t, "the own client", err, "")
	_, err = c.Devices(t.Context(), ada, client.ID)
	refused(t, "the own client's devices", err, "")
	refused(t, "changing the own client", c.UpdateMember(t.Context(), ada, client.ID, 0, console.MemberUpdate{Language: ptr("fr")}), "forbidden")
	if all, err := c.AssignedStaff(t.Context(), admin, client.ID); err != nil || len(all) != 1 || all[0].UserID != "ada" {
		t.Errorf("assigned: %+v, %v", all, err)
	}
	refused(t, "a client of a client", c.Assign(t.Context(), admin, client.ID, client.ID), "not-assignable")
	refused(t, "staff of staff", c.Assign(t.Context(), admin, ada.ID, admin.ID), "forbidden")
	refused(t, "unassigning", c.Unassign(t.Context(), admin, client.ID, ada.ID), "")
	c.tells("unassigning", "member.unassigned")
	refused(t, "unassigning again", c.Unassign(t.Context(), admin, client.ID, ada.ID), "not-found")
	_, err = c.Member(t.Context(), ada, client.ID)
	refused(t, "who is no client of the own any more", err, "forbidden")
}
