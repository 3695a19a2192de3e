package carriers

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Mode says what a carrier does with a request.
type Mode string

const (
	Accept          Mode = "accept"            // takes the text, and the phone gets it
	Refuse          Mode = "refuse"            // answers with the vendor's error Code
	Throttle        Mode = "throttle"          // takes Rate texts a second, and refuses the rest by the vendor's code for it
	Hang            Mode = "hang"              // reads the request and never answers; no text
	Drip            Mode = "drip"              // takes the text, and answers a byte at a time, too slowly to end
	DropAfterAccept Mode = "drop_after_accept" // takes the text and closes the connection
	HangAfterAccept Mode = "hang_after_accept" // takes the text and never answers
	Down            Mode = "down"              // refuses connections (see Simulator.Listen); no text
	Broken          Mode = "broken"            // answers with the HTTP status Code (default 500) and a page of HTML; no text
	BadJSON         Mode = "bad_json"          // takes the text and answers with half a JSON document
	NoMessages      Mode = "no_messages"       // takes the text and answers with an empty list or object
	Huge            Mode = "huge"              // takes the text and answers with 10 MB
	Redirect        Mode = "redirect"          // answers 307 with the address in Code; no text
)

// Modes is the closed set of modes.
var Modes = []Mode{Accept, Refuse, Throttle, Hang, Drip, DropAfterAccept, HangAfterAccept, Down, Broken, BadJSON, NoMessages, Huge, Redirect}

// ReceiptMode says what a carrier reports of a text that it took.
type ReceiptMode string

const (
	ReceiptDelivered ReceiptMode = "delivered" // it reached the phone
	ReceiptFailed    ReceiptMode = "failed"    // it did not, with the vendor's code for an absent phone; true only with Lost
	ReceiptNone      ReceiptMode = "none"      // nothing is ever reported
	ReceiptForged    ReceiptMode = "forged"    // "delivered", to an address with a wrong token and without a right signature
)

// ReceiptModes is the closed set of receipt modes.
var ReceiptModes = []ReceiptMode{ReceiptDelivered, ReceiptFailed, ReceiptNone, ReceiptForged}

// Behaviour is how one carrier behaves. The zero value takes and delivers everything at once.
type Behaviour struct {
	Mode Mode `json:"mode"` // "" is Accept
	// Code is the vendor's error code for Refuse, an HTTP status for Broken, an address for Redirect.
	Code string `json:"code,omitempty"`
	// Rate is the texts a second that Throttle takes; 0 takes none.
	Rate float64 `json:"rate,omitempty"`
	// DelayMS is how long every answer takes, in milliseconds; the text is taken after it.
	DelayMS int64 `json:"delay_ms,omitempty"`
	// Next limits Mode to the next requests of that number; 0 is always.
	Next int `json:"next,omitempty"`
	// Fraction limits Mode to that part of the requests, drawn from Seed; 0 is all of them.
	Fraction float64 `json:"fraction,omitempty"`
	Seed     uint64  `json:"seed,omitempty"`

	// Receipt is what is reported; "" is ReceiptDelivered.
	Receipt ReceiptMode `json:"receipt,omitempty"`
	// ReceiptDelayMS is how long after the answer, in milliseconds.
	ReceiptDelayMS int64 `json:"receipt_delay_ms,omitempty"`
	// Duplicates is how many times more every report is sent.
	Duplicates int `json:"duplicates,omitempty"`
	// Reorder sends the reports of a text last to first. Vonage, which reports only the
	// end otherwise, then reports the way as well.
	Reorder bool `json:"reorder,omitempty"`
	// Lost keeps texts that are taken from the phone. With ReceiptDelivered, the receipt is false.
	Lost bool `json:"lost,omitempty"`
}

const (
	maxDelay      = 10 * time.Minute
	maxDuplicates = 10
	maxRate       = 1e6
)

func (b Behaviour) validate() error {
	var errs []error
	if b.Mode != "" && !slices.Contains(Modes, b.Mode) {
		errs = append(errs, fmt.Errorf("mode: must be one of %v", Modes))
	}
	if b.Receipt != "" && !slices.Contains(ReceiptModes, b.Receipt) {
		errs = append(errs, fmt.Errorf("receipt: must be one of %v", ReceiptModes))
	}
	if !(b.Fraction >= 0 && b.Fraction <= 1) || !(b.Rate >= 0 && b.Rate <= maxRate) || b.Next < 0 {
		errs = append(errs, fmt.Errorf("fraction must be 0 to 1, rate 0 to %d, next at least 0", int(maxRate)))
	}
	if limit := maxDelay.Milliseconds(); b.DelayMS < 0 || b.DelayMS > limit || b.ReceiptDelayMS < 0 || b.ReceiptDelayMS > limit {
		errs = append(errs, fmt.Errorf("delay_ms and receipt_delay_ms must be 0 to %d", limit))
	}
	if b.Duplicates < 0 || b.Duplicates > maxDuplicates {
		errs = append(errs, fmt.Errorf("duplicates must be 0 to %d", maxDuplicates))
	}
	if b.Mode == Down && (b.Next > 0 || b.Fraction > 0) {
		errs = append(errs, errors.New("down: takes neither next nor fraction, since nobody is there to count"))
	}
	if err := b.validateCode(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

var errorCode = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func (b Behaviour) validateCode() error {
	switch b.Mode {
	case Refuse:
		if !errorCode.MatchString(b.Code) {
			return errors.New("code: refuse needs the vendor's error code, 1 to 64 letters, digits, dots, hyphens and underscores")
		}
	case Broken:
		if status, err := strconv.Atoi(cmp.Or(b.Code, "500")); err != nil || status < 400 || status > 599 {
			return errors.New("code: broken takes an HTTP status of 400 to 599")
		}
	case Redirect:
		if u, err := url.Parse(b.Code); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || len(b.Code) > maxCallbacks {
			return errors.New("code: redirect needs the http or https address to which it sends")
		}
	default:
		if b.Code != "" {
			return errors.New("code: only refuse, broken and redirect take one")
		}
	}
	return nil
}

// conduct draws what happens to each request of one carrier.
type conduct struct {
	mu     sync.Mutex
	now    Behaviour
	left   int // of Next
	dice   *rand.Rand
	bucket *rate.Limiter
}

// whole is the behaviour with its defaults written out.
func (b Behaviour) whole() Behaviour {
	b.Mode, b.Receipt = cmp.Or(b.Mode, Accept), cmp.Or(b.Receipt, ReceiptDelivered)
	return b
}

func (c *conduct) set(b Behaviour) {
	b = b.whole()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now, c.left = b, b.Next
	c.dice = rand.New(rand.NewPCG(b.Seed, 0))
	c.bucket = rate.NewLimiter(rate.Limit(b.Rate), int(max(1, b.Rate)))
	if b.Rate == 0 {
		c.bucket = rate.NewLimiter(0, 0)
	}
}

func (c *conduct) get() Behaviour {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// draw returns the behaviour for one request: Mode is Accept where it does not apply,
// or where a throttled carrier still has room.
func (c *conduct) draw() Behaviour {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.now
	switch {
	case b.Mode == Accept:
	case b.Next > 0 && c.left == 0,
		b.Fraction > 0 && c.dice.Float64() >= b.Fraction,
		b.Mode == Throttle && c.bucket.Allow():
		b.Mode = Accept
	case b.Next > 0:
		c.left--
	}
	return b
}
