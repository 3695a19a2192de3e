package dispatcher_test

import (
	"context"
	"net/http"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"latchkey.dev/services/dispatcher"
	"latchkey.dev/services/sms"
)

// running is a dispatcher that runs until the test ends.
func (k *desk) running() *dispatcher.Dispatcher {
	k.t.Helper()
	d := k.another()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	k.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			k.t.Error(err)
		}
	})
	return d
}

// overdue lets the time pass that a receipt may take.
func (k *desk) overdue() {
	k.exec("UPDATE attempt SET due_at = now() - interval '1 second' WHERE ending = 'accepted' AND due_at IS NOT NULL")
}

func TestASilentTextGoesToTheNextProvider(t *testing.T) {
	t.Parallel()
	k := newDesk(t, nil, nil)
	r, _ := k.sent()
	k.running()
	if n := k.count("SELECT count(*) FROM attempt WHERE due_at > now() + interval '20 seconds' AND due_at < now() + interval '35 seconds'"); n != 1 {
		t.Fatalf("%d texts are overdue in half a minute, where nothing is learnt yet; want 1", n)
	}
	k.overdue()
	until(t, "the next provider's text", func() bool { return slices.Equal(k.b.digits(), []string{k.code(r, 2)}) })
	if got := len(k.a.digits()); got != 1 {
		t.Errorf("the silent provider got %d texts, want the one", got)
	}
}

func TestAnUndeliveredTextGoesToTheNextProviderAtOnce(t *testing.T) {
	t.Parallel()
	k := newDesk(t, nil, nil)
	r, id := k.sent()
	k.running()
	if got := k.receipt("a", sms.Receipt{AttemptID: id, Status: sms.Undelivered}); got != http.StatusOK {
		t.Fatalf("the receipt is answered %d", got)
	}
	until(t, "the next provider's text", func() bool { return slices.Equal(k.b.digits(), []string{k.code(r, 2)}) })
}

// A receipt in time ends the waiting, and so does the end of the challenge.
func TestNobodyFollowsATextThatArrived(t *testing.T) {
	t.Parallel()
	k := newDesk(t, nil, nil)
	_, id := k.sent()
	if got := k.receipt("a", sms.Receipt{AttemptID: id, Status: sms.Delivered}); got != http.StatusOK {
		t.Fatalf("the receipt is answered %d", got)
	}
	if n := k.count("SELECT count(*) FROM attempt WHERE due_at IS NOT NULL"); n != 0 {
		t.Errorf("%d delivered texts are still waited for", n)
	}
	r, _ := k.sent()
	k.exec("UPDATE challenge SET closed_at = now(), end_reason = 'registered', typed_text = 1 WHERE id = $1", r.Challenge)
	k.overdue()
	k.running()
	until(t, "the sweep to settle it", func() bool { return k.count("SELECT count(*) FROM attempt WHERE due_at IS NOT NULL") == 0 })
	if got := k.b.digits(); len(got) != 0 {
		t.Errorf("the next provider sent %v for a challenge that had ended", got)
	}
}

// All three texts are out: silence sends no fourth, and a receipt of failure neither.
func TestSilenceNeverMakesAFourthText(t *testing.T) {
	t.Parallel()
	k := newDesk(t, nil, nil)
	r, _ := k.sent()
	k.deliver(k.sendAnother(r, 2))
	k.deliver(k.sendAnother(r, 3))
	k.exec("UPDATE attempt SET due_at = now() - interval '1 second'")
	k.running()
	until(t, "the sweep to settle them", func() bool { return k.count("SELECT count(*) FROM attempt WHERE due_at IS NOT NULL") == 0 })
	if n := len(k.a.digits()) + len(k.b.digits()); n != 3 {
		t.Errorf("%d texts, want 3", n)
	}
}

// The answer to "send another" goes by another provider: the last one's text did not come.
func TestAnotherTextGoesByAnotherProvider(t *testing.T) {
	t.Parallel()
	k := newDesk(t, nil, nil)
	r, _ := k.sent()
	k.deliver(k.sendAnother(r, 2))
	if got, want := k.b.digits(), []string{k.code(r, 2)}; !slices.Equal(got, want) {
		t.Errorf("the other provider sent %v, want %v", got, want)
	}
}

// A provider that hangs, fails or refuses is left alone after a few texts, and nobody waits for it.
func TestABrokenProviderIsLeftAlone(t *testing.T) {
	t.Parallel()
	k := newDesk(t, []sms.Ending{sms.Ambiguous}, nil)
	for range 20 {
		k.deliver(k.challenge())
	}
	if a, b := len(k.a.digits()), len(k.b.digits()); a > 10 || b != 20 {
		t.Errorf("the broken provider got %d texts and the other %d; want 10 at most, and 20", a, b)
	}
}

// A report over a provider's own connection names the vendor's reference alone, and may
// come before the answer that gave the reference was recorded.
func TestAReceiptThatComesBeforeItsReferenceIsKept(t *testing.T) {
	t.Parallel()
	k := newDesk(t, nil, nil)
	reports := make(chan sms.Receipt)
	taken := make(chan error, 2)
	o := k.options(prometheus.NewRegistry())
	o.Providers[0].Receipts = nil
	o.Providers[0].Source = source{reports, taken}
	d, err := dispatcher.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	defer func() { stop(); <-ended }()

	reports <- sms.Receipt{Reference: "early", Status: sms.Delivered}
	reports <- sms.Receipt{Reference: "nobodys", Status: sms.Delivered}
	for range 2 {
		if err := <-taken; err != nil {
			t.Fatalf("a receipt of a text that is not known yet: %v", err)
		}
	}
	r := k.challenge()
	k.exec(`INSERT INTO attempt (challenge_id, attempt_no, id, request_no, text_no, provider, ending, reason, vendor_reference, finished_at)
		VALUES ($1, 1, $2, 1, 1, 'a', 'accepted', 'ok', 'early', now())`, r.Challenge, uuid.Must(uuid.NewV7()))
	until(t, "the receipt to find its text", func() bool {
		return k.count("SELECT count(*) FROM attempt WHERE receipt_status = 'delivered' AND delivered_at IS NOT NULL") == 1
	})
	k.exec(`UPDATE attempt SET receipt_status = NULL, delivered_at = NULL`)
	reports <- sms.Receipt{Reference: "early", Status: sms.Undelivered}
	if err := <-taken; err != nil {
		t.Fatal(err)
	}
	if n := k.count("SELECT count(*) FROM attempt WHERE receipt_status = 'undelivered'"); n != 1 {
		t.Error("a receipt of a known reference did not find its text")
	}
	if n := k.count("SELECT count(*) FROM receipt"); n != 3 {
		t.Errorf("%d receipts are kept, want 3", n)
	}
}

// source is a provider's own connection.
type source struct {
	reports <-chan sms.Receipt
	taken   chan<- error
}

func (s source) Run(ctx context.Context, take func(context.Context, sms.Receipt) error) error {
	for {
		select {
		case r := <-s.reports:
			s.taken <- take(ctx, r)
		case <-ctx.Done():
			return nil
		}
	}
}
