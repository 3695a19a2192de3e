package sms_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/sms"
)

// FuzzAttempt holds that no path but the one that was given out names its attempt.
func FuzzAttempt(f *testing.F) {
	attempt := uuid.MustParse("019a5b3c-7d00-7000-8000-000000000a77")
	c := sms.Callback{Base: "https://receipts.example", Key: secret.New("0123456789abcdef")}
	good := strings.TrimPrefix(c.URL("vonage", attempt), c.Base)
	for _, path := range []string{good, good + "/", "/" + good, strings.ToUpper(good), good[:len(good)-1], "/vonage//", "///", ""} {
		f.Add("vonage", path)
	}
	f.Add("twilio", good)
	f.Fuzz(func(t *testing.T, provider, path string) {
		got, err := c.Attempt(provider, path)
		switch {
		case err != nil && !errors.Is(err, sms.ErrForged):
			t.Errorf("Attempt = %v, want ErrForged", err)
		case err == nil && (got != attempt || provider != "vonage" || len(path) < len(good) || !strings.EqualFold(path[len(path)-len(good):], good)):
			t.Errorf("%q of %q passed for %s", path, provider, got)
		}
	})
}
