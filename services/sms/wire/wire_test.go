package wire_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/wire"
)

func fine(wire.Answer) error { return nil }

func post(t *testing.T, c *wire.Call, address string) error {
	t.Helper()
	res, err := c.Client().Post(address, "text/plain", strings.NewReader("words"))
	if err == nil {
		res.Body.Close()
	}
	return err
}

func TestCallMakesOneRequestAlone(t *testing.T) {
	t.Parallel()
	var served int
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ }))
	defer server.Close()
	c := wire.Begin(t.Context(), wire.Transport(), fine)
	defer c.End()
	if err := post(t, c, server.URL); err != nil {
		t.Fatal(err)
	}
	if err := post(t, c, server.URL); err == nil {
		t.Error("a second request was made, want an error")
	}
	if served != 1 || !c.Answered() {
		t.Errorf("served %d requests, answered %v; want 1, true", served, c.Answered())
	}
}

func TestCallTellsUnsentFromPerhapsSent(t *testing.T) {
	t.Parallel()
	dropped := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(dropped.Close)
	done := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-done }))
	t.Cleanup(hanging.Close)
	t.Cleanup(func() { close(done) })
	gone := httptest.NewServer(nil)
	gone.Close()

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	t.Cleanup(cancel)
	for name, tc := range map[string]struct {
		ctx     context.Context
		address string
		check   func(wire.Answer) error
		ending  sms.Ending
		reason  sms.Reason
	}{
		"refused connection":  {t.Context(), gone.URL, fine, sms.RefusedElsewhere, sms.ReasonUnreachable},
		"cancelled before":    {cancelled, hanging.URL, fine, sms.RefusedElsewhere, sms.ReasonUnreachable},
		"no name":             {t.Context(), "http://nowhere.invalid", fine, sms.RefusedElsewhere, sms.ReasonUnreachable},
		"dropped when read":   {t.Context(), dropped.URL, fine, sms.Ambiguous, sms.ReasonBadAnswer},
		"no answer in time":   {short, hanging.URL, fine, sms.Ambiguous, sms.ReasonTimeout},
		"never got to asking": {t.Context(), "bad address:", fine, sms.RefusedElsewhere, sms.ReasonMisconfigured},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := wire.Begin(tc.ctx, wire.Transport(), tc.check)
			defer c.End()
			if err := post(t, c, tc.address); err == nil {
				t.Fatal("the request succeeded, want an error")
			}
			if got := c.Failure(); got.Ending != tc.ending || got.Reason != tc.reason {
				t.Errorf("Failure = %s, %s; want %s, %s", got.Ending, got.Reason, tc.ending, tc.reason)
			}
		})
	}
}

func TestCallShowsTheSDKOnlyCheckedAnswers(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("nonsense")) }))
	defer server.Close()
	bad := errors.New("bad answer")
	c := wire.Begin(t.Context(), wire.Transport(), func(a wire.Answer) error {
		if string(a.Body) != "nonsense" {
			t.Errorf("check saw %q", a.Body)
		}
		return bad
	})
	defer c.End()
	if err := post(t, c, server.URL); !errors.Is(err, bad) || c.Answered() {
		t.Errorf("err = %v, answered %v; want %v, false", err, c.Answered(), bad)
	}
}

func TestByStatusCallsOnlyWhatWasNotProcessedRefused(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]sms.Outcome{
		429: {Ending: sms.RefusedElsewhere, Reason: sms.ReasonThrottled},
		503: {Ending: sms.RefusedElsewhere, Reason: sms.ReasonProviderError},
		401: {Ending: sms.RefusedElsewhere, Reason: sms.ReasonMisconfigured},
		402: {Ending: sms.RefusedElsewhere, Reason: sms.ReasonQuota},
		408: {Ending: sms.Ambiguous, Reason: sms.ReasonTimeout},
		500: {Ending: sms.Ambiguous, Reason: sms.ReasonProviderError},
		504: {Ending: sms.Ambiguous, Reason: sms.ReasonProviderError},
		302: {Ending: sms.Ambiguous, Reason: sms.ReasonBadAnswer},
	} {
		got := wire.ByStatus(wire.Answer{Status: status})
		if got.Ending != want.Ending || got.Reason != want.Reason {
			t.Errorf("ByStatus(%d) = %s, %s; want %s, %s", status, got.Ending, got.Reason, want.Ending, want.Reason)
		}
	}
}

func TestRetryAfterIsBounded(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"": 0, "7": 7 * time.Second, "-1": 0, "soon": 0, "99999999999": time.Hour} {
		if got := wire.RetryAfter(http.Header{"Retry-After": {text}}); got != want {
			t.Errorf("RetryAfter(%q) = %v, want %v", text, got, want)
		}
	}
}

func TestTokenLetsNoTextThrough(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"21211": "21211", "a-b_c.D": "a-b_c.D", "to +1555": "", strings.Repeat("1", 33): ""} {
		if got := wire.Token(text, 32); got != want {
			t.Errorf("Token(%q) = %q, want %q", text, got, want)
		}
	}
}
