// Package secret holds values that must never be printed: every way Go has of
// turning a value into text gives "[redacted]", and only Reveal gives the value.
package secret

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

// Redacted is what a secret prints as.
const Redacted = "[redacted]"

// String is a secret text such as a password, an API secret or a token.
// The zero value is the empty secret. Compare two with Equal, not with ==.
//
// The text is behind a pointer because fmt calls no methods of what lies in the
// unexported fields of others: it would print the text, and prints an address instead.
type String struct{ value *string }

// New returns v as a secret.
func New(v string) String { return String{value: &v} }

// FromFile reads a secret from a file, without the line end that editors add.
// Files larger than 64 KiB are refused.
func FromFile(path string) (String, error) {
	f, err := os.Open(path)
	if err != nil {
		return String{}, fmt.Errorf("reading a secret: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 64<<10+1))
	if err != nil {
		return String{}, fmt.Errorf("reading the secret in %s: %w", path, err)
	}
	if len(b) > 64<<10 {
		return String{}, fmt.Errorf("reading the secret in %s: larger than 64 KiB", path)
	}
	return New(strings.TrimRight(string(b), "\r\n")), nil
}

// Reveal returns the secret itself. Call it at the last moment, and never for a log.
func (s String) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Empty reports whether there is no secret.
func (s String) Empty() bool { return s.Reveal() == "" }

// Equal compares two secrets in a time that depends on their lengths alone.
func (s String) Equal(o String) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(o.Reveal())) == 1
}

func (String) String() string                  { return Redacted }
func (String) GoString() string                { return Redacted }
func (String) Format(f fmt.State, _ rune)      { io.WriteString(f, Redacted) }
func (String) LogValue() slog.Value            { return slog.StringValue(Redacted) }
func (String) MarshalText() ([]byte, error)    { return []byte(Redacted), nil }
func (s *String) UnmarshalText(b []byte) error { *s = New(string(b)); return nil }
