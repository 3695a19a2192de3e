package vonage

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/wire"
)

var attempt = uuid.MustParse("0197a1f0-0000-7000-8000-000000000001")

func options() Options {
	return Options{APIKey: "abcd1234", APISecret: secret.New("s3cr3t"), From: "Latchkey",
		Receipts: sms.Callback{Base: "https://r.example.com/receipts", Key: secret.New("0123456789abcdef")}}
}

func sender(t testing.TB) *Sender {
	t.Helper()
	s, err := New(options())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNewNamesEveryWrongField(t *testing.T) {
	t.Parallel()
	_, err := New(Options{APIKey: "short", From: "+1555", BaseURL: "ftp://x", Receipts: sms.Callback{Base: "x"}})
	for _, want := range []string{"API key", "API secret", "from", "base URL", "receipt address", "receipt key"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, want a word about %q", err, want)
		}
	}
}

func TestJudgeReadsEveryMessage(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		body string
		want sms.Outcome
	}{
		"two segments": {`{"message-count":"2","messages":[{"status":"0","message-id":"A1"},{"status":"0","message-id":"A2"}]}`,
			sms.Outcome{Ending: sms.Accepted, Reason: sms.ReasonOK, Reference: "A1", VendorCode: "0", Segments: 2}},
		"the second refused": {`{"messages":[{"status":"0","message-id":"A1"},{"status":"9"}]}`,
			sms.Outcome{Ending: sms.Ambiguous, Reason: sms.ReasonRefused, Reference: "A1", VendorCode: "9", Segments: 1}},
		"the first refused": {`{"messages":[{"status":"5"},{"status":"0"}]}`,
			sms.Outcome{Ending: sms.Ambiguous, Reason: sms.ReasonRefused, VendorCode: "5", Segments: 1}},
		"a status that is text": {`{"messages":[{"status":"to +15551234567"}]}`,
			sms.Outcome{Ending: sms.RefusedElsewhere, Reason: sms.ReasonRefused}},
	} {
		got, err := judge(wire.Answer{Status: 200, Body: []byte(tc.body)})
		if err != nil || got != tc.want {
			t.Errorf("%s: judge = %+v, %v; want %+v", name, got, err, tc.want)
		}
	}
	for name, body := range map[string]string{
		"no messages": `{"message-count":"0","messages":[]}`, "null": `null`, "no status": `{"messages":[{}]}`, "number": `{"messages":[{"status":0}]}`,
		"too many": `{"messages":[` + strings.Repeat(`{"status":"0"},`, maxMessages) + `{"status":"0"}]}`, "html": `<html>`,
	} {
		if got, err := judge(wire.Answer{Status: 200, Body: []byte(body)}); err == nil {
			t.Errorf("%s: judge = %+v, want an error", name, got)
		}
	}
}

func TestClassifyFollowsTheVendorsTable(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]sms.Outcome{
		"1":  {Ending: sms.RefusedElsewhere, Reason: sms.ReasonThrottled},
		"2":  {Ending: sms.RefusedElsewhere, Reason: sms.ReasonMisconfigured},
		"4":  {Ending: sms.RefusedElsewhere, Reason: sms.ReasonMisconfigured},
		"5":  {Ending: sms.RefusedElsewhere, Reason: sms.ReasonProviderError},
		"6":  {Ending: sms.RefusedElsewhere, Reason: sms.ReasonBadNumber},
		"7":  {Ending: sms.RefusedNever, Reason: sms.ReasonOptedOut},
		"8":  {Ending: sms.RefusedElsewhere, Reason: sms.ReasonQuota},
		"9":  {Ending: sms.RefusedElsewhere, Reason: sms.ReasonQuota},
		"10": {Ending: sms.RefusedElsewhere, Reason: sms.ReasonProviderError},
		"15": {Ending: sms.RefusedElsewhere, Reason: sms.ReasonMisconfigured},
		"99": {Ending: sms.RefusedElsewhere, Reason: sms.ReasonRefused},
	} {
		if got := classify(code); got != want {
			t.Errorf("classify(%s) = %+v, want %+v", code, got, want)
		}
	}
}

func TestParseReceiptReadsThePublishedExampleInEachForm(t *testing.T) {
	t.Parallel()
	published, err := os.ReadFile(filepath.Join("..", "carriers", "testdata", "vonage_receipt.json"))
	if err != nil {
		t.Fatal(err)
	}
	s := sender(t)
	address := s.o.Receipts.URL("vonage", attempt)
	query := "msisdn=447700900000&messageId=0A0000001234567B&status=delivered&err-code=0&message-timestamp=2020-01-01+12:00:00"
	asJSON := httptest.NewRequest("POST", address, strings.NewReader(strings.ReplaceAll(string(published), "my-personal-reference", attempt.String())))
	asJSON.Header.Set("Content-Type", "application/json; charset=utf-8")
	asForm := httptest.NewRequest("POST", address, strings.NewReader(query))
	asForm.Header.Set("Content-Type", "application/x-www-form-urlencoded")

	want := sms.Receipt{AttemptID: attempt, Reference: "0A0000001234567B", Status: sms.Delivered, Code: "0", At: time.Date(2020, 1, 1, 12, 0, 0, 0, time.UTC)}
	for i, r := range []*http.Request{asJSON, asForm, httptest.NewRequest("GET", address+"?"+query, nil)} {
		if got, err := s.ParseReceipt(r); err != nil || got != want {
			t.Errorf("form %d: ParseReceipt = %+v, %v; want %+v", i, got, err, want)
		}
	}
}

func TestParseReceiptRefuses(t *testing.T) {
	t.Parallel()
	s := sender(t)
	address := s.o.Receipts.URL("vonage", attempt)
	for name, tc := range map[string]struct {
		r    *http.Request
		want error
	}{
		"another token":    {httptest.NewRequest("GET", address+"x?status=delivered", nil), sms.ErrForged},
		"another attempt":  {httptest.NewRequest("GET", address+"?status=delivered&client-ref="+uuid.NewString(), nil), sms.ErrForged},
		"no status":        {httptest.NewRequest("GET", address, nil), sms.ErrMalformed},
		"another method":   {httptest.NewRequest("PUT", address, nil), sms.ErrMalformed},
		"a very long body": {httptest.NewRequest("POST", address, strings.NewReader("status=delivered&x="+strings.Repeat("y", wire.MaxAnswer))), sms.ErrMalformed},
		"a broken form":    {httptest.NewRequest("POST", address, strings.NewReader("status=%zz")), sms.ErrMalformed},
	} {
		if _, err := s.ParseReceipt(tc.r); !errors.Is(err, tc.want) {
			t.Errorf("%s: ParseReceipt = %v, want %v", name, err, tc.want)
		}
	}
}

func TestStatusIsClosed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]sms.Status{"delivered": sms.Delivered, "failed": sms.Undelivered, "expired": sms.Expired, "rejected": sms.Rejected,
		"accepted": sms.InTransit, "buffered": sms.InTransit, "unknown": sms.Unknown, "new": sms.Unknown} {
		if got := status(text); got != want {
			t.Errorf("status(%q) = %q, want %q", text, got, want)
		}
	}
}

func FuzzParseReceipt(f *testing.F) {
	s := sender(f)
	address := s.o.Receipts.URL("vonage", attempt)
	f.Add("POST", "application/json", `{"status":"delivered","messageId":"A","err-code":"0"}`)
	f.Add("POST", "application/x-www-form-urlencoded", "status=failed&err-code=5")
	f.Add("POST", "application/json", `{"status":["delivered"]}`)
	f.Fuzz(func(t *testing.T, method, kind, body string) {
		if method != "GET" && method != "POST" {
			return
		}
		r := httptest.NewRequest(method, address, strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		got, err := s.ParseReceipt(r)
		switch {
		case err != nil && !errors.Is(err, sms.ErrForged) && !errors.Is(err, sms.ErrMalformed):
			t.Errorf("ParseReceipt = %v, want one of the two errors", err)
		case err == nil && (got.AttemptID != attempt || len(got.Code) > wire.MaxCode || len(got.Reference) > wire.MaxReference || got.Status == ""):
			t.Errorf("ParseReceipt = %+v, beyond its bounds", got)
		}
	})
}
