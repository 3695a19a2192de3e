package console_test

import (
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/mac"
	"github.com/tink-crypto/tink-go/v2/tink"

	"latchkey.dev/services/access"
	"latchkey.dev/services/console"
	"latchkey.dev/services/device"
	"latchkey.dev/services/internal/seal"
	"latchkey.dev/services/internal/storetest"
	"latchkey.dev/services/internal/web"
)

// clinic is an account with a console to look after it.
type clinic struct {
	*console.Console
	t       *testing.T
	db      *storetest.DB
	owner   *pgxpool.Pool // of the database, to see what the console may not
	bus     *told
	account uuid.UUID
	by      access.Actor // the operator, in the account

	dispatcher seal.PrivateKey
	options    console.Options
}

func newMAC(t testing.TB) tink.MAC {
	t.Helper()
	h, err := keyset.NewHandle(mac.HMACSHA256Tag256KeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	m, err := mac.New(h)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newKey(t *testing.T) seal.PrivateKey {
	t.Helper()
	k, err := seal.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newClinic(t *testing.T, a console.Account) *clinic {
	t.Helper()
	c := &clinic{t: t, db: storetest.New(t), bus: &told{}, dispatcher: newKey(t)}
	c.owner = c.db.Owner(t)
	c.options = console.Options{Hashing: 8, Pool: c.db.Pool(t, "console"), KeysPool: c.db.KeysPool(t, "console"), Bus: c.bus,
		People:  seal.People{Dispatcher: c.dispatcher.Public(), Auditor: newKey(t).Public(), IndexMAC: newMAC(t)},
		Details: opener{}, Delivery: delivery}
	var err error
	if c.Console, err = console.New(c.options); err != nil {
		t.Fatal(err)
	}
	c.account = c.open(a)
	c.by = access.Actor{Kind: access.Operator, Account: c.account}
	c.bus.forget()
	return c
}

// open opens an account, a Pro one where nothing else is said.
func (c *clinic) open(a console.Account) uuid.UUID {
	c.t.Helper()
	if a.Kind == "" {
		a.Kind = device.Pro
	}
	a.Name, a.Country = "Clinic", "CA"
	id, err := c.CreateAccount(c.t.Context(), a)
	if err != nil {
		c.t.Fatal(err)
	}
	return id
}

// person makes somebody and returns an actor who is that person.
func (c *clinic) person(n console.NewMember) access.Actor {
	c.t.Helper()
	made, err := c.CreateMember(c.t.Context(), c.by, n, "")
	if err != nil {
		c.t.Fatalf("making a %s: %v", n.Role, err)
	}
	c.bus.forget()
	return access.Actor{Kind: access.Member, Account: c.account, ID: made.ID, Role: n.Role}
}

func (c *clinic) exec(sql string, args ...any) {
	c.t.Helper()
	if _, err := c.owner.Exec(c.t.Context(), sql, args...); err != nil {
		c.t.Fatalf("%s: %v", sql, err)
	}
}

// count returns the one number that a query answers.
func (c *clinic) count(sql string, args ...any) (n int) {
	c.t.Helper()
	if err := c.owner.QueryRow(c.t.Context(), sql, args...).Scan(&n); err != nil {
		c.t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// register gives somebody a registration by the second text of a challenge, with a session on it.
func (c *clinic) register(member uuid.UUID) uuid.UUID {
	c.t.Helper()
	challenge, registration := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
	c.exec("INSERT INTO software (id, kind, name) VALUES ('web', 'web', 'Maple') ON CONFLICT DO NOTHING")
	c.exec(`INSERT INTO challenge (id, account_id, member_id, software_id, purpose, origin, device_kind, device_thumbprint, device_facets, seed, epoch,
			phone_sealed, phone_version, phone_country, phone_last_two, expires_at, closed_at, end_reason, typed_text)
		VALUES ($1, $2, $3, 'web', 'register', 'sign_in', 'key', $4, '{}', $4, 1, '\x00', 1, 'CA', '42', now() + interval '5 minutes', now(), 'registered', 2)`,
		challenge, c.account, member, thumbprint(challenge))
	for n, provider := range []string{"twilio", "vonage"} {
		c.exec(`INSERT INTO attempt (challenge_id, attempt_no, id, request_no, text_no, provider) VALUES ($1, $2, $3, 1, $2, $4)`, challenge, n+1, uuid.New(), provider)
	}
	c.exec(`INSERT INTO device (id, account_id, member_id, software_id, kind, thumbprint, challenge_id, registered_facets, seen_facets, name)
		VALUES ($1, $2, $3, 'web', 'key', $4, $5, '{"browser":"Firefox","browser_major":140,"os":"Linux"}', '{"browser":"Firefox","browser_major":141,"os":"Linux"}', 'Desk')`,
		registration, c.account, member, thumbprint(challenge), challenge)
	c.session(member, &registration)
	return registration
}

func thumbprint(of uuid.UUID) []byte { sum := sha256.Sum256(of[:]); return sum[:] }

// session signs somebody in, on a registered device or on none.
func (c *clinic) session(member uuid.UUID, registration *uuid.UUID) (token string) {
	c.t.Helper()
	token = uuid.NewString()
	digest := sha256.Sum256([]byte(token))
	c.exec(`INSERT INTO session (token_digest, id, member_id, account_id, software_id, device_id, amr) VALUES ($1, $2, $3, $4, 'web', $5, '{pwd,swk,mfa}')`,
		digest[:], uuid.New(), member, c.account, registration)
	return token
}

// sessions returns how many sessions somebody has.
func (c *clinic) sessions(member uuid.UUID) int {
	c.t.Helper()
	return c.count("SELECT count(*) FROM session WHERE member_id = $1 AND ended_at IS NULL", member)
}

func (c *clinic) devices(member uuid.UUID) int {
	c.t.Helper()
	return c.count("SELECT count(*) FROM device WHERE member_id = $1 AND revoked_at IS NULL", member)
}

// tells fails the test unless exactly these events were told since it last looked.
func (c *clinic) tells(what string, types ...string) {
	c.t.Helper()
	if got := c.bus.types(); !slices.Equal(got, types) {
		c.t.Errorf("%s told %v, want %v", what, got, types)
	}
	if n := c.count("SELECT count(*) FROM console_event WHERE id = ANY($1)", c.bus.ids()); n != len(types) {
		c.t.Errorf("%s: %d events are kept, want %d", what, n, len(types))
	}
	c.bus.forget()
}

// last returns the data of the newest event of a type.
func (c *clinic) last(typ string) (body string) {
	c.t.Helper()
	err := c.owner.QueryRow(c.t.Context(), "SELECT convert_from(body, 'UTF8') FROM console_event WHERE type = 'latchkey.' || $1 ORDER BY id DESC LIMIT 1", typ).Scan(&body)
	if err != nil {
		c.t.Fatal(err)
	}
	return body
}

// refused fails the test unless an error is the problem of a type, of these faults.
func refused(t *testing.T, what string, err error, problem string, faults ...string) {
	t.Helper()
	p := new(web.Problem)
	if problem == "" {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		return
	}
	if !errors.As(err, &p) || strings.TrimPrefix(p.Type, "/problems/") != problem {
		t.Errorf("%s: %v, want %s", what, err, problem)
		return
	}
	var got []string
	for _, f := range p.Faults {
		got = append(got, f.Field+" "+f.Code)
	}
	if !slices.Equal(got, faults) {
		t.Errorf("%s: the faults %v, want %v", what, got, faults)
	}
}
