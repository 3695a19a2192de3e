package phone_test

import (
	"testing"

	"latchkey.dev/services/phone"
)

func TestDoubt(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]phone.Doubt{"+447400123456": phone.NoDoubt, "+16044410142": phone.MaybeFixed, "+445600123456": phone.NotMobile} {
		n, err := phone.Parse(text, "")
		if err != nil || n.Doubt() != want {
			t.Errorf("%s: %q, %v; want %q", text, n.Doubt(), err, want)
		}
	}
}
