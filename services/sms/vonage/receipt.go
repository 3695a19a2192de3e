package vonage

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/wire"
)

// ParseReceipt implements sms.ReceiptParser. An account may be set to report by GET,
// by a form or by JSON; all three are read. Vonage signs no receipt by default, so the
// MAC in the address is what authenticates it; with Options.SignatureSecret the receipt
// must be signed besides.
func (s *Sender) ParseReceipt(r *http.Request) (sms.Receipt, error) {
	attempt, err := s.attempt(r)
	if err != nil {
		return sms.Receipt{}, err
	}
	report, err := fields(r)
	if err != nil {
		return sms.Receipt{}, err
	}
	if !s.o.SignatureSecret.Empty() && !s.signed(report) {
		return sms.Receipt{}, sms.ErrForged
	}
	get := func(name string) string { return report[name] }
	if get("status") == "" {
		return sms.Receipt{}, sms.ErrMalformed
	}
	// An address is known only to us and Vonage, but a report that names another
	// attempt is no report about this one.
	if ref := get("client-ref"); ref != "" && ref != attempt.String() {
		return sms.Receipt{}, sms.ErrForged
	}
	return sms.Receipt{
		AttemptID: attempt,
		Reference: wire.Token(get("messageId"), wire.MaxReference),
		Status:    status(get("status")),
		Code:      wire.Token(get("err-code"), wire.MaxCode),
		At:        reportedAt(get("message-timestamp")),
	}, nil
}

// fields are the report's parameters, the first of each name: what is signed is what is read.
func fields(r *http.Request) (map[string]string, error) {
	switch r.Method {
	case http.MethodGet:
		return first(r.URL.Query()), nil
	case http.MethodPost:
	default:
		return nil, sms.ErrMalformed
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, wire.MaxAnswer+1))
	if err != nil || len(body) > wire.MaxAnswer {
		return nil, sms.ErrMalformed
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind == "application/json" {
		return object(body)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, sms.ErrMalformed
	}
	return first(form), nil
}

func first(form url.Values) map[string]string {
	all := make(map[string]string, len(form))
	for name := range form {
		all[name] = form.Get(name)
	}
	return all
}

// object reads the members of a JSON object that are text or numbers, a number as it is written.
func object(body []byte) (map[string]string, error) {
	var report map[string]any
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if dec.Decode(&report) != nil {
		return nil, sms.ErrMalformed
	}
	all := make(map[string]string, len(report))
	for name, value := range report {
		switch value := value.(type) {
		case string:
			all[name] = value
		case json.Number:
			all[name] = value.String()
		}
	}
	return all, nil
}

// status reads the states of
// https://developer.vonage.com/en/messaging/sms/guides/delivery-receipts.
func status(text string) sms.Status {
	switch text {
	case "delivered":
		return sms.Delivered
	case "failed":
		return sms.Undelivered
	case "expired":
		return sms.Expired
	case "rejected":
		return sms.Rejected
	case "accepted", "buffered":
		return sms.InTransit
	}
	return sms.Unknown
}

// reportedAt reads the time in the two forms that the vendor documents; both are UTC.
func reportedAt(text string) time.Time {
	for _, layout := range []string{time.RFC3339, time.DateTime} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}
