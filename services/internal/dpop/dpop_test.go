package dpop_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/mac"

	"latchkey.dev/services/internal/dpop"
)

const page = "https://login.example/v1/sign-ins"

type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func nonces(t testing.TB, c *clock) *dpop.Nonces {
	t.Helper()
	h, err := keyset.NewHandle(mac.HMACSHA256Tag128KeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	m, err := mac.New(h)
	if err != nil {
		t.Fatal(err)
	}
	return dpop.NewNonces(m, c.now)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestVerify(t *testing.T) {
	t.Parallel()
	c := &clock{time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	n := nonces(t, c)
	key := must(dpop.NewKey())
	id := uuid.New()
	fresh := must(n.New())
	good := must(key.Prove("POST", page, fresh, id, c.t))

	p, err := n.Verify(good, "POST", "https://other.example/", "https://LOGIN.example:443/v1/sign-ins?x=1")
	if err != nil || p.Thumbprint != key.Thumbprint() || p.Challenge != id || !p.NonceTime.Equal(c.t) {
		t.Fatalf("Verify = %+v, %v", p, err)
	}
	if again := must(n.Verify(good, "POST", page)); again.ID != p.ID {
		t.Error("one proof has two ids: a replay would not be seen")
	}
	if other := must(n.Verify(must(key.Prove("POST", page, fresh, id, c.t)), "POST", page)); other.ID == p.ID {
		t.Error("two proofs have one id")
	}
	head, body, sig := cut(good)
	foreign := nonces(t, c)
	for name, tc := range map[string]struct {
		proof, method, address string
		want                   error
	}{
		"another method":      {good, "GET", page, dpop.ErrInvalid},
		"another address":     {good, "POST", "https://login.example/v1/device-checks", dpop.ErrInvalid},
		"another host":        {good, "POST", "https://evil.example/v1/sign-ins", dpop.ErrInvalid},
		"http":                {good, "POST", "http://login.example/v1/sign-ins", dpop.ErrInvalid},
		"no proof":            {"", "POST", page, dpop.ErrInvalid},
		"too long":            {good + strings.Repeat("A", 5000), "POST", page, dpop.ErrInvalid},
		"claims changed":      {head + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"htm":"POST"}`)) + "." + sig, "POST", page, dpop.ErrInvalid},
		"signature cut":       {head + "." + body + ".", "POST", page, dpop.ErrInvalid},
		"alg none":            {base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"dpop+jwt"}`)) + "." + body + ".", "POST", page, dpop.ErrInvalid},
		"no nonce":            {must(key.Prove("POST", page, "", id, c.t)), "POST", page, dpop.ErrUseNonce},
		"another's nonce":     {must(key.Prove("POST", page, must(foreign.New()), id, c.t)), "POST", page, dpop.ErrUseNonce},
		"a ticket as a nonce": {must(key.Prove("POST", page, must(n.Sign("ticket", nil, c.t)), id, c.t)), "POST", page, dpop.ErrUseNonce},
		"of last week":        {must(key.Prove("POST", page, fresh, id, c.t.Add(-7*24*time.Hour))), "POST", page, dpop.ErrInvalid},
	} {
		if _, err := n.Verify(tc.proof, tc.method, tc.address); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	c.t = c.t.Add(dpop.NonceLife + time.Second)
	if _, err := n.Verify(good, "POST", page); !errors.Is(err, dpop.ErrUseNonce) {
		t.Errorf("after a minute: %v, want ErrUseNonce", err)
	}
}

func cut(proof string) (head, body, sig string) {
	parts := strings.Split(proof, ".")
	return parts[0], parts[1], parts[2]
}

func TestKeySurvivesItsFile(t *testing.T) {
	t.Parallel()
	key := must(dpop.NewKey())
	again := must(dpop.ParseKey(must(key.Marshal())))
	if again.Thumbprint() != key.Thumbprint() {
		t.Error("the key that was read is another one")
	}
}

func FuzzVerify(f *testing.F) {
	c := &clock{time.Unix(1_790_000_000, 0)}
	n := nonces(f, c)
	key := must(dpop.NewKey())
	f.Add(must(key.Prove("POST", page, must(n.New()), uuid.Nil, c.t)))
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, proof string) {
		if p, err := n.Verify(proof, "POST", page); err == nil && p.Thumbprint != key.Thumbprint() {
			t.Errorf("a made-up proof passed: %q", proof)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	c := &clock{time.Now()}
	n := nonces(b, c)
	proof := must(must(dpop.NewKey()).Prove("POST", page, must(n.New()), uuid.Nil, c.t))
	for b.Loop() {
		if _, err := n.Verify(proof, "POST", page); err != nil {
			b.Fatal(err)
		}
	}
}
