package dpop

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"
	"github.com/tink-crypto/tink-go/v2/mac/subtle"
)

const fuzzed = "https://login.example/v1/sign-ins"

// exampleKey is no secret: with one key in every process that fuzzes, what one finds
// means the same to the others.
const exampleKey = `{"kty":"EC","crv":"P-256","x":"8XKwu3at9YTQRvyl3gha-9J_7X1wZ45PpxLm22j_bIs","y":"kMIc67WlHcLNXrX9cSAH3HBu7afo_JcpTEZ8kpVVcdI","d":"gJvEhMjbB-sXU8oum0Hp4LwwTEU998M9Z2Kvc_aZgz0"}`

// bench is a server with a stopped clock, and a device.
func bench(t testing.TB) (*Nonces, *Key, time.Time) {
	t.Helper()
	m, err := subtle.NewHMAC("SHA256", []byte("an example of a key, 32 bytes..."), 16)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParseKey([]byte(exampleKey))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_790_000_000, 0)
	return NewNonces(m, func() time.Time { return now }), key, now
}

// refusal fails the test unless an error is one of the two that callers answer with, in
// words that can be shown.
func refusal(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrUseNonce) {
		t.Errorf("Verify = %v, want one of the two errors", err)
	}
	if s := err.Error(); len(s) > 200 || !utf8.ValidString(s) {
		t.Errorf("the refusal cannot be shown: %q", s)
	}
}

// FuzzClaims signs whatever claims with a good key: what an attacker can do who has one.
// A claim passes only as the method, the address and the nonce that the server wants.
func FuzzClaims(f *testing.F) {
	n, key, now := bench(f)
	nonce, err := n.New()
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range []claims{
		{Method: "POST", URL: fuzzed, IssuedAt: now.Unix(), ID: "a", Nonce: nonce, Challenge: uuid.NewString()},
		{Method: "POST", URL: "HTTPS://login.example:443/v1/sign-ins?x#y", IssuedAt: now.Unix(), ID: "a", Nonce: nonce},
		{Method: "POST", URL: "https://login.example@evil.example/v1/sign-ins", IssuedAt: now.Unix(), ID: "a", Nonce: nonce},
		{Method: "GET", URL: fuzzed, IssuedAt: 1 << 62, ID: strings.Repeat("a", 200), Nonce: "x"},
	} {
		b, err := json.Marshal(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"htm":"POST","htm":"GET","iat":1e400}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		jws, err := key.signer.Sign(payload)
		if err != nil {
			return
		}
		proof, err := jws.CompactSerialize()
		if err != nil {
			return
		}
		p, err := n.Verify(proof, "POST", fuzzed)
		if err != nil {
			refusal(t, err)
			return
		}
		var c claims
		if err := json.Unmarshal(payload, &c); err != nil {
			t.Fatalf("claims that are not JSON passed: %q", payload)
		}
		same, ok := normal(c.URL)
		if c.Method != "POST" || c.Nonce != nonce || !ok || same != fuzzed || c.ID == "" || p.Thumbprint != key.Thumbprint() || (c.Challenge == "") != (p.Challenge == uuid.Nil) && p.Challenge != uuid.Nil {
			t.Errorf("%q passed as %+v", payload, p)
		}
		if again, err := n.Verify(proof, "POST", fuzzed); err != nil || again != p {
			t.Errorf("%q is one proof and then another: a replay would not be seen", payload)
		}
	})
}

// FuzzHeader signs good claims under whatever header: nothing but a P-256 key that
// signed by itself passes.
func FuzzHeader(f *testing.F) {
	n, key, now := bench(f)
	nonce, err := n.New()
	if err != nil {
		f.Fatal(err)
	}
	good, err := key.Prove("POST", fuzzed, nonce, uuid.Nil, now)
	if err != nil {
		f.Fatal(err)
	}
	head, rest, _ := strings.Cut(good, ".")
	plain, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		f.Fatal(err)
	}
	private, err := json.Marshal(jose.JSONWebKey{Key: key.private})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain)
	f.Add([]byte(`{"typ":"dpop+jwt","alg":"ES256","jwk":` + string(private) + `}`))
	f.Add([]byte(`{"typ":"dpop+jwt","alg":"none"}`))
	f.Add([]byte(`{"typ":"dpop+jwt","alg":"HS256","jwk":{"kty":"oct","k":"AA"}}`))
	f.Add([]byte(`{"typ":"dpop+jwt","alg":"ES256","crit":["b64"],"b64":false,"jwk":{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}}`))
	f.Fuzz(func(t *testing.T, header []byte) {
		p, err := n.Verify(base64.RawURLEncoding.EncodeToString(header)+"."+rest, "POST", fuzzed)
		switch {
		case err != nil:
			refusal(t, err)
		case p.Thumbprint != key.Thumbprint() || string(header) != string(plain):
			t.Errorf("the header %q passed with a signature over another", header)
		}
	})
}

// FuzzAddress holds that two addresses are the same only if a client would ask the same
// server for the same thing.
func FuzzAddress(f *testing.F) {
	for _, a := range []string{fuzzed, "https://LOGIN.example:443/v1/sign-ins?x", "https://login.example/v1/../v1/sign-ins", "https://login.example\\@evil.example/", "https://[::1]:443/", "http://a:80:80/", "https://login.example/v1/sign%2dins"} {
		f.Add(a)
	}
	f.Fuzz(func(t *testing.T, address string) {
		got, ok := normal(address)
		if !ok {
			return
		}
		if again, ok := normal(got); !ok || again != got {
			t.Errorf("%q becomes %q, and that %q", address, got, again)
		}
		if forOneOf(address, []string{fuzzed}) != (got == fuzzed) {
			t.Errorf("%q is for %s by one way alone", address, fuzzed)
		}
	})
}

// FuzzNonce holds that nothing but a token of ours passes, and only for its purpose.
func FuzzNonce(f *testing.F) {
	n, _, now := bench(f)
	good, err := n.Sign("ticket", []byte("subject"), now)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("ticket", []byte("subject"), good)
	f.Add("nonce", []byte(nil), good)
	f.Add("ticket\x00", []byte("ubject"), good)
	f.Fuzz(func(t *testing.T, purpose string, subject []byte, token string) {
		_, ok := n.Check(purpose, subject, token, time.Minute)
		if ok && (purpose != "ticket" || string(subject) != "subject" || token != good) {
			t.Errorf("%q passed for %q and %q", token, purpose, subject)
		}
	})
}
