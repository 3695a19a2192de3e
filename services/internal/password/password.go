// Package password hashes passwords, a bounded number at a time, and makes them up.
package password

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/prometheus/client_golang/prometheus"

	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/web"
)

// Params are the argon2id parameters of new digests (RFC 9106 section 4, the second
// recommendation made smaller as OWASP advises: 19 MiB, two passes, one lane).
var Params = &argon2id.Params{Memory: 19 << 10, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// Min and Max bound a password, in bytes.
const (
	Min = 12
	Max = 256
)

// LinkPath is where a person chooses a password by a link, below the origin of the sign-in pages.
const LinkPath = "/choose-password/"

// Fits reports whether a password is neither too short nor too long.
func Fits(p secret.String) bool { return len(p.Reveal()) >= Min && len(p.Reveal()) <= Max }

// Hasher hashes in a bounded number of slots, each 19 MiB and a core for a while.
type Hasher struct {
	slots  chan struct{}
	hashes prometheus.Counter
}

// New makes a Hasher of n slots. It registers its metric with r.
func New(n int, r prometheus.Registerer) *Hasher {
	h := &Hasher{make(chan struct{}, n), prometheus.NewCounter(prometheus.CounterOpts{Name: "latchkey_password_hashes_total",
		Help: "Passwords hashed, to check one or to keep one: 19 MiB and some 20 ms of a core each. Give login more slots or cores when sign-ins are answered that it is busy."})}
	r.MustRegister(h.hashes)
	return h
}

// Slot waits up to 3 s for the right to hash. The error is a problem that says "busy".
func (h *Hasher) Slot(ctx context.Context) (release func(), err error) {
	wait, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	select {
	case h.slots <- struct{}{}:
		return func() { <-h.slots }, nil
	case <-wait.Done():
		return nil, web.NewProblem(http.StatusTooManyRequests, "busy", "Busy", "Too many people sign in at once. Try again in a moment.").After(2 * time.Second)
	}
}

// Check compares a password with a digest, for who has a slot. It returns the parameters of
// the digest.
func (h *Hasher) Check(p secret.String, digest string) (bool, *argon2id.Params, error) {
	h.hashes.Inc()
	return argon2id.CheckHash(p.Reveal(), digest)
}

// Hash makes the digest of a new password, its parameters inside.
func (h *Hasher) Hash(ctx context.Context, p secret.String) (string, error) {
	release, err := h.Slot(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	h.hashes.Inc()
	return argon2id.CreateHash(p.Reveal(), Params)
}

// Nobodys is a digest to compare with where there is none: the same cost.
func Nobodys() (string, error) {
	d, err := argon2id.CreateHash("nobody's password", Params)
	if err != nil {
		return "", fmt.Errorf("preparing passwords: %w", err)
	}
	return d, nil
}

// letters of generated words: none looks like another, and no vowels make words.
const letters = "bcdfghjkmnpqrstvwxz23456789"

// Generate makes a password to be handed out: 4 groups of 5 characters, 95 bits, that can be
// read from paper.
func Generate() secret.String { return secret.New(Groups(4, 5)) }

// Groups makes groups of random characters with hyphens between them.
func Groups(groups, size int) string {
	var b strings.Builder
	for i := range groups {
		if i > 0 {
			b.WriteByte('-')
		}
		for range size {
			b.WriteByte(letters[pick()])
		}
	}
	return b.String()
}

// pick draws an index of letters, each as likely as the others.
func pick() int {
	const n = byte(len(letters))
	const limit = 256 - 256%int(n)
	var b [1]byte
	for {
		rand.Read(b[:])
		if int(b[0]) < limit {
			return int(b[0] % n)
		}
	}
}
