package sms_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/sms"
)

func TestCallbackKnowsItsOwnAddressesAlone(t *testing.T) {
	t.Parallel()
	cb := sms.Callback{Base: "https://r.example.com/receipts", Key: secret.New("0123456789abcdef")}
	attempt := uuid.MustParse("0197a1f0-0000-7000-8000-000000000001")
	address, err := url.Parse(cb.URL("vonage", attempt))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := cb.Attempt("vonage", address.Path); err != nil || got != attempt {
		t.Fatalf("Attempt(%q) = %v, %v; want %v", address.Path, got, err, attempt)
	}

	other := cb
	other.Key = secret.New("fedcba9876543210")
	parts := strings.Split(address.Path, "/")
	token := parts[len(parts)-1]
	for name, try := range map[string]struct {
		cb             sms.Callback
		provider, path string
	}{
		"another key":        {other, "vonage", address.Path},
		"another provider":   {cb, "twilio", address.Path},
		"provider swapped":   {cb, "twilio", strings.Replace(address.Path, "vonage", "twilio", 1)},
		"another attempt":    {cb, "vonage", "/receipts/vonage/" + uuid.NewString() + "/" + token},
		"token cut short":    {cb, "vonage", address.Path[:len(address.Path)-1]},
		"no token":           {cb, "vonage", "/receipts/vonage/" + attempt.String() + "/"},
		"unusual uuid":       {cb, "vonage", "/receipts/vonage/{" + attempt.String() + "}/" + token},
		"nothing":            {cb, "vonage", ""},
		"no receipts at all": {sms.Callback{}, "vonage", address.Path},
	} {
		if _, err := try.cb.Attempt(try.provider, try.path); !errors.Is(err, sms.ErrForged) {
			t.Errorf("%s: Attempt = %v, want ErrForged", name, err)
		}
	}
}

func TestCallbackValidate(t *testing.T) {
	t.Parallel()
	key := secret.New("0123456789abcdef")
	for _, good := range []sms.Callback{{}, {Base: "https://a.example/r", Key: key}, {Base: "http://127.0.0.1:1/r", Key: key}} {
		if err := good.Validate(); err != nil {
			t.Errorf("Validate(%q) = %v, want nil", good.Base, err)
		}
	}
	for _, bad := range []sms.Callback{{Base: "a.example", Key: key}, {Base: "https://a/", Key: key}, {Base: "https://a?x", Key: key}, {Base: "https://a", Key: secret.New("short")}} {
		if bad.Validate() == nil {
			t.Errorf("Validate(%q) = nil, want an error", bad.Base)
		}
	}
}

func TestBodyIsNeverPrinted(t *testing.T) {
	t.Parallel()
	body := sms.NewBody("your code is 123456")
	printed := fmt.Sprintf("%v %+v %#v %s %q %x", body, body, body, body, body, body)
	if text, _ := body.MarshalText(); strings.Contains(printed+string(text), "123456") {
		t.Errorf("the body shows in %s", printed)
	}
	if body.Reveal() != "your code is 123456" {
		t.Error("Reveal does not give the words")
	}
}
