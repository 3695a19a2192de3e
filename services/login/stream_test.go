package login_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/internal/dpop"
	"latchkey.dev/services/login"
)

// stream is an open stream of a challenge's states.
type stream struct {
	t    *testing.T
	body io.ReadCloser
	scan *bufio.Scanner
}

// stream opens the stream of a challenge with a ticket of its own.
func (c caller) stream() *stream {
	c.t.Helper()
	return c.streamWith(c.challenge, c.ticket())
}

func (c caller) ticket() string {
	c.t.Helper()
	out := want(c.t, "a ticket", http.StatusCreated, "")(c.proven("POST", c.path()+"/tickets", nil))
	return out["ticket"].(string)
}

func (h *house) streamWith(challenge uuid.UUID, ticket string) *stream {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), "GET", h.url+"/v1/challenges/"+challenge.String()+"/events?ticket="+ticket, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { resp.Body.Close() })
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || kind != "text/event-stream" || resp.Header.Get("Cache-Control") != "no-store" {
		h.t.Fatalf("opening a stream: %d, %v", resp.StatusCode, resp.Header)
	}
	return &stream{h.t, resp.Body, bufio.NewScanner(resp.Body)}
}

// next waits for the next state; ok is false when the stream ended.
func (s *stream) next() (state map[string]any, ok bool) {
	s.t.Helper()
	late := time.AfterFunc(20*time.Second, func() { s.body.Close() })
	defer late.Stop()
	for s.scan.Scan() {
		data, found := strings.CutPrefix(s.scan.Text(), "data: ")
		if !found {
			continue
		}
		if err := json.Unmarshal([]byte(data), &state); err != nil {
			s.t.Fatalf("an event that is no state: %s", data)
		}
		return state, true
	}
	return nil, false
}

func (s *stream) tells(status string) {
	s.t.Helper()
	if state, ok := s.next(); !ok || state["status"] != status {
		s.t.Errorf("the stream tells %v, want %s", state["status"], status)
	}
}

// A stream tells every change as it happens, for as long as the challenge lives, however
// short the server's limit for reading a request, and ends with the challenge.
func TestStreamTellsEveryChange(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true).another(200*time.Millisecond, func(*login.Options) {})
	h.member(ada)
	c := h.begin("ada")
	s := c.stream()
	s.tells("requested")
	h.exec(`INSERT INTO attempt (challenge_id, attempt_no, id, request_no, text_no, provider, due_at)
		VALUES ($1, 1, gen_random_uuid(), 1, 1, 'first', now() + interval '6 seconds')`, c.challenge)
	s.tells("sending")
	h.exec("UPDATE attempt SET finished_at = now(), ending = 'refused_elsewhere', reason = 'unreachable', due_at = NULL")
	s.tells("trying_another")
	h.exec(`INSERT INTO attempt (challenge_id, attempt_no, id, request_no, text_no, provider, finished_at, ending, reason)
		VALUES ($1, 2, gen_random_uuid(), 1, 2, 'second', now(), 'accepted', 'ok')`, c.challenge)
	s.tells("accepted_by_another")
	h.exec("UPDATE attempt SET receipt_status = 'delivered', delivered_at = now() WHERE attempt_no = 2")
	s.tells("delivered")
	h.exec("UPDATE challenge SET tries = 1")
	if state, _ := s.next(); state["tries_left"] != 4.0 || state["status"] != "delivered" {
		t.Errorf("after a wrong code: %v", state)
	}
	h.exec("UPDATE challenge SET closed_at = now(), end_reason = 'registered'")
	s.tells("registered")
	if state, more := s.next(); more {
		t.Errorf("the stream goes on after the end: %v", state)
	}
}

// A ticket opens one stream, of one challenge, soon.
func TestTicketIsGoodOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	h.member(ada)
	c := h.begin("ada")
	ticket := c.ticket()
	h.streamWith(c.challenge, ticket).tells("requested")
	other := h.begin("ada")
	nonces := dpop.NewNonces(h.options.NonceMAC, time.Now)
	old, err := nonces.Sign("ticket", c.challenge[:], time.Now().Add(-31*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	for what, bad := range map[string]struct {
		challenge uuid.UUID
		ticket    string
		status    int
	}{
		"used before":              {c.challenge, ticket, http.StatusUnauthorized},
		"for another challenge":    {other.challenge, c.ticket(), http.StatusNotFound},
		"older than half a minute": {c.challenge, old, http.StatusNotFound},
		"that is a nonce":          {c.challenge, h.nonce(), http.StatusNotFound},
		"that is none":             {c.challenge, "", http.StatusNotFound},
	} {
		if status, out := h.call("GET", "/v1/challenges/"+bad.challenge.String()+"/events?ticket="+bad.ticket, nil); status != bad.status {
			t.Errorf("a ticket %s: %d %v, want %d", what, status, out, bad.status)
		}
	}
}

// Streams end when the service does: nothing holds up its stop.
func TestStreamEndsWithTheService(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	h.member(ada)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.login.Run(ctx) }()
	s := h.begin("ada").stream()
	s.tells("requested")
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if state, more := s.next(); more {
		t.Errorf("a service that was stopped tells %v", state)
	}
}

// A fifth stream of a challenge ends the oldest: no page that is opened again is refused, and
// nobody can hold streams without end.
func TestStreamsOfAChallengeAreFew(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	h.member(ada)
	c := h.begin("ada")
	var open []*stream
	for range 5 {
		s := c.stream()
		s.tells("requested")
		open = append(open, s)
	}
	if state, more := open[0].next(); more {
		t.Errorf("the oldest of five streams tells %v", state)
	}
	h.exec("UPDATE challenge SET closed_at = now(), end_reason = 'registered'")
	for _, s := range open[1:] {
		s.tells("registered")
	}
}
