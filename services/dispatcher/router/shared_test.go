package router_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"latchkey.dev/services/dispatcher/router"
	"latchkey.dev/services/internal/storetest"
	"latchkey.dev/services/sms"
)

// reporting makes a provider one that sends receipts.
type reporting struct{ sms.ReceiptParser }

type office struct {
	t     *testing.T
	db    *storetest.DB
	owner *pgxpool.Pool
}

func newOffice(t *testing.T) *office {
	t.Helper()
	db := storetest.New(t)
	return &office{t, db, db.Owner(t)}
}

// router is one of the dispatchers' that run, in step with the database once Once was called.
func (o *office) router() *router.Router {
	o.t.Helper()
	r, err := router.New(router.Options{Pool: o.db.Pool(o.t, "dispatcher"), Logger: slog.New(slog.DiscardHandler),
		Providers: []sms.Provider{{Name: "a", Receipts: reporting{}}, {Name: "b", Receipts: reporting{}}}})
	if err != nil {
		o.t.Fatal(err)
	}
	return r
}

// running is router with its loop off, but changes told.
func (o *office) running() *router.Router {
	r := o.router()
	ctx, stop := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() { _ = r.Run(ctx) })
	o.t.Cleanup(func() { stop(); ended.Wait() })
	return r
}

func (o *office) exec(sql string, args ...any) {
	o.t.Helper()
	if _, err := o.owner.Exec(o.t.Context(), sql, args...); err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) first(r *router.Router) string {
	o.t.Helper()
	if err := r.Once(o.t.Context()); err != nil {
		o.t.Fatal(err)
	}
	c, _ := r.Choose(o.t.Context(), router.Want{Country: "CA", Challenge: uuid.Must(uuid.NewV7())})
	return c.Provider
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-end:
			t.Fatalf("waited in vain for %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

var (
	down = sms.Outcome{Ending: sms.Ambiguous, Reason: sms.ReasonTimeout}
	good = sms.Outcome{Ending: sms.Accepted, Reason: sms.ReasonOK}
)

func TestRulesWorkAtOnceAndOnEveryInstance(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	one, two := o.router(), o.router()
	if o.first(one) != "a" || o.first(two) != "a" {
		t.Fatal("the first provider is not asked first")
	}
	o.exec("INSERT INTO provider_rule (kind, country, provider, set_by) VALUES ('drain', '', 'a', 'operator')")
	if o.first(one) != "b" || o.first(two) != "b" {
		t.Error("a drained provider is still asked")
	}
	o.exec("DELETE FROM provider_rule")
	o.exec("INSERT INTO provider_rule (kind, country, provider, set_by) VALUES ('pin', 'CA', 'b', 'operator')")
	if o.first(one) != "b" || o.first(two) != "b" {
		t.Error("a pinned provider is not asked first")
	}
}

// What one instance finds all keep to, and one that starts later too.
func TestAnOpenBreakerIsSharedAndOutlivesARestart(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	one := o.running()
	for range 5 {
		one.Done(router.Choice{Provider: "a"}, "CA", down)
	}
	if c, _ := one.Choose(t.Context(), router.Want{Country: "CA", Challenge: uuid.New()}); c.Provider != "b" {
		t.Errorf("after five failures %q is asked, want b", c.Provider)
	}
	other := o.router()
	until(t, "the other instance to hear of it", func() bool { return o.first(other) == "b" })
	if got := o.first(o.router()); got != "b" {
		t.Errorf("an instance that starts anew asks %q, want b", got)
	}
	// The provider as a whole does not answer: neither does it for countries that never asked.
	if c, _ := other.Choose(t.Context(), router.Want{Country: "FR", Challenge: uuid.New()}); c.Provider != "b" {
		t.Errorf("for another country %q is asked, want b", c.Provider)
	}
}

// A way that is closed into one country is not closed into others.
func TestARefusalIsAboutTheCountry(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	r := o.router()
	for range 5 {
		r.Done(router.Choice{Provider: "a"}, "CA", sms.Outcome{Ending: sms.RefusedElsewhere, Reason: sms.ReasonRefused})
		r.Done(router.Choice{Provider: "a"}, "FR", sms.Outcome{Ending: sms.RefusedNever, Reason: sms.ReasonOptedOut})
		r.Done(router.Choice{Provider: "a"}, "FR", sms.Outcome{Ending: sms.RefusedElsewhere, Reason: sms.ReasonBadNumber})
	}
	for country, want := range map[string]string{"CA": "b", "FR": "a"} {
		if c, _ := r.Choose(t.Context(), router.Want{Country: country, Challenge: uuid.New()}); c.Provider != want {
			t.Errorf("for %s %q is asked, want %s", country, c.Provider, want)
		}
	}
}

// An open provider is tried by one text in ten seconds, of all instances together, and one
// that is answered lets the others follow.
func TestProbesAreRationedAcrossInstances(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	one := o.running()
	for range 5 {
		one.Done(router.Choice{Provider: "a"}, "CA", down)
	}
	all := []*router.Router{one}
	for range 3 {
		r := o.router()
		until(t, "an instance to hear of it", func() bool { return o.first(r) == "b" })
		all = append(all, r)
	}
	probes := func() (n int, last router.Choice) {
		for range 20 {
			for _, r := range all {
				if c, _ := r.Choose(t.Context(), router.Want{Country: "CA", Challenge: uuid.New()}); c.Provider == "a" {
					n, last = n+1, c
				}
			}
		}
		return n, last
	}
	if n, _ := probes(); n != 0 {
		t.Errorf("%d texts tried the provider at once, want none for ten seconds", n)
	}
	o.exec("UPDATE provider_health SET probe_after = now()")
	for _, r := range all {
		if err := r.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	n, probe := probes()
	if n != 1 || probe.Why != router.Probe {
		t.Fatalf("%d texts tried the provider, the last for %q; want 1 probe", n, probe.Why)
	}
	one.Done(probe, "CA", good)
	until(t, "it to be told", func() bool {
		var state string
		err := o.owner.QueryRow(t.Context(), "SELECT breaker FROM provider_health WHERE country = ''").Scan(&state)
		return err == nil && state == "half_open"
	})
}

// Where nobody answers, people wait for the first that does: it is found within seconds.
func TestNobodyIsLeftButTheOnesThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	r := o.running()
	for range 5 {
		r.Done(router.Choice{Provider: "a"}, "CA", down)
		r.Done(router.Choice{Provider: "b"}, "CA", down)
	}
	until(t, "both to be told", func() bool {
		var n int
		return o.owner.QueryRow(t.Context(), "SELECT count(*) FROM provider_health WHERE breaker = 'open'").Scan(&n) == nil && n == 4
	})
	if c, wait := r.Choose(t.Context(), router.Want{Country: "CA", Challenge: uuid.New()}); wait <= 0 {
		t.Errorf("%q is asked at once after it failed", c.Provider)
	}
	// Three seconds later one may try, also one that failed elsewhere. The loop that runs beside
	// may just have read the time before.
	until(t, "a probe", func() bool {
		o.exec("UPDATE provider_health SET probe_after = now() + interval '7 seconds'")
		if err := r.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		c, _ := r.Choose(t.Context(), router.Want{Country: "CA", Challenge: uuid.New(), Turns: map[string]int{"a": 1}})
		return c.Why == router.Probe
	})
}

func TestASecondFailureAfterAProbeKeepsItShut(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	one := o.running()
	for range 5 {
		one.Done(router.Choice{Provider: "a"}, "CA", down)
	}
	one.Done(router.Choice{Provider: "a", Why: router.Probe}, "CA", down)
	if c, _ := one.Choose(t.Context(), router.Want{Country: "CA", Challenge: uuid.New()}); c.Provider != "b" {
		t.Errorf("after a probe that failed %q is asked, want b", c.Provider)
	}
}

// texts writes accepted texts of a provider, of a minute ago, of which some were typed in
// and some reported.
func (o *office) texts(provider string, n, typed, reported int) {
	o.t.Helper()
	o.exec(`WITH c AS (
		INSERT INTO challenge (id, account_id, member_id, software_id, purpose, origin, device_kind, device_thumbprint, device_facets, seed, epoch,
			phone_sealed, phone_version, phone_country, phone_last_two, created_at, expires_at, closed_at, end_reason, typed_text)
		SELECT (left(uuid_floor(now() - interval '3 minutes')::text, 14) || substr(gen_random_uuid()::text, 15))::uuid, gen_random_uuid(), gen_random_uuid(), 'web', 'register', 'sign_in', 'key', decode(repeat('01', 32), 'hex'), '{}', decode(repeat('01', 32), 'hex'), 1,
			'', 1, 'CA', '42', now() - interval '3 minutes', now() + interval '5 minutes',
			CASE WHEN i <= $3 THEN now() - interval '110 seconds' END, CASE WHEN i <= $3 THEN 'registered' END, CASE WHEN i <= $3 THEN 1 END
		FROM generate_series(1, $2) i RETURNING id, closed_at
	)
	INSERT INTO attempt (challenge_id, attempt_no, id, request_no, text_no, provider, started_at, finished_at, ending, receipt_status, delivered_at)
	SELECT id, 1, gen_random_uuid(), 1, 1, $1, now() - interval '3 minutes', now() - interval '130 seconds', 'accepted',
		CASE WHEN row_number() OVER (ORDER BY closed_at) <= $4 THEN 'delivered' END, CASE WHEN row_number() OVER (ORDER BY closed_at) <= $4 THEN now() - interval '126 seconds' END
	FROM c`, provider, n, typed, reported)
}

// From the rows of a real database: a provider whose texts arrive nowhere loses its place,
// on every instance, and how long receipts take is learnt.
func TestConversionAndReceiptsAreMeasured(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.texts("a", 50, 3, 0)
	o.texts("b", 50, 45, 45)
	one, two := o.router(), o.router()
	o.first(one)
	for name, r := range map[string]*router.Router{"one": one, "two": two, "a later one": o.router()} {
		firsts := map[string]int{}
		for range 200 {
			firsts[o.first(r)]++
			if firsts["b"] == 20 {
				break
			}
		}
		if firsts["b"] < 20 {
			t.Errorf("instance %s asks %v first, want b but for trials", name, firsts)
		}
	}
	after, ok := two.Silence("b", "CA")
	if want := 6 * time.Second; !ok || after < want-time.Second || after > want+time.Second {
		t.Errorf("a receipt of b is overdue after %v (%v), want half as long again as the 4 s they take", after, ok)
	}
	if after, ok := two.Silence("a", "CA"); !ok || after != 30*time.Second {
		t.Errorf("a receipt of a is overdue after %v (%v), want 30 s while nothing is known", after, ok)
	}
}

// Silence of a provider that never reports says nothing.
func TestAProviderThatNeverReportsIsNotOverdue(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.texts("a", 30, 28, 0)
	r := o.router()
	o.first(r)
	o.first(r)
	if after, ok := r.Silence("a", "CA"); ok {
		t.Errorf("its receipts are overdue after %v, want never", after)
	}
}

// Instances that left, or died, no longer have a share of the rates.
func TestInstancesAreCounted(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	one, two := o.router(), o.router()
	o.first(one)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- two.Run(ctx) }()
	count := func(want int) error {
		var n int
		if err := o.owner.QueryRow(t.Context(), "SELECT count(*) FROM dispatcher_instance WHERE seen_at > now() - interval '5 seconds'").Scan(&n); err != nil || n != want {
			return fmt.Errorf("%d instances run, want %d (%v)", n, want, err)
		}
		return nil
	}
	until(t, "the second to be counted", func() bool { return count(2) == nil })
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if err := count(1); err != nil {
		t.Error(err)
	}
}
