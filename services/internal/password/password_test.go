package password_test

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"latchkey.dev/services/internal/password"
	"latchkey.dev/services/internal/secret"
)

func TestWhatIsHashedIsCheckedAndNothingElse(t *testing.T) {
	t.Parallel()
	h := password.New(1, prometheus.NewRegistry())
	digest, err := h.Hash(t.Context(), secret.New("correct horse battery"))
	if err != nil {
		t.Fatal(err)
	}
	if ok, params, err := h.Check(secret.New("correct horse battery"), digest); !ok || err != nil || *params != *password.Params {
		t.Errorf("the right password: %v, %v, %v", ok, params, err)
	}
	if ok, _, err := h.Check(secret.New("correct horse batterz"), digest); ok || err != nil {
		t.Errorf("a wrong password: %v, %v", ok, err)
	}
}

func TestAFullHasherSaysBusy(t *testing.T) {
	t.Parallel()
	h := password.New(1, prometheus.NewRegistry())
	release, err := h.Slot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := h.Hash(ctx, secret.New("x")); err == nil || !strings.Contains(err.Error(), "Busy") {
		t.Errorf("with no slot free: %v", err)
	}
	release()
	if _, err := h.Hash(t.Context(), secret.New("x")); err != nil {
		t.Errorf("with a slot free: %v", err)
	}
}

func TestGeneratedPasswords(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^[bcdfghjkmnpqrstvwxz2-9]{5}(-[bcdfghjkmnpqrstvwxz2-9]{5}){3}$`)
	seen, letters := map[string]bool{}, map[rune]int{}
	const n = 5000
	for range n {
		p := password.Generate()
		if !form.MatchString(p.Reveal()) || !password.Fits(p) || seen[p.Reveal()] {
			t.Fatalf("generated %q", p.Reveal())
		}
		seen[p.Reveal()] = true
		for _, c := range strings.ReplaceAll(p.Reveal(), "-", "") {
			letters[c]++
		}
	}
	if len(letters) != 27 {
		t.Errorf("%d different characters, want 27", len(letters))
	}
	for c, times := range letters { // 100,000 characters of 27: 3,704 of each, within 6 standard deviations
		if times < 3340 || times > 4070 {
			t.Errorf("%c was drawn %d times", c, times)
		}
	}
}
