package e2e

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"latchkey.dev/services/internal/browsertest"
	"latchkey.dev/services/internal/dpop"
	"latchkey.dev/services/internal/storetest"
	"latchkey.dev/services/up"
)

// asks asks the console's API as the product, and returns the body as it came.
func (w *world) asks(method, path string, in any, status int) string {
	w.t.Helper()
	var body io.Reader
	if in != nil {
		body = bytes.NewReader(must(json.Marshal(in))(w.t))
	}
	r := must(http.NewRequestWithContext(w.t.Context(), method, w.console+path, body))(w.t)
	r.Header.Set("Authorization", "Bearer "+w.apiKey)
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	resp := must(http.DefaultClient.Do(r))(w.t)
	defer resp.Body.Close()
	out := string(must(io.ReadAll(resp.Body))(w.t))
	if resp.StatusCode != status {
		w.t.Fatalf("%s %s: %d %s, want %d", method, path, resp.StatusCode, out, status)
	}
	return out
}

// done asks for a job and waits until it is done.
func (w *world) done(path string, in any) (job string) {
	w.t.Helper()
	var j struct{ ID string }
	if err := json.Unmarshal([]byte(w.asks("POST", path, in, http.StatusAccepted)), &j); err != nil {
		w.t.Fatal(err)
	}
	w.until("the job is done", func() bool { return strings.Contains(w.asks("GET", "/v1/jobs/"+j.ID, nil, http.StatusOK), `"done_at"`) })
	return j.ID
}

// lies tells in which columns of both databases any of some secrets lies.
func (w *world) lies(secrets map[string][]byte) (at []string) {
	w.t.Helper()
	for _, pool := range []*pgxpool.Pool{w.owner, w.db.KeysOwner(w.t)} {
		for _, c := range storetest.Columns(w.t, pool, "text", "text[]", "jsonb", "bytea", "character varying") {
			for what, secret := range secrets {
				value := c.Name
				if c.Type != "bytea" {
					value = "convert_to(lower(" + c.Name + "::text), 'UTF8')"
				}
				var n int
				if err := pool.QueryRow(w.t.Context(), "SELECT count(*) FROM "+c.Table+" WHERE position($1::bytea IN "+value+") > 0", secret).Scan(&n); err != nil {
					w.t.Fatalf("looking into %s.%s: %v", c.Table, c.Name, err)
				}
				if n > 0 {
					at = append(at, fmt.Sprintf("%s in %d rows of %s.%s", what, n, c.Table, c.Name))
				}
			}
		}
	}
	return at
}

// A person signs in, is shown, exported and erased. Then nothing of the person lies in either
// database, in clear or sealed to anybody; the person cannot come in; and every event stands
// in its place as it was.
func TestAPersonIsErased(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(*up.Options) {})
	p := w.person(1)
	userID, address := "ada-"+strings.ToLower(rand.Text()), strings.ToLower(rand.Text())+"@example.org"
	auth := []string{"Authorization", "Bearer " + w.apiKey}
	whole := map[string]any{"role": "provider", "user_id": userID, "password": password, "email": address}
	if status, out := w.call("PUT", "/v1/members/"+p.id.String(), whole, auth...); status != http.StatusOK {
		t.Fatalf("giving an address: %d %v", status, out)
	}
	p.live(w.first)
	bob := w.person(2)
	bob.live(w.first)
	former := map[string]any{"role": "provider", "user_id": userID, "email": "new." + address} // the former address is told
	if status, out := w.call("PUT", "/v1/members/"+p.id.String(), former, auth...); status != http.StatusOK {
		t.Fatalf("giving another address: %d %v", status, out)
	}
	open := func() uuid.UUID { // a code on its way
		elsewhere := p
		elsewhere.key = must(dpop.NewKey())(t)
		return elsewhere.begin()
	}
	waiting := open()

	path := "/v1/members/" + p.id.String()
	if shown := w.asks("POST", path+"/number", nil, http.StatusOK); !strings.Contains(shown, p.number) || !strings.Contains(shown, address) {
		t.Errorf("shown is %s", shown)
	}
	job := w.done(path+"/export", nil)
	text := w.asks("GET", "/v1/jobs/"+job+"/export", nil, http.StatusOK)
	for _, part := range []string{p.number, address, userID, "192.0.2.1", "Firefox/140.0", waiting.String(), "latchkey.sms.accepted", "latchkey.device.registered"} {
		if !strings.Contains(text, part) {
			t.Errorf("the export lacks %s", part)
		}
	}
	if strings.Contains(text, bob.id.String()) || strings.Contains(text, bob.number) {
		t.Error("the export tells of somebody else")
	}
	page := w.asks("GET", "/v1/jobs/"+job+"/export?format=html&language=fr", nil, http.StatusOK)
	if !strings.Contains(page, "Numéro de téléphone") || !strings.Contains(page, p.number[1:]) || !strings.HasSuffix(page, "</html>\n") {
		t.Error("the export to be read is not whole")
	}

	secrets := map[string][]byte{"the number": []byte(p.number[1:]), "the address": []byte(address), "the user ID": []byte(userID)}
	for _, column := range []string{"phone_sealed", "phone_details", "phone_index", "email_sealed", "email_details", "email_index"} {
		var b []byte
		if err := w.owner.QueryRow(t.Context(), "SELECT "+column+" FROM member WHERE id = $1", p.id).Scan(&b); err != nil || len(b) < 16 {
			t.Fatalf("%s: %d bytes, %v", column, len(b), err)
		}
		secrets["its "+column] = b
	}
	var wrapped []byte
	if err := w.db.KeysOwner(t).QueryRow(t.Context(), "SELECT wrapped FROM member_key WHERE member_id = $1", p.id).Scan(&wrapped); err != nil {
		t.Fatal(err)
	}
	secrets["the key"] = wrapped
	if before := w.lies(secrets); len(before) < len(secrets)-2 { // number and address lie nowhere in clear
		t.Fatalf("looking for what is there found only %v", before)
	}
	w.until("every event has a place", func() bool {
		return w.count("SELECT count(*) FROM event WHERE NOT EXISTS (SELECT FROM leaf WHERE event_id = id)") == 0
	})
	w.done(path+"/erase", map[string]any{"confirm": userID})

	for _, at := range w.lies(secrets) {
		t.Errorf("after the erasure there is %s", at)
	}
	w.until("the last event has a place", func() bool {
		return w.count("SELECT count(*) FROM event WHERE NOT EXISTS (SELECT FROM leaf WHERE event_id = id)") == 0
	})
	w.audited()
	if n := w.count("SELECT count(*) FROM leaf JOIN event ON event.id = leaf.event_id WHERE leaf.hash <> sha256('\\x00'::bytea || event.body)"); n != 0 {
		t.Errorf("%d events are not as they were", n)
	}
	for typ, want := range map[string]int{"audit.number_shown": 1, "audit.member_exported": 2, "audit.key_destroyed": 1, "member.erased": 1, "member.export_requested": 1} {
		if n := w.count("SELECT count(*) FROM event WHERE type = 'latchkey." + typ + "'"); n != want {
			t.Errorf("%d of %s, want %d", n, typ, want)
		}
	}
	if status, out := p.check(); status != http.StatusNotFound {
		t.Errorf("a device check: %d %v", status, out)
	}
	if status, out := p.enter(waiting, w.first.code(t, p.number, 2)); status != http.StatusNotFound {
		t.Errorf("the code that was on its way: %d %v", status, out)
	}
	signIn := map[string]any{"user_id": userID, "password": password, "software": "web"}
	if status, out := w.call("POST", "/v1/sign-ins", signIn, "DPoP", p.proof("POST", "/v1/sign-ins", uuid.Nil)); status != http.StatusUnauthorized {
		t.Errorf("signing in: %d %v", status, out)
	}
	if status, out := w.call("PUT", "/v1/members/"+p.id.String(), whole, auth...); status != http.StatusUnprocessableEntity && status != http.StatusGone {
		t.Errorf("saving the erased person: %d %v", status, out)
	}
	whole["phone"] = p.number
	if status, out := w.call("PUT", "/v1/members/"+p.id.String(), whole, auth...); status != http.StatusGone {
		t.Errorf("saving the erased person: %d %v", status, out)
	}
	if status, out := w.call("PUT", "/v1/members/"+uuid.NewString(), whole, auth...); status != http.StatusCreated {
		t.Errorf("the user ID for somebody else: %d %v", status, out)
	}
	if status, out := bob.check(); status != http.StatusOK || out["status"] != "registered" {
		t.Errorf("somebody else's device: %d %v", status, out)
	}
}

// An owner looks a number up, exports what is held and erases a person, on pages, without a script.
func TestAnOwnerErasesAPerson(t *testing.T) {
	t.Parallel()
	w, tab := newWorld(t, func(*up.Options) {}), browsertest.Start(t).Profile()
	w.ownerAt(tab, "olive", "+16045550170")
	ada := w.signs("ada", "+16045550171")
	person := w.choose(tab, ada.userID, "number")
	tab.Sees("How ada is reached", "+16045550171", "That you looked is recorded.")
	tab.Look(screenshots, "console-number")
	w.choose(tab, ada.userID, "export")
	tab.Sees("Export of ada")
	tab.Look(screenshots, "console-export-begun")
	tab.Sees("The export is ready", "by you alone")
	tab.Look(screenshots, "console-export")
	if at := must(url.Parse(tab.Address()))(t); !strings.HasPrefix(at.Path, "/jobs/") {
		t.Errorf("the export is at %s", at)
	}
	tab.Open(person)
	tab.Script(`for (const d of document.querySelectorAll("details")) d.open = true; ""`)
	tab.Look(screenshots, "console-person-actions")
	tab.Click(`a[href$="/erase"]`)
	tab.Sees("Erase ada", "What goes", "What stays", "Type ada to confirm")
	tab.Look(screenshots, "console-erase")
	tab.Fill("#confirm", "olive\r")
	tab.Sees("Nothing was erased")
	tab.Fill("#confirm", "ada\r")
	tab.Sees("Erasure of a person", "The person is gone.")
	tab.Look(screenshots, "console-erasing")
	tab.Sees("Erased. The key is destroyed")
	tab.Look(screenshots, "console-erased")
	tab.Open(person)
	tab.Sees("There is nothing at this address")
	tab.Open(w.console + "/staff")
	tab.Sees("Staff", "olive")
	if strings.Contains(tab.Text(), "ada") {
		t.Error("the list shows who is erased")
	}
}
