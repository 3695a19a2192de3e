// Package twilio sends texts through Twilio's Messages API with the vendor's SDK.
//
// The SDK has no context and no limit on answers; so each Send gives it a client of its
// own on a wire.Call, reads the answer before the SDK does, and judges by what it read.
package twilio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"

	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/wire"
)

// BaseURL is the vendor's own address. The SDK writes it into every request.
const BaseURL = "https://api.twilio.com"

// Options say which account sends, and how.
type Options struct {
	// Name is the provider's name in receipt addresses; "" is "twilio".
	Name string
	// AccountSID names the account: AC and 32 hexadecimal digits.
	AccountSID string
	// AuthToken is the account's secret. It also signs the receipts.
	AuthToken secret.String
	// From is the sender, a number in E.164 form or a sender's name. Either From or
	// MessagingServiceSID is set.
	From string
	// MessagingServiceSID names the service that picks a sender: MG and 32 hexadecimal digits.
	MessagingServiceSID string
	// BaseURL is where the API is; "" is the vendor's.
	BaseURL string
	// Transport carries the requests and is shared between them; nil is wire.Transport().
	Transport http.RoundTripper
	// Receipts is where status callbacks go; the zero value asks for none.
	Receipts sms.Callback
}

var (
	accountSID = regexp.MustCompile(`^AC[0-9a-fA-F]{32}$`)
	serviceSID = regexp.MustCompile(`^MG[0-9a-fA-F]{32}$`)
	messageSID = regexp.MustCompile(`^(SM|MM)[0-9a-fA-F]{32}$`)
	plain      = regexp.MustCompile(`^[0-9a-zA-Z]+$`) // the SDK refuses any other token
)

func (o Options) validate() error {
	var errs []error
	if !accountSID.MatchString(o.AccountSID) {
		errs = append(errs, errors.New("account SID: must be AC and 32 hexadecimal digits"))
	}
	if !plain.MatchString(o.AuthToken.Reveal()) {
		errs = append(errs, errors.New("auth token: must be letters and digits"))
	}
	if (o.From == "") == (o.MessagingServiceSID == "") {
		errs = append(errs, errors.New("from: exactly one of from and messaging service SID must be set"))
	}
	if o.MessagingServiceSID != "" && !serviceSID.MatchString(o.MessagingServiceSID) {
		errs = append(errs, errors.New("messaging service SID: must be MG and 32 hexadecimal digits"))
	}
	if u, err := url.Parse(o.BaseURL); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" {
		errs = append(errs, errors.New("base URL: must be an http or https address without a query"))
	}
	return errors.Join(append(errs, o.Receipts.Validate())...)
}

// Sender sends through one Twilio account.
type Sender struct{ o Options }

var (
	_ sms.Sender        = (*Sender)(nil)
	_ sms.ReceiptParser = (*Sender)(nil)
	_ sms.Checker       = (*Sender)(nil)
)

// New returns a sender, or every wrong field of the options.
func New(o Options) (*Sender, error) {
	if o.Name == "" {
		o.Name = "twilio"
	}
	if o.BaseURL == "" {
		o.BaseURL = BaseURL
	}
	if o.Transport == nil {
		o.Transport = wire.Transport()
	}
	o.BaseURL = strings.TrimSuffix(o.BaseURL, "/")
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("twilio: %w", err)
	}
	return &Sender{o: o}, nil
}

// pointed is the SDK's client, pointed at another address than the one it has built in.
type pointed struct {
	*client.Client
	base string
}

func (p pointed) SendRequest(method, address string, data url.Values, headers map[string]any, body ...byte) (*http.Response, error) {
	return p.Client.SendRequest(method, p.base+strings.TrimPrefix(address, BaseURL), data, headers, body...)
}

// Send implements sms.Sender. Twilio has no field for a client reference: the attempt is
// known by its callback address alone.
func (s *Sender) Send(ctx context.Context, m sms.Message) sms.Outcome {
	return wire.Send(ctx, s.o.Transport, judge, func(client *http.Client) {
		params := new(api.CreateMessageParams)
		params.SetTo(m.To.E164())
		params.SetBody(m.Body.Reveal())
		if s.o.MessagingServiceSID != "" {
			params.SetMessagingServiceSid(s.o.MessagingServiceSID)
		} else {
			params.SetFrom(s.o.From)
		}
		if s.o.Receipts.Enabled() {
			params.SetStatusCallback(s.o.Receipts.URL(s.o.Name, m.AttemptID))
		}
		_, _ = s.api(client).CreateMessage(params) // judge has read what it reads
	})
}

// answer is what is read of a Message (https://www.twilio.com/docs/messaging/api/message-resource)
// and of an error (https://www.twilio.com/docs/usage/twilios-response).
type answer struct {
	SID         string `json:"sid"`
	Status      any    `json:"status"` // text in a Message, the HTTP status in an error
	NumSegments string `json:"num_segments"`
	ErrorCode   *int   `json:"error_code"`
	Code        int    `json:"code"`
}

var errNoVerdict = errors.New("the answer says nothing about the text")

// judge reads an answer. Its error means that the answer cannot be trusted.
func judge(a wire.Answer) (sms.Outcome, error) {
	var got answer
	readable := json.Unmarshal(a.Body, &got) == nil
	if a.Status < 200 || a.Status > 299 {
		if !readable || got.Code <= 0 || a.Status < 400 {
			return wire.ByStatus(a), nil
		}
		out := refusal(got.Code, a)
		out.VendorCode, out.RetryAfter = strconv.Itoa(got.Code), wire.RetryAfter(a.Header)
		return out, nil
	}
	status, _ := got.Status.(string)
	if !readable || !messageSID.MatchString(got.SID) || status == "" {
		return sms.Outcome{}, errNoVerdict
	}
	segments, _ := strconv.Atoi(got.NumSegments) // "0" from a messaging service: not known yet
	out := sms.Outcome{Ending: sms.Accepted, Reason: sms.ReasonOK, Reference: got.SID, Segments: min(max(segments, 0), 32)}
	switch status {
	case "accepted", "scheduled", "queued", "sending", "sent", "delivered":
		return out, nil
	case "failed", "undelivered", "canceled":
		out.Ending, out.Reason, out.Segments = sms.RefusedElsewhere, sms.ReasonRefused, 0
		if got.ErrorCode != nil {
			verdict := classify(*got.ErrorCode)
			out.Ending, out.Reason, out.VendorCode = verdict.Ending, verdict.Reason, strconv.Itoa(*got.ErrorCode)
		}
		return out, nil
	}
	return sms.Outcome{}, errNoVerdict
}

// refusal reads an error with a code. Where Twilio itself failed, the code does not say
// that nothing was sent: the HTTP status decides.
func refusal(code int, a wire.Answer) sms.Outcome {
	if a.Status >= 500 || a.Status == http.StatusRequestTimeout {
		return wire.ByStatus(a)
	}
	out := classify(code)
	if out.Reason == sms.ReasonRefused {
		if byStatus := wire.ByStatus(a); a.Status != http.StatusBadRequest {
			out.Reason = byStatus.Reason
		}
	}
	return out
}
