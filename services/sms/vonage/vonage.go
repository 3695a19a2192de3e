// Package vonage sends texts through Vonage's SMS API with the vendor's SDK.
//
// The SDK has no context, no timeout, no limit on answers, and indexes a list that may
// be empty; so each Send gives it a client of its own on a wire.Call, reads the answer
// before the SDK does, and judges by what it read.
package vonage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	sdk "github.com/vonage/vonage-go-sdk"

	"latchkey.dev/services/code"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/wire"
)

// BaseURL is the vendor's own address.
const BaseURL = "https://rest.nexmo.com"

// keyLength is the length of every API key; the SDK refuses any other.
const keyLength = 8

// maxMessages bounds how many segments of one text an answer may list.
const maxMessages = 32

// Options say which account sends, and how.
type Options struct {
	// Name is the provider's name in receipt addresses; "" is "vonage".
	Name string
	// APIKey is the account's key, 8 characters.
	APIKey string
	// APISecret is the account's secret.
	APISecret secret.String
	// SignatureSecret is what the account signs its receipts with; where it is set, a
	// receipt without a right signature is refused.
	SignatureSecret secret.String
	// SignatureMethod is "sha256hmac" (also "") or "sha512hmac", as the account is set to.
	SignatureMethod string
	// From is the sender: a number without "+", or up to 11 letters and digits.
	From string
	// BaseURL is where the API is; "" is the vendor's.
	BaseURL string
	// Transport carries the requests and is shared between them; nil is wire.Transport().
	Transport http.RoundTripper
	// Receipts is where delivery receipts go; the zero value asks for none.
	Receipts sms.Callback
}

func (o Options) validate() error {
	var errs []error
	if len(o.APIKey) != keyLength {
		errs = append(errs, fmt.Errorf("API key: must have %d characters", keyLength))
	}
	if o.APISecret.Empty() {
		errs = append(errs, errors.New("API secret: is missing"))
	}
	if o.SignatureMethod != MethodSHA256 && o.SignatureMethod != MethodSHA512 {
		errs = append(errs, errors.New("signature method: must be sha256hmac or sha512hmac"))
	}
	if o.From == "" || strings.HasPrefix(o.From, "+") {
		errs = append(errs, errors.New("from: must be a number without + or a sender's name"))
	}
	if u, err := url.Parse(o.BaseURL); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" {
		errs = append(errs, errors.New("base URL: must be an http or https address without a query"))
	}
	return errors.Join(append(errs, o.Receipts.Validate())...)
}

// Sender sends through one Vonage account.
type Sender struct {
	o   Options
	now func() time.Time
}

var (
	_ sms.Sender        = (*Sender)(nil)
	_ sms.ReceiptParser = (*Sender)(nil)
	_ sms.Checker       = (*Sender)(nil)
)

// New returns a sender, or every wrong field of the options.
func New(o Options) (*Sender, error) {
	if o.Name == "" {
		o.Name = "vonage"
	}
	if o.SignatureMethod == "" {
		o.SignatureMethod = MethodSHA256
	}
	if o.BaseURL == "" {
		o.BaseURL = BaseURL
	}
	if o.Transport == nil {
		o.Transport = wire.Transport()
	}
	o.BaseURL = strings.TrimSuffix(o.BaseURL, "/")
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("vonage: %w", err)
	}
	return &Sender{o: o, now: time.Now}, nil
}

// Send implements sms.Sender.
func (s *Sender) Send(ctx context.Context, m sms.Message) sms.Outcome {
	return wire.Send(ctx, s.o.Transport, judge, func(client *http.Client) {
		api := sdk.NewSMSClient(sdk.CreateAuthFromKeySecret(s.o.APIKey, s.o.APISecret.Reveal()))
		api.Config.HTTPClient = client
		api.Config.BasePath = s.o.BaseURL + "/sms"
		opts := sdk.SMSOpts{Type: "text", ClientRef: m.AttemptID.String()}
		if _, ok := code.Septets(m.Body.Reveal()); !ok {
			opts.Type = "unicode"
		}
		if s.o.Receipts.Enabled() {
			opts.StatusReportReq = true
			opts.Callback = s.o.Receipts.URL(s.o.Name, m.AttemptID)
		}
		// The SDK's own reading is not looked at: it checks the first of several messages alone.
		_, _, _ = api.Send(s.o.From, strings.TrimPrefix(m.To.E164(), "+"), m.Body.Reveal(), opts)
	})
}

// answer is what is read of https://developer.vonage.com/en/api/sms#send-an-sms.
type answer struct {
	Messages []struct {
		Status    string `json:"status"`
		MessageID string `json:"message-id"`
	} `json:"messages"`
}

var errNoVerdict = errors.New("the answer says nothing about the text")

// judge reads an answer. Its error means that the answer cannot be trusted.
func judge(a wire.Answer) (sms.Outcome, error) {
	if a.Status != http.StatusOK {
		return wire.ByStatus(a), nil
	}
	var got answer
	if err := json.Unmarshal(a.Body, &got); err != nil || len(got.Messages) == 0 || len(got.Messages) > maxMessages {
		return sms.Outcome{}, errNoVerdict
	}
	first := got.Messages[0]
	accepted, refused := 0, ""
	for _, m := range got.Messages {
		switch m.Status {
		case "":
			return sms.Outcome{}, errNoVerdict
		case "0":
			accepted++
		default:
			if refused == "" {
				refused = m.Status
			}
		}
	}
	switch {
	case refused == "":
		return sms.Outcome{Ending: sms.Accepted, Reason: sms.ReasonOK, Segments: accepted,
			Reference: wire.Token(first.MessageID, wire.MaxReference), VendorCode: "0"}, nil
	case accepted > 0:
		// A part of the text is on its way; whether the phone shows it, nobody knows.
		return sms.Outcome{Ending: sms.Ambiguous, Reason: sms.ReasonRefused, Segments: accepted,
			Reference: wire.Token(first.MessageID, wire.MaxReference), VendorCode: wire.Token(refused, wire.MaxCode)}, nil
	}
	out := classify(refused)
	out.VendorCode, out.RetryAfter = wire.Token(refused, wire.MaxCode), wire.RetryAfter(a.Header)
	return out, nil
}

// classify says what a status other than 0 means
// (https://developer.vonage.com/en/api-errors/sms).
func classify(status string) sms.Outcome {
	out := sms.Outcome{Ending: sms.RefusedElsewhere, Reason: sms.ReasonRefused}
	n, err := strconv.Atoi(status)
	if err != nil {
		return out
	}
	switch n {
	case 1:
		out.Reason = sms.ReasonThrottled
	case 2, 3, 4, 11, 12, 13, 14, 15, 22, 23, 29, 32: // our request, credentials or sender
		out.Reason = sms.ReasonMisconfigured
	case 5, 10:
		out.Reason = sms.ReasonProviderError
	case 6, 33: // no route from here; another provider may know the number
		out.Reason = sms.ReasonBadNumber
	case 7: // barred: on the do-not-text list
		out.Ending, out.Reason = sms.RefusedNever, sms.ReasonOptedOut
	case 8, 9:
		out.Reason = sms.ReasonQuota
	}
	return out
}

// attempt returns the attempt that an authentic receipt is about.
func (s *Sender) attempt(r *http.Request) (uuid.UUID, error) {
	return s.o.Receipts.Attempt(s.o.Name, r.URL.Path)
}
