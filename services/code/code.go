// Package code derives security codes, compares them and writes the text that carries them.
//
// A code is never stored: whoever holds the epoch key and the challenge's seed can
// derive it, and nobody else can. Nothing here does I/O.
package code

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Digits is how many digits a code has, unless an installation is configured for
// MaxDigits. NIST SP 800-63B-4 section 3.1.3.2 asks for six at least.
const (
	Digits    = 6
	MaxDigits = 8
)

// Texts is how many texts one challenge may send, each with a code of its own.
const Texts = 3

// Margin is how much validity a code must have left for its text to be worth sending.
const Margin = time.Minute

// SeedSize and KeySize are the lengths of a challenge's seed and of an epoch's key, in bytes.
const (
	SeedSize = 32
	KeySize  = 32
)

// domain separates these digits from every other use of an epoch key.
const domain = "latchkey/code/v1"

// Code is a security code. It prints as [redacted].
type Code struct{ digits string }

// Reveal returns the digits, leading zeros kept.
func (c Code) Reveal() string { return c.digits }

const redacted = "[redacted]"

func (Code) String() string               { return redacted }
func (Code) GoString() string             { return redacted }
func (Code) Format(f fmt.State, _ rune)   { io.WriteString(f, redacted) }
func (Code) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (Code) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Derive returns the code of text n (1 to Texts) of a challenge: digits decimal
// digits of HMAC-SHA-256(key, domain ‖ challenge ‖ n ‖ seed), uniform by rejection
// sampling over 64-bit words rather than by the biased truncation of RFC 4226.
// It panics when key, seed, n or digits are out of range, which is a programmer's error.
func Derive(key []byte, challenge uuid.UUID, n int, seed []byte, digits int) Code {
	if len(key) != KeySize || len(seed) != SeedSize || n < 1 || n > Texts || digits < Digits || digits > MaxDigits {
		panic("code: Derive called out of range")
	}
	modulus := uint64(1)
	for range digits {
		modulus *= 10
	}
	limit := ^uint64(0) - ^uint64(0)%modulus // the greatest multiple of modulus that fits
	for round := byte(0); ; round++ {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(domain))
		mac.Write(challenge[:])
		mac.Write([]byte{byte(n), byte(digits), round})
		mac.Write(seed)
		var sum [sha256.Size]byte
		mac.Sum(sum[:0])
		for i := 0; i < len(sum); i += 8 {
			if v := binary.BigEndian.Uint64(sum[i:]); v < limit {
				return Code{fmt.Sprintf("%0*d", digits, v%modulus)}
			}
		}
	}
}

// ErrNotACode says that what was typed cannot be a code.
var ErrNotACode = errors.New("a code is the digits from the text, and nothing else")

// maxTyped bounds what Parse looks at, in bytes.
const maxTyped = 64

// Parse reads what a person typed or pasted: digits, with spaces and hyphens
// between them ignored. It returns ErrNotACode for anything but digits digits.
func Parse(typed string, digits int) (Code, error) {
	if len(typed) > maxTyped {
		return Code{}, ErrNotACode
	}
	var b strings.Builder
	for _, r := range typed {
		switch {
		case r >= '0' && r <= '9':
			b.WriteRune(r)
		case Separator(r):
		default:
			return Code{}, ErrNotACode
		}
	}
	if b.Len() != digits {
		return Code{}, ErrNotACode
	}
	return Code{b.String()}, nil
}

// Separator reports whether people write a character between the parts of a code: spaces and hyphens.
func Separator(r rune) bool {
	switch r {
	case ' ', '-', '\t', '\n', '\r', '\u00a0', '\u202f', '\u2011', '\u2013':
		return true
	}
	return false
}

// Match returns the number of the text whose code was typed, 0 for none. It
// compares with every candidate in constant time, whether or not one matched before.
func Match(typed Code, candidates [Texts]Code) int {
	found := 0
	for i, c := range candidates {
		same := subtle.ConstantTimeCompare([]byte(typed.digits), []byte(c.digits))
		found = subtle.ConstantTimeSelect(same&subtle.ConstantTimeEq(int32(found), 0), i+1, found)
	}
	return found
}
