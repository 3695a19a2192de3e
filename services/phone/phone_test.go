package phone_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"latchkey.dev/services/phone"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		text, country    string
		e164, region, l2 string
		err              error
	}{
		{"+1 604 441 0142", "", "+16044410142", "CA", "42", nil},
		{"(604) 441-0142", "CA", "+16044410142", "CA", "42", nil},
		{"07400 123456", "GB", "+447400123456", "GB", "56", nil},
		{"07400 123456", "", "", "", "", phone.ErrNotANumber},
		{"+44 20 7946 0958", "", "", "", "", phone.ErrCannotReceive},
		{"+1 800 253 0000", "", "", "", "", phone.ErrCannotReceive},
		{"", "CA", "", "", "", phone.ErrNotANumber},
		{strings.Repeat("1", 200), "CA", "", "", "", phone.ErrNotANumber},
		{"+1604\x00441", "", "", "", "", phone.ErrNotANumber},
	} {
		n, err := phone.Parse(tc.text, tc.country)
		if !errors.Is(err, tc.err) || n.E164() != tc.e164 || n.Country() != tc.region || n.LastTwo() != tc.l2 {
			t.Errorf("Parse(%q, %q) = %s %s %s, %v; want %s %s %s, %v", tc.text, tc.country,
				n.E164(), n.Country(), n.LastTwo(), err, tc.e164, tc.region, tc.l2, tc.err)
		}
	}
}

func TestStoredTakesWhatE164Wrote(t *testing.T) {
	t.Parallel()
	n, err := phone.Parse("+1 604 441 0142", "")
	if err != nil {
		t.Fatal(err)
	}
	if back, err := phone.Stored(n.E164()); err != nil || back.E164() != n.E164() || back.LastTwo() != "42" {
		t.Errorf("Stored(%q) = %q, %v", n.E164(), back.E164(), err)
	}
	for _, wrong := range []string{"", "+", "16044410142", "+1604 441", "+06044410142", "+1604441014212345678", "+1604441014x"} {
		if _, err := phone.Stored(wrong); !errors.Is(err, phone.ErrNotANumber) {
			t.Errorf("Stored(%q): %v, want %v", wrong, err, phone.ErrNotANumber)
		}
	}
}

func TestNumberIsNeverPrinted(t *testing.T) {
	t.Parallel()
	n, err := phone.Parse("+16044410142", "")
	if err != nil {
		t.Fatal(err)
	}
	js, err := json.Marshal(map[string]any{"n": n})
	if err != nil {
		t.Fatal(err)
	}
	if out := string(js) + fmt.Sprintf("%v %+v %#v %s %q", n, n, n, n, n); strings.Contains(out, "0142") {
		t.Errorf("the number shows in %s", out)
	}
}

func TestAllowed(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		account, installation []string
		want                  bool
	}{
		{nil, nil, true}, {[]string{"CA"}, nil, true}, {nil, []string{"CA"}, true}, {[]string{"US", "CA"}, []string{"CA"}, true},
		{[]string{"US"}, nil, false}, {nil, []string{"US"}, false}, {[]string{"CA"}, []string{"US"}, false}, {[]string{"US"}, []string{"CA"}, false},
	} {
		if got := phone.Allowed("CA", tc.account, tc.installation); got != tc.want {
			t.Errorf("an account that allows %v where the installation reaches %v: %v", tc.account, tc.installation, got)
		}
	}
}
