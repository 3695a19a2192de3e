// Package sms is the seam between Latchkey and the companies that carry its texts.
//
// A provider's adapter lives in a package of its own below this one, is the only
// importer of that vendor's SDK, and passes smstest.Exercise.
package sms

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/phone"
)

// MaxAttempt is the longest one Send may take, whatever its context allows.
const MaxAttempt = 4 * time.Second

// Body is the words of a text. It holds a code, so it prints as [redacted], or as an
// address where fmt may call no methods.
type Body struct{ text *string }

// NewBody returns text as the words of a message.
func NewBody(text string) Body { return Body{text: &text} }

// Reveal returns the words. Only an adapter calls it, while it writes its request.
func (b Body) Reveal() string {
	if b.text == nil {
		return ""
	}
	return *b.text
}

const redacted = "[redacted]"

func (Body) String() string               { return redacted }
func (Body) GoString() string             { return redacted }
func (Body) Format(f fmt.State, _ rune)   { io.WriteString(f, redacted) }
func (Body) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (Body) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Message is one text to one phone.
type Message struct {
	// AttemptID goes to the vendor as its client reference, and comes back in receipts.
	// It is no personal detail: vendors cannot redact that field.
	AttemptID uuid.UUID
	To        phone.Number
	// Country is the number's, ISO 3166-1 alpha-2, "" where it is not known.
	Country string
	Body    Body
	// Validity is how long the code lives yet: a vendor that can be told drops the text
	// after it. 0 where it does not matter.
	Validity time.Duration
}

// Sender hands texts to one provider.
//
// Send makes at most one request, never retries, follows no redirect, reads a
// bounded answer, and returns before the earlier of ctx's deadline and MaxAttempt.
// It never panics. It is safe for concurrent use.
type Sender interface {
	Send(ctx context.Context, m Message) Outcome
}

// Provider is a configured way to send texts.
type Provider struct {
	Name   string // as in events, metrics and tables
	Sender Sender
	// Receipts reads the provider's delivery reports; none are taken from it if nil.
	Receipts ReceiptParser
	// Source brings reports that do not come over HTTP; nil where there are none.
	Source ReceiptSource
	// Rate is how many texts a second the vendor takes from all instances together; 0 is as many as come.
	Rate float64
}

// Checker is a Sender that can tell without sending a text whether its vendor takes its credentials.
type Checker interface {
	// Check asks the vendor once. It returns what the vendor says of the account, as its
	// balance ("3.14 EUR"), at most 64 bytes, or "". An error is one sentence for the
	// person who set the provider up; it holds no secret and nothing of the vendor's answer.
	Check(ctx context.Context) (account string, err error)
}

// Ending says what became of an attempt.
type Ending string

const (
	// Accepted: the provider took the text into its queue. It is not yet on the phone.
	Accepted Ending = "accepted"
	// RefusedElsewhere: this provider did not take it and nothing was sent; another may.
	RefusedElsewhere Ending = "refused_elsewhere"
	// RefusedNever: nothing was sent, and no provider can ever reach this number.
	RefusedNever Ending = "refused_never"
	// Ambiguous: the request left, and whether the provider took the text is not known.
	Ambiguous Ending = "ambiguous"
)

// Endings is the closed set of endings, in the order of the constants.
var Endings = []Ending{Accepted, RefusedElsewhere, RefusedNever, Ambiguous}

// Reason says why an attempt ended as it did. The set is closed: it is a metric label.
type Reason string

const (
	ReasonOK            Reason = "ok"
	ReasonThrottled     Reason = "throttled"      // the provider's rate was exceeded
	ReasonProviderError Reason = "provider_error" // the provider says that it failed
	ReasonUnreachable   Reason = "unreachable"    // no connection: nothing was written
	ReasonTimeout       Reason = "timeout"        // written, and no whole answer in time
	ReasonBadAnswer     Reason = "bad_answer"     // an answer that says nothing we can trust
	ReasonMisconfigured Reason = "misconfigured"  // credentials, sender or our own request are refused
	ReasonQuota         Reason = "quota"          // the account at the provider has no money or is barred
	ReasonBadNumber     Reason = "bad_number"     // no such number, a landline, unroutable
	ReasonOptedOut      Reason = "opted_out"      // the person told the provider to stop
	ReasonRefused       Reason = "refused"        // refused for another reason
)

// Reasons is the closed set of reasons, in the order of the constants.
var Reasons = []Reason{ReasonOK, ReasonThrottled, ReasonProviderError, ReasonUnreachable, ReasonTimeout,
	ReasonBadAnswer, ReasonMisconfigured, ReasonQuota, ReasonBadNumber, ReasonOptedOut, ReasonRefused}

// Outcome is a provider's answer to one Send, in our words.
type Outcome struct {
	Ending Ending
	Reason Reason
	// Reference is the vendor's id of the text, when there is one.
	Reference string
	// VendorCode is the vendor's own status or error code, at most 32 bytes of [A-Za-z0-9._-].
	// It never holds text from the answer, which might repeat the number or the code.
	VendorCode string
	// Segments is how many segments the vendor says it sent, 0 when it does not say.
	Segments int
	// RetryAfter is how long the provider asks to be left alone, 0 when it does not say.
	RetryAfter time.Duration
}
