package vonage

import (
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
// MAC in the address is what authenticates it.
func (s *Sender) ParseReceipt(r *http.Request) (sms.Receipt, error) {
	attempt, err := s.attempt(r)
	if err != nil {
		return sms.Receipt{}, err
	}
	get, err := fields(r)
	if err != nil {
		return sms.Receipt{}, err
	}
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

// fields returns a reader of the report's fields.
func fields(r *http.Request) (func(string) string, error) {
	switch r.Method {
	case http.MethodGet:
		return r.URL.Query().Get, nil
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
		var report map[string]any
		if json.Unmarshal(body, &report) != nil {
			return nil, sms.ErrMalformed
		}
		return func(name string) string { text, _ := report[name].(string); return text }, nil
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, sms.ErrMalformed
	}
	return form.Get, nil
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
