package twilio

import (
	"io"
	"mime"
	"net/http"
	"net/url"

	"github.com/twilio/twilio-go/client"

	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/wire"
)

// ParseReceipt implements sms.ReceiptParser. A report must come to the address made for
// its attempt and carry Twilio's signature over that address and the form
// (https://www.twilio.com/docs/usage/security). The address is the one that we gave out,
// so a proxy in front that changes host or scheme does not matter.
func (s *Sender) ParseReceipt(r *http.Request) (sms.Receipt, error) {
	attempt, err := s.o.Receipts.Attempt(s.o.Name, r.URL.Path)
	if err != nil {
		return sms.Receipt{}, err
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); r.Method != http.MethodPost || kind != "application/x-www-form-urlencoded" {
		return sms.Receipt{}, sms.ErrMalformed
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, wire.MaxAnswer+1))
	if err != nil || len(body) > wire.MaxAnswer {
		return sms.Receipt{}, sms.ErrMalformed
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return sms.Receipt{}, sms.ErrMalformed
	}
	params := make(map[string]string, len(form))
	for name := range form {
		params[name] = form.Get(name)
	}
	validator := client.NewRequestValidator(s.o.AuthToken.Reveal())
	if !validator.Validate(s.o.Receipts.URL(s.o.Name, attempt), params, r.Header.Get("X-Twilio-Signature")) {
		return sms.Receipt{}, sms.ErrForged
	}
	text := params["MessageStatus"]
	if text == "" {
		return sms.Receipt{}, sms.ErrMalformed
	}
	got := sms.Receipt{AttemptID: attempt, Status: status(text), Code: wire.Token(params["ErrorCode"], wire.MaxCode)}
	if sid := params["MessageSid"]; messageSID.MatchString(sid) {
		got.Reference = sid
	}
	return got, nil
}

// status reads the values of MessageStatus
// (https://www.twilio.com/docs/messaging/api/message-resource#message-status-values).
func status(text string) sms.Status {
	switch text {
	case "delivered", "read":
		return sms.Delivered
	case "undelivered":
		return sms.Undelivered
	case "failed", "canceled":
		return sms.Rejected
	case "accepted", "scheduled", "queued", "sending", "sent":
		return sms.InTransit
	}
	return sms.Unknown
}
