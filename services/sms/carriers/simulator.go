package carriers

import (
	"cmp"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// Credentials that the simulated carriers take unless Options say otherwise. They open
// nothing outside a simulator.
const (
	DemoVonageKey    = "abcd1234"
	DemoVonageSecret = "demosecret1234"
	DemoTwilioSID    = "AC00000000000000000000000000000001"
	DemoTwilioToken  = "00000000000000000000000000demo01"
)

// PostJSON is the setting of an account by which Vonage reports in JSON.
const PostJSON = "POST-JSON"

// maxSender bounds a sender's name or number, in bytes.
const maxSender = 64

// Options say what the simulated carriers expect. Every field may be left zero.
type Options struct {
	// Carriers are those that run and are shown on the page; Usual when empty. Names of
	// which there is no carrier are left out.
	Carriers                []Carrier
	VonageKey, VonageSecret string // DemoVonageKey, DemoVonageSecret
	TwilioSID, TwilioToken  string // DemoTwilioSID, DemoTwilioToken
	AWS                     AWSAccount
	SMPP                    SMPPAccount
	// VonageReceipts is how Vonage's account is set to report: GET, POST or PostJSON; any
	// other is PostJSON.
	VonageReceipts string
	// WebhookSecret is the one of the operator's own service; "" is DemoWebhookSecret.
	WebhookSecret string
	// VonageSignature is what Vonage's account signs receipts with, by VonageMethod,
	// sha256hmac (also "") or sha512hmac; "" signs none.
	VonageSignature, VonageMethod string
	// SignIn is the address of the sign-in page, which the phone page names while there
	// are no texts; "" names none.
	SignIn string
	// Hosts are names with a dot, in lower case, under which a browser may open the phone
	// page. Addresses, localhost and names without a dot need not be among them.
	Hosts []string
	// Mail adds the routes of the mailboxes, below /mail and /control/mail, beside the
	// phones' own; there are none if nil.
	Mail func(handle func(pattern string, serve func(http.ResponseWriter, *http.Request) error))
	// Logger hears of what goes wrong in the simulator itself, never of texts; nil is nobody.
	Logger *slog.Logger
	// Journal is how many texts are kept; 20,000 when 0.
	Journal int
	// Now is the clock; time.Now when nil.
	Now func() time.Time
}

// Simulator is some carriers, their journal and their phones.
type Simulator struct {
	o       Options
	now     func() time.Time
	journal *journal
	lines   map[Carrier]*line
	vendors []vendor // those that run
	apis    map[Carrier]http.Handler
	post    *postOffice
	sns     snsTopic
	smpp    *centre
	run     uint64 // makes ids differ between runs
	ids     atomic.Uint64
	handler http.Handler
	held    atomic.Int64 // requests that wait for texts
	viewers atomic.Int64 // pages that follow the texts

	ctx   context.Context // ends when the simulator closes
	close context.CancelFunc
}

// line is one carrier's conduct, its counters and its listener, if it has one.
type line struct {
	conduct
	requests, taken, refused atomic.Uint64
	receipts                 receiptCount

	listening sync.Mutex
	listener  *listener
}

var errForgotten = errors.New("that text has left the journal")

// New returns a simulator whose carriers take and deliver everything. Close it.
func New(o Options) *Simulator {
	o.VonageKey, o.VonageSecret = cmp.Or(o.VonageKey, DemoVonageKey), cmp.Or(o.VonageSecret, DemoVonageSecret)
	o.TwilioSID, o.TwilioToken = cmp.Or(o.TwilioSID, DemoTwilioSID), cmp.Or(o.TwilioToken, DemoTwilioToken)
	if o.VonageReceipts != http.MethodGet && o.VonageReceipts != http.MethodPost {
		o.VonageReceipts = PostJSON
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if len(o.Carriers) == 0 {
		o.Carriers = Usual
	}
	s := &Simulator{
		vendors: running(o.Carriers), apis: map[Carrier]http.Handler{},
		o: o, now: o.Now, journal: newJournal(cmp.Or(o.Journal, 20_000)),
		lines: map[Carrier]*line{}, run: rand.Uint64(),
	}
	s.ctx, s.close = context.WithCancel(context.Background())
	s.post = newPostOffice()
	s.smpp = newCentre(s)
	s.sns.token = uuid.NewString()
	for _, v := range s.vendors {
		l := new(line)
		l.set(Behaviour{})
		s.lines[v.carrier] = l
		if v.protocol != nil {
			s.apis[v.carrier] = s.serve(v.carrier, v.protocol(s))
		}
	}
	s.handler = s.routes()
	return s
}

// Close ends held requests, pages that follow the texts, listeners and receipts on their
// way. It is safe to call again.
func (s *Simulator) Close() {
	s.close()
	for _, l := range s.lines {
		l.hangUp()
	}
	s.smpp.ended.Wait()
	s.post.close()
}

// Run waits for the end of ctx and closes the simulator. Run it beside the server of
// Handler, so that an open page does not hold up the end of both.
func (s *Simulator) Run(ctx context.Context) error {
	<-ctx.Done()
	s.Close()
	return nil
}

// Handler serves the carriers' APIs, the control API, the journal and the phone page.
// A carrier that is down cannot refuse connections here; it drops them. Use Listen for
// an address of its own where it can.
func (s *Simulator) Handler() http.Handler { return s.handler }

// Behave sets how a carrier behaves from the next request on, or says what is wrong.
func (s *Simulator) Behave(c Carrier, b Behaviour) error {
	l := s.lines[c]
	if l == nil {
		return fmt.Errorf("there is no carrier %q", c)
	}
	if err := b.validate(); err != nil {
		return fmt.Errorf("behaviour of %s: %w", c, err)
	}
	l.set(b)
	return l.answerOrNot()
}

// Behaviour returns how a carrier behaves.
func (s *Simulator) Behaviour(c Carrier) Behaviour { return s.lines[c].get() }

// Stats counts what a carrier was asked, since the last reset.
type Stats struct {
	Requests uint64 `json:"requests"` // all that arrived
	Taken    uint64 `json:"taken"`    // texts taken, whatever was answered
	Refused  uint64 `json:"refused"`  // requests answered with a refusal
	// ReceiptsTaken and ReceiptsRefused count receipts by whether a success was answered.
	ReceiptsTaken   uint64 `json:"receipts_taken"`
	ReceiptsRefused uint64 `json:"receipts_refused"`
}

// asJSON is an answer in JSON.
func asJSON(status int, v any) answer {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // the types of this package can all be written
	}
	return answer{status: status, body: body}
}

// same compares credentials in a time that depends on their lengths alone.
func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// Stats returns a carrier's counters.
func (s *Simulator) Stats(c Carrier) Stats {
	l := s.lines[c]
	return Stats{l.requests.Load(), l.taken.Load(), l.refused.Load(), l.receipts.taken.Load(), l.receipts.refused.Load()}
}

// Journal returns the texts that reached phones, oldest first: those of the whole
// journal, which is bounded.
func (s *Simulator) Journal() []Text {
	return s.journal.since(0, "", len(s.journal.ring))
}

// WaitText returns the nth text to a number (E.164, with its +), counted from 1 since
// the last reset, as soon as it is there. A number whose texts have all left the journal
// counts from 1 again.
func (s *Simulator) WaitText(ctx context.Context, to string, n int) (Text, error) {
	text, err := s.journal.wait(ctx, to, max(n, 1))
	if err != nil {
		return Text{}, fmt.Errorf("waiting for text %d: %w", n, err)
	}
	return text, nil
}

// Reset forgets texts and counters and makes the carriers behave again.
func (s *Simulator) Reset() error {
	var errs []error
	for _, v := range s.vendors {
		l := s.lines[v.carrier]
		l.requests.Store(0)
		l.taken.Store(0)
		l.refused.Store(0)
		l.receipts.taken.Store(0)
		l.receipts.refused.Store(0)
		errs = append(errs, s.Behave(v.carrier, Behaviour{}))
	}
	s.journal.reset()
	return errors.Join(errs...)
}

// patient lifts the deadline that a server sets for reading a request. It has been read,
// and the deadline would end the request's context.
func patient(w http.ResponseWriter) { _ = http.NewResponseController(w).SetReadDeadline(time.Time{}) }

// hold waits until the client goes away or the simulator closes.
func (s *Simulator) hold(w http.ResponseWriter, r *http.Request) {
	patient(w)
	select {
	case <-r.Context().Done():
	case <-s.ctx.Done():
	}
}

// pause waits for d and reports whether the request is still wanted.
func (s *Simulator) pause(w http.ResponseWriter, r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	patient(w)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
	case <-s.ctx.Done():
	}
	return false
}
