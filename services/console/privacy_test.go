package console_test

import (
	"context"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/access"
	"latchkey.dev/services/console"
	"latchkey.dev/services/device"
	"latchkey.dev/services/internal/details"
	"latchkey.dev/services/internal/storetest"
	"latchkey.dev/services/words"
)

// opener stands for the auditor.
type opener struct{}

func (opener) Show(context.Context, details.ShowRequest) (details.Shown, error) {
	return details.Shown{Number: "+16044410142", Email: "ada@example.org"}, nil
}

func (opener) Export(_ context.Context, r details.ExportRequest) (io.ReadCloser, error) {
	text := `{"made_at": "2026-11-24T09:30:15Z", "requested_at": "2026-11-24T09:30:14Z", "account": {}, "person": {"by": "` + r.By + `"}, "assignments": [],
		"devices": [], "sessions": [], "console_sessions": [], "notices": [], "codes": [], "events": []}`
	if r.Format == details.HTML {
		text = "<!doctype html><html lang=" + r.Language + ">"
	}
	return io.NopCloser(strings.NewReader(text)), nil
}

// whole makes somebody of whom every table holds something, and returns an actor who is that person.
func (c *clinic) whole(n console.NewMember) access.Actor {
	c.t.Helper()
	p := c.person(n)
	staff := c.person(console.NewMember{Role: device.Supervisor})
	registration := c.register(p.ID)
	c.exec("UPDATE device SET seen_country = 'CA' WHERE id = $1", registration)
	c.exec("UPDATE challenge SET closed_at = NULL, end_reason = NULL, device_facets = '{\"os\":\"Linux\"}', phone_sealed = (SELECT phone_sealed FROM member WHERE id = $1) WHERE member_id = $1", p.ID)
	for _, sql := range []string{
		"INSERT INTO console_session (token_digest, id, session_id, member_id, account_id) VALUES (sha256($1::uuid::text::bytea), gen_random_uuid(), gen_random_uuid(), $1, $2)",
		"INSERT INTO console_grant (code_digest, challenge, session_id, member_id, account_id) VALUES (sha256($1::uuid::text::bytea), sha256(''), gen_random_uuid(), $1, $2)",
		"INSERT INTO idempotency_key (account_id, key_digest, body_digest, member_id, kept_until) VALUES ($2, sha256($1::uuid::text::bytea), sha256(''), $1, now() + interval '1 day')",
		"INSERT INTO registration_code (id, account_id, member_id, digest, made_by, expires_at) VALUES (gen_random_uuid(), $2, $1, sha256($1::uuid::text::bytea), 'operator', now() + interval '15 minutes')",
		"INSERT INTO password_link (member_id, token_digest) SELECT $1, sha256($1::uuid::text::bytea) WHERE $2::uuid IS NOT NULL",
		"INSERT INTO member_try SELECT $1, now(), 1, now(), 1, 1 WHERE $2::uuid IS NOT NULL",
		"INSERT INTO number_proof (member_id, phone_version) SELECT $1, 1 WHERE $2::uuid IS NOT NULL",
		"INSERT INTO operator_right (member_id, granted_by) SELECT $1, 'operator' WHERE $2::uuid IS NOT NULL",
		`INSERT INTO notice (id, account_id, member_id, kind, channel, address_sealed, address_version)
			SELECT uuid_floor(now() - interval '3 days'), $2, id, 'number_changed', 'text', phone_sealed, phone_version FROM member WHERE id = $1`,
	} {
		c.exec(sql, p.ID, c.account)
	}
	c.exec("INSERT INTO client_assignment (client_id, staff_id, account_id) VALUES ($1, $2, $3), ($2, $1, $3)", p.ID, staff.ID, c.account)
	c.exec(`INSERT INTO text_request (challenge_id, request_no) SELECT id, 1 FROM challenge WHERE member_id = $1`, p.ID)
	c.exec(`INSERT INTO receipt (id, attempt_id, provider, status, vendor_code, vendor_reference) SELECT gen_random_uuid(), a.id, a.provider, 'delivered', '0', 'ref' FROM attempt a JOIN challenge c ON c.id = a.challenge_id WHERE member_id = $1`, p.ID)
	c.exec(`INSERT INTO entry (id, challenge_id, judge_key, encapsulated, sealed) SELECT id, id, 1, '\x00', '\x00' FROM challenge WHERE member_id = $1`, p.ID)
	c.exec(`INSERT INTO verdict (entry_id, challenge_id, result, tries_left) SELECT id, id, 'registered', 4 FROM challenge WHERE member_id = $1`, p.ID)
	c.bus.forget()
	_ = registration
	return p
}

func TestAnErasedPersonIsGone(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{})
	boss := c.person(console.NewMember{Role: device.Owner, UserID: "boss"})
	other := c.whole(console.NewMember{Role: device.Provider, UserID: "bob", Phone: other, Email: "bob@example.org"})
	before := c.named(other.ID)
	ada := c.whole(console.NewMember{Role: device.Provider, UserID: "Ada", Phone: number, Email: "ada@example.org", Language: "fr"})
	_, err := c.RequestErase(t.Context(), boss, ada.ID, "ada")
	refused(t, "a user ID written otherwise", err, "not-confirmed")
	c.tells("a refusal")
	job, err := c.RequestErase(t.Context(), boss, ada.ID, "Ada")
	refused(t, "erasing", err, "")
	c.tells("erasing", "device.revoked", "member.erased")
	if e := c.last("member.erased"); !strings.Contains(e, job.String()) || !strings.Contains(e, `"by":"member:`+boss.ID.String()) {
		t.Errorf("member.erased tells %s", e)
	}
	left := c.named(ada.ID)
	for table := range left {
		// The job; the dates of devices; and challenges and notices, which the job removes.
		if !slices.Contains([]string{"privacy_job", "device", "challenge", "notice"}, table) {
			t.Errorf("%d rows of %s still name the person", left[table], table)
		}
	}
	if n := c.count("SELECT count(*) FROM notice WHERE member_id = $1 AND due_at IS NOT NULL", ada.ID); n != 0 {
		t.Errorf("%d notices still wait to be sent", n)
	}
	if n := c.count("SELECT count(*) FROM device WHERE member_id = $1 AND (revoke_reason <> 'erased' OR name <> '' OR registered_facets <> '{}' OR seen_facets <> '{}' OR seen_country IS NOT NULL)", ada.ID); n != 0 {
		t.Errorf("%d devices say what they were", n)
	}
	if n := c.count("SELECT count(*) FROM challenge WHERE member_id = $1 AND (closed_at IS NULL OR phone_sealed <> '' OR phone_country <> '' OR phone_last_two <> '' OR device_facets <> '{}')", ada.ID); n != 0 {
		t.Errorf("%d challenges are open, or say where texts went", n)
	}
	for table, rows := range c.named(other.ID) {
		if rows != before[table] {
			t.Errorf("%s held %d rows of somebody else, and now %d", table, before[table], rows)
		}
	}
	for what, err := range c.operations(boss, ada.ID) {
		if what != "erase" { // by who asked for it: the same job
			refused(t, what+" of who is erased", err, "not-found")
		}
	}
	people, _, err := c.List(t.Context(), boss, console.Search{Text: "ada"})
	if err != nil || len(people) != 0 {
		t.Errorf("a list shows %v, %v", people, err)
	}
	if made, err := c.CreateMember(t.Context(), boss, console.NewMember{Role: device.Provider, UserID: "ada", Phone: number}, ""); err != nil || made.ID == ada.ID {
		t.Errorf("the user ID is not free: %v", err)
	}
	if _, err := c.owner.Exec(t.Context(), "INSERT INTO member (id, account_id, role, public_key) VALUES ($1, $2, 'client', '\\x00')", ada.ID, c.account); err == nil {
		t.Error("somebody was made under the id of an erased person")
	}
}

// named counts the rows of each table that name a person in any column.
func (c *clinic) named(id uuid.UUID) map[string]int {
	c.t.Helper()
	all := map[string]int{}
	for _, at := range storetest.Columns(c.t, c.owner, "uuid") {
		if n := c.count("SELECT count(*) FROM "+at.Table+" WHERE "+at.Name+" = $1", id); n > 0 {
			all[at.Table] += n
		}
	}
	return all
}

func TestAnErasureAskedForTwiceIsOne(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{})
	boss := c.person(console.NewMember{Role: device.Owner, UserID: "boss"})
	admin := c.person(console.NewMember{Role: device.Administrator, UserID: "admin"})
	ada := c.whole(console.NewMember{Role: device.Provider, UserID: "ada", Phone: number})
	o := c.options
	o.Registerer = nil
	second, err := console.New(o)
	if err != nil {
		t.Fatal(err)
	}
	var jobs [8]uuid.UUID
	var errs [8]error
	var all sync.WaitGroup
	for i := range jobs {
		at := c.Console
		if i%2 == 1 {
			at = second
		}
		all.Go(func() { jobs[i], errs[i] = at.RequestErase(context.Background(), boss, ada.ID, "ada") })
	}
	all.Wait()
	for i := range jobs {
		if errs[i] != nil || jobs[i] != jobs[0] {
			t.Errorf("request %d: job %s, %v; the first has job %s", i, jobs[i], errs[i], jobs[0])
		}
	}
	if n := c.count("SELECT count(*) FROM console_event WHERE type = 'latchkey.member.erased'"); n != 1 {
		t.Errorf("the erasure is told %d times", n)
	}
	if j, err := second.PrivacyJob(t.Context(), boss, jobs[0]); err != nil || j.Kind != "erase" || j.Member != ada.ID || j.DoneAt != nil {
		t.Errorf("the other console says %+v, %v", j, err)
	}
	_, err = c.RequestErase(t.Context(), admin, ada.ID, "ada")
	refused(t, "erasing who was erased by somebody else", err, "not-found")
	_, err = c.PrivacyJob(t.Context(), admin, jobs[0])
	refused(t, "somebody else's job", err, "not-found")
}

func TestWhoCannotBeErased(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{})
	ada := c.person(console.NewMember{Role: device.Owner, UserID: "ada"})
	_, err := c.RequestErase(t.Context(), c.by, ada.ID, "ada")
	refused(t, "the last owner", err, "last-owner")
	_, err = c.RequestErase(t.Context(), ada, ada.ID, "ada")
	refused(t, "oneself", err, "forbidden")
	c.tells("refusals")
	nameless := c.person(console.NewMember{Role: device.Provider})
	_, err = c.RequestErase(t.Context(), ada, nameless.ID, nameless.ID.String())
	refused(t, "somebody without a user ID, by the id", err, "")
}

// A change that was decided before an erasure and comes after it writes nothing.
func TestNothingIsWrittenOfWhoWasErasedMeanwhile(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{})
	ada := c.person(console.NewMember{Role: device.Provider, UserID: "ada", Phone: number})
	tx, err := c.owner.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	const lock = "SELECT pg_advisory_xact_lock(hashtextextended('latchkey member ' || $1::text, 0))"
	if _, err := tx.Exec(t.Context(), lock, ada.ID); err != nil {
		t.Fatal(err)
	}
	changed := make(chan error, 2)
	go func() {
		_, err := c.ResetPassword(context.Background(), c.by, ada.ID)
		changed <- err
	}()
	go func() { _, err := c.RequestExport(context.Background(), c.by, ada.ID); changed <- err }()
	for c.count("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())") < 2 {
		time.Sleep(time.Millisecond)
	}
	for _, sql := range []string{"INSERT INTO privacy_job (id, account_id, member_id, kind, requested_by) SELECT id, account_id, id, 'erase', 'operator' FROM member WHERE id = $1", "SELECT member_forget($1)"} {
		if _, err := tx.Exec(t.Context(), sql, ada.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		refused(t, "a change", <-changed, "not-found")
	}
	c.tells("changes of who is erased")
	if n := c.count("SELECT count(*) FROM credential") + c.count("SELECT count(*) FROM privacy_job WHERE kind = 'export'"); n != 0 {
		t.Errorf("%d rows were written of who is erased", n)
	}
}

func TestAnExportIsForWhoAskedForIt(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{})
	boss := c.person(console.NewMember{Role: device.Owner, UserID: "boss"})
	admin := c.person(console.NewMember{Role: device.Administrator, UserID: "admin"})
	ada := c.person(console.NewMember{Role: device.Provider, UserID: "ada"})
	job, err := c.RequestExport(t.Context(), admin, ada.ID)
	refused(t, "asking", err, "")
	c.tells("asking", "member.export_requested")
	if again, err := c.RequestExport(t.Context(), admin, ada.ID); err != nil || again != job {
		t.Errorf("asking again made job %s, %v", again, err)
	}
	c.tells("asking again")
	if bosses, err := c.RequestExport(t.Context(), boss, ada.ID); err != nil || bosses == job {
		t.Errorf("somebody else got the same job, %v", err)
	}
	open := func(by access.Actor) error {
		body, err := c.OpenExport(t.Context(), by, job, details.JSON, words.English)
		if err == nil {
			body.Close()
		}
		return err
	}
	refused(t, "opening what is not ready", open(admin), "not-ready")
	c.exec("UPDATE privacy_job SET done_at = now(), progress = 100")
	refused(t, "opening", open(admin), "")
	refused(t, "opening another's", open(boss), "not-found")
	refused(t, "opening as the person", open(ada), "not-found")
	elsewhere := admin
	elsewhere.Account = c.open(console.Account{})
	refused(t, "opening from another account", open(elsewhere), "not-found")
	demoted := admin
	demoted.Role = device.Provider
	refused(t, "opening after the role is lost", open(demoted), "forbidden")
	c.exec("UPDATE privacy_job SET done_at = now() - interval '7 days'")
	refused(t, "opening a week later", open(admin), "not-found")
	c.exec("UPDATE privacy_job SET done_at = now()")
	_, err = c.RequestErase(t.Context(), boss, ada.ID, "ada")
	refused(t, "erasing", err, "")
	refused(t, "opening what is held of who is erased", open(admin), "not-found")
}

// asksPrivacy makes every answer of the routes about what is held of a person, and returns an
// export's job. The person is the last owner.
func (s *served) asksPrivacy(key, owner, provider string) (job string) {
	s.t.Helper()
	ask := func(what, method, path string, body any, status int, problem string, headers ...string) answer {
		s.t.Helper()
		return s.wants(what, s.call(key, method, path, body, headers...), status, problem)
	}
	at := "/v1/members/" + owner
	if shown := ask("a number", "POST", at+"/number", nil, 200, ""); shown.body["number"] != "+16044410142" || shown.body["email"] != "ada@example.org" {
		s.t.Errorf("shown is %v", shown.body)
	}
	asked := ask("an export", "POST", at+"/export", nil, 202, "")
	job = asked.body["id"].(string)
	path := asked.header.Get("Location")
	ask("a job", "GET", path, nil, 200, "")
	ask("an export too early", "GET", path+"/export", nil, 409, "not-ready")
	s.exec("UPDATE privacy_job SET done_at = now(), progress = 100")
	ask("an export", "GET", path+"/export?format=json", nil, 200, "")
	ask("a job that is done", "GET", path, nil, 200, "")
	for _, wrong := range []string{"?format=xml", "?language=xx", "?x=y", "?format=json&format=html"} {
		ask("an export as "+wrong, "GET", path+"/export"+wrong, nil, 400, "bad-query")
	}
	ask("no job", "GET", "/v1/jobs/"+uuid.NewString(), nil, 404, "not-found")
	ask("an erasure that is not confirmed", "POST", at+"/erase", map[string]any{"confirm": "ad"}, 422, "not-confirmed")
	ask("the last owner", "POST", at+"/erase", map[string]any{"confirm": "ada"}, 409, "last-owner")
	ask("no object", "POST", at+"/erase", []int{1}, 400, "bad-request")
	ask("too much", "POST", at+"/erase", strings.Repeat("x", 1<<20), 413, "too-large")
	ask("no JSON", "POST", at+"/erase", "x", 415, "unsupported-media-type", "Content-Type", "text/plain")
	gone := ask("somebody", "POST", "/v1/members", map[string]any{"role": "provider", "user_id": "gone"}, 201, "").header.Get("Location")
	first := ask("an erasure", "POST", gone+"/erase", map[string]any{"confirm": "gone"}, 202, "")
	if again := ask("the same erasure", "POST", gone+"/erase", map[string]any{"confirm": "gone"}, 202, ""); again.body["id"] != first.body["id"] {
		s.t.Errorf("the same erasure is job %v, before %v", again.body["id"], first.body["id"])
	}
	s.exec(`INSERT INTO privacy_job (id, account_id, member_id, kind, requested_by) SELECT gen_random_uuid(), $1, gen_random_uuid(), 'erase', 'operator' FROM generate_series(1, 100)`, s.account)
	ask("another export", "POST", at+"/export", nil, 429, "too-many-jobs")
	more := ask("somebody", "POST", "/v1/members", map[string]any{"role": "provider", "user_id": "more"}, 201, "").header.Get("Location")
	ask("another erasure", "POST", more+"/erase", map[string]any{"confirm": "more"}, 429, "too-many-jobs")
	s.exec("UPDATE privacy_job SET done_at = now()")
	// A provider who asked as an administrator.
	s.exec("UPDATE privacy_job SET requested_by = 'member:' || (SELECT member_id FROM session WHERE token_digest = sha256($1::bytea)) WHERE id = $2", provider, job)
	s.wants("an export of who may not export any more", s.call(provider, "GET", path+"/export", nil), 403, "forbidden")
	s.wants("the job of who may not export any more", s.call(provider, "GET", path, nil), 403, "forbidden")
	return job
}

// The pages of an export and of an erasure: begun by a form, followed without a script, by any
// console, and downloaded by who asked.
func TestPagesOfExportsAndErasures(t *testing.T) {
	t.Parallel()
	s := serve(t, console.Account{})
	boss, _ := s.signedIn(console.NewMember{Role: device.Owner, UserID: "boss", Language: "de"})
	admin, _ := s.signedIn(console.NewMember{Role: device.Administrator, UserID: "admin"})
	ada := s.person(console.NewMember{Role: device.Provider, UserID: "ada", Phone: number})
	b, person := s.at(boss), "/people/"+ada.ID.String()
	send := func(b browser, path string, fields ...string) (int, string, string) {
		form := url.Values{"form": {b.fresh()}}
		for i := 0; i < len(fields); i += 2 {
			form.Set(fields[i], fields[i+1])
		}
		return b.request("POST", path, form)
	}
	if _, _, text := send(b, person+"/number"); !strings.Contains(text, "&#43;16044410142") && !strings.Contains(text, "+16044410142") || !strings.Contains(text, "ada@example.org") {
		t.Errorf("shown is %s", text)
	}
	_, at, _ := send(b, person+"/export")
	if !strings.HasPrefix(at, "/jobs/") {
		t.Fatalf("an export leads to %q", at)
	}
	follow := func(b browser, want string, refresh bool) {
		t.Helper()
		status, _, text := b.request("GET", at, nil)
		if status != 200 || !strings.Contains(text, want) || strings.Contains(text, "<progress") != refresh {
			t.Errorf("the job's page answers %d %s, want %q", status, text, want)
		}
	}
	s.exec("UPDATE privacy_job SET progress = 42")
	follow(b, "42 % sind fertig.", true)
	if _, _, text := b.request("GET", person, nil); !strings.Contains(text, `href="`+at+`"`) {
		t.Error("the person's page does not lead back to the export")
	}
	if _, _, text := s.at(admin).request("GET", person, nil); strings.Contains(text, "/jobs/") {
		t.Error("the person's page leads to somebody else's export")
	}
	if status, _, _ := send(b, at+"/export", "format", "json"); status != 409 {
		t.Errorf("a download that is not ready answers %d", status)
	}
	s.exec("UPDATE privacy_job SET progress = 100, done_at = now()")
	follow(b, "Der Export ist fertig.", false)
	if status, _, text := send(b, at+"/export", "format", "html"); status != 200 || text != "<!doctype html><html lang=de>" {
		t.Errorf("a download to read answers %d %q", status, text)
	}
	if status, _, text := send(b, at+"/export", "format", "json"); status != 200 || !strings.Contains(text, "member:"+boss.String()) {
		t.Errorf("a download as data answers %d %q", status, text)
	}
	for _, wrong := range []string{"", "xml"} {
		if status, _, _ := send(b, at+"/export", "format", wrong); status != 400 {
			t.Errorf("a download as %q answers %d", wrong, status)
		}
	}
	other := s.at(admin)
	for what, method := range map[string]string{at: "GET", at + "/export": "POST"} {
		if status, _, _ := other.request(method, what, url.Values{"form": {other.fresh()}, "format": {"json"}}); status != 404 {
			t.Errorf("somebody else's %s %s answers %d", method, what, status)
		}
	}
	if status, _, text := send(b, person+"/erase", "confirm", "bob"); status != 422 || !strings.Contains(text, "Nichts wurde gelöscht") {
		t.Errorf("a wrong confirmation answers %d %s", status, text)
	}
	_, at, _ = send(b, person+"/erase", "confirm", "ada")
	follow(b, "Die Person ist gelöscht.", true)
	if _, again, _ := send(b, person+"/erase", "confirm", "ada"); again != at {
		t.Errorf("sent again it leads to %q, not %q", again, at)
	}
	s.exec("UPDATE privacy_job SET progress = 100, done_at = now()")
	follow(b, "Der Schlüssel ist zerstört", false)
	if status, _, _ := other.request("GET", at, nil); status != 404 {
		t.Errorf("somebody else's erasure answers %d", status)
	}
}
