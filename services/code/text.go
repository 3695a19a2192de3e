package code

import (
	"errors"
	"fmt"
	"strings"

	"latchkey.dev/services/words"
)

// gsm7 is the basic character set of 3GPP TS 23.038 section 6.2.1, less the escape.
const gsm7 = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"

// gsm7Extension is its extension table: characters that take two septets.
const gsm7Extension = "^{}\\[~]|€"

// SegmentSeptets is how many septets one unsegmented text holds.
const SegmentSeptets = 160

// Septets returns the length of text in GSM-7 septets, and whether every
// character can be written so.
func Septets(text string) (n int, ok bool) {
	for _, r := range text {
		switch {
		case strings.ContainsRune(gsm7, r):
			n++
		case strings.ContainsRune(gsm7Extension, r):
			n += 2
		default:
			return 0, false
		}
	}
	return n, true
}

// ErrNotOneSegment says that a text would not fit one GSM-7 segment.
var ErrNotOneSegment = errors.New("the text does not fit one GSM-7 segment of 160 characters")

// Autofill is what ends a text so that a phone can fill the code in by itself:
// a host for a web page (the origin-bound one-time code format of the WICG),
// or the 11-character hash of an Android app. At most one of them is set.
type Autofill struct {
	Host    string
	AppHash string
}

// Compose writes the text that carries a code, in a language. It names the service and never
// the care, has no link, and is one GSM-7 segment, else ErrNotOneSegment.
func Compose(lang words.Language, service string, c Code, minutes int, fill Autofill) (string, error) {
	var b strings.Builder
	b.WriteString(lang.Say("text:code", "Code", c.digits, "Service", service, "Count", minutes))
	switch {
	case fill.Host != "":
		fmt.Fprintf(&b, "\n\n@%s #%s", fill.Host, c.digits)
	case fill.AppHash != "":
		fmt.Fprintf(&b, "\n\n%s", fill.AppHash)
	}
	if n, ok := Septets(b.String()); !ok || n > SegmentSeptets {
		return "", ErrNotOneSegment
	}
	return b.String(), nil
}

// maxMinutes is how long a code may be valid.
const maxMinutes = 10

// Fits reports whether every text to a service's people is one segment, in every language
// and with the longest code: nil, else ErrNotOneSegment.
func Fits(service string, fill Autofill) error {
	longest := Code{strings.Repeat("0", MaxDigits)}
	for _, l := range words.Languages {
		if _, err := Compose(l, service, longest, maxMinutes, fill); err != nil {
			return err
		}
	}
	return nil
}
