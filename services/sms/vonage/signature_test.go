package vonage

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/carriers"
)

// signing is a sender whose receipts must be signed, at a fixed time.
func signing(t testing.TB, now time.Time) *Sender {
	t.Helper()
	o := options()
	o.SignatureSecret = secret.New("signature-secret")
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s.now = func() time.Time { return now }
	return s
}

func TestSignedReceipts(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := signing(t, now)
	address := s.o.Receipts.URL("vonage", attempt)
	report := func(age time.Duration, secret, method string) map[string]string {
		r := map[string]string{"status": "delivered", "messageId": "A1", "to": "Maple & Co = us", "client-ref": attempt.String(), "nonce": "n",
			"timestamp": strconv.FormatInt(now.Add(-age).Unix(), 10)}
		r["sig"] = carriers.VonageSignature(secret, method, r)
		return r
	}
	with := func(r map[string]string, name, value string) map[string]string { r[name] = value; return r }
	good := report(0, "signature-secret", MethodSHA256)
	for name, tc := range map[string]struct {
		report map[string]string
		want   error
	}{
		"signed":              {good, nil},
		"in small letters":    {with(report(0, "signature-secret", MethodSHA256), "sig", strings.ToLower(good["sig"])), nil},
		"a day late":          {report(24*time.Hour, "signature-secret", MethodSHA256), nil},
		"two days late":       {report(48*time.Hour, "signature-secret", MethodSHA256), sms.ErrForged},
		"of tomorrow":         {report(-24*time.Hour, "signature-secret", MethodSHA256), sms.ErrForged},
		"another secret":      {report(0, "another", MethodSHA256), sms.ErrForged},
		"another method":      {report(0, "signature-secret", MethodSHA512), sms.ErrForged},
		"no signature":        {with(report(0, "signature-secret", MethodSHA256), "sig", ""), sms.ErrForged},
		"changed":             {with(report(0, "signature-secret", MethodSHA256), "status", "failed"), sms.ErrForged},
		"one parameter more":  {with(report(0, "signature-secret", MethodSHA256), "err-code", "0"), sms.ErrForged},
		"a time that is none": {with(report(0, "signature-secret", MethodSHA256), "timestamp", "now"), sms.ErrForged},
	} {
		form := url.Values{}
		for field, value := range tc.report {
			form.Set(field, value)
		}
		posted := httptest.NewRequest("POST", address, strings.NewReader(form.Encode()))
		posted.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for _, r := range []*http.Request{httptest.NewRequest("GET", address+"?"+form.Encode(), nil), posted} {
			if _, err := s.ParseReceipt(r); !errors.Is(err, tc.want) {
				t.Errorf("%s, %s: ParseReceipt = %v, want %v", name, r.Method, err, tc.want)
			}
		}
	}
	// The token is asked for besides.
	form := url.Values{}
	for field, value := range good {
		form.Set(field, value)
	}
	if _, err := s.ParseReceipt(httptest.NewRequest("GET", address+"x?"+form.Encode(), nil)); !errors.Is(err, sms.ErrForged) {
		t.Errorf("another token: ParseReceipt = %v", err)
	}
}

// The vendor's rule, written out: names in order, & before each, & and = of values as _.
func TestSignatureIsThatOfTheRule(t *testing.T) {
	t.Parallel()
	// printf '&a=1_2_3&b=x' | openssl dgst -sha256 -hmac key
	const want = "7dcf109c56fd71318f469b0fe74023123abe6f6f24c582cb8c839a6726ed78a5"
	if got := carriers.VonageSignature("key", MethodSHA256, map[string]string{"b": "x", "a": "1&2=3", "sig": "old"}); !strings.EqualFold(got, want) {
		t.Errorf("signature %s, want %s", got, want)
	}
}
