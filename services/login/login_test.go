package login_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/mac"
	"github.com/tink-crypto/tink-go/v2/tink"

	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/contracttest"
	"latchkey.dev/services/internal/dpop"
	passwords "latchkey.dev/services/internal/password"
	"latchkey.dev/services/internal/seal"
	"latchkey.dev/services/internal/storetest"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/login"
)

// bus stands for one that is down: it keeps what was published, and wakes nobody.
type bus struct {
	mu     sync.Mutex
	events []event.Event
}

func (b *bus) Publish(e event.Event, _ string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, e)
}

func (b *bus) Await(token string) (string, <-chan []byte, func()) {
	return "_INBOX_login." + token, make(chan []byte), func() {}
}

func (b *bus) types() (types []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		types = append(types, strings.TrimPrefix(e.Type, "latchkey."))
	}
	return types
}

// house is a login service over real databases, with one account.
type house struct {
	t        *testing.T
	url      string
	owner    *pgxpool.Pool
	bus      *bus
	login    *login.Login
	log      *bytes.Buffer
	account  uuid.UUID
	apiKey   string
	contract *contracttest.Contract // all traffic passes through it
	known    string                 // what was written by the last look, "" for not known
	fresh    string                 // a nonce
	freshAt  time.Time
	options  login.Options
}

func newMAC(t *testing.T) tink.MAC {
	t.Helper()
	h, err := keyset.NewHandle(mac.HMACSHA256Tag128KeyTemplate())
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

func newHouse(t *testing.T, kind string, twoFactor bool) *house {
	t.Helper()
	db := storetest.New(t)
	h := &house{t: t, owner: db.Owner(t), bus: &bus{}, log: &bytes.Buffer{}, account: uuid.New(), apiKey: rand.Text()}
	server := httptest.NewUnstartedServer(nil)
	origin := "http://" + server.Listener.Addr().String()
	var err error
	h.options = login.Options{Pool: db.Pool(t, "login"), KeysPool: db.KeysPool(t, "login"), Bus: h.bus, Origin: origin,
		NonceMAC: newMAC(t), People: seal.People{IndexMAC: newMAC(t), Dispatcher: newKey(t).Public(), Auditor: newKey(t).Public()},
		Logger: slog.New(slog.NewJSONHandler(&lockedWriter{w: h.log}, nil)), Registerer: prometheus.NewRegistry()}
	h.login, err = login.New(h.options)
	if err != nil {
		t.Fatal(err)
	}
	h.contract = contracttest.New(t, description, web.Exact(h.login.Handler()))
	server.Config.Handler, server.Config.MaxHeaderBytes = h.contract, web.MaxHeader
	server.Start()
	t.Cleanup(server.Close)
	h.url = origin
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(h.log.String())
		}
	})
	h.exec(`INSERT INTO account (id, kind, name, country, contact, two_factor_enabled_at) VALUES ($1, $2, 'Clinic', 'CA', 'Ada', CASE WHEN $3 THEN now() END)`, h.account, kind, twoFactor)
	digest := sha256.Sum256([]byte(h.apiKey))
	h.exec(`INSERT INTO api_key (id, account_id, name, key_digest) VALUES ($1, $2, 'test', $3)`, uuid.New(), h.account, digest[:])
	h.exec(`INSERT INTO software (id, kind, name, addresses) VALUES ('web', 'web', 'Maple', '{https://shop.example/login}'), ('mobile', 'mobile', 'Maple', '{}')`)
	h.exec(`INSERT INTO judge_public_key (id, public_key) VALUES (1, $1)`, newKey(t).Public().Bytes())
	return h
}

// another starts another instance of the same service, changed, on a server that reads
// requests for readTimeout at most, and returns the house as seen from there.
func (h *house) another(readTimeout time.Duration, change func(*login.Options)) *house {
	h.t.Helper()
	other := *h
	server := httptest.NewUnstartedServer(nil)
	other.url = "http://" + server.Listener.Addr().String()
	o := h.options
	o.Origin, o.Registerer, other.fresh = other.url, nil, ""
	change(&o)
	var err error
	if other.login, err = login.New(o); err != nil {
		h.t.Fatal(err)
	}
	other.contract = contracttest.New(h.t, description, web.Exact(other.login.Handler()))
	server.Config.Handler, server.Config.ReadTimeout = other.contract, readTimeout
	server.Start()
	h.t.Cleanup(server.Close)
	return &other
}

type lockedWriter struct {
	mu sync.Mutex
	w  *bytes.Buffer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func (h *house) exec(sql string, args ...any) {
	h.t.Helper()
	if _, err := h.owner.Exec(context.Background(), sql, args...); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) count(sql string, args ...any) (n int) {
	h.t.Helper()
	if err := h.owner.QueryRow(context.Background(), sql, args...).Scan(&n); err != nil {
		h.t.Fatal(err)
	}
	return n
}

// call sends a request and returns its status and its JSON.
func (h *house) call(method, path string, body any, headers ...string) (int, map[string]any) {
	h.t.Helper()
	var b bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&b).Encode(body); err != nil {
			h.t.Fatal(err)
		}
	}
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, &b)
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	out := map[string]any{}
	if resp.StatusCode != http.StatusNoContent {
		if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
			h.t.Fatalf("%s %s: status %d without JSON: %v", method, path, resp.StatusCode, err)
		}
	}
	return resp.StatusCode, out
}

// nonce returns one that is young: it is good for many proofs.
func (h *house) nonce() string {
	h.t.Helper()
	if h.fresh != "" && time.Since(h.freshAt) < 10*time.Second {
		return h.fresh
	}
	resp, err := http.Get(h.url + "/v1/nonce")
	if err != nil {
		h.t.Fatal(err)
	}
	resp.Body.Close()
	h.fresh, h.freshAt = resp.Header.Get("DPoP-Nonce"), time.Now()
	return h.fresh
}

func (h *house) proof(k *dpop.Key, method, address string, challenge uuid.UUID) string {
	h.t.Helper()
	p, err := k.Prove(method, address, h.nonce(), challenge, time.Now())
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// member makes a person by the API, as a product would.
func (h *house) member(body map[string]any) uuid.UUID {
	h.t.Helper()
	id := uuid.New()
	if status, out := h.call("PUT", "/v1/members/"+id.String(), body, "Authorization", "Bearer "+h.apiKey); status != http.StatusCreated {
		h.t.Fatalf("PUT a member: %d %v", status, out)
	}
	return id
}

const password = "correct horse battery"

func (h *house) signIn(k *dpop.Key, user, pass string) (int, map[string]any) {
	h.t.Helper()
	return h.call("POST", "/v1/sign-ins", map[string]any{"user_id": user, "password": pass, "software": "web"},
		"DPoP", h.proof(k, "POST", h.url+"/v1/sign-ins", uuid.Nil))
}

func newDevice(t *testing.T) *dpop.Key {
	t.Helper()
	k, err := dpop.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// register does what the verifier does when the right code was typed.
func (h *house) register(challenge string) {
	h.t.Helper()
	h.exec(`INSERT INTO device (id, account_id, member_id, software_id, kind, thumbprint, challenge_id, registered_facets, seen_facets)
		SELECT gen_random_uuid(), account_id, member_id, software_id, device_kind, device_thumbprint, id, device_facets, device_facets FROM challenge WHERE id = $1`, challenge)
}

func TestSignInAsksOnceAndThenNoMore(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	h.member(map[string]any{"role": "provider", "user_id": "ada", "password": password, "phone": "604 441 0142"})
	phone := newDevice(t)

	status, out := h.signIn(phone, "Ada", password)
	if status != http.StatusAccepted || out["status"] != "challenge" || out["session"] != nil {
		t.Fatalf("the first sign-in: %d %v, want a challenge and no session", status, out)
	}
	c := out["challenge"].(map[string]any)
	if c["last_two"] != "42" || c["status"] != "requested" || c["tries_left"] != 5.0 || c["texts_left"] != 2.0 {
		t.Errorf("the challenge is %v", c)
	}
	h.register(c["id"].(string))

	status, out = h.signIn(phone, "ada", password)
	session, _ := out["session"].(map[string]any)
	if status != http.StatusOK || out["status"] != "registered" || session == nil {
		t.Fatalf("the second sign-in: %d %v, want a session", status, out)
	}
	token := "Bearer " + session["token"].(string)
	if status, out := h.call("GET", "/v1/session", nil, "Authorization", token); status != http.StatusOK || out["user_id"] != "ada" {
		t.Errorf("the session: %d %v", status, out)
	}
	if status, _ := h.signIn(newDevice(t), "ada", password); status != http.StatusAccepted {
		t.Errorf("a sign-in on another device: %d, want a challenge", status)
	}

	// B7: a revoked device, and its sessions, are refused at once.
	_, out = h.call("GET", "/v1/devices", nil, "Authorization", token)
	device := out["devices"].([]any)[0].(map[string]any)
	if device["current"] != true {
		t.Errorf("the device is %v, want it marked as the current one", device)
	}
	path := "/v1/devices/" + device["id"].(string)
	if status, out := h.call("PATCH", path, map[string]any{"name": "My phone"}, "Authorization", token); status != http.StatusNoContent {
		t.Errorf("naming the device: %d %v", status, out)
	}
	if status, out := h.call("DELETE", path, nil, "Authorization", token); status != http.StatusNoContent {
		t.Errorf("revoking the device: %d %v", status, out)
	}
	if status, _ := h.call("GET", "/v1/session", nil, "Authorization", token); status != http.StatusUnauthorized {
		t.Errorf("the session of a revoked device: %d, want 401", status)
	}
	if status, _ := h.signIn(phone, "ada", password); status != http.StatusAccepted {
		t.Errorf("a sign-in on a revoked device: %d, want a challenge", status)
	}
	for _, want := range []string{"member.created", "code.requested", "login.succeeded", "device.named", "device.revoked"} {
		if !slices.Contains(h.bus.types(), want) {
			t.Errorf("no event %s among %v", want, h.bus.types())
		}
	}
	if n := h.count("SELECT count(*) FROM login_event"); n != len(h.bus.types()) {
		t.Errorf("%d events written, %d published", n, len(h.bus.types()))
	}
	if s := h.log.String(); strings.Contains(s, "4410142") || strings.Contains(s, password) {
		t.Errorf("the log tells too much: %s", s)
	}
}

// C8: an unknown user ID, a wrong password and a deactivated person look the same.
func TestRefusalsLookTheSame(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	h.member(map[string]any{"role": "provider", "user_id": "ada", "password": password, "phone": "604 441 0142"})
	gone := h.member(map[string]any{"role": "provider", "user_id": "bob", "password": password})
	h.exec("UPDATE member SET deactivated_at = now() WHERE id = $1", gone)
	k := newDevice(t)
	var answers []string
	for _, try := range [][2]string{{"ada", "wrong password!"}, {"nobody", password}, {"bob", password}, {"", ""}, {"ada", ""}} {
		status, out := h.signIn(k, try[0], try[1])
		b, err := json.Marshal(out)
		if err != nil {
			t.Fatal(err)
		}
		if status != http.StatusUnauthorized {
			t.Errorf("%v: status %d, want 401", try, status)
		}
		answers = append(answers, string(b))
	}
	if len(slices.Compact(answers)) != 1 {
		t.Errorf("the refusals differ: %q", answers)
	}
	if n := h.count("SELECT count(*) FROM challenge"); n != 0 {
		t.Errorf("%d challenges without a right password (A6)", n)
	}
}

func TestPasswordGuessingIsStopped(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", false)
	h.member(map[string]any{"role": "provider", "user_id": "ada", "password": password})
	k := newDevice(t)
	for range 10 {
		if status, out := h.signIn(k, "ada", "wrong password!"); status != http.StatusUnauthorized {
			t.Fatalf("a wrong password: %d %v", status, out)
		}
	}
	if status, out := h.signIn(k, "ada", password); status != http.StatusTooManyRequests || out["retry_after"] == nil {
		t.Errorf("after ten wrong ones: %d %v, want 429 and when to try again", status, out)
	}
}

func TestProofsCannotBeReplayedOrMoved(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "standalone_mobile", false)
	id := h.member(map[string]any{"role": "owner", "phone": "+16044410142"})
	k := newDevice(t)
	check := func(proof string) (int, map[string]any) {
		return h.call("POST", "/v1/device-checks", map[string]any{"member": id, "software": "web", "proof": proof, "address": "192.0.2.1",
			"headers": map[string]string{"user_agent": "Mozilla/5.0 Firefox/140.0"}}, "Authorization", "Bearer "+h.apiKey)
	}
	proof := h.proof(k, "POST", "https://shop.example/login", uuid.Nil)
	status, out := check(proof)
	if status != http.StatusAccepted {
		t.Fatalf("a device check: %d %v", status, out)
	}
	challenge := out["challenge"].(map[string]any)["id"].(string)
	// A thousand at once, and one later: none makes a second challenge.
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if status, out := check(proof); status != http.StatusUnauthorized || out["type"] != "/problems/proof-replayed" {
				t.Errorf("a replay: %d %v", status, out)
			}
		})
	}
	wg.Wait()
	if n := h.count("SELECT count(*) FROM challenge"); n != 1 {
		t.Errorf("%d challenges, want 1", n)
	}
	for name, proof := range map[string]string{
		"for a foreign address": h.proof(k, "POST", "https://evil.example/login", uuid.Nil),
		"none":                  "",
		"nonsense":              "a.b.c",
	} {
		if status, out := check(proof); status != http.StatusUnauthorized {
			t.Errorf("a proof %s: %d %v", name, status, out)
		}
	}

	// C5: another device, and a proof for another challenge, find nothing.
	path := "/v1/challenges/" + challenge
	cid := uuid.MustParse(challenge)
	for name, proof := range map[string]string{
		"of another device":     h.proof(newDevice(t), "GET", h.url+path, cid),
		"for another challenge": h.proof(k, "GET", h.url+path, uuid.New()),
		"for none":              h.proof(k, "GET", h.url+path, uuid.Nil),
	} {
		if status, out := h.call("GET", path, nil, "DPoP", proof); status != http.StatusNotFound {
			t.Errorf("a proof %s: %d %v, want 404", name, status, out)
		}
	}
	if status, out := h.call("GET", path, nil, "DPoP", h.proof(k, "GET", h.url+path, cid)); status != http.StatusOK || out["status"] != "requested" {
		t.Errorf("the device itself: %d %v", status, out)
	}
	if status, out := h.call("GET", path, nil, "Authorization", "Bearer "+h.apiKey); status != http.StatusOK || out["status"] != "requested" {
		t.Errorf("the product: %d %v", status, out)
	}
	// An API key is not the device: it may look, and not type.
	if status, _ := h.call("POST", path+"/entries", map[string]any{"code": "123456"}, "Authorization", "Bearer "+h.apiKey); status != http.StatusUnauthorized {
		t.Errorf("a product that types a code: %d, want 401", status)
	}
}

func TestAnotherTextTakesTime(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	h.member(map[string]any{"role": "provider", "user_id": "ada", "password": password, "phone": "604 441 0142"})
	k := newDevice(t)
	_, out := h.signIn(k, "ada", password)
	id := uuid.MustParse(out["challenge"].(map[string]any)["id"].(string))
	path := "/v1/challenges/" + id.String() + "/texts"
	ask := func() (int, map[string]any) {
		return h.call("POST", path, nil, "DPoP", h.proof(k, "POST", h.url+path, id))
	}
	back := func(seconds int) {
		h.exec("UPDATE text_request SET requested_at = requested_at - $2 * interval '1 second' WHERE challenge_id = $1", id, seconds)
	}
	if status, out := ask(); status != http.StatusTooManyRequests || out["retry_after"].(float64) > 30 {
		t.Errorf("at once: %d %v", status, out)
	}
	back(31)
	if status, out := ask(); status != http.StatusAccepted || out["texts_left"] != 1.0 || out["next_text_in"].(float64) < 55 {
		t.Errorf("after 31 s: %d %v", status, out)
	}
	back(31)
	if status, _ := ask(); status != http.StatusTooManyRequests {
		t.Errorf("31 s after the second: %d, want 429", status)
	}
	back(30)
	if status, out := ask(); status != http.StatusAccepted || out["texts_left"] != 0.0 {
		t.Errorf("after 61 s: %d %v", status, out)
	}
	back(1000)
	if status, out := ask(); status != http.StatusTooManyRequests || out["type"] != "/problems/no-more-texts" {
		t.Errorf("a fourth text: %d %v", status, out)
	}
}

// With nobody to judge it a typed code is kept, sealed, and the answer is "not yet".
func TestEntryIsSealedAndWaits(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	h.member(map[string]any{"role": "provider", "user_id": "ada", "password": password, "phone": "604 441 0142"})
	k := newDevice(t)
	_, out := h.signIn(k, "ada", password)
	id := uuid.MustParse(out["challenge"].(map[string]any)["id"].(string))
	path := "/v1/challenges/" + id.String() + "/entries"
	type entered struct {
		status int
		out    map[string]any
	}
	enter := func(typed any) entered {
		s, o := h.call("POST", path, map[string]any{"code": typed}, "DPoP", h.proof(k, "POST", h.url+path, id))
		return entered{s, o}
	}
	for _, bad := range []any{"", "12345", "abcdef", "1234567", strings.Repeat("1", 300), 123456} {
		if got := enter(bad); got.status != http.StatusBadRequest {
			t.Errorf("%v: %d %v, want 400", bad, got.status, got.out)
		}
	}
	if got := enter(" 048 159 "); got.status != http.StatusAccepted || got.out["result"] != "pending" {
		t.Errorf("a code: %d %v, want 202 and pending", got.status, got.out)
	}
	if n := h.count("SELECT count(*) FROM entry"); n != 1 {
		t.Errorf("%d entries, want the one that was a code", n)
	}
	if n := h.count("SELECT count(*) FROM entry WHERE encode(sealed, 'escape') LIKE '%048159%' OR encode(encapsulated, 'escape') LIKE '%048159%'"); n != 0 {
		t.Error("the typed code can be read in the database")
	}
}

func TestWhoIsAsked(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	h.member(map[string]any{"role": "provider", "user_id": "plain", "password": password})
	if status, out := h.signIn(newDevice(t), "plain", password); status != http.StatusOK || out["status"] != "not_required" {
		t.Errorf("staff without a number in a Pro account: %d %v", status, out)
	}
	s := newHouse(t, "standalone_mobile", false)
	if status, out := s.call("PUT", "/v1/members/"+uuid.NewString(), map[string]any{"role": "owner"}, "Authorization", "Bearer "+s.apiKey); status != http.StatusUnprocessableEntity {
		t.Errorf("saving somebody without a number in a Standalone Mobile account: %d %v", status, out)
	}
	// Somebody without a number from before is told whom to ask.
	id := s.member(map[string]any{"role": "owner", "user_id": "eve", "password": password, "phone": "+16044410142"})
	s.exec("UPDATE member SET phone_sealed = NULL, phone_details = NULL, phone_country = NULL, phone_last_two = NULL, phone_index = NULL WHERE id = $1", id)
	if status, out := s.signIn(newDevice(t), "eve", password); status != http.StatusForbidden || !strings.Contains(out["detail"].(string), "Ada") {
		t.Errorf("without a number: %d %v", status, out)
	}
}

func TestMemberPutIsIdempotentAndStaysInItsAccount(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	body := map[string]any{"role": "client", "user_id": "ada", "password": password, "phone": "604 441 0142"}
	id := h.member(body)
	auth := []string{"Authorization", "Bearer " + h.apiKey}
	delete(body, "password")
	before := h.count("SELECT count(*) FROM login_event")
	if status, out := h.call("PUT", "/v1/members/"+id.String(), body, auth...); status != http.StatusOK || out["last_two"] != "42" {
		t.Errorf("the same again: %d %v", status, out)
	}
	if after := h.count("SELECT count(*) FROM login_event"); after != before {
		t.Errorf("the same again wrote %d events", after-before)
	}
	body["phone"] = "604 441 0199"
	if status, out := h.call("PUT", "/v1/members/"+id.String(), body, auth...); status != http.StatusOK || out["last_two"] != "99" {
		t.Errorf("another number: %d %v", status, out)
	}
	for name, bad := range map[string]map[string]any{
		"no role":       {"user_id": "x"},
		"a landline":    {"role": "client", "phone": "+44 20 7946 0958"},
		"weak password": {"role": "client", "user_id": "x", "password": "short"},
	} {
		status, out := h.call("PUT", "/v1/members/"+uuid.NewString(), bad, auth...)
		if status != http.StatusUnprocessableEntity || strings.Contains(out["detail"].(string), "7946") {
			t.Errorf("%s: %d %v", name, status, out)
		}
	}
	if status, _ := h.call("PUT", "/v1/members/"+uuid.NewString(), map[string]any{"role": "client", "user_id": "ADA"}, auth...); status != http.StatusConflict {
		t.Errorf("a taken user ID: %d, want 409", status)
	}
	h.exec("UPDATE member SET account_id = $1 WHERE id = $2", uuid.New(), id)
	if status, _ := h.call("PUT", "/v1/members/"+id.String(), body, auth...); status != http.StatusNotFound {
		t.Errorf("a member of another account: %d, want 404", status)
	}
	if n := h.count(`SELECT count(*) FROM member WHERE encode(phone_sealed, 'escape') LIKE '%4410199%' OR encode(phone_details, 'escape') LIKE '%4410199%'`); n != 0 {
		t.Error("the number can be read in the database")
	}
}

func init() {
	passwords.Params = &argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32}
}
