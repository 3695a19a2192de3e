package dispatcher_test

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"latchkey.dev/services/dispatcher"
	"latchkey.dev/services/sms"
)

// frugal is a dispatcher of the same installation that may spend so much.
func (k *desk) frugal(s dispatcher.Spend) *dispatcher.Dispatcher {
	k.t.Helper()
	o := k.options(prometheus.NewRegistry())
	o.Spend = s
	d, err := dispatcher.New(o)
	if err != nil {
		k.t.Fatal(err)
	}
	return d
}

// ours makes a challenge of the one account.
func (k *desk) ours(account string) dispatcher.Request {
	r := k.challenge()
	k.exec("UPDATE challenge SET account_id = $2 WHERE id = $1", r.Challenge, account)
	return r
}

const payer = "019a5b3c-7d00-7000-8000-000000000acc"

func TestSpendingStopsAtItsLimit(t *testing.T) {
	t.Parallel()
	k := newDesk(t, nil, nil)
	may := dispatcher.Spend{Price: 100_000, Prices: map[string]int64{"CA": 300_000}, Hour: 900_000, Day: 1_000_000_000, Alarm: 0.5}
	one, two := k.frugal(may), k.frugal(may)
	for _, d := range []*dispatcher.Dispatcher{one, two} {
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- d.Run(ctx) }()
		t.Cleanup(func() { stop(); <-ended })
	}
	send := func(d *dispatcher.Dispatcher) {
		t.Helper()
		if _, err := d.Deliver(t.Context(), k.ours(payer), dispatcher.Stream); err != nil {
			t.Fatal(err)
		}
	}
	level := func(is string) func() bool {
		return func() bool {
			return k.count("SELECT count(*) FROM spend_state WHERE span = 'hour' AND level = $1", is) == 1
		}
	}
	send(one)
	send(two)
	until(t, "the alarm at half of it", level("alarm"))
	if n := k.count("SELECT cost_micros FROM spend WHERE account_id = $1 AND country = 'CA' AND texts = 2", payer); n != 600_000 {
		t.Errorf("two texts to Canada cost %d, want 600000", n)
	}
	send(one)
	until(t, "the stop", level("stop"))
	until(t, "both to keep to it", func() bool {
		before := len(k.a.digits()) + len(k.b.digits())
		send(one)
		send(two)
		return len(k.a.digits())+len(k.b.digits()) == before
	})
	if n := k.count("SELECT count(*) FROM attempt WHERE ending = 'not_sent' AND reason = 'spend_stop'"); n < 2 {
		t.Errorf("%d texts were given up for what they cost, want those after the stop", n)
	}
	if n := k.count("SELECT count(*) FROM dispatcher_event WHERE type = 'latchkey.spend.reached'"); n != 2 {
		t.Errorf("%d events, want one of the alarm and one of the stop, though two dispatchers run", n)
	}
	// Another account, and another country, are not stopped.
	if _, err := one.Deliver(t.Context(), k.challenge(), dispatcher.Stream); err != nil {
		t.Fatal(err)
	}
	if n := k.count("SELECT count(*) FROM attempt a JOIN challenge c ON c.id = a.challenge_id WHERE a.ending = 'accepted' AND c.account_id <> $1", payer); n != 1 {
		t.Errorf("%d texts of another account, want 1", n)
	}
	// In the next hour it goes on.
	k.exec("UPDATE spend SET hour = hour - interval '1 hour'")
	until(t, "the stop to end", func() bool { return k.count("SELECT count(*) FROM spend_state WHERE span = 'hour'") == 0 })
	before := len(k.a.digits()) + len(k.b.digits())
	until(t, "texts to go again", func() bool { send(one); return len(k.a.digits())+len(k.b.digits()) > before })
}

// What was surely not sent costs nothing.
func TestARefusedTextCostsNothing(t *testing.T) {
	t.Parallel()
	k := newDesk(t, []sms.Ending{sms.RefusedElsewhere}, []sms.Ending{sms.Ambiguous, sms.Accepted})
	d := k.frugal(dispatcher.Spend{Price: 1})
	if _, err := d.Deliver(t.Context(), k.ours(payer), dispatcher.Stream); err != nil {
		t.Fatal(err)
	}
	refused := k.count("SELECT count(*) FROM attempt WHERE ending = 'refused_elsewhere'")
	paid := k.count("SELECT count(*) FROM attempt WHERE ending IN ('accepted', 'ambiguous')")
	if n := k.count("SELECT coalesce(sum(texts), 0) FROM spend"); refused == 0 || n != paid {
		t.Errorf("%d texts were counted, of %d that were or may have been sent and %d refused", n, paid, refused)
	}
}
