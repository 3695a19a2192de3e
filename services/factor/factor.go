// Package factor is what can register a device besides the password: the code of a text, and
// an administrator's registration code where the phone is lost. Login reads what was typed by
// it, the verifier judges by it. Nothing here does I/O.
package factor

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/google/uuid"

	"latchkey.dev/services/code"
)

// Name is how events, tables and metrics call a factor.
type Name string

const (
	SMS              Name = "sms"
	RegistrationCode Name = "registration_code"
)

// Factor is one kind of proof.
type Factor interface {
	Name() Name
	// Read returns the proof that an entry is, and whether it has the form of one of this kind.
	// No entry has the form of two kinds.
	Read(entry string) (Proof, bool)
	// AMR are the methods of a sign-in by a password and this factor (RFC 8176).
	AMR() []string
}

// Proof is one entry of a factor. It prints as [redacted].
type Proof interface {
	Factor() Factor
	// Reveal returns the entry in its one form, which Read takes: it is sealed to the verifier.
	Reveal() string
	// Match compares with all that would be right, in constant time, and returns which one is:
	// the number of a text, or the place of a registration code from 1; 0 for none.
	Match(Right) int
}

// Right is what would be right for one challenge: a field for each factor.
type Right struct {
	Texts             func() [code.Texts]code.Code // the codes of its texts
	RegistrationCodes [][]byte                     // the Digests of its member's live ones
	Member            uuid.UUID
}

// All is the closed set of factors, where the code of a text has so many digits.
func All(digits int) []Factor { return []Factor{sms{digits}, registrationCode{}} }

// Named returns the factor of a name. It panics for a name that is none: names come from a
// table that takes no other.
func Named(n Name) Factor {
	for _, f := range All(code.Digits) {
		if f.Name() == n {
			return f
		}
	}
	panic("factor: no factor is called " + string(n))
}

// ErrUnknown says that an entry has the form of no factor.
var ErrUnknown = errors.New("an entry is the digits of a text or a registration code, and nothing else")

// Read reads what a person typed, or ErrUnknown.
func Read(entry string, digits int) (Proof, error) {
	for _, f := range All(digits) {
		if p, ok := f.Read(entry); ok {
			return p, nil
		}
	}
	return nil, ErrUnknown
}

// sms is the code of a text.
type sms struct{ digits int }

func (sms) Name() Name    { return SMS }
func (sms) AMR() []string { return []string{"pwd", "sms", "mfa"} }

func (f sms) Read(entry string) (Proof, bool) {
	c, err := code.Parse(entry, f.digits)
	return texted{c, f}, err == nil
}

type texted struct {
	code.Code
	of sms
}

func (p texted) Factor() Factor    { return p.of }
func (p texted) Match(r Right) int { return code.Match(p.Code, r.Texts()) }

// A registration code is so many groups of so many letters and digits: with the 27 characters
// that a password is made of, 95 bits.
const (
	Groups    = 4
	GroupSize = 5
)

// maxTyped bounds what is looked at, in bytes.
const maxTyped = 64

// registrationCode is the one-time code that somebody else makes for a person.
type registrationCode struct{}

func (registrationCode) Name() Name { return RegistrationCode }

// AMR: of the registered methods "otp", a one-time password, is what comes nearest to a code
// that a person hands over; there was no text.
func (registrationCode) AMR() []string { return []string{"pwd", "otp", "mfa"} }

func (registrationCode) Read(entry string) (Proof, bool) {
	if len(entry) > maxTyped {
		return nil, false
	}
	var b strings.Builder
	for _, r := range strings.ToLower(entry) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case code.Separator(r):
		default:
			return nil, false
		}
	}
	return handed{b.String()}, b.Len() == Groups*GroupSize
}

type handed struct{ letters string }

func (handed) Factor() Factor   { return registrationCode{} }
func (p handed) Reveal() string { return p.letters }

// Match compares with every code, whether or not one matched before.
func (p handed) Match(r Right) int {
	found, mine := 0, digest(r.Member, p.letters)
	for i, d := range r.RegistrationCodes {
		same := subtle.ConstantTimeCompare(mine, d)
		found = subtle.ConstantTimeSelect(same, i+1, found)
	}
	return found
}

const redacted = "[redacted]"

func (handed) String() string               { return redacted }
func (handed) GoString() string             { return redacted }
func (handed) Format(f fmt.State, _ rune)   { io.WriteString(f, redacted) }
func (handed) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (handed) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Digest is what is kept of a member's registration code: SHA-256, since 95 random bits
// cannot be tried through. It is good for that member alone. ErrUnknown if it is no such code.
func Digest(member uuid.UUID, registration string) ([]byte, error) {
	p, ok := registrationCode{}.Read(registration)
	if !ok {
		return nil, ErrUnknown
	}
	return digest(member, p.Reveal()), nil
}

func digest(member uuid.UUID, letters string) []byte {
	h := sha256.New()
	h.Write([]byte("latchkey/registration-code/v1"))
	h.Write(member[:])
	h.Write([]byte(letters))
	return h.Sum(nil)
}
