// Package webhook sends texts through an HTTP service of the operator's own, in the
// format that README.md beside this file tells.
package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/wire"
)

// minSecret is the shortest key that Standard Webhooks allow, in bytes.
const minSecret = 24

// Options say where the service is, and how it knows us.
type Options struct {
	// Name is the provider's name in the receipt address; "" is "webhook".
	Name string
	// URL takes the texts. It must be https, but for a service on this machine.
	URL string
	// Secrets sign requests, and receipts may be signed by any of them: more than one
	// while they are exchanged. Each is whsec_ and base64, as Standard Webhooks say.
	Secrets []secret.String
	// Transport carries the requests and is shared between them; nil is wire.Transport().
	Transport http.RoundTripper
	// Receipts is where receipts go; the zero value asks for none. Its key is not used:
	// receipts are signed.
	Receipts sms.Callback
}

// Sender sends through one service.
type Sender struct {
	o    Options
	keys []*standardwebhooks.Webhook
	now  func() time.Time
}

var (
	_ sms.Sender        = (*Sender)(nil)
	_ sms.ReceiptParser = (*Sender)(nil)
)

// New returns a sender, or every wrong field of the options.
func New(o Options) (*Sender, error) {
	if o.Name == "" {
		o.Name = "webhook"
	}
	if o.Transport == nil {
		o.Transport = wire.Transport()
	}
	s := &Sender{o: o, now: time.Now}
	var errs []error
	if !allowed(o.URL) {
		errs = append(errs, errors.New("URL: must be an https address without a user, or an http address of this machine"))
	}
	if len(o.Secrets) == 0 {
		errs = append(errs, errors.New("secrets: one at least is needed"))
	}
	for i, text := range o.Secrets {
		key, err := standardwebhooks.NewWebhook(text.Reveal())
		if err != nil || !strings.HasPrefix(text.Reveal(), "whsec_") || len(text.Reveal()) < len("whsec_")+minSecret*4/3 {
			errs = append(errs, fmt.Errorf("secrets[%d]: must be whsec_ and %d bytes or more in base64", i, minSecret))
			continue
		}
		s.keys = append(s.keys, key)
	}
	if err := errors.Join(append(errs, o.Receipts.Validate())...); err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	return s, nil
}

// allowed reports whether texts may go to an address: in the clear to this machine alone.
func allowed(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

// request is what the service is asked.
type request struct {
	ID      string `json:"id"` // of the attempt
	To      string `json:"to"` // E.164 with its +
	Country string `json:"country"`
	Text    string `json:"text"`
	// ValidSeconds is how long the text is worth sending; it is missing where that does not matter.
	ValidSeconds int    `json:"valid_seconds,omitempty"`
	ReceiptURL   string `json:"receipt_url,omitempty"`
}

// Send implements sms.Sender.
func (s *Sender) Send(ctx context.Context, m sms.Message) sms.Outcome {
	return wire.Send(ctx, s.o.Transport, judge, func(client *http.Client) {
		if r, err := s.request(m); err == nil {
			_, _ = client.Do(r) // judge has read the answer
		}
	})
}

func (s *Sender) request(m sms.Message) (*http.Request, error) {
	doc := request{ID: m.AttemptID.String(), To: m.To.E164(), Country: m.Country, Text: m.Body.Reveal(), ValidSeconds: int(m.Validity / time.Second)}
	if s.o.Receipts.Enabled() {
		doc.ReceiptURL = s.o.Receipts.Base + "/" + s.o.Name
	}
	body, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequest(http.MethodPost, s.o.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.GetBody = nil // nobody sends it again
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "latchkey")
	return r, s.sign(r.Header, doc.ID, body)
}

// sign signs with every secret, so that the service may know either of two that are exchanged.
func (s *Sender) sign(h http.Header, id string, body []byte) error {
	now := s.now()
	var all []string
	for _, key := range s.keys {
		signature, err := key.Sign(id, now, body)
		if err != nil {
			return err
		}
		all = append(all, signature)
	}
	h.Set(standardwebhooks.HeaderWebhookID, id)
	h.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	h.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(all, " "))
	return nil
}

// reply is what the service answers.
type reply struct {
	Reference string     `json:"reference"`
	Outcome   sms.Ending `json:"outcome"`
	Reason    sms.Reason `json:"reason"`
	Code      string     `json:"code"`
}

var errNoVerdict = errors.New("the answer says nothing about the text")

// reasons are those that a service may refuse for, by the ending.
var reasons = map[sms.Ending][]sms.Reason{
	sms.RefusedNever: {sms.ReasonBadNumber, sms.ReasonOptedOut, sms.ReasonRefused},
	sms.RefusedElsewhere: {sms.ReasonThrottled, sms.ReasonProviderError, sms.ReasonMisconfigured, sms.ReasonQuota, sms.ReasonBadNumber,
		sms.ReasonOptedOut, sms.ReasonRefused},
}

// judge reads an answer. Its error means that the answer cannot be trusted.
func judge(a wire.Answer) (sms.Outcome, error) {
	var got reply
	body := bytes.TrimSpace(a.Body)
	readable := len(body) > 0 && body[0] == '{' && json.Unmarshal(body, &got) == nil
	switch {
	case a.Status == http.StatusOK || a.Status == http.StatusAccepted:
		if !readable && len(body) > 0 {
			return sms.Outcome{}, errNoVerdict
		}
		return sms.Outcome{Ending: sms.Accepted, Reason: sms.ReasonOK, Reference: wire.Token(got.Reference, wire.MaxReference)}, nil
	case a.Status < 400 || a.Status > 499 || a.Status == http.StatusRequestTimeout || !slices.Contains(reasons[got.Outcome], got.Reason):
		return wire.ByStatus(a), nil
	}
	return sms.Outcome{Ending: got.Outcome, Reason: got.Reason, VendorCode: wire.Token(got.Code, wire.MaxCode), RetryAfter: wire.RetryAfter(a.Header)}, nil
}
