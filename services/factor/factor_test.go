package factor_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"latchkey.dev/services/code"
	"latchkey.dev/services/factor"
)

const handed = "bcdfg-hjkmn-pqrst-23456"

func texts() (all [code.Texts]code.Code) {
	for i := range all {
		all[i] = code.Derive(make([]byte, code.KeySize), uuid.Nil, i+1, make([]byte, code.SeedSize), code.Digits)
	}
	return all
}

func TestWhatIsTypedIsOfOneFactorOrNone(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]factor.Name{
		"123456": factor.SMS, "123 456": factor.SMS, "12345": "", "1234567": "", "": "", "codeco": "",
		handed: factor.RegistrationCode, "BCDFG HJKMN PQRST 23456": factor.RegistrationCode, "bcdfghjkmnpqrst23456": factor.RegistrationCode,
		"bcdfg\u2013hjkmn\u00a0pqrst\n23456": factor.RegistrationCode, "12345-67890-12345-67890": factor.RegistrationCode,
		handed[1:]: "", handed + "x": "", handed + "!": "", "ßcdfg-hjkmn-pqrst-2345": "", strings.Repeat("-", 60) + handed: "",
	} {
		p, err := factor.Read(typed, code.Digits)
		if want == "" {
			if !errors.Is(err, factor.ErrUnknown) {
				t.Errorf("%q is read as %s", typed, p.Factor().Name())
			}
			continue
		}
		if err != nil || p.Factor().Name() != want {
			t.Errorf("%q is read as %v (%v), want %s", typed, p, err, want)
			continue
		}
		of := 0
		for _, f := range factor.All(code.Digits) {
			if _, ok := f.Read(typed); ok {
				of++
			}
		}
		again, err := factor.Read(p.Reveal(), code.Digits)
		if of != 1 || err != nil || again.Reveal() != p.Reveal() {
			t.Errorf("%q has the form of %d factors, and its one form is read again with %v", typed, of, err)
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			if s := fmt.Sprintf(verb, p); strings.Contains(strings.ToLower(s), p.Reveal()) {
				t.Errorf("%s prints a proof of %s as %s", verb, want, s)
			}
		}
	}
}

func TestOnlyItsOwnMemberAndKindMatches(t *testing.T) {
	t.Parallel()
	ada, eve := uuid.New(), uuid.New()
	digest := func(member uuid.UUID, code string) []byte {
		d, err := factor.Digest(member, code)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	right := factor.Right{Texts: texts, Member: ada, RegistrationCodes: [][]byte{digest(ada, "22222-22222-22222-22222"), digest(ada, handed), digest(eve, "33333-33333-33333-33333")}}
	for typed, want := range map[string]int{
		texts()[0].Reveal(): 1, texts()[2].Reveal(): 3, "000000": 0,
		strings.ToUpper(handed): 2, "22222222222222222222": 1, "33333-33333-33333-33333": 0, "bcdfg-hjkmn-pqrst-23457": 0,
	} {
		p, err := factor.Read(typed, code.Digits)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Match(right); got != want {
			t.Errorf("%s matches %d, want %d", typed, got, want)
		}
	}
	if _, err := factor.Digest(ada, "123456"); !errors.Is(err, factor.ErrUnknown) {
		t.Errorf("the digest of no registration code: %v", err)
	}
}

// B11: a session never claims a text that there was not.
func TestWhatSessionsClaim(t *testing.T) {
	t.Parallel()
	for _, f := range factor.All(code.Digits) {
		amr := f.AMR()
		if factor.Named(f.Name()).Name() != f.Name() || !slices.Contains(amr, "mfa") || slices.Contains(amr, "sms") != (f.Name() == factor.SMS) {
			t.Errorf("%s claims %v", f.Name(), amr)
		}
	}
}
