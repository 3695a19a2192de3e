package auditor_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
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
		"INSERT INTO operator_right (member_id, granted_by) SELECT $1, 'operator' WHERE $2::uuid IS NOT NULL",
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
