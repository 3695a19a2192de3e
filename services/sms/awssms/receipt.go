package awssms

import (
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/pinpointsmsvoicev2/types"
	"github.com/google/uuid"

	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/wire"
)

// event is what is read of an event of a configuration set
// (https://docs.aws.amazon.com/sms-voice/latest/userguide/configuration-sets-event-format.html).
type event struct {
	Type      types.EventType   `json:"eventType"`
	At        int64             `json:"eventTimestamp"` // Unix time in milliseconds
	Final     *bool             `json:"isFinal"`
	MessageID string            `json:"messageId"`
	Context   map[string]string `json:"context"`
}

// ParseReceipt implements sms.ReceiptParser. Events come through SNS, to one address for
// all: the topic and SNS's signature tell that a message is authentic, and the token that
// Send wrote into the text's context that it is about a text of this installation. A
// subscription of the topic is confirmed when SNS asks for it.
func (s *Sender) ParseReceipt(r *http.Request) (sms.Receipt, error) {
	if r.Method != http.MethodPost {
		return sms.Receipt{}, sms.ErrMalformed
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, wire.MaxAnswer+1))
	if err != nil || len(body) > wire.MaxAnswer {
		return sms.Receipt{}, sms.ErrMalformed
	}
	var m message
	if json.Unmarshal(body, &m) != nil {
		return sms.Receipt{}, sms.ErrMalformed
	}
	if err := s.sns.verify(r.Context(), m); err != nil {
		return sms.Receipt{}, err
	}
	switch m.Type {
	case notification:
		return s.read(m.Message)
	case subscription:
		return sms.Receipt{}, s.sns.confirm(r.Context(), m)
	}
	return sms.Receipt{}, sms.ErrNoReport // the end of a subscription
}

func (s *Sender) read(text string) (sms.Receipt, error) {
	var e event
	if json.Unmarshal([]byte(text), &e) != nil || e.Type == "" {
		return sms.Receipt{}, sms.ErrMalformed
	}
	id, token := e.Context[contextAttempt], e.Context[contextToken]
	if id == "" {
		return sms.Receipt{}, sms.ErrNoReport // of a text that something else sent
	}
	attempt, err := uuid.Parse(id)
	if err != nil || len(id) != 36 || !s.o.Receipts.Verify(s.o.Name, attempt, token) {
		return sms.Receipt{}, sms.ErrForged
	}
	got := sms.Receipt{AttemptID: attempt, Status: status(e), Code: wire.Token(string(e.Type), wire.MaxCode), Reference: wire.Token(e.MessageID, wire.MaxReference)}
	if e.At > 0 {
		got.At = time.UnixMilli(e.At).UTC()
	}
	return got, nil
}

// status reads the types of
// https://docs.aws.amazon.com/sms-voice/latest/userguide/configuration-sets-event-types.html.
// TEXT_SUCCESSFUL tells that the carrier took the text, not that the phone has it. A failure
// that is not final is not the end: AWS goes on trying.
func status(e event) sms.Status {
	failed := sms.Unknown
	switch e.Type {
	case types.EventTypeTextDelivered:
		return sms.Delivered
	case types.EventTypeTextSent, types.EventTypeTextPending, types.EventTypeTextQueued, types.EventTypeTextSuccessful:
		return sms.InTransit
	case types.EventTypeTextTtlExpired:
		failed = sms.Expired
	case types.EventTypeTextUnreachable, types.EventTypeTextCarrierUnreachable, types.EventTypeTextInvalid:
		failed = sms.Undelivered
	case types.EventTypeTextBlocked, types.EventTypeTextCarrierBlocked, types.EventTypeTextSpam, types.EventTypeTextInvalidMessage, types.EventTypeTextProtectBlocked:
		failed = sms.Rejected
	}
	if failed != sms.Unknown && e.Final != nil && !*e.Final {
		return sms.InTransit
	}
	return failed
}
