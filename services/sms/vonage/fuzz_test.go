package vonage

import (
	"errors"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"latchkey.dev/services/sms"
)

// FuzzForgedReceipt holds that a report to an address that was not given out is no report,
// whatever it says, and that one in the query is read like one in a body.
func FuzzForgedReceipt(f *testing.F) {
	s := sender(f)
	good, err := url.Parse(s.o.Receipts.URL("vonage", attempt))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good.Path, "status=delivered&err-code=0&client-ref="+attempt.String())
	f.Add(good.Path+"x", "status=delivered")
	f.Add(strings.Replace(good.Path, "vonage", "twilio", 1), "status=%00&status=failed")
	f.Fuzz(func(t *testing.T, path, query string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL = &url.URL{Path: path, RawQuery: query}
		got, err := s.ParseReceipt(r)
		switch {
		case err != nil && !errors.Is(err, sms.ErrForged) && !errors.Is(err, sms.ErrMalformed):
			t.Errorf("ParseReceipt = %v, want one of the two errors", err)
		case err == nil && (got.AttemptID != attempt || !strings.HasSuffix(path, good.Path[strings.LastIndexByte(good.Path, '/'):])):
			t.Errorf("%q passed for %s", path, got.AttemptID)
		}
	})
}
