package login_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/login"
)

// limited are two instances of one installation with the same limits.
func limited(t *testing.T, limits login.Limits) []*house {
	t.Helper()
	first := newHouse(t, "pro", true)
	change := func(o *login.Options) { o.Limits = limits }
	return []*house{first.another(time.Minute, change), first.another(time.Minute, change)}
}

// A burst on two instances at once lets exactly as many texts through as the limit says,
// whatever is counted, and every refusal is the same.
func TestLimitsHoldAcrossInstancesToTheText(t *testing.T) {
	t.Parallel()
	const most = 3
	for name, limits := range map[string]login.Limits{
		"person":   {Member: login.Limit{TenMinutes: most}},
		"number":   {Number: login.Limit{Day: most}},
		"address":  {Address: login.Limit{TenMinutes: most}},
		"network":  {Network: login.Limit{Day: most}},
		"account":  {Account: login.Limit{TenMinutes: most}},
		"the most": {Member: login.Limit{TenMinutes: most}, Account: login.Limit{TenMinutes: 100}, Address: login.Limit{Day: 5}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both := limited(t, limits)
			both[0].member(map[string]any{"role": "provider", "user_id": "ada", "password": password, "phone": "+16044410142"})
			var mu sync.Mutex
			var all sync.WaitGroup
			answers := map[int]int{}
			for i := range 12 {
				h := both[i%2]
				proof := h.proof(newDevice(t), "POST", h.url+"/v1/sign-ins", uuid.Nil)
				all.Go(func() {
					status, out := h.call("POST", "/v1/sign-ins", map[string]any{"user_id": "ada", "password": password, "software": "web"}, "DPoP", proof)
					mu.Lock()
					defer mu.Unlock()
					answers[status]++
					if status == http.StatusTooManyRequests {
						want(t, "over the limit", 429, "too-many-texts")(status, out)
						if out["retry_after"] == nil {
							t.Errorf("the refusal does not say when to try again: %v", out)
						}
					}
				})
			}
			all.Wait()
			if answers[http.StatusAccepted] != most || answers[http.StatusTooManyRequests] != 12-most {
				t.Errorf("answers %v, want %d texts and %d refusals", answers, most, 12-most)
			}
			if n := both[0].count("SELECT count(*) FROM challenge"); n != most {
				t.Errorf("%d challenges, want %d", n, most)
			}
			if n := both[0].count("SELECT count(*) FROM login_event WHERE type = 'latchkey.login.refused' AND convert_from(body, 'UTF8')::jsonb #>> '{data,reason}' = 'too_many_texts'"); n != 12-most {
				t.Errorf("%d refusals are told of, want %d", n, 12-most)
			}
			// What was not sent was not counted: when the window is over, as many go again.
			both[0].exec("UPDATE limit_counter SET window_start = window_start - interval '25 hours' WHERE scope LIKE 'text%'")
			for i := range most {
				if status, out := both[i%2].signIn(newDevice(t), "ada", password); status != http.StatusAccepted {
					t.Errorf("after the window: %d %v", status, out)
				}
			}
		})
	}
}

// "Send another" counts as a text does, and who has no room left keeps the challenge.
func TestAnotherTextCounts(t *testing.T) {
	t.Parallel()
	h := limited(t, login.Limits{Member: login.Limit{TenMinutes: 2}})[0]
	h.member(map[string]any{"role": "provider", "user_id": "ada", "password": password, "phone": "+16044410142"})
	k := newDevice(t)
	_, out := h.signIn(k, "ada", password)
	challenge := out["challenge"].(map[string]any)["id"].(string)
	h.exec("UPDATE text_request SET requested_at = now() - interval '5 minutes'")
	path := fmt.Sprintf("/v1/challenges/%s/texts", challenge)
	another := func() (int, map[string]any) {
		return h.call("POST", path, nil, "DPoP", h.proof(k, "POST", h.url+path, uuid.MustParse(challenge)))
	}
	if status, out := another(); status != http.StatusAccepted {
		t.Fatalf("the second text: %d %v", status, out)
	}
	h.exec("UPDATE text_request SET requested_at = now() - interval '5 minutes'")
	want(t, "the third text of two", 429, "too-many-texts")(another())
	if n := h.count("SELECT count(*) FROM text_request"); n != 2 {
		t.Errorf("%d texts were asked for, want 2", n)
	}
	if n := h.count("SELECT sum(count) FROM limit_counter WHERE scope = 'text_member'"); n != 2 {
		t.Errorf("%d texts are counted, want 2", n)
	}
}

// An account that may spend no more on a country gets the same answer, for that country alone.
func TestNoTextIsAskedForThatMayNotBePaid(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	h.member(map[string]any{"role": "provider", "user_id": "ada", "password": password, "phone": "+16044410142"})
	h.exec("INSERT INTO spend_state (account_id, country, span, level, until) VALUES ($1, 'CA', 'hour', 'stop', now() + interval '1 minute')", h.account)
	want(t, "no money is left", 429, "too-many-texts")(h.signIn(newDevice(t), "ada", password))
	if n := h.count("SELECT count(*) FROM challenge"); n != 0 {
		t.Errorf("%d challenges, want none", n)
	}
	for _, other := range []string{"country = 'FR'", "country = 'CA', level = 'alarm'", "level = 'stop', until = now() - interval '1 second'"} {
		h.exec("UPDATE spend_state SET " + other)
		want(t, other, 202, "")(h.signIn(newDevice(t), "ada", password))
	}
}
