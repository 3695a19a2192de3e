package e2e

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/console"
	"latchkey.dev/services/dispatcher"
	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/config"
	"latchkey.dev/services/internal/host"
	"latchkey.dev/services/sms"
	"latchkey.dev/services/up"
)

// operator makes somebody with the operator right, and returns what makes a decision of it
// through the console's API.
func (w *world) operator() (decide func(method, path string)) {
	w.t.Helper()
	p, token := w.person(9000), rand.Text()
	digest := sha256.Sum256([]byte(token))
	w.exec(`INSERT INTO session (token_digest, id, member_id, account_id, software_id, amr) SELECT $1, $2, id, account_id, 'web', '{pwd,swk,mfa}' FROM member WHERE id = $3`, digest[:], uuid.New(), p.id)
	w.exec("INSERT INTO operator_right (member_id, granted_by) VALUES ($1, 'operator')", p.id)
	return func(method, path string) {
		w.t.Helper()
		r := must(http.NewRequestWithContext(w.t.Context(), method, w.console+path, nil))(w.t)
		r.Header.Set("Authorization", "Bearer "+token)
		resp := must(http.DefaultClient.Do(r))(w.t)
		defer resp.Body.Close()
		if body := must(io.ReadAll(resp.Body))(w.t); resp.StatusCode != http.StatusOK {
			w.t.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, body)
		}
	}
}

// besides runs another dispatcher of the world, with carriers of its own.
func (w *world) besides(o up.Options, providers ...sms.Provider) {
	w.t.Helper()
	h := must(host.Open(w.t.Context(), host.Options{Service: bus.Dispatcher, MainURL: o.MainURL(bus.Dispatcher), KeysURL: o.KeysURL(bus.Dispatcher), BusURL: o.BusURL,
		BusSeed: o.Seed(bus.Dispatcher), Logger: slog.New(slog.DiscardHandler)}))(w.t)
	o.Dispatcher.Providers = providers
	must(dispatcher.Open(h, o.Dispatcher))(w.t)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	w.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
		h.Close()
	})
}

// An operator's decision holds on every dispatcher within two seconds: while people sign in,
// one drains the first provider of two dispatchers, resumes it, and pins the second.
func TestADecisionHoldsOnEveryDispatcherWithinTwoSeconds(t *testing.T) {
	t.Parallel()
	var o up.Options
	w := newWorld(t, func(made *up.Options) {
		made.Console.Delivery = console.Delivery{Providers: []config.Provider{{Name: "first", Kind: "vonage"}, {Name: "second", Kind: "twilio"}}}
		o = *made
	})
	// The other has carriers of its own by the same names: so it is seen which dispatcher sent.
	firsts, seconds := []*phones{w.first, newPhones()}, []*phones{w.second, newPhones()}
	w.besides(o, sms.Provider{Name: "first", Sender: firsts[1]}, sms.Provider{Name: "second", Sender: seconds[1]})
	decide, n := w.operator(), 0
	count := func(all []*phones) (each [2]int) { return [2]int{all[0].count(), all[1].count()} }
	// both has people ask for codes until two dispatchers have sent three more texts each by
	// carriers of one kind, and returns when the last text went by one of the other kind.
	both := func(what string, by, instead []*phones) (last time.Time) {
		t.Helper()
		start, other := count(by), count(instead)
		limit := time.Now().Add(30 * time.Second)
		for {
			n++
			asked := time.Now()
			w.person(n).begin()
			w.until("the text", func() bool { return firsts[0].count()+firsts[1].count()+seconds[0].count()+seconds[1].count() == n })
			now := count(by)
			if after := count(instead); after != other {
				last, other, start = asked, after, now
			} else if now[0] >= start[0]+3 && now[1] >= start[1]+3 {
				return last
			}
			if time.Now().After(limit) {
				t.Fatalf("%s: of %d texts the two dispatchers sent %v by the one and %v by the other", what, n, now, other)
			}
		}
	}
	both("at first", firsts, seconds)
	for _, step := range []struct {
		what, method, path string
		by, instead        []*phones
	}{
		{"a drain", "PUT", "/v1/providers/first/drain", seconds, firsts},
		{"resuming", "DELETE", "/v1/providers/first/drain", firsts, seconds},
		{"a pin of the country", "PUT", "/v1/providers/second/pin?country=CA", seconds, firsts},
	} {
		decide(step.method, step.path)
		decided := time.Now()
		if last := both(step.what, step.by, step.instead); last.Sub(decided) > 2*time.Second {
			t.Errorf("%s: a text that was asked for %s later went the old way", step.what, last.Sub(decided))
		}
	}
	if got := w.count("SELECT count(*) FROM console_event WHERE type LIKE 'latchkey.provider.%'"); got != 3 {
		t.Errorf("%d events tell of three decisions", got)
	}
	w.audited()
}
