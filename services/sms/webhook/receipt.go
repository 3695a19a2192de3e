package webhook

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/wire"
)

// receipt is what the service reports.
type receipt struct {
	ID        string    `json:"id"` // of the request
	Status    string    `json:"status"`
	Reference string    `json:"reference"`
	Code      string    `json:"code"`
	At        time.Time `json:"at"`
}

// ParseReceipt implements sms.ReceiptParser. One of the secrets must have signed the
// report in the last five minutes. The same report may come twice: it says the same.
func (s *Sender) ParseReceipt(r *http.Request) (sms.Receipt, error) {
	if r.Method != http.MethodPost {
		return sms.Receipt{}, sms.ErrMalformed
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, wire.MaxAnswer+1))
	if err != nil || len(body) > wire.MaxAnswer {
		return sms.Receipt{}, sms.ErrMalformed
	}
	if !s.signed(body, r.Header) {
		return sms.Receipt{}, sms.ErrForged
	}
	var got receipt
	if json.Unmarshal(body, &got) != nil || got.Status == "" {
		return sms.Receipt{}, sms.ErrMalformed
	}
	attempt, err := uuid.Parse(got.ID)
	if err != nil || len(got.ID) != 36 {
		return sms.Receipt{}, sms.ErrMalformed
	}
	status := sms.Status(got.Status)
	if !slices.Contains(sms.Statuses, status) {
		status = sms.Unknown
	}
	if !got.At.IsZero() {
		got.At = got.At.UTC()
	}
	return sms.Receipt{AttemptID: attempt, Reference: wire.Token(got.Reference, wire.MaxReference), Status: status,
		Code: wire.Token(got.Code, wire.MaxCode), At: got.At}, nil
}

func (s *Sender) signed(body []byte, h http.Header) bool {
	for _, key := range s.keys {
		if key.Verify(body, h) == nil {
			return true
		}
	}
	return false
}
