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
	if out := want(t, "before", 200, "")(c.proven("GET", c.path(), nil)); out["status"] != "requested" {
		t.Errorf("before the change: %v", out)
	}
	body["phone"] = "604 441 0199"
	want(t, "another number", 200, "")(h.call("PUT", "/v1/members/"+id.String(), body, "Authorization", "Bearer "+h.apiKey))
	if out := want(t, "after", 200, "")(c.proven("GET", c.path(), nil)); out["status"] != "expired" || out["texts_left"] != 0.0 {
		t.Errorf("after the change: %v", out)
	}
	want(t, "another text to the former number", http.StatusConflict, "challenge-ended")(c.proven("POST", c.path()+"/texts", nil))
	if now := h.begin("ada"); now.challenge == c.challenge {
		t.Error("the next sign-in has the former challenge")
	}
}
