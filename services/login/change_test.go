package login_test

import (
	"net/http"
	"testing"
)

// Rule 9: what is asked of a former number is over when the number is another one: no text,
// no code, and nothing registered.
func TestANumbersChangeEndsItsChallenges(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	body := map[string]any{"role": "provider", "user_id": "ada", "phone": "604 441 0142", "password": password}
	id := h.member(body)
	delete(body, "password")
	c := h.begin("ada")
	h.exec("UPDATE text_request SET requested_at = requested_at - interval '1 minute' WHERE challenge_id = $1", c.challenge)
	if out := want(t, "before", 200, "")(c.proven("GET", c.path(), nil)); out["status"] != "delayed" {
		t.Errorf("before the change: %v", out)
	}
	for range 2 {
		h.exec(`INSERT INTO device (id, account_id, member_id, software_id, kind, thumbprint, challenge_id, registered_facets, seen_facets)
			SELECT gen_random_uuid(), account_id, id, 'web', 'key', sha256(gen_random_uuid()::text::bytea), gen_random_uuid(), '{}', '{}' FROM member WHERE id = $1`, id)
	}
	body["phone"] = "604 441 0199"
	want(t, "another number", 200, "")(h.call("PUT", "/v1/members/"+id.String(), body, "Authorization", "Bearer "+h.apiKey))
	if n := h.count(`SELECT count(DISTINCT convert_from(e.body, 'UTF8')::jsonb #>> '{data,device}') FROM login_event e JOIN device d ON d.revoke_reason = 'number_changed'
		WHERE e.type = 'latchkey.device.revoked' AND convert_from(e.body, 'UTF8')::jsonb #>> '{data,device}' = d.id::text`); n != 2 {
		t.Errorf("the end of %d registrations is told, want 2", n)
	}
	if out := want(t, "after", 200, "")(c.proven("GET", c.path(), nil)); out["status"] != "expired" || out["texts_left"] != 0.0 {
		t.Errorf("after the change: %v", out)
	}
	want(t, "another text to the former number", http.StatusConflict, "challenge-ended")(c.proven("POST", c.path()+"/texts", nil))
	if now := h.begin("ada"); now.challenge == c.challenge {
		t.Error("the next sign-in has the former challenge")
	}
}

// A changed password ends what stands on the former one: every other session, and the
// sign-ins that wait for their code.
func TestAPasswordsChangeEndsWhatStandsOnTheFormer(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	id := h.member(map[string]any{"role": "provider", "user_id": "ada", "password": password, "phone": "604 441 0142"})
	bob := h.member(map[string]any{"role": "provider", "user_id": "bob", "password": password})
	token := func(out map[string]any) []string {
		return []string{"Authorization", "Bearer " + out["session"].(map[string]any)["token"].(string)}
	}
	in := func() []string { return token(want(t, "a sign-in", 200, "")(h.signIn(newDevice(t), "bob", password))) }
	alive := func(what string, session []string, status int) {
		t.Helper()
		if got, _ := h.call("GET", "/v1/session", nil, session...); got != status {
			t.Errorf("%s: %d, want %d", what, got, status)
		}
	}
	const own = "staple the battery"
	mine, other := in(), in()
	want(t, "the change", 204, "")(h.call("PUT", "/v1/password", map[string]any{"old_password": password, "new_password": own}, mine...))
	alive("the session that changed it", mine, 200)
	alive("another session", other, 401)
	put := func(id, user, pass string) {
		t.Helper()
		want(t, "a password by the product", 200, "")(h.call("PUT", "/v1/members/"+id, map[string]any{"role": "provider", "user_id": user, "password": pass}, "Authorization", "Bearer "+h.apiKey))
	}
	put(bob.String(), "bob", password)
	alive("a session of the password before", mine, 401)
	alive("a session of the password now", in(), 200)

	waiting := h.begin("ada")
	put(id.String(), "ada", own)
	defer h.judge("registered")()
	want(t, "a code after the change", 401, "bad-credentials")(waiting.proven("POST", waiting.path()+"/entries", map[string]any{"code": "123456"}))
	if n := h.count("SELECT count(*) FROM session WHERE member_id = $1", id); n != 0 {
		t.Errorf("%d sessions of the former password", n)
	}
}
