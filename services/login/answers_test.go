package login_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/internal/dpop"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/login"
)

// send sends a request as it is and returns its status, headers and body.
func (h *house) send(method, path string, body []byte, headers ...string) (int, http.Header, []byte) {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, bytes.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode, resp.Header, b
}

// judge does what the verifier does, with one result for every code, until it is stopped.
func (h *house) judge(result string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			_, err := h.owner.Exec(context.Background(), `WITH judged AS (
				INSERT INTO verdict (entry_id, challenge_id, result, tries_left)
				SELECT id, challenge_id, $1::text, CASE WHEN $1 = 'registered' THEN 0 ELSE 4 END FROM entry ON CONFLICT DO NOTHING RETURNING challenge_id
			), closed AS (
				UPDATE challenge SET closed_at = now(), end_reason = $1 WHERE $1 IN ('registered', 'proved') AND id IN (SELECT challenge_id FROM judged)
			)
			INSERT INTO device (id, account_id, member_id, software_id, kind, thumbprint, challenge_id, registered_facets, seen_facets)
			SELECT gen_random_uuid(), account_id, member_id, software_id, device_kind, device_thumbprint, id, device_facets, device_facets
			FROM challenge WHERE $1 = 'registered' AND id IN (SELECT challenge_id FROM judged)`, result)
			if err != nil {
				h.t.Error(err)
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}()
	return func() { cancel(); <-ended }
}

// caller makes requests with proofs of one key for one challenge.
type caller struct {
	*house
	key       *dpop.Key
	challenge uuid.UUID
}

func (c caller) proven(method, path string, body any) (int, map[string]any) {
	c.t.Helper()
	return c.call(method, path, body, "DPoP", c.proof(c.key, method, c.url+path, c.challenge))
}

// begin signs in on an unknown device and returns its challenge.
func (h *house) begin(user string) caller {
	h.t.Helper()
	c := caller{house: h, key: newDevice(h.t)}
	status, out := h.signIn(c.key, user, password)
	if status != http.StatusAccepted {
		h.t.Fatalf("a first sign-in: %d %v", status, out)
	}
	c.challenge = uuid.MustParse(out["challenge"].(map[string]any)["id"].(string))
	return c
}

func (c caller) path() string { return "/v1/challenges/" + c.challenge.String() }

// want fails the test unless an answer has a status and, if it is a problem, a type.
func want(t *testing.T, what string, status int, problem string) func(int, map[string]any) map[string]any {
	t.Helper()
	return func(got int, out map[string]any) map[string]any {
		t.Helper()
		if typ, _ := out["type"].(string); got != status || strings.TrimPrefix(typ, "/problems/") != problem {
			t.Errorf("%s: %d %v, want %d %s", what, got, out, status, problem)
		}
		return out
	}
}

// Every answer of the document, and every problem, is what a real request is answered.
func TestEveryAnswerIsGivenAsDescribed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	id := h.member(map[string]any{"role": "provider", "user_id": "ada", "password": password, "phone": "604 441 0142"})
	h.member(map[string]any{"role": "provider", "user_id": "bob", "password": password})
	auth := []string{"Authorization", "Bearer " + h.apiKey}

	if status, _, b := h.send("GET", "/v1/openapi.yaml", nil); status != 200 || !strings.HasPrefix(string(b), "# The public API") {
		t.Errorf("the document: %d", status)
	}

	// Sign-ins, and the way from a challenge to a session.
	c := h.begin("ada")
	want(t, "the challenge", 200, "")(c.proven("GET", c.path(), nil))
	want(t, "the challenge, for the product", 200, "")(h.call("GET", c.path(), nil, auth...))
	ticket := want(t, "a ticket", 201, "")(c.proven("POST", c.path()+"/tickets", nil))["ticket"].(string)
	want(t, "a text at once", 429, "too-soon")(c.proven("POST", c.path()+"/texts", nil))
	h.exec("UPDATE text_request SET requested_at = requested_at - interval '1 minute' WHERE challenge_id = $1", c.challenge)
	want(t, "another text", 202, "")(c.proven("POST", c.path()+"/texts", nil))
	h.exec("UPDATE text_request SET requested_at = requested_at - interval '2 minutes' WHERE challenge_id = $1", c.challenge)
	want(t, "the last text", 202, "")(c.proven("POST", c.path()+"/texts", nil))
	want(t, "a fourth text", 429, "no-more-texts")(c.proven("POST", c.path()+"/texts", nil))
	want(t, "no code", 400, "not-a-code")(c.proven("POST", c.path()+"/entries", map[string]any{"code": "none"}))
	stop := h.judge("wrong")
	want(t, "a wrong code", 422, "")(c.proven("POST", c.path()+"/entries", map[string]any{"code": "111111"}))
	stop()
	streamed := make(chan string, 1)
	go func() { streamed <- h.follow(c.path() + "/events?ticket=" + ticket) }()
	stop = h.judge("registered")
	session := want(t, "a right code", 200, "")(c.proven("POST", c.path()+"/entries", map[string]any{"code": "222222"}))["session"].(map[string]any)
	stop()
	if events := <-streamed; !strings.Contains(events, `"status":"registered"`) {
		t.Errorf("the stream told %q, want it to end with the registration", events)
	}
	want(t, "a ticket twice", 401, "proof-replayed")(h.call("GET", c.path()+"/events?ticket="+ticket, nil))
	want(t, "no ticket", 404, "not-found")(h.call("GET", c.path()+"/events", nil))
	want(t, "a text too late", 409, "challenge-ended")(c.proven("POST", c.path()+"/texts", nil))
	waiting := h.begin("ada")
	want(t, "a code that nobody judges", 202, "")(waiting.proven("POST", waiting.path()+"/entries", map[string]any{"code": "333333"}))
	want(t, "a registered device", 200, "")(h.signIn(c.key, "ada", password))
	want(t, "no device required", 200, "")(h.signIn(newDevice(t), "bob", password))

	// What belongs to the person.
	own := []string{"Authorization", "Bearer " + session["token"].(string)}
	want(t, "the session", 200, "")(h.call("GET", "/v1/session", nil, own...))
	devices := want(t, "the devices", 200, "")(h.call("GET", "/v1/devices", nil, own...))["devices"].([]any)
	path := "/v1/devices/" + devices[0].(map[string]any)["id"].(string)
	want(t, "a name", 204, "")(h.call("PATCH", path, map[string]any{"name": "Phone"}, own...))
	want(t, "no name", 400, "bad-name")(h.call("PATCH", path, map[string]any{"name": "a\nb"}, own...))
	want(t, "nobody's device", 404, "not-found")(h.call("PATCH", "/v1/devices/"+uuid.NewString(), map[string]any{"name": "Phone"}, own...))
	want(t, "nobody's device", 404, "not-found")(h.call("DELETE", "/v1/devices/"+uuid.NewString(), nil, own...))
	pass := func(old, new string) map[string]any { return map[string]any{"old_password": old, "new_password": new} }
	want(t, "a wrong password", 403, "wrong-password")(h.call("PUT", "/v1/password", pass("wrong", password), own...))
	want(t, "a weak password", 400, "weak-password")(h.call("PUT", "/v1/password", pass(password, "weak"), own...))
	h.exec("UPDATE credential SET must_change_since = now() WHERE member_id = $1", id)
	want(t, "devices before a change that must be", 403, "password-must-change")(h.call("GET", "/v1/devices", nil, own...))
	want(t, "a name before it", 403, "password-must-change")(h.call("PATCH", path, map[string]any{"name": "Mine"}, own...))
	want(t, "revoking before it", 403, "password-must-change")(h.call("DELETE", path, nil, own...))
	want(t, "the given password", 400, "weak-password")(h.call("PUT", "/v1/password", pass(password, password), own...))
	h.exec("UPDATE credential SET must_change_since = NULL WHERE member_id = $1", id)
	want(t, "a password", 204, "")(h.call("PUT", "/v1/password", pass(password, password), own...))

	// Members.
	put := func(id uuid.UUID, body map[string]any) (int, map[string]any) {
		return h.call("PUT", "/v1/members/"+id.String(), body, auth...)
	}
	want(t, "the same member", 200, "")(put(id, map[string]any{"role": "provider", "user_id": "ada", "phone": "604 441 0142"}))
	want(t, "a taken user ID", 409, "user-id-taken")(put(uuid.New(), map[string]any{"role": "client", "user_id": "ADA"}))
	want(t, "a strange role", 422, "bad-member")(put(uuid.New(), map[string]any{"role": "king"}))
	foreign := h.member(map[string]any{"role": "client"})
	h.exec("UPDATE member SET account_id = $1 WHERE id = $2", uuid.New(), foreign)
	want(t, "another account's member", 404, "not-found")(put(foreign, map[string]any{"role": "client"}))
	erased := uuid.New()
	h.exec("INSERT INTO privacy_job (id, account_id, member_id, kind, requested_by) SELECT $1, account_id, $1, 'erase', 'operator' FROM member WHERE id = $2", erased, id)
	want(t, "an erased person", 410, "member-erased")(put(erased, map[string]any{"role": "client"}))
	h.exec("UPDATE privacy_job SET account_id = $1", uuid.New())
	want(t, "another account's erased person", 404, "not-found")(put(erased, map[string]any{"role": "client"}))

	// Device checks.
	const page = "https://shop.example/login"
	check := func(body map[string]any, k *dpop.Key) (int, map[string]any) {
		b := map[string]any{"member": id, "software": "web", "address": "192.0.2.1"}
		if k != nil {
			b["proof"] = h.proof(k, "POST", page, uuid.Nil)
		} else {
			b["proof"] = "none"
		}
		for field, v := range body {
			b[field] = v
		}
		return h.call("POST", "/v1/device-checks", b, auth...)
	}
	elsewhere := caller{house: h, key: newDevice(t)}
	asked := want(t, "a device check", 202, "")(check(nil, elsewhere.key))["challenge"].(map[string]any)
	elsewhere.challenge = uuid.MustParse(asked["id"].(string))
	stop = h.judge("registered")
	if out := want(t, "a right code of a device check", 200, "")(elsewhere.proven("POST", elsewhere.path()+"/entries", map[string]any{"code": "444444"})); out["session"] != nil || out["device"] == nil {
		t.Errorf("a right code of a device check gives %v, want a device and no session", out)
	}
	stop()
	want(t, "a device check of a registered one", 200, "")(check(nil, c.key))
	want(t, "an unknown software", 400, "unknown-software")(check(map[string]any{"software": "tv"}, c.key))
	want(t, "a bad address", 400, "bad-address")(check(map[string]any{"address": "home"}, c.key))
	want(t, "nobody", 404, "not-found")(check(map[string]any{"member": uuid.New()}, c.key))
	want(t, "no proof", 401, "invalid-proof")(check(nil, nil))

	h.refusals(id, own, path, c)
	h.exec("INSERT INTO member_try VALUES ($1, now(), 10, now(), 10, 10)", id)
	want(t, "a locked person", 429, "codes-locked")(h.signIn(newDevice(t), "ada", password))
	want(t, "a locked person", 429, "codes-locked")(check(nil, newDevice(t)))
	h.numberless()
	h.busy(own, auth)
	want(t, "revoking", 204, "")(h.call("DELETE", path, nil, own...))
	plain := want(t, "no device required", 200, "")(h.signIn(newDevice(t), "bob", password))["session"].(map[string]any)["token"].(string)
	want(t, "signing out", 204, "")(h.call("DELETE", "/v1/session", nil, "Authorization", "Bearer "+plain))
	h.exec("ALTER TABLE session RENAME TO session_away")
	want(t, "without a table", 503, "unavailable")(h.call("GET", "/v1/session", nil, "Authorization", "Bearer "+plain))
	h.contract.Given(ungiven, ungivenProblems)
}

// follow reads a stream to its end.
func (h *house) follow(path string) string {
	resp, err := http.Get(h.url + path)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	var b strings.Builder
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		b.WriteString(lines.Text())
	}
	return b.String()
}

// refusals are the answers to requests that lack what all of their kind need.
func (h *house) refusals(member uuid.UUID, own []string, device string, c caller) {
	t := h.t
	auth := []string{"Authorization", "Bearer " + h.apiKey}
	proof := func(method, path string) []string {
		return []string{"DPoP", h.proof(c.key, method, h.url+path, c.challenge)}
	}
	signIns, entries := "/v1/sign-ins", c.path()+"/entries"
	for _, r := range []struct {
		method, path string
		headers      func() []string
	}{
		{"POST", signIns, func() []string { return proof("POST", signIns) }},
		{"POST", entries, func() []string { return proof("POST", entries) }},
		{"POST", "/v1/device-checks", func() []string { return auth }},
		{"PUT", "/v1/members/" + member.String(), func() []string { return auth }},
		{"PUT", "/v1/password", func() []string { return own }},
		{"PATCH", device, func() []string { return own }},
	} {
		want(t, r.path, 400, "bad-request")(h.call(r.method, r.path, []int{1}, r.headers()...))
		want(t, r.path, 413, "too-large")(h.call(r.method, r.path, strings.Repeat("x", web.MaxBody), r.headers()...))
		want(t, r.path, 415, "unsupported-media-type")(h.call(r.method, r.path, nil, append(slices.Clone(r.headers()), "Content-Type", "text/plain")...))
	}
	for _, r := range [][2]string{{"GET", "/v1/session"}, {"DELETE", "/v1/session"}, {"PUT", "/v1/password"}, {"GET", "/v1/devices"}, {"PATCH", device}, {"DELETE", device}} {
		want(t, r[1], 401, "no-session")(h.call(r[0], r[1], nil))
	}
	for _, r := range [][2]string{{"POST", "/v1/device-checks"}, {"PUT", "/v1/members/" + member.String()}, {"GET", c.path()}, {"POST", c.path() + "/tickets"}} {
		want(t, r[1], 401, "api-key")(h.call(r[0], r[1], nil, "Authorization", "Bearer none"))
	}
	foreign := "/v1/challenges/" + uuid.NewString()
	for _, r := range [][2]string{{"GET", ""}, {"POST", "/texts"}, {"POST", "/entries"}, {"POST", "/tickets"}} {
		want(t, r[1], 404, "not-found")(h.call(r[0], foreign+r[1], nil, proof(r[0], foreign+r[1])...))
		path := c.path() + r[1]
		stale, err := c.key.Prove(r[0], h.url+path, "old", c.challenge, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		want(t, path, 401, "use-dpop-nonce")(h.call(r[0], path, nil, "DPoP", stale))
		want(t, path, 401, "invalid-proof")(h.call(r[0], path, nil, "DPoP", "none"))
	}
	want(t, "an API key that types", 401, "invalid-proof")(h.call("POST", entries, nil, auth...))
	want(t, "no proof", 401, "invalid-proof")(h.call("POST", signIns, nil))
	want(t, "a wrong password", 401, "bad-credentials")(h.signIn(c.key, "ada", "wrong password!"))
	want(t, "an unknown software", 400, "unknown-software")(h.call("POST", signIns, map[string]any{"user_id": "ada", "password": password, "software": "tv"}, proof("POST", signIns)...))
	full := h.another(time.Minute, func(o *login.Options) { o.Limits.Account.TenMinutes = 1 })
	full.signIn(newDevice(t), "ada", password)
	want(t, "one text more than the account may have", 429, "too-many-texts")(full.signIn(newDevice(t), "ada", password))
	h.contract.Also(full.contract)
	for range 10 {
		h.signIn(c.key, "guessed", "wrong password!")
	}
	want(t, "too many wrong passwords", 429, "throttled")(h.signIn(c.key, "guessed", "wrong password!"))
}

// numberless lets somebody sign in who has lost the number.
func (h *house) numberless() {
	s := newHouse(h.t, "standalone_mobile", false)
	auth := []string{"Authorization", "Bearer " + s.apiKey}
	want(h.t, "nobody without a number", 422, "number-required")(s.call("PUT", "/v1/members/"+uuid.NewString(), map[string]any{"role": "owner"}, auth...))
	id := s.member(map[string]any{"role": "owner", "user_id": "eve", "password": password, "phone": "+16044410142"})
	s.exec("UPDATE member SET phone_sealed = NULL, phone_details = NULL, phone_country = NULL, phone_last_two = NULL, phone_index = NULL")
	want(h.t, "no number", 403, "no-number")(s.signIn(newDevice(h.t), "eve", password))
	want(h.t, "no number", 403, "no-number")(s.call("POST", "/v1/device-checks", map[string]any{"member": id, "software": "web",
		"proof": s.proof(newDevice(h.t), "POST", "https://shop.example/login", uuid.Nil)}, auth...))
	s.barred(auth)
	h.contract.Also(s.contract)
}

// barred lets somebody sign in whose number the account sends nothing to: for now, and at all.
func (h *house) barred(auth []string) {
	kim := map[string]any{"role": "provider", "user_id": "kim", "password": password, "phone": "+16044410150"}
	id := h.member(kim)
	h.exec("UPDATE account SET countries = '{US,FR}', number_cooldown = '2 hours'")
	want(h.t, "a country that is not allowed", 403, "country-not-allowed")(h.signIn(newDevice(h.t), "kim", password))
	h.exec("UPDATE account SET countries = '{US,CA}'")
	want(h.t, "a first number", 202, "")(h.signIn(newDevice(h.t), "kim", password))
	kim["phone"] = "+16044410151"
	want(h.t, "another number", 200, "")(h.call("PUT", "/v1/members/"+id.String(), kim, auth...))
	want(h.t, "a number of just now", 403, "number-cooldown")(h.signIn(newDevice(h.t), "kim", password))
	for _, phone := range []string{"", "+16044410152"} { // a way around it, but for this
		h.exec("UPDATE account SET kind = 'pro', two_factor_enabled_at = now()")
		kim["phone"] = phone
		want(h.t, "the number removed and another one given", 200, "")(h.call("PUT", "/v1/members/"+id.String(), kim, auth...))
	}
	want(h.t, "a number of just now", 403, "number-cooldown")(h.signIn(newDevice(h.t), "kim", password))
	h.exec("UPDATE member SET phone_changed_at = now() - interval '121 minutes' WHERE id = $1", id)
	want(h.t, "a number of two hours ago", 202, "")(h.signIn(newDevice(h.t), "kim", password))
	h.exec("UPDATE member SET locked_at = now() WHERE id = $1", id)
	want(h.t, "who said that it was somebody else", 403, "member-locked")(h.signIn(newDevice(h.t), "kim", password))
}

// busy asks for hashing when all of it is in use.
func (h *house) busy(own, auth []string) {
	defer h.login.Occupy()()
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, r := range []func() (int, map[string]any){
		func() (int, map[string]any) { return h.signIn(newDevice(h.t), "bob", password) },
		func() (int, map[string]any) {
			return h.call("PUT", "/v1/password", map[string]any{"old_password": password, "new_password": password}, own...)
		},
		func() (int, map[string]any) {
			return h.call("PUT", "/v1/members/"+uuid.NewString(), map[string]any{"role": "client", "user_id": "zoe", "password": password}, auth...)
		},
	} {
		wg.Go(func() { want(h.t, "a hash too many", 429, "busy")(r()) })
	}
}

// ungiven are the answers that no request can bring about: faults of ours, and races.
var ungiven = []string{"DELETE /v1/session 404"}

// ungivenProblems: a fault, and what only the pages' way without a key is answered.
var ungivenProblems = []string{"/problems/internal", "/problems/key-required"}
