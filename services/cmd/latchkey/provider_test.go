package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"latchkey.dev/services/cmd/latchkey/doctor"
	"latchkey.dev/services/code"
	"latchkey.dev/services/console"
	"latchkey.dev/services/internal/config"
	"latchkey.dev/services/internal/install"
	"latchkey.dev/services/routing"
	"latchkey.dev/services/sms"
)

func TestATestIsOneSegmentWithoutDigits(t *testing.T) {
	t.Parallel()
	if n, gsm := code.Septets(testWords); !gsm || n > code.SegmentSeptets || strings.ContainsAny(testWords, "0123456789") {
		t.Errorf("%d septets, GSM-7 %v: %q", n, gsm, testWords)
	}
}

// The tables say of each provider what an operator needs to decide.
func TestProvidersAreToldOf(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 25, 20, 0, 0, 0, time.UTC)
	later := at.Add(time.Hour)
	all := console.Providers{
		Providers: []console.Provider{
			{Name: "one", Kind: "vonage", Rate: 30, Configured: true, Rules: []console.ProviderRule{{Rule: routing.Drain, Country: "CA", SetAt: at, SetBy: "operator:ada"}},
				Health: []console.ProviderHealth{{Country: "CA", Breaker: "open", BreakerReason: "timeout", BreakerSince: at, Accepted: 40, Typed: 10, DemotedAt: &at, DemotedUntil: &later, ReceiptSeconds: 9}}},
			{Name: "gone", Rules: []console.ProviderRule{{Rule: routing.Pin, SetAt: at, SetBy: "operator"}}},
		},
		Routes: []console.ProviderRoute{{Providers: []string{"one", "two"}}, {Country: "CA", SetAt: &at, SetBy: "operator"}},
	}
	var b strings.Builder
	if err := tellProviders(&b, all, at); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.FieldsFunc(b.String(), func(r rune) bool { return r == ' ' || r == '\n' }), " ")
	for _, want := range []string{"one vonage 30/s drained in CA, by operator:ada at 2026-11-25T20:00:00Z", "gone configured no more usual pinned everywhere, by operator at",
		"any other one, two as configured", "CA nobody by operator at 2026-11-25T20:00:00Z",
		"one CA no (timeout) 2026-11-25T20:00:00Z 10 of 40 (25 %) lost at 2026-11-25T20:00:00Z, until 2026-11-25T21:00:00Z at least 9 s", "No dispatcher runs"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
	b.Reset()
	if err := tellDecision(&b, all, "one", "CA"); err != nil || !strings.Contains(b.String(), "CA: nobody carries texts\nin force: one is drained in CA, by operator:ada") || strings.Contains(b.String(), "gone") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

// What is wrong with a provider is told of that one alone, and no secret with it.
func TestAProviderThatCannotBeMade(t *testing.T) {
	t.Parallel()
	keys, err := install.Make(t.TempDir(), nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	conf := config.File{Providers: []config.Provider{{Name: "one", Kind: "vonage", APIKey: "k", APISecretFile: "/nowhere/secret", From: "x"}}}
	all := doctor.CheckProviders(t.Context(), conf, keys, []string{"one", "two"})
	if all[0].Result != "failed" || !strings.Contains(all[0].Why, "/nowhere/secret") || all[1].Result != "failed" || !strings.Contains(all[1].Why, "configured are: one") {
		t.Errorf("%+v", all)
	}
}

// connected is a provider that keeps a connection: without it nothing is sent.
type connected struct {
	open chan struct{} // closed when it is
	sent int
}

func (c *connected) Send(context.Context, sms.Message) sms.Outcome {
	select {
	case <-c.open:
		c.sent++
		return sms.Outcome{Ending: sms.Accepted, Reason: sms.ReasonOK}
	default:
		return sms.Outcome{Ending: sms.RefusedElsewhere, Reason: sms.ReasonUnreachable}
	}
}

func (c *connected) Run(ctx context.Context, take func(context.Context, sms.Receipt) error) error {
	if take(ctx, sms.Receipt{}) == nil {
		return errors.New("a report was taken")
	}
	close(c.open)
	<-ctx.Done()
	return nil
}

func TestATestOpensTheConnectionOfItsProvider(t *testing.T) {
	t.Parallel()
	c := &connected{open: make(chan struct{})}
	if out := sendOnce(t.Context(), sms.Provider{Name: "smpp", Sender: c, Source: c}, sms.Message{}); out.Ending != sms.Accepted || c.sent != 1 {
		t.Errorf("%+v, %d were sent", out, c.sent)
	}
	if out := sendOnce(t.Context(), sms.Provider{Name: "http", Sender: &connected{open: make(chan struct{})}}, sms.Message{}); out.Reason != sms.ReasonUnreachable {
		t.Errorf("a provider without one: %+v", out)
	}
}
