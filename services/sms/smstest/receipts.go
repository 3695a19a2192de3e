package smstest

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/carriers"
)

// read is what a sender made of a receipt.
type read struct {
	receipt sms.Receipt
	err     error
}

// mailbox takes receipts as the dispatcher does.
func (p Provider) mailbox(t *testing.T, o carriers.Options) (*rig, <-chan read) {
	t.Helper()
	if p.Connected {
		r := p.rig(t, o, sms.Callback{})
		return r, r.reports
	}
	got := make(chan read, 64)
	var reader atomic.Pointer[rig]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		receipt, err := reader.Load().sender.(sms.ReceiptParser).ParseReceipt(r)
		switch {
		case errors.Is(err, sms.ErrNoReport): // a subscription that was confirmed
			return
		case errors.Is(err, sms.ErrLater):
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		case err != nil:
			w.WriteHeader(http.StatusForbidden)
		}
		got <- read{receipt, err}
	}))
	t.Cleanup(server.Close)
	o.AWS.Subscriber = callback(server.URL).Base + "/" + string(p.Carrier)
	r := p.rig(t, o, callback(server.URL))
	reader.Store(r)
	return r, got
}

// Receipts is the part of Exercise that is about receipts, true and forged.
func (p Provider) Receipts(t *testing.T) {
	t.Run("receipts", p.receipts)
	if !p.Connected {
		t.Run("forged receipts", p.forgedReceipts)
	}
}

// receipts of the carrier are read, in each form in which an account may be set to
// report, and whatever became of the answer.
func (p Provider) receipts(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		form string
		b    carriers.Behaviour
		want sms.Status
		code string
		last int // the receipts that say it
		lost bool
	}{
		"delivered, POST-JSON":  {carriers.PostJSON, carriers.Behaviour{}, sms.Delivered, "", 1, false},
		"delivered, POST":       {http.MethodPost, carriers.Behaviour{}, sms.Delivered, "", 1, false},
		"delivered, GET":        {http.MethodGet, carriers.Behaviour{}, sms.Delivered, "", 1, false},
		"failed":                {"", carriers.Behaviour{Receipt: carriers.ReceiptFailed, Lost: true}, sms.Undelivered, p.Failed, 1, true},
		"dropped, yet reported": {"", carriers.Behaviour{Mode: carriers.DropAfterAccept}, sms.Delivered, "", 1, false},
		"three times":           {"", carriers.Behaviour{Duplicates: 2}, sms.Delivered, "", 3, false},
		"last to first":         {"", carriers.Behaviour{Reorder: true}, sms.Delivered, "", 1, false},
		"late":                  {"", carriers.Behaviour{ReceiptDelayMS: 50}, sms.Delivered, "", 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, got := p.mailbox(t, p.reporting(tc.form))
			r.behave(t, tc.b)
			m := message(t, number, words)
			out := r.send(t, within(t, soon), m)
			for last := 0; last < tc.last; {
				var one read
				select {
				case one = <-got:
				case <-within(t, soon).Done():
					t.Fatal("the receipt did not come")
				}
				attempt := m.AttemptID
				if p.Connected { // its reports name references alone
					attempt = uuid.Nil
				}
				if one.err != nil || one.receipt.AttemptID != attempt || one.receipt.Reference == "" {
					t.Fatalf("receipt %+v, %v; want one of the attempt", one.receipt, one.err)
				}
				if out.Ending == sms.Accepted && one.receipt.Reference != out.Reference {
					t.Errorf("the receipt names %q, want %q", one.receipt.Reference, out.Reference)
				}
				if one.receipt.Status == sms.InTransit {
					continue
				}
				if last++; one.receipt.Status != tc.want || tc.code != "" && one.receipt.Code != tc.code {
					t.Errorf("the receipt says %s, code %q; want %s, %q", one.receipt.Status, one.receipt.Code, tc.want, tc.code)
				}
			}
			if lost := len(r.Journal()) == 0; lost != tc.lost {
				t.Errorf("the phone got %d texts", len(r.Journal()))
			}
		})
	}
}

// reporting are the carrier's options, with receipts in a form.
func (p Provider) reporting(form string) carriers.Options {
	p.Options.VonageReceipts = form
	return p.Options
}

// forgedReceipts are told from true ones, in each form.
func (p Provider) forgedReceipts(t *testing.T) {
	t.Parallel()
	for _, form := range []string{carriers.PostJSON, http.MethodPost, http.MethodGet} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			r, got := p.mailbox(t, p.reporting(form))
			r.behave(t, carriers.Behaviour{Receipt: carriers.ReceiptForged})
			expect(t, r.send(t, within(t, soon), message(t, number, words)), accepted)
			select {
			case one := <-got:
				if !errors.Is(one.err, sms.ErrForged) || one.receipt != (sms.Receipt{}) {
					t.Errorf("ParseReceipt = %+v, %v; want ErrForged", one.receipt, one.err)
				}
				if one.err != nil && strings.Contains(one.err.Error(), number[1:]) {
					t.Errorf("the error %q names the number", one.err)
				}
			case <-within(t, soon).Done():
				t.Error("the receipt did not come")
			}
			if taken := r.Stats(p.Carrier).ReceiptsTaken; taken != 0 {
				t.Errorf("the carrier was told that %d forged receipts were taken", taken)
			}
		})
	}
}
