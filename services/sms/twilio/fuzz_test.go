package twilio

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"latchkey.dev/services/sms"
)

// FuzzForgedReceipt holds that no report passes without a signature of the account's key,
// also at the right address.
func FuzzForgedReceipt(f *testing.F) {
	s := sender(f)
	address := s.o.Receipts.URL("twilio", attempt)
	f.Add("application/x-www-form-urlencoded", "MessageStatus=delivered&MessageSid="+sid, "")
	f.Add("application/x-www-form-urlencoded; charset=utf-8", "MessageStatus=%ff%00&MessageStatus=x", "c2lnbmF0dXJl")
	f.Add("application/json", `{"MessageStatus":"delivered"}`, "=")
	f.Fuzz(func(t *testing.T, kind, body, signature string) {
		r := httptest.NewRequest("POST", address, strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		r.Header.Set("X-Twilio-Signature", signature)
		if got, err := s.ParseReceipt(r); !errors.Is(err, sms.ErrForged) && !errors.Is(err, sms.ErrMalformed) {
			t.Errorf("a report that nobody signed passed as %+v, %v", got, err)
		}
	})
}
