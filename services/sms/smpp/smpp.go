// Package smpp sends texts over SMPP 3.4 (https://smpp.org/SMPP_v3_4_Issue1_2.pdf), as a
// transceiver on one connection that Run keeps.
//
// Only the PDUs are gosmpp's: its session writes from a queue, so that nobody learns
// whether a request left, counts its window apart from it, and acknowledges reports before
// they are kept. The session here knows all three.
package smpp

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"sync"
	"time"

	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/sms"
)

// Options say which account sends, and how.
type Options struct {
	// Name is the provider's name; "" is "smpp".
	Name string
	// Address is the message centre's host and port.
	Address string
	// Plaintext goes without TLS, as over a private line. The password and the codes are then
	// read by everybody on the way.
	Plaintext bool
	// TLS is how TLS is spoken; nil is with the system's roots and the address's name.
	TLS *tls.Config
	// SystemID and Password are the account, of at most 15 and 8 characters.
	SystemID string
	Password secret.String
	// SystemType is what the vendor asks for there, often "".
	SystemType string
	// From is the sender: a number, a short code, or up to 11 letters and digits.
	From string
	// Window is how many requests may wait for their answers; 0 is 10.
	Window int
	// MessageIDs is as_is, which it is if "", or hex_to_decimal where answers have hexadecimal
	// ids and reports the same in decimal.
	MessageIDs string
	// EnquireEvery is how often the connection is tried while it is idle; 0 is 30 s.
	EnquireEvery time.Duration
}

// The values of MessageIDs.
const (
	AsIs         = "as_is"
	HexToDecimal = "hex_to_decimal"
)

const (
	defaultWindow = 10
	maxWindow     = 1000
	maxPassword   = 8  // SMPP 3.4 section 5.2.2
	maxSystemID   = 15 // section 5.2.1
)

var (
	printable = regexp.MustCompile(`^[!-~]+$`)
	sender    = regexp.MustCompile(`^(\+?[0-9]{3,15}|[A-Za-z0-9 ._-]{1,11})$`)
)

func (o Options) validate() error {
	var errs []error
	wrong := func(is bool, what string) {
		if is {
			errs = append(errs, errors.New(what))
		}
	}
	host, port, err := net.SplitHostPort(o.Address)
	wrong(err != nil || host == "" || port == "", "address: must be host:port")
	wrong(!printable.MatchString(o.SystemID) || len(o.SystemID) > maxSystemID, "system id: must be 1 to 15 characters")
	wrong(!printable.MatchString(o.Password.Reveal()) || len(o.Password.Reveal()) > maxPassword, "password: must be 1 to 8 characters")
	wrong(o.SystemType != "" && !printable.MatchString(o.SystemType) || len(o.SystemType) > 12, "system type: must be up to 12 characters")
	wrong(!sender.MatchString(o.From), "from: must be a number, or up to 11 letters and digits")
	wrong(o.Window < 1 || o.Window > maxWindow, "window: must be 1 to 1000")
	wrong(o.MessageIDs != AsIs && o.MessageIDs != HexToDecimal, "message ids: must be as_is or hex_to_decimal")
	wrong(o.EnquireEvery < time.Millisecond, "enquire every: must be longer")
	return errors.Join(errs...)
}

// Sender sends through one SMPP account, while Run keeps its connection.
type Sender struct {
	o Options

	mu      sync.Mutex
	bound   *session      // nil while there is none
	why     sms.Outcome   // then: why not
	changed chan struct{} // closed when bound or why is set
	running bool
}

var (
	_ sms.Sender        = (*Sender)(nil)
	_ sms.ReceiptSource = (*Sender)(nil)
	_ sms.Checker       = (*Sender)(nil)
)

// New returns a sender, or every wrong field of the options.
func New(o Options) (*Sender, error) {
	o.Name = cmp.Or(o.Name, "smpp")
	o.Window = cmp.Or(o.Window, defaultWindow)
	o.MessageIDs = cmp.Or(o.MessageIDs, AsIs)
	o.EnquireEvery = cmp.Or(o.EnquireEvery, 30*time.Second)
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("smpp: %w", err)
	}
	return &Sender{o: o, why: unreachable, changed: make(chan struct{})}, nil
}

// Format prints the sender's name alone: the rest changes meanwhile.
func (s *Sender) Format(f fmt.State, _ rune) { io.WriteString(f, "smpp "+s.o.Name) }

var (
	unreachable = sms.Outcome{Ending: sms.RefusedElsewhere, Reason: sms.ReasonUnreachable}
	timedOut    = sms.Outcome{Ending: sms.Ambiguous, Reason: sms.ReasonTimeout}
	badAnswer   = sms.Outcome{Ending: sms.Ambiguous, Reason: sms.ReasonBadAnswer}
)

// Send implements sms.Sender. A long text is several requests, which count as one: it is
// Accepted when all its parts are.
func (s *Sender) Send(ctx context.Context, m sms.Message) sms.Outcome {
	ctx, cancel := context.WithTimeout(ctx, sms.MaxAttempt)
	defer cancel()
	if ctx.Err() != nil {
		return unreachable
	}
	s.mu.Lock()
	on, why := s.bound, s.why
	s.mu.Unlock()
	if on == nil {
		return why
	}
	if on.ended() {
		return unreachable
	}
	parts, err := s.requests(m)
	if err != nil {
		return sms.Outcome{Ending: sms.RefusedElsewhere, Reason: sms.ReasonMisconfigured}
	}
	return s.judge(on.submit(ctx, parts))
}

// judge makes one outcome of a text's parts.
func (s *Sender) judge(answers []response) sms.Outcome {
	var accepted int
	var first, refused sms.Outcome
	for i, a := range answers {
		out := a.failed
		if out.Ending == "" {
			out = s.outcome(a)
		}
		switch {
		case out.Ending == sms.Accepted:
			accepted++
		case refused.Ending == "" || out.Ending == sms.Ambiguous && refused.Ending != sms.Ambiguous:
			refused = out
		}
		if i == 0 {
			first = out
		}
	}
	switch {
	case refused.Ending == "":
		first.Segments = accepted
		return first
	case accepted > 0 && refused.Ending != sms.Ambiguous:
		// A part of the text is on its way; whether the phone shows it, nobody knows.
		return sms.Outcome{Ending: sms.Ambiguous, Reason: sms.ReasonRefused, Reference: first.Reference, VendorCode: refused.VendorCode, Segments: accepted}
	}
	refused.Segments = accepted
	return refused
}
