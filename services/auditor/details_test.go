package auditor_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"latchkey.dev/services/internal/details"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/storetest"
	"latchkey.dev/services/internal/web"
)

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
			Operates                *time.Time `json:"operator_since"`
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
	if p := got.Person; p.Number != "+16044410142" || p.Email != "ada@example.org" || p.UserID != "ada" || p.Language != "fr" || p.Proved == nil || p.Password == nil || p.Operates == nil || p.Wrong != 1 {
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
	for lang, want := range map[string]string{"": "Operates this installation since", "de": "Was über ada gespeichert ist", "fr": "Numéro de téléphone", "es": "Lo que se guarda sobre ada"} {
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
	for kind, locked := range map[string]string{"export": "privacy_job_event", "erase": "notice"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			a := newArchive(t)
			a.person("bob", "+16044410143")
			ada := a.person("ada", "+16044410142")
			job := a.job(ada, kind)
			for range 2 { // bob's events
				if worked, err := a.Step(t.Context()); err != nil || !worked {
					t.Fatalf("a step: %v, %v", worked, err)
				}
			}
			a.killed(locked)
			a.exec("UPDATE privacy_job SET next_at = now()") // it waits a moment after a failure
			a.works(job, a.another(), a.another())
			switch kind {
			case "export":
				if n, found := a.count("SELECT count(*) FROM privacy_job_event"), a.count("SELECT found FROM privacy_job"); n != ada.events || found != n {
					t.Errorf("%d events are kept, %d counted, want %d", n, found, ada.events)
				}
			case "erase":
				if n := a.count("SELECT count(*) FROM notice WHERE member_id = $1", ada.id); n != 0 || a.told("key_destroyed") != 1 {
					t.Errorf("%d notices are left, and the end is told %d times", n, a.told("key_destroyed"))
				}
			}
		})
	}
}

// killed has a worker die in the middle of a step that waits for a table, and checks that the
// job is where it was.
func (a *archive) killed(locked string) {
	a.t.Helper()
	const reached = "SELECT hashtext(concat_ws(' ', reached, progress, found)) FROM privacy_job"
	before := a.count(reached)
	tx, err := a.owner.Begin(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	if _, err := tx.Exec(a.t.Context(), "LOCK TABLE "+locked); err != nil {
		a.t.Fatal(err)
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
	if worked, err := a.another().Step(a.t.Context()); err != nil || worked {
		a.t.Errorf("another instance took the same job: %v, %v", worked, err)
	}
	a.count("SELECT count(pg_terminate_backend(pid)) " + waits)
	if err := <-stepped; err == nil {
		a.t.Error("a step whose connection was cut says that all is well")
	}
	if err := tx.Rollback(a.t.Context()); err != nil {
		a.t.Fatal(err)
	}
	if after := a.count(reached); after != before {
		a.t.Errorf("the job was at %d and is at %d", before, after)
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
	a.exec("INSERT INTO attempt (challenge_id, attempt_no, id, request_no, text_no, provider, vendor_reference) VALUES ($1, 2, gen_random_uuid(), 1, 2, 'vonage', 'late')", ada.challenge)
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

func TestAJobThatTakesLongIsSeen(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	seen := func() float64 {
		t.Helper()
		if err := a.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		return testutil.ToFloat64(a.Age())
	}
	if s := seen(); s != 0 {
		t.Errorf("without a job the oldest is %v s old", s)
	}
	job := a.job(a.person("ada", "+16044410142"), "export")
	a.exec("UPDATE privacy_job SET requested_at = now() - interval '1 hour'")
	if s := seen(); s < 3600 || s > 3700 {
		t.Errorf("a job of an hour ago is %v s old", s)
	}
	a.works(job, a.Details)
	if s := seen(); s != 0 {
		t.Errorf("after the job the oldest is %v s old", s)
	}
}
