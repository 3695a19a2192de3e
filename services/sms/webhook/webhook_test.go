package webhook

import (
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/phone"
	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/carriers"
)

var attempt = uuid.MustParse("0197a1f0-0000-7000-8000-000000000001")

func sender(t testing.TB, secrets ...string) *Sender {
	t.Helper()
	o := Options{Name: "own", URL: "https://texts.example/send",
		Receipts: sms.Callback{Base: "https://login.maple.example/receipts", Key: secret.New("0123456789abcdef")}}
	for _, text := range secrets {
		o.Secrets = append(o.Secrets, secret.New(text))
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNewNamesEveryWrongField(t *testing.T) {
	t.Parallel()
	_, err := New(Options{URL: "http://texts.example", Secrets: []secret.String{secret.New("whsec_AAAA"), secret.New("plain")}, Receipts: sms.Callback{Base: "x"}})
	for _, want := range []string{"URL", "secrets[0]", "secrets[1]", "receipt address"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, want a word about %q", err, want)
		}
	}
}

// The vector is that of the Standard Webhooks libraries' own tests.
func TestSignsAsPublished(t *testing.T) {
	t.Parallel()
	s := sender(t, carriers.DemoWebhookSecret)
	s.now = func() time.Time { return time.Unix(1614265330, 0) }
	r := httptest.NewRequest("POST", "/", nil)
	if err := s.sign(r.Header, "msg_p5jXN8AQM9LWM0D4loKWxJek", []byte(`{"test": 2432232314}`)); err != nil {
		t.Fatal(err)
	}
	if got := r.Header.Get("webhook-signature"); got != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Errorf("signature %q", got)
	}
}

// The example of README.md is the request that is made.
func TestExampleOfREADME(t *testing.T) {
	t.Parallel()
	s := sender(t, carriers.DemoWebhookSecret)
	s.now = func() time.Time { return time.Unix(1772366400, 0) }
	n, err := phone.Parse("+12025550143", "")
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.request(sms.Message{AttemptID: attempt, To: n, Country: n.Country(), Body: sms.NewBody("814723 is your Maple code."), Validity: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	want := "webhook-id: " + r.Header.Get("webhook-id") + "\nwebhook-timestamp: " + r.Header.Get("webhook-timestamp") +
		"\nwebhook-signature: " + r.Header.Get("webhook-signature") + "\n\n" + string(body) + "\n"
	if !strings.Contains(string(readme), want) {
		t.Errorf("README.md has not the request\n%s", want)
	}
}

func TestReceiptsBySecretsThatAreExchanged(t *testing.T) {
	t.Parallel()
	const older = "whsec_b2xkZXItc2VjcmV0LW9sZGVyLXNlY3JldA=="
	s := sender(t, carriers.DemoWebhookSecret, older)
	signed := func(key string, age time.Duration, body string) error {
		t.Helper()
		by := sender(t, key)
		by.now = func() time.Time { return time.Now().Add(-age) }
		r := httptest.NewRequest("POST", "/receipts/own", strings.NewReader(body))
		if err := by.sign(r.Header, attempt.String()+".delivered", []byte(body)); err != nil {
			t.Fatal(err)
		}
		got, err := s.ParseReceipt(r)
		if err == nil && (got.AttemptID != attempt || got.Status != sms.Delivered) {
			t.Errorf("ParseReceipt = %+v", got)
		}
		return err
	}
	const good = `{"id":"0197a1f0-0000-7000-8000-000000000001","status":"delivered","at":"2026-03-01T12:00:05Z"}`
	for name, tc := range map[string]struct {
		key  string
		age  time.Duration
		body string
		want error
	}{
		"by the newer":   {carriers.DemoWebhookSecret, 0, good, nil},
		"by the older":   {older, 0, good, nil},
		"by a stranger":  {"whsec_YW5vdGhlci1zZWNyZXQtYW5vdGhlci1zZWM=", 0, good, sms.ErrForged},
		"too old":        {older, 6 * time.Minute, good, sms.ErrForged},
		"of the future":  {older, -6 * time.Minute, good, sms.ErrForged},
		"about nothing":  {older, 0, `{"status":"delivered"}`, sms.ErrMalformed},
		"without status": {older, 0, `{"id":"0197a1f0-0000-7000-8000-000000000001"}`, sms.ErrMalformed},
		"no JSON":        {older, 0, `<html>`, sms.ErrMalformed},
	} {
		if err := signed(tc.key, tc.age, tc.body); !errors.Is(err, tc.want) {
			t.Errorf("%s: ParseReceipt = %v, want %v", name, err, tc.want)
		}
	}
	r := httptest.NewRequest("POST", "/receipts/own", strings.NewReader(good))
	if _, err := s.ParseReceipt(r); !errors.Is(err, sms.ErrForged) {
		t.Errorf("unsigned: ParseReceipt = %v", err)
	}
	// A service that has the older secret alone knows what both have signed.
	key, err := standardwebhooks.NewWebhook(older)
	if err != nil {
		t.Fatal(err)
	}
	request := httptest.NewRequest("POST", "/", nil)
	if err := s.sign(request.Header, "x", []byte(good)); err != nil || key.Verify([]byte(good), request.Header) != nil {
		t.Errorf("the older secret does not know the request: %v", err)
	}
}
