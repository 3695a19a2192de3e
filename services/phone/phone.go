// Package phone holds telephone numbers: parsed, judged fit for a text, and never printed.
package phone

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"

	"github.com/nyaruka/phonenumbers"
)

// ErrNotANumber says that the text is no valid telephone number.
var ErrNotANumber = errors.New("not a valid phone number; write it with its country code, as +15551234567")

// ErrCannotReceive says that the number is valid but cannot receive a text:
// a landline, a premium or shared-cost service.
var ErrCannotReceive = errors.New("this number cannot receive texts")

// maxLength bounds what Parse looks at, in bytes; E.164 has 15 digits, the rest is punctuation.
const maxLength = 40

// Number is a valid number in E.164 form. It prints as [redacted].
type Number struct {
	e164    string
	country string
}

// Parse reads a number written internationally, or nationally for the country
// given as ISO 3166-1 alpha-2 ("" accepts the international form alone).
// It returns ErrNotANumber or ErrCannotReceive.
func Parse(text, country string) (Number, error) {
	if text == "" || len(text) > maxLength {
		return Number{}, ErrNotANumber
	}
	if country == "" {
		country = "ZZ"
	}
	n, err := phonenumbers.Parse(text, country)
	if err != nil || !phonenumbers.IsValidNumber(n) {
		return Number{}, ErrNotANumber
	}
	switch phonenumbers.GetNumberType(n) {
	case phonenumbers.FIXED_LINE, phonenumbers.PREMIUM_RATE, phonenumbers.SHARED_COST,
		phonenumbers.TOLL_FREE, phonenumbers.UAN, phonenumbers.VOICEMAIL, phonenumbers.PAGER:
		return Number{}, ErrCannotReceive
	}
	return Number{e164: phonenumbers.Format(n, phonenumbers.E164), country: phonenumbers.GetRegionCodeForNumber(n)}, nil
}

// Stored reads back what E164 wrote of a number that Parse had judged, without judging it
// again, which takes longer than all else that a text needs. Its country is not known. It returns
// ErrNotANumber for what E164 never writes.
func Stored(e164 string) (Number, error) {
	if len(e164) < 8 || len(e164) > 16 || e164[0] != '+' || e164[1] == '0' {
		return Number{}, ErrNotANumber
	}
	for _, c := range []byte(e164[1:]) {
		if c < '0' || c > '9' {
			return Number{}, ErrNotANumber
		}
	}
	return Number{e164: e164}, nil
}

// E164 returns the number itself, as +15551234567.
func (n Number) E164() string { return n.e164 }

// Country returns the ISO 3166-1 alpha-2 code of the number's country, "" of a stored one.
func (n Number) Country() string { return n.country }

// prefixDigits is how much of a number Prefix tells: an area, no person.
const prefixDigits = 5

// Prefix returns the first digits of the number, without its +: by which texts are counted
// where somebody may have many numbers.
func (n Number) Prefix() string {
	return n.e164[min(1, len(n.e164)):min(1+prefixDigits, len(n.e164))]
}

// LastTwo returns the last two digits, all that a page may show.
func (n Number) LastTwo() string {
	if len(n.e164) < 2 {
		return ""
	}
	return n.e164[len(n.e164)-2:]
}

// IsZero reports whether there is no number.
func (n Number) IsZero() bool { return n.e164 == "" }

const redacted = "[redacted]"

func (Number) String() string               { return redacted }
func (Number) GoString() string             { return redacted }
func (Number) Format(f fmt.State, _ rune)   { io.WriteString(f, redacted) }
func (Number) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (Number) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Country reports whether code is that of a country with phone numbers, as Number.Country
// writes it: ISO 3166-1 alpha-2 in capitals.
func Country(code string) bool { return phonenumbers.GetSupportedRegions()[code] }

// Allowed reports whether codes may go to a country, as Number.Country writes it: every list
// names it, or is empty and names all.
func Allowed(country string, lists ...[]string) bool {
	return !slices.ContainsFunc(lists, func(l []string) bool { return len(l) > 0 && !slices.Contains(l, country) })
}
