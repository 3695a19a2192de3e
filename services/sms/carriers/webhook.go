package carriers

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// DemoWebhookSecret signs what goes to and comes from the simulated service of an
// operator's own, unless Options say otherwise. It opens nothing outside a simulator.
const DemoWebhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// WebhookPath is where that service takes texts.
const WebhookPath = "/texts"

// webhook is a service of an operator's own (sms/webhook/README.md).
type webhook struct {
	s   *Simulator
	key *standardwebhooks.Webhook
}

var webhookVendor = vendor{carrier: Webhook, name: "Own service", paths: []string{"POST " + WebhookPath}, suspended: "suspended", barred: "stopped",
	protocol: func(s *Simulator) protocol {
		key, err := standardwebhooks.NewWebhook(cmp.Or(s.o.WebhookSecret, DemoWebhookSecret))
		if err != nil {
			key, _ = standardwebhooks.NewWebhookRaw([]byte(s.o.WebhookSecret))
		}
		return webhook{s, key}
	}}

// webhookRefusals are the simulated service's codes: HTTP status, outcome, reason.
var webhookRefusals = map[string]struct {
	status          int
	outcome, reason string
}{
	"stopped":        {403, "refused_never", "opted_out"},
	"no-such-number": {422, "refused_never", "bad_number"},
	"suspended":      {402, "refused_elsewhere", "quota"},
	"no-route":       {422, "refused_elsewhere", "bad_number"},
	"maintenance":    {409, "refused_elsewhere", "provider_error"},
	"busy":           {429, "refused_elsewhere", "throttled"},
}

func (h webhook) read(r *http.Request) (order, *answer) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return order{}, &answer{status: http.StatusRequestEntityTooLarge}
	}
	if h.key.Verify(body, r.Header) != nil {
		return order{}, &answer{status: http.StatusUnauthorized}
	}
	var doc struct {
		ID, To, Country, Text string
		ReceiptURL            string `json:"receipt_url"`
	}
	if json.Unmarshal(body, &doc) != nil || doc.ID == "" || doc.ID != r.Header.Get(standardwebhooks.HeaderWebhookID) || doc.Text == "" || !e164(doc.To) {
		return order{}, &answer{status: http.StatusBadRequest}
	}
	return order{id: fmt.Sprintf("own-%016x-%d", h.s.run, h.s.ids.Add(1)), to: doc.To, from: "own", body: doc.Text, clientRef: doc.ID,
		callback: doc.ReceiptURL, parts: segments(doc.Text)}, nil
}

func (h webhook) accepted(o order) answer {
	return asJSON(http.StatusAccepted, map[string]string{"reference": o.id})
}

func (h webhook) refused(code string, _ order) answer {
	known, ok := webhookRefusals[code]
	if !ok {
		known.status, known.outcome, known.reason = http.StatusBadRequest, "refused_elsewhere", "refused"
	}
	return asJSON(known.status, map[string]string{"outcome": known.outcome, "reason": known.reason, "code": code})
}

func (h webhook) throttled(o order) answer { return h.refused("busy", o) }
func (h webhook) empty() answer            { return answer{status: http.StatusOK, body: []byte("[]\n")} }

// webhookAbsent is the service's code of a phone that could not be reached.
const webhookAbsent = "absent"

func (h webhook) receipts(o order, b Behaviour) report {
	last, code := "delivered", "0"
	if b.Receipt == ReceiptFailed {
		last, code = "undelivered", webhookAbsent
	}
	out := report{tries: maxTries, insist: true}
	for _, status := range arranged(b, "in_transit", last) {
		doc := map[string]string{"id": o.clientRef, "status": status, "reference": o.id, "code": code, "at": o.at.UTC().Format("2006-01-02T15:04:05Z")}
		out.requests = append(out.requests, func(ctx context.Context) (*http.Request, error) {
			return h.receipt(ctx, o, status, doc, b.Receipt == ReceiptForged)
		})
	}
	return out
}

func (h webhook) receipt(ctx context.Context, o order, status string, doc map[string]string, forged bool) (*http.Request, error) {
	body, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	r, err := newRequest(ctx, http.MethodPost, o.callback, "application/json", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	key := h.key
	if forged {
		key, _ = standardwebhooks.NewWebhookRaw([]byte("a stranger's key of some bytes"))
	}
	now, id := h.s.now(), o.clientRef+"."+status
	signature, err := key.Sign(id, now, body)
	r.Header.Set(standardwebhooks.HeaderWebhookID, id)
	r.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	r.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	return r, err
}
