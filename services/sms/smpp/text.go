package smpp

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf16"

	"github.com/linxGnu/gosmpp/data"
	"github.com/linxGnu/gosmpp/pdu"

	"latchkey.dev/services/code"
	"latchkey.dev/services/sms"
)

// Types and plans of numbers (SMPP 3.4 sections 5.2.5 and 5.2.6).
const (
	tonInternational = 1
	tonNetwork       = 3
	tonAlphanumeric  = 5
	npiUnknown       = 0
	npiISDN          = 1
)

// Sizes of one part (3GPP TS 23.040 section 9.2.3.24.1).
const (
	oneUCS2, manyGSM, manyUCS2 = 70, 153, 67
	maxParts                   = 10
	escape                     = 0x1B
)

var (
	concatenation atomic.Uint32 // names the parts of one text to the phone
	errTooLong    = errors.New("the text has too many parts")
)

// requests are the requests that carry a text.
func (s *Sender) requests(m sms.Message) ([]*pdu.SubmitSM, error) {
	parts, encoding, err := split(m.Body.Reveal())
	if err != nil {
		return nil, err
	}
	from, err := s.source()
	if err != nil {
		return nil, err
	}
	to, err := pdu.NewAddressWithTonNpiAddr(tonInternational, npiISDN, strings.TrimPrefix(m.To.E164(), "+"))
	if err != nil {
		return nil, err
	}
	reference := byte(concatenation.Add(1))
	var all []*pdu.SubmitSM
	for i, part := range parts {
		p := pdu.NewSubmitSM().(*pdu.SubmitSM)
		p.SourceAddr, p.DestAddr = from, to
		p.RegisteredDelivery = 1 // a report of the end, good or bad
		p.ValidityPeriod = validity(m.Validity)
		if err := p.Message.SetMessageDataWithEncoding(part, encoding); err != nil {
			return nil, err
		}
		if len(parts) > 1 {
			p.EsmClass |= data.SM_UDH_GSM
			p.Message.SetUDH(pdu.UDH{pdu.NewIEConcatMessage(byte(len(parts)), byte(i+1), reference)})
		}
		all = append(all, p)
	}
	return all, nil
}

func (s *Sender) source() (pdu.Address, error) {
	digits := strings.TrimPrefix(s.o.From, "+")
	switch {
	case strings.Trim(digits, "0123456789") != "":
		return pdu.NewAddressWithTonNpiAddr(tonAlphanumeric, npiUnknown, s.o.From)
	case len(digits) <= 6: // a short code
		return pdu.NewAddressWithTonNpiAddr(tonNetwork, npiUnknown, digits)
	}
	return pdu.NewAddressWithTonNpiAddr(tonInternational, npiISDN, digits)
}

// validity is a relative time (SMPP 3.4 section 7.1.1), at most a month.
func validity(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	n := max(1, int(min(d, 30*24*time.Hour).Seconds()))
	return fmt.Sprintf("0000%02d%02d%02d%02d000R", n/86400, n/3600%24, n/60%60, n%60)
}

// split encodes a text: in GSM-7, an octet each, where it has all the characters, else in
// UCS-2. gosmpp's own splitting counts characters where phones count septets and units, so
// it would cut pairs of them apart.
func split(text string) (parts [][]byte, encoding data.Encoding, err error) {
	if n, ok := code.Septets(text); ok {
		if octets, err := data.GSM7BIT.Encode(text); err == nil && len(octets) == n {
			parts = cut(octets, code.SegmentSeptets, manyGSM, func(last byte) bool { return last == escape })
			return bounded(parts, data.GSM7BIT)
		}
	}
	units := utf16.Encode([]rune(text))
	for _, some := range cut(units, oneUCS2, manyUCS2, func(last uint16) bool { return last >= 0xD800 && last < 0xDC00 }) {
		var part []byte
		for _, u := range some {
			part = append(part, byte(u>>8), byte(u))
		}
		parts = append(parts, part)
	}
	return bounded(parts, data.UCS2)
}

func bounded(parts [][]byte, encoding data.Encoding) ([][]byte, data.Encoding, error) {
	if len(parts) > maxParts {
		return nil, nil, errTooLong
	}
	return parts, encoding, nil
}

// cut cuts where it parts no pair; opens tells the first half of one.
func cut[T any](all []T, one, many int, opens func(T) bool) (parts [][]T) {
	if len(all) <= one {
		return [][]T{all}
	}
	for len(all) > 0 {
		n := min(many, len(all))
		if n < len(all) && opens(all[n-1]) {
			n--
		}
		parts, all = append(parts, all[:n]), all[n:]
	}
	return parts
}
