// Package email holds e-mail addresses: parsed, and never printed.
package email

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/mail"
	"strings"

	"golang.org/x/net/idna"
)

// ErrNotAnAddress says that the text is no e-mail address that a message can be sent to.
var ErrNotAnAddress = errors.New("not a valid e-mail address; write it as name@example.org")

// maxLength is the longest path that SMTP carries, in bytes (RFC 5321 section 4.5.3.1.3).
const maxLength = 254

// Address is a valid address, its domain in lower case and in ASCII. It prints as [redacted].
type Address struct{ text string }

// Parse reads an address without a name around it. It returns ErrNotAnAddress.
func Parse(text string) (Address, error) {
	if len(text) > maxLength {
		return Address{}, ErrNotAnAddress
	}
	a, err := mail.ParseAddress(text)
	if err != nil || a.Name != "" || a.Address != text || strings.ContainsAny(text, "\r\n\x00 \"") {
		return Address{}, ErrNotAnAddress
	}
	at := strings.LastIndexByte(text, '@')
	domain, err := idna.Lookup.ToASCII(text[at+1:])
	if err != nil || !strings.Contains(domain, ".") || len(text[:at])+1+len(domain) > maxLength {
		return Address{}, ErrNotAnAddress
	}
	return Address{text[:at] + "@" + strings.ToLower(domain)}, nil
}

// Reveal returns the address itself.
func (a Address) Reveal() string { return a.text }

// IsZero reports whether there is no address.
func (a Address) IsZero() bool { return a.text == "" }

const redacted = "[redacted]"

func (Address) String() string               { return redacted }
func (Address) GoString() string             { return redacted }
func (Address) Format(f fmt.State, _ rune)   { io.WriteString(f, redacted) }
func (Address) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (Address) MarshalText() ([]byte, error) { return []byte(redacted), nil }
