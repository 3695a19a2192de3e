// Package smstest holds every sms.Sender to the promises of that interface: Exercise
// runs one through all that a provider can do, against the simulated carriers.
package smstest

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/phone"
	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/carriers"
)

// Provider is a sender to exercise, and what its vendor's answers mean.
type Provider struct {
	// Carrier is the simulated carrier that speaks the vendor's protocol.
	Carrier carriers.Carrier
	// New makes a sender with the simulator's demonstration account. Each has a name of
	// its own, which is the last but two part of its receipt addresses.
	New func(Line) (Adapter, error)
	// Options are those of the simulator that the sender needs.
	Options carriers.Options
	// Refusals are endings and reasons by the vendor's error code: at least one of each
	// kind that the vendor tells apart. Where VendorCode is not the code, it is the code cut
	// to its bounds.
	Refusals map[string]sms.Outcome
	// Throttled is the vendor's code for too many texts.
	Throttled string
	// Failed is the vendor's code of a text that did not arrive.
	Failed string
	// UserAgent is how the vendor's SDK begins its user agent.
	UserAgent string
	// Connected says that texts go over a connection that the sender keeps (SMPP). What is
	// about HTTP does not apply then: its statuses, redirects and certificates; nor do forged
	// reports, which would have to come over the same connection; nor is there an answer by
	// which a vendor bars a number from everybody.
	Connected bool
	// Silent says that the vendor's answer does not tell of segments.
	Silent bool
	// Account is what the sender's Check tells of the demonstration account; it is looked
	// at where the sender is an sms.Checker.
	Account string
	// Secrets must appear in nothing that is printed.
	Secrets []string
}

// Adapter is a sender that reads its vendor's receipts: an sms.ReceiptParser, or where it
// is Connected, a Connection.
type Adapter interface{ sms.Sender }

// Connection is a sender that keeps a connection.
type Connection interface {
	sms.ReceiptSource
	sms.Checker
	// Await waits until the connection is there, or cannot be.
	Await(ctx context.Context) error
}

// Line is where a sender finds its vendor.
type Line struct {
	BaseURL   string
	Transport http.RoundTripper // nil for the sender's own
	Receipts  sms.Callback
}

// Exercise runs a provider through every ending. It must not run in parallel with other
// tests, since for a moment it holds what the process prints; its parts do among
// themselves.
func Exercise(t *testing.T, p Provider) {
	t.Run("prints no secret", p.printsNoSecret)
	t.Run("endings", p.endings)
	t.Run("refusals", p.refusals)
	t.Run("throttle", p.throttle)
	t.Run("words", p.words)
	t.Run("many at once", p.manyAtOnce)
	t.Run("cancelled", p.cancelled)
	t.Run("no deadline", p.noDeadline)
	t.Run("kept connection", p.keptConnection)
	p.Receipts(t)
	t.Run("check", p.check)
	if p.Connected {
		return
	}
	t.Run("redirect", p.redirect)
	t.Run("expired certificate", p.expiredCertificate)
}

const (
	number = "+12025550143" // valid, and nobody's
	words  = "814723 is your Latchkey code. It works for 5 minutes."
	// slack is how much later than its deadline a Send may return on a busy machine.
	slack = 500 * time.Millisecond
	// soon bounds what should happen at once.
	soon = 20 * time.Second
)

// rig is a simulator with a line of its own, and a sender on it.
type rig struct {
	*carriers.Simulator
	p       Provider
	address string
	sender  Adapter
	reports chan read // of a Connection
}

func (p Provider) rig(t *testing.T, o carriers.Options, receipts sms.Callback) *rig {
	t.Helper()
	o.Carriers = []carriers.Carrier{p.Carrier}
	s := carriers.New(o)
	t.Cleanup(s.Close)
	address, err := s.Listen(p.Carrier, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sender, err := p.New(Line{BaseURL: "http://" + address, Receipts: receipts})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{s, p, address, sender, make(chan read, 64)}
	r.connect(t)
	return r
}

// connect keeps the connection of a Connection until the test ends.
func (r *rig) connect(t *testing.T) {
	t.Helper()
	c, ok := r.sender.(Connection)
	if !ok {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	var kept sync.WaitGroup
	kept.Go(func() {
		err := c.Run(ctx, func(_ context.Context, receipt sms.Receipt) error {
			select {
			case r.reports <- read{receipt, nil}:
			default:
			}
			return nil
		})
		if err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	t.Cleanup(kept.Wait)
	t.Cleanup(cancel)
	_ = c.Await(within(t, soon)) // where it cannot be, the outcome of Send tells
}

// settle waits until a Connection knows of a carrier that goes up or down.
func (r *rig) settle(t *testing.T, down bool) {
	t.Helper()
	c, ok := r.sender.(Connection)
	if !ok {
		return
	}
	err := error(nil)
	if down {
		for ctx := within(t, soon); err == nil && ctx.Err() == nil; _, err = c.Check(ctx) {
		}
		return
	}
	if err = c.Await(within(t, soon)); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) behave(t *testing.T, b carriers.Behaviour) {
	t.Helper()
	if err := r.Behave(r.p.Carrier, b); err != nil {
		t.Fatal(err)
	}
	r.settle(t, b.Mode == carriers.Down)
}

// send sends and holds the sender to what is true of every outcome.
func (r *rig) send(t *testing.T, ctx context.Context, m sms.Message) sms.Outcome {
	t.Helper()
	began := time.Now()
	out := send(t, r.sender, ctx, m)
	limit := began.Add(sms.MaxAttempt)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(limit) {
		limit = deadline
	}
	switch late := time.Since(limit); {
	case late > slack:
		t.Errorf("Send returned %v after its deadline", late)
	case late > 0:
		t.Logf("Send returned %v after its deadline", late)
	}
	return out
}

// send sends, and turns a panic into a failure of the test.
func send(t *testing.T, s sms.Sender, ctx context.Context, m sms.Message) (out sms.Outcome) {
	t.Helper()
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("Send panicked: %v", p)
		}
	}()
	return s.Send(ctx, m)
}

// expect compares ending and reason.
func expect(t *testing.T, got, want sms.Outcome) {
	t.Helper()
	if got.Ending != want.Ending || got.Reason != want.Reason {
		t.Errorf("Send = %s, %s; want %s, %s", got.Ending, got.Reason, want.Ending, want.Reason)
	}
}

// segments is how many segments an outcome should tell of.
func (p Provider) segments(n int) int {
	if p.Silent {
		return 0
	}
	return n
}

// arrived compares how many requests and texts came to the carrier.
func (r *rig) arrived(t *testing.T, requests uint64, texts int) {
	t.Helper()
	if got := r.Stats(r.p.Carrier).Requests; got != requests {
		t.Errorf("the carrier got %d requests, want %d", got, requests)
	}
	if got := len(r.Journal()); got != texts {
		t.Errorf("the phone got %d texts, want %d", got, texts)
	}
}

func message(t *testing.T, to, body string) sms.Message {
	t.Helper()
	n, err := phone.Parse(to, "")
	if err != nil {
		t.Fatalf("%s: %v", to, err)
	}
	return sms.Message{AttemptID: uuid.New(), To: n, Country: n.Country(), Body: sms.NewBody(body)}
}

// within is a context that ends with the test, or after d.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// callback is a receipt address.
func callback(base string) sms.Callback {
	return sms.Callback{Base: base + "/receipts", Key: secret.New("a key of sixteen bytes")}
}

func spare(i int) string { return fmt.Sprintf("+120255501%02d", i%100) }
