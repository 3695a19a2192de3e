package console_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"latchkey.dev/services/access"
	"latchkey.dev/services/console"
	"latchkey.dev/services/device"
)

// export takes a list away and returns it.
func (c *clinic) export(by access.Actor, s console.Search) string {
	c.t.Helper()
	var b bytes.Buffer
	e, err := c.ExportList(c.t.Context(), by, s)
	if err == nil {
		c.tells("an export", "account.people_exported")
		err = e.Write(c.t.Context(), &b)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	if lines := strings.Count(b.String(), "\r\n"); lines != e.People+1 {
		c.t.Errorf("%d lines list %d people", lines, e.People)
	}
	return b.String()
}

func TestAnExportShowsNoSecretsAndComesBackAsAnImport(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{Demographics: true})
	ada := c.person(console.NewMember{Role: device.Provider, UserID: "ada", Phone: number, Email: "ada@example.org", Language: "fr"})
	c.register(ada.ID)
	c.person(console.NewMember{Role: device.Client, Phone: other})
	c.person(console.NewMember{Role: device.Provider})
	evil := []string{"=1+1", "+1", "-", "@x", "'=1", "ada;=1+1", `a",=1`, "＝1", "née"}
	for _, id := range evil {
		c.person(console.NewMember{Role: device.Supervisor, UserID: id})
	}
	file := c.export(c.by, console.Search{})
	for _, secret := range []string{"6044410142", "4410142", "ada@example.org", "@example"} {
		if strings.Contains(file, secret) {
			t.Errorf("the export holds %q", secret)
		}
	}
	cells, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(file, "\ufeff"))).ReadAll()
	if err != nil || len(cells) != 4+len(evil) {
		t.Fatalf("the export has %d lines, %v", len(cells), err)
	}
	i := slices.IndexFunc(cells, func(row []string) bool { return row[0] == ada.ID.String() })
	if got, want := strings.Join(cells[i][1:10], "|"), "provider|ada|CA … 42|…|fr|yes|1|no|no"; got != want {
		t.Errorf("the export says %q, want %q", got, want)
	}
	for _, row := range cells {
		for _, cell := range row {
			if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r") {
				t.Errorf("a spreadsheet would run %q", cell)
			}
		}
	}
	r := c.check(c.by, file)
	counts(t, "the export, imported", r, 0, 0, r.Rows, 0, 0)
	if r.Rows != 3+len(evil) || len(r.Ignored) != 5 {
		t.Errorf("the export, imported: %+v", r)
	}
	// another separator, as a spreadsheet saves it
	semicolons := &bytes.Buffer{}
	w := csv.NewWriter(semicolons)
	w.Comma = ';'
	if err := w.WriteAll(cells); err != nil {
		t.Fatal(err)
	}
	counts(t, "the export, saved by a spreadsheet", c.check(c.by, semicolons.String()), 0, 0, r.Rows, 0, 0)
}

func TestAnExportHoldsWhatTheListFinds(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{})
	c.person(console.NewMember{Role: device.Provider, UserID: "ada", Phone: number})
	c.exec(`INSERT INTO member (id, account_id, role, user_id, public_key) SELECT gen_random_uuid(), $1, CASE i % 2 WHEN 0 THEN 'client' ELSE 'provider' END, 'Person-' || i, '\x00' FROM generate_series(1, 1201) i`, c.account)
	elsewhere := access.Actor{Kind: access.Operator, Account: c.open(console.Account{})}
	c.bus.forget()
	for _, tc := range []struct {
		by     access.Actor
		search console.Search
		people int
		told   string
	}{
		{c.by, console.Search{}, 1202, `"people":1202,"roles":["owner","administrator","supervisor","provider","client"],"by":"operator"`},
		{c.by, console.Search{Roles: []device.Role{device.Client}, NoNumber: true, NoDevice: true}, 600, `"people":600,"roles":["client"],"no_number":true,"no_device":true,"by":"operator"`},
		{c.by, console.Search{Text: "ad", Most: 1}, 1, `"people":1,"roles":["owner","administrator","supervisor","provider","client"],"searched":true,"by":"operator"`},
		{c.by, console.Search{Locked: true, Deactivated: true}, 0, `"people":0,"roles":["owner","administrator","supervisor","provider","client"],"locked":true,"deactivated":true,"by":"operator"`},
		{c.by, console.Search{Text: "a\x00"}, 0, `"searched":true`},
		{elsewhere, console.Search{}, 0, `"people":0`},
	} {
		what := fmt.Sprintf("%+v", tc.search)
		if n := strings.Count(c.export(tc.by, tc.search), "\r\n") - 1; n != tc.people {
			t.Errorf("%s: %d people, want %d", what, n, tc.people)
		}
		if told := c.last("account.people_exported"); !strings.Contains(told, tc.told) {
			t.Errorf("%s: told %s, want %s", what, told, tc.told)
		}
	}
	for _, role := range []device.Role{device.Supervisor, device.Provider, device.Client} {
		_, err := c.ExportList(t.Context(), access.Actor{Kind: access.Member, Account: c.account, Role: role}, console.Search{})
		refused(t, string(role), err, "forbidden")
	}
	c.tells("what nobody may do")
}

func TestAListIsSentAsAFile(t *testing.T) {
	t.Parallel()
	s := serve(t, console.Account{})
	owner, _ := s.signedIn(console.NewMember{Role: device.Owner, UserID: "ada", Phone: number})
	s.person(console.NewMember{Role: device.Provider, UserID: "bob"})
	s.person(console.NewMember{Role: device.Client})
	b, key := s.at(owner), s.key(s.account)
	_, _, text := b.request("GET", "/staff?no_number=1&search=b", nil)
	for _, want := range []string{`<form method="post" action="/staff/export">`, `name="no_number" value="1"`, `name="search" value="b"`} {
		if !strings.Contains(text, want) {
			t.Errorf("the list lacks %s", want)
		}
	}
	_, _, text = b.request("POST", "/staff/export", url.Values{"form": {b.fresh()}, "no_number": {"1"}, "search": {"b"}, "after": {"z"}})
	if strings.Count(text, "\r\n") != 2 || !strings.Contains(text, `"bob"`) {
		t.Errorf("the list is sent as %q", text)
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/v1/members/export?role=client", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || strings.Count(string(body), "\r\n") != 2 || resp.Header.Get("Content-Type") != "text/csv; charset=utf-8" ||
		!strings.HasPrefix(resp.Header.Get("Content-Disposition"), `attachment; filename="people-20`) {
		t.Errorf("the list is answered %v %q, %v", resp.Header, body, err)
	}
	for _, query := range []string{"limit=1", "cursor=x", "x=y"} {
		s.wants(query, s.call(key, "GET", "/v1/members/export?"+query, nil), 400, "bad-query")
	}
}
