package console_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"latchkey.dev/services/access"
	"latchkey.dev/services/console"
	"latchkey.dev/services/device"
	"latchkey.dev/services/internal/seal"
)

// faultsOf writes what is wrong with a file as "line column code".
func faultsOf(r console.ImportReport) (all []string) {
	for _, f := range r.Faults {
		all = append(all, strings.Join(strings.Fields(fmt.Sprint(f.Line, " ", f.Column, " ", f.Code)), " "))
	}
	return all
}

// check makes the dry run, which must find exactly these faults, and change nothing.
func (c *clinic) check(by access.Actor, file string, faults ...string) console.ImportReport {
	c.t.Helper()
	before := c.count("SELECT count(*) + coalesce(sum(version), 0) FROM member")
	r, err := c.CheckImport(c.t.Context(), by, []byte(file))
	if err != nil {
		c.t.Fatalf("the dry run: %v", err)
	}
	if got := faultsOf(r); !slices.Equal(got, faults) {
		c.t.Errorf("the faults are %q, want %q\n%s", got, faults, file)
	}
	if !r.DryRun || c.count("SELECT count(*) + coalesce(sum(version), 0) FROM member") != before {
		c.t.Error("the dry run wrote something, or does not say that it is one")
	}
	c.tells("the dry run")
	return r
}

// counts fails the test unless a report has these counts.
func counts(t *testing.T, what string, r console.ImportReport, created, updated, unchanged, repeated, registrations int) {
	t.Helper()
	got, want := []int{r.Created, r.Updated, r.Unchanged, r.Repeated, r.Registrations}, []int{created, updated, unchanged, repeated, registrations}
	if !slices.Equal(got, want) {
		t.Errorf("%s: created, updated, unchanged, repeated, registrations ended: %v, want %v", what, got, want)
	}
}

// put imports a file, all of which must be taken.
func (c *clinic) put(by access.Actor, file string) console.ImportReport {
	c.t.Helper()
	r, err := c.Import(c.t.Context(), by, []byte(file))
	if err != nil || r.DryRun {
		c.t.Fatalf("the import: %+v, %v", r, err)
	}
	return r
}

func TestAnImportMakesAndChangesPeople(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{Demographics: true})
	ada := c.person(console.NewMember{Role: device.Provider, UserID: "Ada", Phone: number, Email: "ada@example.org", Language: "fr"})
	c.register(ada.ID)
	bob := c.person(console.NewMember{Role: device.Provider, UserID: "bob", Phone: number})
	c.register(bob.ID)
	cy := c.person(console.NewMember{Role: device.Client})
	file := "\ufeffuser_id;Role;phone;email;language;id\r\n" +
		"ADA;supervisor;" + other + ";;-;\r\n" + // by the user ID, in any case; a new number
		"robert;;CA … 42;…;;" + bob.ID.String() + "\r\n" + // by the id: a new user ID, and what is on file stays
		";;;cy@example.org;de;" + cy.ID.String() + "\r\n" +
		";;;;;\r\n" +
		"\"dee\";Provider;;\"dee@example.org\";EN;\r\n" +
		";client;+44 7400 123456;-;;\r\n" +
		";provider;;;;\r\n"
	r := c.check(c.by, file)
	counts(t, "the dry run", r, 3, 3, 0, 0, 1)
	if r.Rows != 6 {
		t.Errorf("%d rows, want 6", r.Rows)
	}
	counts(t, "the import", c.put(c.by, file), 3, 3, 0, 0, 1)
	c.tells("the import", "member.created", "member.created", "member.created", "member.number_changed", "device.revoked",
		"member.updated", "member.updated", "member.updated", "notice.requested", "notice.requested", "notice.requested", "notice.requested")
	for _, w := range []struct {
		who                    uuid.UUID
		userID, role, language string
		phone, email           string
		devices                int
	}{{ada.ID, "Ada", "supervisor", "", "+16044410143", "ada@example.org", 0}, {bob.ID, "robert", "provider", "", "+16044410142", "", 1}, {cy.ID, "", "client", "de", "", "cy@example.org", 0}} {
		var sealed, address []byte
		var got = w
		var phoneVersion, emailVersion int
		if err := c.owner.QueryRow(t.Context(), "SELECT coalesce(user_id, ''), role, coalesce(language, ''), phone_sealed, phone_version, email_sealed, email_version FROM member WHERE id = $1", w.who).
			Scan(&got.userID, &got.role, &got.language, &sealed, &phoneVersion, &address, &emailVersion); err != nil {
			t.Fatal(err)
		}
		if w.role == "client" {
			got.userID = ""
		}
		got.phone, got.email = "", ""
		if sealed != nil {
			n, err := seal.OpenNumber(c.dispatcher, sealed, w.who, phoneVersion)
			if got.phone = n.E164(); err != nil {
				t.Error(err)
			}
		}
		if address != nil {
			a, err := seal.OpenEmail(c.dispatcher, address, w.who, emailVersion)
			if got.email = a.Reveal(); err != nil {
				t.Error(err)
			}
		}
		if got.devices = c.devices(w.who); got != w {
			t.Errorf("imported %+v, want %+v", got, w)
		}
	}
	// nobody who was imported can sign in before a password was chosen
	if n := c.count("SELECT count(*) FROM member m LEFT JOIN credential c ON c.member_id = m.id WHERE c.member_id IS NULL AND m.id <> ALL ($1)", []uuid.UUID{ada.ID, bob.ID, cy.ID}); n != 3 {
		t.Errorf("%d of 3 have no password", n)
	}
	if n := c.count("SELECT count(*) FROM member WHERE role = 'client' AND user_id IS NOT NULL AND phone_country = 'GB' AND phone_last_two = '56'"); n != 1 {
		t.Errorf("%d clients were made with a user ID and a number, want 1", n)
	}
	// and the same file again finds all done
	counts(t, "the file again", c.check(c.by, strings.Replace(file, "bob", "robert", 1)), 0, 0, 4, 2, 0)
	counts(t, "the file again", c.put(c.by, file), 0, 0, 4, 2, 0)
	c.tells("the file again")
	if err := console.Sweep(c.Console, t.Context()); err != nil {
		t.Fatal(err)
	}
	c.exec("UPDATE idempotency_key SET kept_until = kept_until - interval '29 days'")
	counts(t, "the file 29 days later", c.check(c.by, file), 0, 0, 4, 2, 0)
	c.exec("UPDATE idempotency_key SET kept_until = kept_until - interval '1 day'")
	if err := console.Sweep(c.Console, t.Context()); err != nil {
		t.Fatal(err)
	}
	counts(t, "the file 30 days later", c.check(c.by, file), 2, 0, 4, 0, 0)
}

// What is wrong with each line is said, beside its number, and nothing is written.
func TestBadLinesAreListed(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{})
	ada := c.person(console.NewMember{Role: device.Provider, UserID: "ada", Phone: number})
	bob := c.person(console.NewMember{Role: device.Provider, UserID: "bob"})
	cy := c.person(console.NewMember{Role: device.Client})
	elsewhere := c.open(console.Account{})
	foreign, err := c.CreateMember(t.Context(), access.Actor{Kind: access.Operator, Account: elsewhere}, console.NewMember{Role: device.Provider, UserID: "foreign"}, "")
	if err != nil {
		t.Fatal(err)
	}
	c.bus.forget()
	file := strings.Join([]string{"id,role,user_id,phone,email,language",
		",king,,12,ada,xx",
		",,dee,,,",
		"nobody,,,,,",
		uuid.NewString() + ",,,,,",
		foreign.ID.String() + ",,,,,fr",
		",provider,FOREIGN,,,",
		",client,own-user-id,,,",
		",client,,604 441 0142,,",
		",provider,\"a\nb\",,,",
		",provider,emma,CA … 42,…,", // an empty cell leaves a number alone: somebody new has none
		",provider,ada,,,fr",
		ada.ID.String() + ",,,,,de",
		",provider,fred,,,",
		",provider,Fred,,,",
		bob.ID.String() + ",,ada,,,",
		cy.ID.String() + ",provider,,,,",
		cy.ID.String() + ",,mine,,,",
		",provider,gina",
		",provider," + strings.Repeat("x", 513) + ",,,",
		",provider,-,+44 20 7946 0958,,",
	}, "\n")
	r := c.check(c.by, file, "2 role bad_role", "2 phone not_a_number", "2 email not_an_address", "2 language bad_language", "3 role bad_role", "4 id bad_id",
		"5 id nobody", "6 id nobody", "7 user_id user_id_taken", "8 user_id user_id_is_made", "9 phone demographics_off", "10 user_id bad_user_id",
		"12 phone not_a_number", "12 email not_an_address", "14 id twice", "16 user_id twice", "17 id twice", "18 role client_or_staff", "19 id twice",
		"20 cell_count", "21 user_id cell_too_long", "22 phone cannot_receive")
	for _, f := range r.Faults {
		if f.Detail == "" || f.Code == "twice" && f.OtherLine == 0 {
			t.Errorf("line %d says %q, of line %d", f.Line, f.Detail, f.OtherLine)
		}
	}
	done, err := c.Import(t.Context(), c.by, []byte(file))
	refused(t, "the import", err, "bad-import")
	if !slices.Equal(faultsOf(done), faultsOf(r)) {
		t.Errorf("the import finds %v", faultsOf(done))
	}
	c.tells("a file that cannot be imported")
}

func TestFilesThatAreNoTables(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{})
	rows := func(n int) string { return "role\n" + strings.Repeat("provider\n", n) }
	for file, faults := range map[string][]string{
		"":                                 {"0 no_rows"},
		"role,user_id\n":                   {"0 no_rows"},
		"role,user_id\n,\n\n , \n":         {"0 no_rows"},
		"role,colour,Role\n":               {"1 colour unknown_column", "1 role column_twice"},
		"role,\n":                          {"1 unknown_column"},
		"role,pass\x1b[31m\n":              {"1 pass?[31m unknown_column"},
		"role,user_id\nprovider,\"ada\n":   {"2 bad_quotes"},
		"role,user_id\n\nprovider,a\"da\n": {"3 bad_quotes"},
		"role\nprovider\nprovid\xffer\n":   {"3 not_utf8"},
		"\xff\xfer\x00o\x00l\x00e\x00":     {"1 not_utf8"},
		"role,user_id\nprovider,a\x00b\n":  {"2 not_utf8"},
		rows(console.MaxImportRows + 1):    {fmt.Sprint(console.MaxImportRows+2, " too_many_rows")},
	} {
		c.check(c.by, file, faults...)
	}
	if r := c.check(c.by, "role,devices,created_at\nprovider,3,yesterday\n"); !slices.Equal(r.Ignored, []string{"devices", "created_at"}) || r.Created != 1 {
		t.Errorf("columns that are only shown: %+v", r)
	}
	_, err := c.CheckImport(t.Context(), c.by, make([]byte, console.MaxImportBytes+1))
	refused(t, "a large file", err, "file-too-large")
	_, err = c.CheckImport(t.Context(), access.Actor{Kind: access.Operator, Account: uuid.New()}, []byte(rows(1)))
	refused(t, "a file for no account", err, "not-found")
}

func TestStandaloneAccountsImportNobodyWithoutANumber(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{Kind: device.StandaloneMobile})
	c.person(console.NewMember{Role: device.Provider, UserID: "ada", Phone: number})
	c.exec("UPDATE account SET countries = '{CA}'")
	c.check(c.by, "role,user_id,phone\nprovider,bob,\nclient,,"+number+"\n,ada,-\nprovider,cy,+44 7400 123456\n",
		"2 phone number_required", "4 phone number_required", "5 phone country_not_allowed")
}

// Each line is judged by what its sender may do, as a single save is.
func TestWhoMayImportWhat(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{})
	people := map[device.Role]access.Actor{}
	for _, role := range device.Roles {
		n := console.NewMember{Role: role, UserID: "the-" + string(role)}
		if role == device.Client {
			n.UserID = ""
		}
		people[role] = c.person(n)
	}
	file := "role,user_id,language\nowner,new-owner,\nadministrator,new-administrator,\n,the-owner,fr\nowner,the-provider,\n,the-supervisor,fr\n"
	for role, by := range people {
		switch role {
		case device.Owner:
			c.check(by, file)
		case device.Administrator:
			c.check(by, file, "2 role forbidden", "4 role forbidden", "5 role forbidden")
		default:
			_, err := c.CheckImport(t.Context(), by, []byte(file))
			refused(t, string(role), err, "forbidden")
			_, err = c.Import(t.Context(), by, []byte(file))
			refused(t, string(role), err, "forbidden")
		}
	}
	c.check(access.Actor{Kind: access.Product, Account: c.account, ID: uuid.New()}, file)
	c.check(people[device.Owner], "role,user_id\nprovider,the-owner\nowner,new-owner\n", "2 role last_owner")
	c.put(people[device.Owner], "role,user_id\nowner,new-owner\n")
	c.put(people[device.Owner], "role,user_id\nprovider,the-owner\n")
}

// many is a file of clients, and of staff with user IDs.
func many(n int) string {
	var b strings.Builder
	b.WriteString("role,user_id,email\n")
	for i := range n {
		if i%2 == 0 {
			fmt.Fprintf(&b, "client,,client-%d@example.org\n", i)
		} else {
			fmt.Fprintf(&b, "provider,person-%d,\n", i)
		}
	}
	return b.String()
}

func TestAnImportThatWasKilledGoesOn(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{})
	ctx, end := context.WithCancel(t.Context())
	c.bus.next(end)
	file := many(1200)
	done, err := c.Import(ctx, c.by, []byte(file))
	if !errors.Is(err, context.Canceled) || done.Created != 500 {
		t.Fatalf("killed after the first group: %+v, %v", done, err)
	}
	counts(t, "the dry run", c.checkAfter(file), 700, 0, 250, 250, 0)
	counts(t, "sent again by another", c.put(access.Actor{Kind: access.Product, Account: c.account, ID: uuid.New()}, file), 700, 0, 250, 250, 0)
	if n := c.count("SELECT count(*) FROM member"); n != 1200 {
		t.Errorf("%d people, want 1200", n)
	}
	if n := c.count("SELECT count(*) FROM console_event WHERE type = 'latchkey.member.created'"); n != 1200 {
		t.Errorf("%d people were told of, want 1200", n)
	}
}

// checkAfter is a dry run after something was told.
func (c *clinic) checkAfter(file string) console.ImportReport {
	c.t.Helper()
	c.bus.forget()
	return c.check(c.by, file)
}

func TestTwoInstancesImportTheSameFileAtOnce(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{})
	file := []byte(many(1200))
	var all sync.WaitGroup
	var mu sync.Mutex
	var made int
	for range 2 {
		o := c.options
		o.Registerer = nil
		one, err := console.New(o)
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			r, err := one.Import(context.Background(), c.by, file)
			mu.Lock()
			defer mu.Unlock()
			made += r.Created
			if err != nil || r.Created+r.Unchanged+r.Repeated != 1200 {
				t.Errorf("one of two: %+v, %v", r, err)
			}
		})
	}
	all.Wait()
	if n := c.count("SELECT count(*) FROM member"); n != 1200 || made != 1200 {
		t.Errorf("%d people, %d were said to be made, want 1200", n, made)
	}
	if n := c.count("SELECT count(*) FROM console_event WHERE type = 'latchkey.member.created'"); n != 1200 {
		t.Errorf("%d people were told of, want 1200", n)
	}
}
