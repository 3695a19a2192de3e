package login_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"latchkey.dev/services/login"
)

// What a person is told of a text, from what is known of it.
func TestProgressTellsTheTruth(t *testing.T) {
	t.Parallel()
	const (
		inFlight  = `{"request": 1, "text": 1, "ending": "", "due": true}`
		refused   = `{"request": 1, "text": 1, "ending": "refused_elsewhere", "reason": "unreachable", "due": true}`
		unsure    = `{"request": 1, "text": 1, "ending": "ambiguous", "reason": "timeout", "due": true}`
		taken     = `{"request": 1, "text": 1, "ending": "accepted", "due": true}`
		onPhone   = `{"request": 1, "text": 1, "ending": "accepted", "receipt": "delivered"}`
		lost      = `{"request": 1, "text": 1, "ending": "accepted", "receipt": "undelivered", "due": true}`
		lostEnded = `{"request": 1, "text": 1, "ending": "accepted", "receipt": "undelivered"}`
		never     = `{"request": 1, "text": 1, "ending": "refused_never", "reason": "invalid_number"}`
		tooLate   = `{"request": 1, "text": 0, "ending": "not_sent", "reason": "too_late"}`
		noNumber  = `{"request": 1, "text": 0, "ending": "not_sent", "reason": "never_deliverable"}`
	)
	soon, late, early, last, over := time.Second, 10*time.Second, 4*time.Minute, time.Second, -11*time.Second
	for _, tc := range []struct {
		what         string
		attempts     []string
		requests     int
		waited, left time.Duration
		want         string
	}{
		{"nobody was asked yet", nil, 1, soon, early, "requested"},
		{"nobody was asked for long: the dispatcher or every provider is away", nil, 1, late, early, "delayed"},
		{"the first is asked", []string{inFlight}, 1, soon, early, "sending"},
		{"the first is asked for long", []string{inFlight}, 1, late, early, "delayed"},
		{"the first failed", []string{refused}, 1, soon, early, "trying_another"},
		{"the next is asked", []string{refused, inFlight}, 1, soon, early, "trying_another"},
		{"nobody could be asked in time", []string{refused, unsure, refused}, 1, late, early, "delayed"},
		{"they are asked to the last", []string{refused, unsure, refused}, 1, late, last, "delayed"},
		{"what is in flight at the end may still be taken", []string{refused, inFlight}, 1, late, -time.Second, "delayed"},
		{"nobody gave it up, since nobody is there", nil, 1, late, over, "too_late"},
		{"it was given up", []string{refused, tooLate}, 1, late, last, "too_late"},
		{"the first took it", []string{taken}, 1, late, early, "accepted"},
		{"the second took it", []string{refused, taken}, 1, late, early, "accepted_by_another"},
		{"the first took it and is silent, the next is asked", []string{taken, inFlight}, 1, late, early, "trying_another"},
		{"the first took it and is silent, the next cannot", []string{taken, refused}, 1, late, early, "accepted"},
		{"the first took it and is silent, the next took it", []string{taken, taken}, 1, late, early, "accepted_by_another"},
		{"the first lost it", []string{lost}, 1, soon, early, "trying_another"},
		{"the first lost it, and nobody follows yet", []string{lost, inFlight}, 1, late, early, "delayed"},
		{"the first lost it, and nobody follows", []string{lostEnded}, 1, late, early, "not_possible"},
		{"the first lost it too late for another", []string{lostEnded}, 1, late, -time.Second, "too_late"},
		{"it arrived", []string{refused, onPhone}, 1, late, over, "delivered"},
		{"it can never arrive", []string{never}, 1, soon, early, "not_possible"},
		{"there is no number to text", []string{never, noNumber}, 1, late, over, "not_possible"},
		{"another was asked for", []string{taken}, 2, soon, early, "requested"},
		{"another was asked for long ago", []string{taken}, 2, late, early, "delayed"},
		{"the first arrives after another was asked for", []string{onPhone}, 2, late, early, "delivered"},
	} {
		if got := login.Progress(t, tc.requests, "["+strings.Join(tc.attempts, ",")+"]", tc.waited, tc.left); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.what, got, tc.want)
		}
	}
}

// A person is told of a late text, until when it is tried, and that it is over, on the stream
// and on the page, with nobody there to write that down.
func TestLateTextIsToldWithNobodyThere(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	h.member(ada)
	c := h.begin("ada")
	b := h.browser()
	b.signIn("ada", password)
	check := b.at
	reads(t, b.open(check), "A text is asked for.")
	s := c.stream()
	s.tells("requested")

	h.exec("UPDATE text_request SET requested_at = requested_at - interval '10 seconds'")
	state, _ := s.next()
	until, err := time.Parse(time.RFC3339Nano, state["sends_until"].(string))
	if err != nil {
		t.Fatal(err)
	}
	ends, err := time.Parse(time.RFC3339Nano, state["expires_at"].(string))
	if err != nil {
		t.Fatal(err)
	}
	if state["status"] != "delayed" || ends.Sub(until) != time.Minute {
		t.Errorf("after ten seconds with nobody there: %v", state)
	}
	reads(t, b.open(check), "Your text is late: no carrier could bring it yet. We keep trying until <time data-minute datetime=", " UTC</time>; you need do nothing.",
		`<p id="anew" hidden>`)

	h.exec("UPDATE challenge SET created_at = created_at - interval '4 minutes 15 seconds', expires_at = expires_at - interval '4 minutes 15 seconds'")
	if state, _ := s.next(); state["status"] != "too_late" || state["texts_left"] != 0.0 {
		t.Errorf("45 seconds before the end: %v", state)
	}
	want(t, "another text then", http.StatusTooManyRequests, "no-more-texts")(c.proven("POST", c.path()+"/texts", nil))
	reads(t, b.open(check), "No carrier took your text in time", `<p id="anew"><a class="button" href="/sign-in">`, "No more texts are sent for this code.")
}
