package smstest

import (
	"cmp"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/carriers"
)

var (
	accepted    = sms.Outcome{Ending: sms.Accepted, Reason: sms.ReasonOK}
	timedOut    = sms.Outcome{Ending: sms.Ambiguous, Reason: sms.ReasonTimeout}
	badAnswer   = sms.Outcome{Ending: sms.Ambiguous, Reason: sms.ReasonBadAnswer}
	unreachable = sms.Outcome{Ending: sms.RefusedElsewhere, Reason: sms.ReasonUnreachable}
)

// endings runs through what a carrier can do to one request. Whatever it is, there is
// one request at most.
func (p Provider) endings(t *testing.T) {
	t.Parallel()
	const brief = 400 * time.Millisecond // for what never ends
	for name, tc := range map[string]struct {
		b        carriers.Behaviour
		within   time.Duration
		want     sms.Outcome
		requests uint64
		texts    int
	}{
		"accepted":               {carriers.Behaviour{}, soon, accepted, 1, 1},
		"slow":                   {carriers.Behaviour{DelayMS: 300}, soon, accepted, 1, 1},
		"hang":                   {carriers.Behaviour{Mode: carriers.Hang}, brief, timedOut, 1, 0},
		"hang after accept":      {carriers.Behaviour{Mode: carriers.HangAfterAccept}, brief, timedOut, 1, 1},
		"drip":                   {carriers.Behaviour{Mode: carriers.Drip}, brief, timedOut, 1, 1},
		"drop after accept":      {carriers.Behaviour{Mode: carriers.DropAfterAccept}, soon, badAnswer, 1, 1},
		"half a JSON document":   {carriers.Behaviour{Mode: carriers.BadJSON}, soon, badAnswer, 1, 1},
		"an answer about no one": {carriers.Behaviour{Mode: carriers.NoMessages}, soon, badAnswer, 1, 1},
		"10 MB":                  {carriers.Behaviour{Mode: carriers.Huge}, soon, badAnswer, 1, 1},
		"HTTP 500":               {carriers.Behaviour{Mode: carriers.Broken}, soon, sms.Outcome{Ending: sms.Ambiguous, Reason: sms.ReasonProviderError}, 1, 0},
		"HTTP 503":               {carriers.Behaviour{Mode: carriers.Broken, Code: "503"}, soon, sms.Outcome{Ending: sms.RefusedElsewhere, Reason: sms.ReasonProviderError}, 1, 0},
		"HTTP 429":               {carriers.Behaviour{Mode: carriers.Broken, Code: "429"}, soon, sms.Outcome{Ending: sms.RefusedElsewhere, Reason: sms.ReasonThrottled}, 1, 0},
		"connection refused":     {carriers.Behaviour{Mode: carriers.Down}, soon, unreachable, 0, 0},
	} {
		if p.Connected && strings.HasPrefix(name, "HTTP") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := p.rig(t, p.Options, sms.Callback{})
			r.behave(t, tc.b)
			out := r.send(t, within(t, tc.within), message(t, number, words))
			expect(t, out, tc.want)
			if out.Ending == sms.Accepted && (out.Reference == "" || out.Reference != r.Journal()[0].Reference || out.Segments != p.segments(1)) {
				t.Errorf("Send = %+v, want the carrier's reference and %d segments", out, p.segments(1))
			}
			r.arrived(t, tc.requests, tc.texts)
		})
	}
}

// others are carriers that know other accounts than the demonstration's.
var others = carriers.Options{
	VonageSecret:  "another1234567",
	TwilioToken:   "another",
	WebhookSecret: "whsec_YW5vdGhlci1zZWNyZXQtYW5vdGhlci1zZWM=",
	AWS:           carriers.AWSAccount{SecretAccessKey: "another/secret/access/key/of/40/character"},
	SMPP:          carriers.SMPPAccount{Password: "another"},
}

// refusals have the vendor's own code, and bring no text.
func (p Provider) refusals(t *testing.T) {
	t.Parallel()
	kinds := map[sms.Ending]bool{}
	for code, want := range p.Refusals {
		kinds[want.Ending] = true
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			r := p.rig(t, p.Options, sms.Callback{})
			r.behave(t, carriers.Behaviour{Mode: carriers.Refuse, Code: code})
			out := r.send(t, within(t, soon), message(t, number, words))
			expect(t, out, want)
			if out.VendorCode != cmp.Or(want.VendorCode, code) || out.Reference != "" {
				t.Errorf("Send = code %q, reference %q; want %q and none", out.VendorCode, out.Reference, cmp.Or(want.VendorCode, code))
			}
			r.arrived(t, 1, 0)
		})
	}
	if !kinds[sms.RefusedElsewhere] || !kinds[sms.RefusedNever] && !p.Connected {
		t.Errorf("the refusals have the endings %v, want those of both kinds", kinds)
	}
	t.Run("wrong account", func(t *testing.T) {
		t.Parallel()
		r := p.rig(t, others, sms.Callback{})
		expect(t, r.send(t, within(t, soon), message(t, number, words)), sms.Outcome{Ending: sms.RefusedElsewhere, Reason: sms.ReasonMisconfigured})
		if p.Connected { // nothing is sent to who does not know us
			r.arrived(t, 0, 0)
			return
		}
		r.arrived(t, 1, 0)
	})
}

// throttle: the first text fits, the second does not.
func (p Provider) throttle(t *testing.T) {
	t.Parallel()
	r := p.rig(t, p.Options, sms.Callback{})
	r.behave(t, carriers.Behaviour{Mode: carriers.Throttle, Rate: 0.001})
	expect(t, r.send(t, within(t, soon), message(t, number, words)), accepted)
	out := r.send(t, within(t, soon), message(t, number, words))
	expect(t, out, sms.Outcome{Ending: sms.RefusedElsewhere, Reason: sms.ReasonThrottled})
	if out.VendorCode != p.Throttled {
		t.Errorf("Send = code %q, want %q", out.VendorCode, p.Throttled)
	}
	r.arrived(t, 2, 1)
}

// words reach the phone as they were written, by the vendor's own SDK.
func (p Provider) words(t *testing.T) {
	t.Parallel()
	r := p.rig(t, p.Options, sms.Callback{})
	for i, tc := range []struct {
		body     string
		segments int
	}{
		{words + "\n\n@latchkey.example #814723", 1},
		{"a=b&c=%41+d;e #f ?g@h_{i}€", 1},
		{"Ваш код 814723 💬", 1},
		{strings.Repeat("0123456789", 17), 2},
		{strings.Repeat("ж", 140), 3},
	} {
		out := r.send(t, within(t, soon), message(t, number, tc.body))
		expect(t, out, accepted)
		text, err := r.WaitText(within(t, soon), number, i+1)
		if err != nil {
			t.Fatal(err)
		}
		if text.Body != tc.body || out.Segments != p.segments(tc.segments) {
			t.Errorf("the phone got %q in %d segments, want %q in %d", text.Body, out.Segments, tc.body, tc.segments)
		}
		if !strings.HasPrefix(text.UserAgent, p.UserAgent) {
			t.Errorf("the request came from %q, want the vendor's SDK, %q", text.UserAgent, p.UserAgent)
		}
	}
}

// manyAtOnce: each text reaches its own phone, once.
func (p Provider) manyAtOnce(t *testing.T) {
	t.Parallel()
	r := p.rig(t, p.Options, sms.Callback{})
	var all sync.WaitGroup
	for i := range 100 {
		m := message(t, spare(i), "to "+spare(i))
		all.Go(func() { expect(t, r.send(t, within(t, soon), m), accepted) })
	}
	all.Wait()
	for _, text := range r.Journal() {
		if text.Body != "to "+text.To {
			t.Errorf("the phone %s got %q", text.To, text.Body)
		}
	}
	r.arrived(t, 100, 100)
}

// cancelled: nothing is sent for a caller who has gone, and one who goes is let go.
func (p Provider) cancelled(t *testing.T) {
	t.Parallel()
	r := p.rig(t, p.Options, sms.Callback{})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	expect(t, r.send(t, gone, message(t, number, words)), unreachable)
	r.arrived(t, 0, 0)

	r.behave(t, carriers.Behaviour{Mode: carriers.HangAfterAccept})
	going, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		_, _ = r.WaitText(within(t, soon), number, 1)
	}()
	began := time.Now()
	expect(t, r.send(t, going, message(t, number, words)), timedOut)
	if took := time.Since(began); took >= sms.MaxAttempt {
		t.Errorf("Send took %v after its context was cancelled", took)
	}
	r.arrived(t, 1, 1)
}

// noDeadline: a context without a deadline does not make an attempt longer.
func (p Provider) noDeadline(t *testing.T) {
	t.Parallel()
	r := p.rig(t, p.Options, sms.Callback{})
	r.behave(t, carriers.Behaviour{Mode: carriers.Hang})
	expect(t, r.send(t, t.Context(), message(t, number, words)), timedOut)
	r.arrived(t, 1, 0)
}

// keptConnection: a request that dies on a connection that was used before is not made
// again by the HTTP client either.
func (p Provider) keptConnection(t *testing.T) {
	t.Parallel()
	r := p.rig(t, p.Options, sms.Callback{})
	expect(t, r.send(t, within(t, soon), message(t, number, words)), accepted)
	r.behave(t, carriers.Behaviour{Mode: carriers.DropAfterAccept})
	expect(t, r.send(t, within(t, soon), message(t, number, words)), badAnswer)
	r.arrived(t, 2, 2)

	// The line goes down under a connection that is kept: nothing is written to it, or
	// what was written is not known to have arrived.
	r.behave(t, carriers.Behaviour{})
	expect(t, r.send(t, within(t, soon), message(t, number, words)), accepted)
	r.behave(t, carriers.Behaviour{Mode: carriers.Down})
	if out := r.send(t, within(t, soon), message(t, number, words)); out.Ending != sms.RefusedElsewhere && out.Ending != sms.Ambiguous {
		t.Errorf("Send = %s over a dead connection", out.Ending)
	}
	r.arrived(t, 3, 3)
	expect(t, r.send(t, within(t, soon), message(t, number, words)), unreachable)
}

// redirect: credentials and words go to nobody else.
func (p Provider) redirect(t *testing.T) {
	t.Parallel()
	var followed atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
	t.Cleanup(elsewhere.Close)
	r := p.rig(t, p.Options, sms.Callback{})
	r.behave(t, carriers.Behaviour{Mode: carriers.Redirect, Code: elsewhere.URL})
	expect(t, r.send(t, within(t, soon), message(t, number, words)), badAnswer)
	r.arrived(t, 1, 0)
	if n := followed.Load(); n != 0 {
		t.Errorf("the redirect was followed %d times", n)
	}
}
