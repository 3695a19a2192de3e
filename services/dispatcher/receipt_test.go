package dispatcher_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"latchkey.dev/services/dispatcher"
	"latchkey.dev/services/event"
	"latchkey.dev/services/sms"
)

const secretToken = "provider-secret"

// reports reads receipts in JSON with a token in the path. What a real provider sends
// and signs is tested with its adapter.
type reports struct{}

func (reports) ParseReceipt(r *http.Request) (sms.Receipt, error) {
	if !strings.HasSuffix(r.URL.Path, "/"+secretToken) {
		return sms.Receipt{}, fmt.Errorf("reading a receipt: %w", sms.ErrForged)
	}
	body, err := io.ReadAll(r.Body)
	var got sms.Receipt
	if err != nil || json.Unmarshal(body, &got) != nil || got.AttemptID == uuid.Nil {
		return sms.Receipt{}, sms.ErrMalformed
	}
	return got, nil
}

// post sends a body to an address of the dispatcher and returns the status.
func (k *desk) post(address, body string) int {
	k.t.Helper()
	w := httptest.NewRecorder()
	k.d.Handler().ServeHTTP(w, httptest.NewRequest("POST", address, strings.NewReader(body)))
	if w.Code != http.StatusOK && w.Header().Get("Content-Type") != "application/problem+json" {
		k.t.Errorf("%s answers %d as %q", address, w.Code, w.Header().Get("Content-Type"))
	}
	return w.Code
}

func (k *desk) receipt(provider string, r sms.Receipt) int {
	k.t.Helper()
	body, err := json.Marshal(r)
	if err != nil {
		k.t.Fatal(err)
	}
	return k.post("/receipts/"+provider+"/"+secretToken, string(body))
}

// sent delivers a text by the first carrier and returns the id of its attempt.
func (k *desk) sent() (r dispatcher.Request, id uuid.UUID) {
	k.t.Helper()
	r = k.challenge()
	k.deliver(r)
	if err := k.owner.QueryRow(k.t.Context(), "SELECT id FROM attempt WHERE challenge_id = $1", r.Challenge).Scan(&id); err != nil {
		k.t.Fatal(err)
	}
	return r, id
}

func (k *desk) counted(name string, labels ...string) float64 {
	k.t.Helper()
	families, err := k.meter.Gather()
	if err != nil {
		k.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var got []string
			for _, l := range m.GetLabel() {
				got = append(got, l.GetValue())
			}
			if f.GetName() == name && strings.Join(got, " ") == strings.Join(labels, " ") {
				return m.GetCounter().GetValue()
			}
		}
	}
	k.t.Fatalf("no metric %s of %v", name, labels)
	return 0
}

func TestReceiptsMergeInAnyOrder(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		come   []sms.Status
		want   sms.Status
		events string
	}{
		{"in order", []sms.Status{sms.InTransit, sms.Delivered}, sms.Delivered, "delivered"},
		{"out of order", []sms.Status{sms.Delivered, sms.InTransit}, sms.Delivered, "delivered"},
		{"twice", []sms.Status{sms.Delivered, sms.Delivered}, sms.Delivered, "delivered"},
		{"never delivered", []sms.Status{sms.Undelivered}, sms.Undelivered, "undelivered"},
		{"the first failure stays", []sms.Status{sms.Rejected, sms.Expired}, sms.Rejected, "undelivered"},
		{"delivered after all", []sms.Status{sms.Expired, sms.Delivered}, sms.Delivered, "undelivered delivered"},
		{"a lie afterwards", []sms.Status{sms.Delivered, sms.Undelivered}, sms.Delivered, "delivered"},
		{"a status nobody knows", []sms.Status{"beamed_up"}, sms.Unknown, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			k := newDesk(t, nil, nil)
			r, id := k.sent()
			for _, status := range tc.come {
				if got := k.receipt("a", sms.Receipt{AttemptID: id, Status: status, Code: "0", Reference: "ref-1"}); got != http.StatusOK {
					t.Fatalf("%s is answered %d", status, got)
				}
			}
			if n := k.count("SELECT count(*) FROM attempt WHERE receipt_status = $1 AND (delivered_at IS NOT NULL) = ($1 = 'delivered')", string(tc.want)); n != 1 {
				t.Errorf("the attempt is not %s", tc.want)
			}
			if n := k.count("SELECT count(*) FROM receipt WHERE attempt_id = $1", id); n != len(tc.come) {
				t.Errorf("%d receipts are kept, want %d", n, len(tc.come))
			}
			if got, want := strings.Join(k.events(), " "), strings.TrimSpace("attempted accepted "+tc.events); got != want {
				t.Errorf("events %q, want %q", got, want)
			}
			for _, e := range k.bus.events[2:] {
				read, err := event.Decode(e.Body)
				if err != nil || read.Data.Subject() != r.Challenge {
					t.Errorf("published %s: %v", e.Body, err)
				}
			}
			if len(k.bus.events) != len(k.events()) {
				t.Errorf("%d events published, %d written", len(k.bus.events), len(k.events()))
			}
			if got := k.counted("latchkey_receipts_total", "a", string(tc.want)); got < 1 {
				t.Errorf("%v receipts of %s counted", got, tc.want)
			}
		})
	}
}

func TestReceiptsThatAreRefused(t *testing.T) {
	t.Parallel()
	k := newDesk(t, nil, nil)
	_, id := k.sent()
	good := fmt.Sprintf(`{"AttemptID":%q,"Status":"delivered"}`, id)
	for _, tc := range []struct {
		name, address, body string
		want                int
		reason              string
	}{
		{"forged", "/receipts/a/guess", good, http.StatusForbidden, "forged"},
		{"forged without a token", "/receipts/a", good, http.StatusForbidden, "forged"},
		{"no receipt", "/receipts/a/" + secretToken, "{", http.StatusBadRequest, "unreadable"},
		{"too large", "/receipts/a/" + secretToken, strings.Repeat(" ", 16<<10) + good, http.StatusBadRequest, "unreadable"},
		{"no such provider", "/receipts/z/" + secretToken, good, http.StatusNotFound, ""},
		{"no such address", "/elsewhere", good, http.StatusNotFound, ""},
	} {
		before := 0.0
		if tc.reason != "" {
			before = k.counted("latchkey_receipts_refused_total", "a", tc.reason)
		}
		if got := k.post(tc.address, tc.body); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
		if tc.reason != "" && k.counted("latchkey_receipts_refused_total", "a", tc.reason) != before+1 {
			t.Errorf("%s was not counted", tc.name)
		}
	}
	if n := k.count("SELECT count(*) FROM receipt") + k.count("SELECT count(*) FROM attempt WHERE receipt_status IS NOT NULL"); n != 0 {
		t.Error("a refused receipt left something")
	}
}

// A provider cannot report on another's text, and one on a text nobody knows is kept only.
func TestReceiptsOfForeignTextsChangeNothing(t *testing.T) {
	t.Parallel()
	k := newDesk(t, nil, nil)
	_, id := k.sent()
	for provider, attempt := range map[string]uuid.UUID{"b": id, "a": uuid.New()} {
		if got := k.receipt(provider, sms.Receipt{AttemptID: attempt, Status: sms.Delivered}); got != http.StatusOK {
			t.Errorf("answered %d", got)
		}
	}
	if n := k.count("SELECT count(*) FROM attempt WHERE receipt_status IS NOT NULL"); n != 0 {
		t.Error("an attempt changed")
	}
	if n := k.count("SELECT count(*) FROM receipt"); n != 2 {
		t.Errorf("%d receipts kept, want 2", n)
	}
	if got := strings.Join(k.events(), " "); got != "attempted accepted" {
		t.Errorf("events %q", got)
	}
}

// What an adapter lets through must not be refused by the database for ever.
func TestReceiptsWithOddCodesAreKept(t *testing.T) {
	t.Parallel()
	k := newDesk(t, nil, nil)
	_, id := k.sent()
	for _, odd := range []string{"\x00", "\xff", "a b", strings.Repeat("9", 4000)} {
		if got := k.receipt("a", sms.Receipt{AttemptID: id, Status: sms.InTransit, Code: odd, Reference: odd}); got != http.StatusOK {
			t.Errorf("%.8q is answered %d", odd, got)
		}
	}
	if n := k.count("SELECT count(*) FROM receipt WHERE vendor_code = '' AND vendor_reference = ''"); n != 4 {
		t.Errorf("%d receipts kept without their odd codes, want 4", n)
	}
}

// A burst waits its turn: every receipt is stored, and each text told once.
func TestABurstOfReceipts(t *testing.T) {
	t.Parallel()
	k := newDesk(t, nil, nil)
	_, id := k.sent()
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if got := k.receipt("a", sms.Receipt{AttemptID: id, Status: sms.Delivered}); got != http.StatusOK {
				t.Errorf("answered %d", got)
			}
		})
	}
	wg.Wait()
	if n := k.count("SELECT count(*) FROM receipt"); n != 100 {
		t.Errorf("%d receipts stored, want 100", n)
	}
	if got := strings.Join(k.events(), " "); got != "attempted accepted delivered" {
		t.Errorf("events %q", got)
	}
	if problems, err := testutil.GatherAndLint(k.meter); err != nil || len(problems) > 0 {
		t.Errorf("metrics: %v, %v", problems, err)
	}
}

// With Postgres away the provider is asked to come again.
func TestReceiptsComeAgainWhenTheyCannotBeStored(t *testing.T) {
	t.Parallel()
	k := newDesk(t, nil, nil)
	_, id := k.sent()
	k.exec("ALTER TABLE receipt RENAME TO receipt_away")
	if got := k.receipt("a", sms.Receipt{AttemptID: id, Status: sms.Delivered}); got != http.StatusServiceUnavailable {
		t.Errorf("answered %d, want 503", got)
	}
	if n := k.count("SELECT count(*) FROM attempt WHERE receipt_status IS NOT NULL"); n != 0 {
		t.Error("half a receipt was stored")
	}
}
