package auditor_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"latchkey.dev/services/auditor"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/details"
	"latchkey.dev/services/internal/seal"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/storetest"
	"latchkey.dev/services/internal/web"
)

// nobody hears what is published: the rows are what counts here.
type nobody struct{}

func (nobody) Publish(event.Event) {}

// archive is a database of people whose details an auditor opens.
type archive struct {
	*auditor.Details
	t           *testing.T
	db          *storetest.DB
	owner, keys *pgxpool.Pool
	options     auditor.DetailsOptions
	client      *details.Client
	account     uuid.UUID
}

const settle = 10 * time.Millisecond

func newArchive(t *testing.T) *archive {
	t.Helper()
	db := storetest.New(t)
	wrap, err := seal.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	a := &archive{t: t, db: db, owner: db.Owner(t), keys: db.KeysOwner(t), account: uuid.New()}
	a.options = auditor.DetailsOptions{Pool: db.Pool(t, "auditor"), KeysPool: db.KeysPool(t, "auditor"), Bus: nobody{}, WrapKey: wrap, Key: secret.New("the key"),
		Settle: settle, Logger: slog.New(slog.DiscardHandler)}
	a.Details = a.another()
	server := httptest.NewServer(a.Handler())
	t.Cleanup(server.Close)
	if a.client, err = details.NewClient(server.URL, a.options.Key); err != nil {
		t.Fatal(err)
	}
	a.exec("INSERT INTO account (id, kind, name, country) VALUES ($1, 'pro', 'Clinic', 'CA')", a.account)
	return a
}

// another is one more instance, which looks through few events at a time.
func (a *archive) another() *auditor.Details {
	a.t.Helper()
	d, err := auditor.NewDetails(a.options)
	if err != nil {
		a.t.Fatal(err)
	}
	d.Look(3)
	return d
}

func (a *archive) exec(sql string, args ...any) {
	a.t.Helper()
	if _, err := a.owner.Exec(a.t.Context(), sql, args...); err != nil {
		a.t.Fatalf("%s: %v", sql, err)
	}
}

func (a *archive) count(sql string, args ...any) (n int) {
	a.t.Helper()
	if err := a.owner.QueryRow(a.t.Context(), sql, args...).Scan(&n); err != nil {
		a.t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// held is a person, of whom every table holds something.
type held struct {
	id, challenge uuid.UUID
	own           seal.PublicKey
	userID        string
	events        int // that name the person, or are about the person's texts
}

func (a *archive) person(userID, number string) held {
	a.t.Helper()
	key, err := seal.GenerateKey()
	if err != nil {
		a.t.Fatal(err)
	}
	p := held{id: uuid.New(), challenge: uuid.Must(uuid.NewV7()), own: key.Public(), userID: userID}
	wrapped, err := seal.WrapMemberKey(a.options.WrapKey.Public(), key, p.id)
	if err != nil {
		a.t.Fatal(err)
	}
	if _, err := a.keys.Exec(a.t.Context(), "INSERT INTO member_key (member_id, public_key, wrapped) VALUES ($1, $2, $3)", p.id, p.own.Bytes(), wrapped); err != nil {
		a.t.Fatal(err)
	}
	a.exec(`INSERT INTO member (id, account_id, role, user_id, public_key, phone_sealed, phone_details, phone_country, phone_last_two, phone_index, email_sealed, email_details, email_index, language)
		VALUES ($1, $2, 'provider', $3, $4, '\x01', $5, 'CA', $6, '\x02', '\x03', $7, '\x04', 'fr')`,
		p.id, a.account, userID, p.own.Bytes(), a.sealed(p, number), number[len(number)-2:], a.sealed(p, userID+"@example.org"))
	for _, sql := range []string{
		"INSERT INTO credential (member_id, digest) SELECT $1, 'digest' WHERE $2::uuid IS NOT NULL",
		"INSERT INTO session (token_digest, id, member_id, account_id, software_id, amr) VALUES (sha256($1::uuid::text::bytea), gen_random_uuid(), $1, $2, 'web', '{pwd}')",
		"INSERT INTO console_session (token_digest, id, session_id, member_id, account_id) VALUES (sha256($1::uuid::text::bytea), gen_random_uuid(), gen_random_uuid(), $1, $2)",
		"INSERT INTO client_assignment (client_id, staff_id, account_id) VALUES (gen_random_uuid(), $1, $2)",
		"INSERT INTO member_try SELECT $1, now(), 1, now(), 1, 1 WHERE $2::uuid IS NOT NULL",
		"INSERT INTO number_proof (member_id, phone_version) SELECT $1, 1 WHERE $2::uuid IS NOT NULL",
		"INSERT INTO notice (id, account_id, member_id, kind, channel, address_sealed, address_version) VALUES (uuid_floor(now() - interval '2 days'), $2, $1, 'number_changed', 'text', '\\x01', 1)",
		`INSERT INTO device (id, account_id, member_id, software_id, kind, thumbprint, challenge_id, registered_facets, seen_facets, name)
			VALUES (gen_random_uuid(), $2, $1, 'web', 'key', '', gen_random_uuid(), '{"browser":"Firefox"}', '{"browser":"Firefox"}', 'Kitchen tablet')`,
	} {
		a.exec(sql, p.id, a.account)
	}
	a.asks(p, p.challenge)
	attempt := event.SMSAttempt{Challenge: p.challenge, Attempt: uuid.New(), AttemptNo: 1, Request: 1, Text: 1, Provider: "vonage", Country: "CA"}
	for _, told := range []struct {
		service string
		data    event.Data
	}{
		{"console", event.MemberCreated{Member: p.id, Role: "provider", By: "operator"}},
		{"login", event.CodeRequested{Challenge: p.challenge, Member: p.id, Software: "web", Purpose: "register", Origin: "sign_in", DeviceKind: "key", Thumbprint: make([]byte, 32), Reason: "new", Country: "CA", ValidS: 300}},
		{"dispatcher", event.SMSAttempted{SMSAttempt: attempt}},
		{"dispatcher", event.SMSAccepted{SMSAnswer: event.SMSAnswer{SMSAttempt: attempt, Reason: "ok"}}},
		{"login", event.LoginSucceeded{Member: p.id, Software: "web", Origin: "sign_in", AMR: []string{"pwd"}, Details: a.sealed(p, `{"address":"192.0.2.7","user_agent":"Firefox/`+userID+`"}`)}},
		{"console", event.MemberUnlocked{Member: uuid.New(), By: "member:" + p.id.String()}},
	} {
		a.tells(told.service, told.data)
		p.events++
	}
	return p
}

func (a *archive) sealed(p held, text string) []byte {
	a.t.Helper()
	b, err := seal.Details(p.own, []byte(text), p.id)
	if err != nil {
		a.t.Fatal(err)
	}
	return b
}

func (a *archive) tells(service string, d event.Data) {
	a.t.Helper()
	e, err := event.New(service, a.account, time.Now(), d)
	if err != nil {
		a.t.Fatal(err)
	}
	a.exec("INSERT INTO "+service+"_event (id, type, account_id, body) VALUES ($1, $2, $3, $4)", e.ID, e.Type, e.Account, e.Body)
}

// asks makes a challenge with all that comes of one.
func (a *archive) asks(p held, challenge uuid.UUID) {
	a.t.Helper()
	a.exec(`INSERT INTO challenge (id, account_id, member_id, software_id, purpose, origin, device_kind, device_thumbprint, device_facets, seed, epoch,
			phone_sealed, phone_version, phone_country, phone_last_two, expires_at)
		VALUES ($1, $2, $3, 'web', 'register', 'sign_in', 'key', sha256(''), '{}', sha256(''), 1, '\x01', 1, 'CA', '42', now() + interval '5 minutes')`, challenge, a.account, p.id)
	a.exec("INSERT INTO text_request (challenge_id, request_no) VALUES ($1, 1)", challenge)
	a.exec("INSERT INTO attempt (challenge_id, attempt_no, id, request_no, text_no, provider, vendor_reference) VALUES ($1, 1, gen_random_uuid(), 1, 1, 'vonage', 'ref')", challenge)
	a.exec("INSERT INTO receipt (id, attempt_id, provider, status, vendor_code, vendor_reference) SELECT $1, id, 'vonage', 'delivered', '0', 'ref' FROM attempt WHERE challenge_id = $1", challenge)
	a.exec("INSERT INTO entry (id, challenge_id, judge_key, encapsulated, sealed) VALUES ($1, $1, 1, '\\x00', '\\x00')", challenge)
	a.exec("INSERT INTO verdict (entry_id, challenge_id, result, tries_left) VALUES ($1, $1, 'wrong', 4)", challenge)
}

const asker = "member:0190f3b4-7c1e-7000-8000-000000000001"

// job asks for an export or an erasure, as the console does.
func (a *archive) job(p held, kind string) uuid.UUID {
	a.t.Helper()
	id := uuid.Must(uuid.NewV7())
	a.exec("INSERT INTO privacy_job (id, account_id, member_id, kind, requested_by) VALUES ($1, $2, $3, $4, $5)", id, a.account, p.id, kind, asker)
	if kind == "erase" {
		a.exec("SELECT member_forget($1)", p.id)
	}
	return id
}

// works has instances work until a job is done.
func (a *archive) works(job uuid.UUID, instances ...*auditor.Details) {
	a.t.Helper()
	limit := time.Now().Add(20 * time.Second)
	for a.count("SELECT count(*) FROM privacy_job WHERE id = $1 AND done_at IS NOT NULL", job) == 0 {
		if time.Now().After(limit) {
			a.t.Fatal("the job is not done within 20 s")
		}
		var all sync.WaitGroup
		for _, d := range instances {
			all.Go(func() {
				if _, err := d.Step(context.Background()); err != nil {
					a.t.Error(err)
				}
			})
		}
		all.Wait()
	}
}

func (a *archive) told(typ string) int {
	a.t.Helper()
	return a.count("SELECT count(*) FROM auditor_event WHERE type = $1", "latchkey.audit."+typ)
}

func TestANumberIsShownToTheConsoleAlone(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	ada := a.person("ada", "+16044410142")
	ask := details.ShowRequest{Account: a.account, Member: ada.id, By: asker}
	shown, err := a.client.Show(t.Context(), ask)
	if err != nil || shown.Number != "+16044410142" || shown.Email != "ada@example.org" {
		t.Errorf("shown is %+v, %v", shown, err)
	}
	if n := a.count("SELECT count(*) FROM auditor_event WHERE position(convert_to($1, 'UTF8') IN body) > 0 AND position('6044410142'::bytea IN body) = 0", asker); n != 1 || a.told("number_shown") != 1 {
		t.Errorf("%d events tell who looked", n)
	}
	for what, change := range map[string]func(*details.ShowRequest){
		"another account":       func(r *details.ShowRequest) { r.Account = uuid.New() },
		"nobody":                func(r *details.ShowRequest) { r.Member = uuid.New() },
		"an actor of no kind":   func(r *details.ShowRequest) { r.By = "somebody" },
		"an actor of two lines": func(r *details.ShowRequest) { r.By = asker + "\n" },
	} {
		r := ask
		change(&r)
		if s, err := a.client.Show(t.Context(), r); err == nil || s != (details.Shown{}) {
			t.Errorf("%s: shown is %+v, %v", what, s, err)
		}
	}
	server := httptest.NewServer(a.Handler())
	defer server.Close()
	stranger, err := details.NewClient(server.URL, secret.New("another key"))
	if err != nil {
		t.Fatal(err)
	}
	if s, err := stranger.Show(t.Context(), ask); err == nil {
		t.Errorf("a stranger is shown %+v", s)
	}
	if a.told("number_shown") != 1 {
		t.Error("a refusal is told as if something was shown")
	}
	a.exec("REVOKE INSERT ON auditor_event FROM latchkey_auditor")
	if s, err := a.client.Show(t.Context(), ask); err == nil {
		t.Errorf("without its event, shown is %+v", s)
	}
}

func (a *archive) export(job uuid.UUID, by string, format details.Format, lang string) (string, error) {
	a.t.Helper()
	body, err := a.client.Export(a.t.Context(), details.ExportRequest{Account: a.account, Job: job, By: by, Format: format, Language: lang})
	if err != nil {
		return "", err
	}
	defer body.Close()
	b, err := io.ReadAll(body)
	return string(b), err
}

func TestAnExportHoldsAllOfOnePerson(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	bob, ada := a.person("bob", "+16044410143"), a.person("ada", "+16044410142")
	a.person("mallory", "+16044410144")
	job := a.job(ada, "export")
	if _, err := a.export(job, asker, details.JSON, ""); !errors.Is(err, web.NotFound) {
		t.Errorf("an export that is not ready: %v", err)
	}
	a.works(job, a.Details, a.another())
	text, err := a.export(job, asker, details.JSON, "")
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Person struct {
			Number, Email, Language string
			UserID                  string     `json:"user_id"`
			Proved                  *time.Time `json:"number_proved_at"`
			Password                *time.Time `json:"password_changed_at"`
			Wrong                   int        `json:"wrong_codes"`
		}
		Assignments, Devices, Sessions, Notices, Codes []map[string]any
		Console                                        []map[string]any `json:"console_sessions"`
		Events                                         []struct {
			Type    string
			Details map[string]string
		}
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if p := got.Person; p.Number != "+16044410142" || p.Email != "ada@example.org" || p.UserID != "ada" || p.Language != "fr" || p.Proved == nil || p.Password == nil || p.Wrong != 1 {
		t.Errorf("the person is %+v", p)
	}
	for what, list := range map[string][]map[string]any{"assignments": got.Assignments, "devices": got.Devices, "sessions": got.Sessions, "console sessions": got.Console, "notices": got.Notices, "codes": got.Codes} {
		if len(list) != 1 {
			t.Errorf("%s: %v, want one", what, list)
		}
	}
	if len(got.Codes) == 1 && len(got.Codes[0]["texts"].([]any)) != 1 {
		t.Errorf("the code's texts are %v", got.Codes[0]["texts"])
	}
	var types []string
	for _, e := range got.Events {
		types = append(types, strings.TrimPrefix(e.Type, "latchkey."))
		if e.Type == "latchkey.login.succeeded" && (e.Details["address"] != "192.0.2.7" || e.Details["user_agent"] != "Firefox/ada") {
			t.Errorf("the details of a sign-in are %v", e.Details)
		}
	}
	if want := []string{"member.created", "code.requested", "sms.attempted", "sms.accepted", "login.succeeded", "member.unlocked"}; !slices.Equal(types, want) {
		t.Errorf("the events are %v, want %v", types, want)
	}
	for _, secret := range []string{"bob", bob.id.String(), bob.challenge.String(), "mallory", "digest"} {
		if strings.Contains(text, secret) {
			t.Errorf("the export holds %q", secret)
		}
	}
	for lang, want := range map[string]string{"": "What is held about ada", "de": "Was über ada gespeichert ist", "fr": "Numéro de téléphone", "es": "Lo que se guarda sobre ada"} {
		page, err := a.export(job, asker, details.HTML, lang)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{want, "16044410142", "ada@example.org", "Kitchen tablet", "192.0.2.7", "latchkey.sms.accepted", "</html>"} {
			if !strings.Contains(page, part) {
				t.Errorf("in %q the page lacks %q", lang, part)
			}
		}
	}
	if a.told("member_exported") != 5 {
		t.Errorf("5 openings are told %d times", a.told("member_exported"))
	}
	if _, err := a.export(job, "operator", details.JSON, ""); !errors.Is(err, web.NotFound) {
		t.Errorf("opened by somebody else: %v", err)
	}
	a.exec("UPDATE privacy_job SET done_at = now() - interval '7 days 1 second'")
	if _, err := a.export(job, asker, details.JSON, ""); !errors.Is(err, web.NotFound) {
		t.Errorf("opened after a week: %v", err)
	}
	if err := a.Sweep(t.Context()); err != nil || a.count("SELECT (SELECT count(*) FROM privacy_job) + (SELECT count(*) FROM privacy_job_event)") != 0 {
		t.Errorf("an export of last week was not swept: %v", err)
	}
}

// A process that dies in the middle of a step leaves the job where it was, for another to go on.
func TestAJobGoesOnAfterItsWorkerIsKilled(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	a.person("bob", "+16044410143")
	ada := a.person("ada", "+16044410142")
	job := a.job(ada, "export")
	for range 2 { // bob's events
		if worked, err := a.Step(t.Context()); err != nil || !worked {
			t.Fatalf("a step: %v, %v", worked, err)
		}
	}
	const reached = "SELECT hashtext(concat_ws(' ', reached, progress, found)) FROM privacy_job"
	before := a.count(reached)
	tx, err := a.owner.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	if _, err := tx.Exec(t.Context(), "LOCK TABLE privacy_job_event"); err != nil {
		t.Fatal(err)
	}
	stepped := make(chan error, 1)
	go func() {
		_, err := a.Step(context.Background())
		stepped <- err
	}()
	const waits = "FROM pg_stat_activity WHERE datname = current_database() AND usename = 'latchkey_auditor' AND wait_event_type = 'Lock'"
	for a.count("SELECT count(*) "+waits) == 0 {
		time.Sleep(time.Millisecond)
	}
	if worked, err := a.another().Step(t.Context()); err != nil || worked {
		t.Errorf("another instance took the same job: %v, %v", worked, err)
	}
	a.count("SELECT count(pg_terminate_backend(pid)) " + waits)
	if err := <-stepped; err == nil {
		t.Error("a step whose connection was cut says that all is well")
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := a.count(reached); after != before {
		t.Errorf("the job was at %d and is at %d", before, after)
	}
	a.exec("UPDATE privacy_job SET next_at = now()") // it waits a moment after a failure
	a.works(job, a.another())
	if n, found := a.count("SELECT count(*) FROM privacy_job_event"), a.count("SELECT found FROM privacy_job"); n != ada.events || found != n {
		t.Errorf("%d events are kept, %d counted, want %d", n, found, ada.events)
	}
}

func TestAnErasureLeavesNothingThatCanBeRead(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	bob, ada := a.person("bob", "+16044410143"), a.person("ada", "+16044410142")
	var old uuid.UUID
	if err := a.owner.QueryRow(t.Context(), "SELECT uuid_floor(now() - interval '20 days')").Scan(&old); err != nil {
		t.Fatal(err)
	}
	a.asks(ada, old)
	events := a.count("SELECT count(*) FROM event")
	exported := a.job(ada, "export")
	a.works(exported, a.Details)
	a.options.Settle = time.Hour
	slow := a.another()
	job := a.job(ada, "erase")
	if _, err := a.export(exported, asker, details.JSON, ""); !errors.Is(err, web.NotFound) {
		t.Errorf("an export of who is erased: %v", err)
	}
	// What was on its way when the person was erased comes in now.
	late := uuid.Must(uuid.NewV7())
	for range 40 {
		if _, err := slow.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	a.asks(ada, late)
	if n := a.count("SELECT count(*) FROM privacy_job WHERE done_at IS NULL AND progress BETWEEN 90 AND 99"); n != 1 {
		t.Error("an erasure is said to be done before all has come that may")
	}
	var keys int
	if err := a.keys.QueryRow(t.Context(), "SELECT count(*) FROM member_key WHERE member_id = $1", ada.id).Scan(&keys); err != nil || keys != 0 {
		t.Errorf("%d keys are left, %v", keys, err)
	}
	a.exec("UPDATE privacy_job SET next_at = now()")
	a.works(job, a.Details)
	for _, at := range storetest.Columns(t, a.owner, "uuid") {
		for what, id := range map[string]uuid.UUID{"person": ada.id, "challenge": ada.challenge, "old challenge": old, "late challenge": late} {
			if n := a.count("SELECT count(*) FROM "+at.Table+" WHERE "+at.Name+" = $1", id); n != 0 && at.Table != "privacy_job" && at.Table != "device" {
				t.Errorf("%d rows of %s.%s name the %s", n, at.Table, at.Name, what)
			}
		}
	}
	if n := a.count("SELECT count(*) FROM attempt") + a.count("SELECT count(*) FROM receipt") + a.count("SELECT count(*) FROM verdict") + a.count("SELECT count(*) FROM challenge WHERE member_id = $1", bob.id); n != 4 {
		t.Errorf("%d of the 4 rows of somebody else are left", n)
	}
	if now := a.count("SELECT count(*) FROM event WHERE service <> 'auditor'"); now != events {
		t.Errorf("%d events are left of %d", now, events)
	}
	if a.told("key_destroyed") != 1 {
		t.Errorf("the erasure is told %d times", a.told("key_destroyed"))
	}
	if s, err := a.client.Show(t.Context(), details.ShowRequest{Account: a.account, Member: ada.id, By: asker}); !errors.Is(err, web.NotFound) {
		t.Errorf("of who is erased is shown %+v, %v", s, err)
	}
	if s, err := a.client.Show(t.Context(), details.ShowRequest{Account: a.account, Member: bob.id, By: asker}); err != nil || s.Number != "+16044410143" {
		t.Errorf("of somebody else is shown %+v, %v", s, err)
	}
}

// Every table that names a person is in the export, or has a reason not to be.
func TestNoTableIsForgottenInAnExport(t *testing.T) {
	t.Parallel()
	const exported = ""
	tables := map[string]string{
		"member": exported, "credential": exported, "session": exported, "console_session": exported, "device": exported, "challenge": exported,
		"notice": exported, "client_assignment": exported, "number_proof": exported, "member_try": exported,
		"console_grant":   "lives for a minute, between login and console",
		"idempotency_key": "lives for a day, keyed digests alone",
		"password_link":   "lives for a day, a digest alone; that it was made is an event",
		"privacy_job":     "is the export itself, and erasures, of whom nothing is left",
	}
	a := newArchive(t)
	seen := map[string]bool{"member": true}
	for _, at := range storetest.Columns(t, a.owner, "uuid") {
		if !strings.Contains(at.Name, "member") && !strings.Contains(at.Name, "client_id") && !strings.Contains(at.Name, "staff") && !strings.Contains(at.Name, "person") {
			continue
		}
		seen[at.Table] = true
		if _, ok := tables[at.Table]; !ok {
			t.Errorf("%s names a person by %s: put it in the export and in what an erasure removes, or say here why not", at.Table, at.Name)
		}
	}
	for table := range tables {
		if !seen[table] {
			t.Errorf("%s names nobody any more", table)
		}
	}
	// Each that is exported is asked for by the auditor.
	asked := a.readable()
	for table, reason := range tables {
		if reason == exported && !asked[table] {
			t.Errorf("the auditor may not read %s, so it cannot be exported", table)
		}
	}
}

// readable are the tables of which the auditor may read something.
func (a *archive) readable() map[string]bool {
	a.t.Helper()
	rows, err := a.owner.Query(a.t.Context(), "SELECT DISTINCT table_name::text FROM information_schema.column_privileges WHERE grantee = 'latchkey_auditor' AND privilege_type = 'SELECT'")
	if err != nil {
		a.t.Fatal(err)
	}
	defer rows.Close()
	all := map[string]bool{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			a.t.Fatal(err)
		}
		all[name] = true
	}
	return all
}
