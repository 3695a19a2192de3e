package sms

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/internal/secret"
)

// Status is what a provider reports about a text it had accepted.
type Status string

const (
	Delivered   Status = "delivered"   // the phone has it, says the provider
	Undelivered Status = "undelivered" // it failed on the way
	Expired     Status = "expired"     // the phone was not reached while the text was worth sending
	Rejected    Status = "rejected"    // a carrier on the way refused it
	InTransit   Status = "in_transit"  // on its way: an end follows
	Unknown     Status = "unknown"     // the provider does not know, or says what we do not
)

// Statuses is the closed set of statuses, in the order of the constants.
var Statuses = []Status{Delivered, Undelivered, Expired, Rejected, InTransit, Unknown}

// Final reports whether no other status can follow.
func (s Status) Final() bool { return s != InTransit && s != Unknown }

// Receipt is a provider's report about one text. It is a hint: networks forge receipts,
// they come twice, late, out of order or never, so nothing about security may hang on one.
type Receipt struct {
	// AttemptID is uuid.Nil where the vendor names the text by Reference alone.
	AttemptID uuid.UUID
	// Reference is the vendor's id of the text, empty when the report has none that is well-formed.
	Reference string
	Status    Status
	// Code is the vendor's code for the status, as VendorCode of an Outcome.
	Code string
	// At is when the vendor says that the status was reached; zero when it does not say.
	At time.Time
}

// ReceiptParser reads a provider's reports. A Sender whose vendor reports over HTTP is one too.
type ReceiptParser interface {
	// ParseReceipt authenticates a report and reads it. It reads a bounded part of the body.
	// Errors are ErrForged, ErrMalformed, ErrNoReport and ErrLater; none holds anything from
	// the request.
	ParseReceipt(r *http.Request) (Receipt, error)
}

// ReceiptSource is a Sender whose vendor reports over a connection that the sender itself
// keeps (SMPP).
type ReceiptSource interface {
	// Run keeps the connection, over breaks too, until ctx ends, and hands every report to
	// take. One for which take returns an error is not acknowledged: the vendor sends it again.
	Run(ctx context.Context, take func(context.Context, Receipt) error) error
}

var (
	// ErrForged says that a report does not come from the provider. Answer 403.
	ErrForged = errors.New("the receipt is not authentic")
	// ErrMalformed says that an authentic report cannot be read. Answer 400.
	ErrMalformed = errors.New("the receipt cannot be read")
	// ErrNoReport says that an authentic request reports nothing about a text of ours, and
	// needs nothing more. Answer 200.
	ErrNoReport = errors.New("the request reports nothing")
	// ErrLater says that what tells whether a report is authentic cannot be had now. Answer
	// 503: the provider comes again.
	ErrLater = errors.New("the receipt cannot be checked now")
)

// Callback makes and checks the addresses to which providers report. Vendors that sign
// nothing are known by the address alone: it ends in a MAC over provider and attempt,
// so a receipt for one attempt cannot be turned into one for another.
type Callback struct {
	// Base is the public address of the receipts, without a slash at its end:
	// https://receipts.example.com/receipts. Empty: no receipts are asked for.
	Base string
	// Key is the MAC key, at least 16 bytes from a random source.
	Key secret.String
}

// Enabled reports whether receipts are asked for.
func (c Callback) Enabled() bool { return c.Base != "" }

// Validate reports what is wrong with the callback; a disabled one is right.
func (c Callback) Validate() error {
	if !c.Enabled() {
		return nil
	}
	var errs []error
	if !strings.HasPrefix(c.Base, "https://") && !strings.HasPrefix(c.Base, "http://") || strings.HasSuffix(c.Base, "/") || strings.ContainsAny(c.Base, "?#") {
		errs = append(errs, errors.New("receipt address: must start with https:// or http://, and have no query and no slash at its end"))
	}
	if len(c.Key.Reveal()) < 16 {
		errs = append(errs, errors.New("receipt key: must have at least 16 bytes"))
	}
	return errors.Join(errs...)
}

// URL returns the address for reports by a provider about an attempt:
// Base/provider/attempt/token.
func (c Callback) URL(provider string, attempt uuid.UUID) string {
	return c.Base + "/" + provider + "/" + attempt.String() + "/" + c.Token(provider, attempt)
}

// Verify reports whether the token belongs to the provider and the attempt, in a time
// that does not depend on how much of it is right.
func (c Callback) Verify(provider string, attempt uuid.UUID, token string) bool {
	return c.Enabled() && hmac.Equal([]byte(token), []byte(c.Token(provider, attempt)))
}

// Attempt returns the attempt that a request's path names in its last three parts
// (provider, attempt, token), or ErrForged.
func (c Callback) Attempt(provider, path string) (uuid.UUID, error) {
	rest, token, ok := cutLast(path)
	rest, id, ok2 := cutLast(rest)
	_, name, ok3 := cutLast(rest)
	if !ok || !ok2 || !ok3 || name != provider || len(id) != 36 {
		return uuid.Nil, ErrForged
	}
	attempt, err := uuid.Parse(id)
	if err != nil || !c.Verify(provider, attempt, token) {
		return uuid.Nil, ErrForged
	}
	return attempt, nil
}

// tokenBytes is how much of the MAC an address carries: 128 bits, beyond guessing online.
const tokenBytes = 16

// Token returns the last part of URL, for vendors that bring data back but have no address
// for each text.
func (c Callback) Token(provider string, attempt uuid.UUID) string {
	mac := hmac.New(sha256.New, []byte(c.Key.Reveal()))
	mac.Write([]byte("latchkey receipt\x00" + provider + "\x00"))
	mac.Write(attempt[:])
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:tokenBytes])
}

func cutLast(path string) (before, last string, ok bool) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}
