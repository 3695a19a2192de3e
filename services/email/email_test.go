package email_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"latchkey.dev/services/email"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"ada@example.org": "ada@example.org", "Ada.L+x@Example.ORG": "Ada.L+x@example.org", "ada@bücher.example": "ada@xn--bcher-kva.example",
		"": "", "ada": "", "ada@": "", "@example.org": "", "ada@localhost": "", "Ada <ada@example.org>": "", "<ada@example.org>": "",
		"ada@example.org\r\nBcc: eve@example.org": "", "a b@example.org": "", `"a b"@example.org`: "", "ada@example.org,eve@example.org": "",
		"ada@exa mple.org": "", strings.Repeat("a", 250) + "@example.org": "", "ada@example.org\x00": "", "ada@[127.0.0.1]": "",
	} {
		a, err := email.Parse(text)
		if a.Reveal() != want || (want == "") != errors.Is(err, email.ErrNotAnAddress) {
			t.Errorf("Parse(%q) = %q, %v; want %q", text, a.Reveal(), err, want)
		}
	}
}

func TestAddressIsNeverPrinted(t *testing.T) {
	t.Parallel()
	a, err := email.Parse("ada@example.org")
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if out := fmt.Sprintf(verb, a); strings.Contains(out, "ada") || strings.Contains(out, "616461") {
			t.Errorf("%s prints %s", verb, out)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("ada@example.org")
	f.Add("Ada <ada@example.org>")
	f.Add("ada@bücher.example")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := email.Parse(text)
		if err != nil {
			return
		}
		if strings.ContainsAny(a.Reveal(), "\r\n\x00 ") || len(a.Reveal()) > 254 {
			t.Errorf("%q was taken as %q", text, a.Reveal())
		}
		if again, err := email.Parse(a.Reveal()); err != nil || again != a {
			t.Errorf("%q is read back as %q, %v", a.Reveal(), again.Reveal(), err)
		}
	})
}
