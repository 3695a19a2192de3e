package carriers

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// postOffice delivers receipts in the background: a bounded number waits, and a few at
// a time are on the wire.
type postOffice struct {
	client *http.Client
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	waiting int // reports that are queued, or wait for their time
	ready   []report
	carry   int // goroutines that deliver
	ended   sync.WaitGroup
}

// receiptCount counts receipts by whether their answer was a success.
type receiptCount struct{ taken, refused atomic.Uint64 }

// report is the receipts of one text, in the order in which they are sent.
type report struct {
	requests []func(context.Context) (*http.Request, error)
	// tries is how often a receipt that nobody took is sent in all.
	tries int
	// insist counts an answer of 429 or 5xx as not taken, as Vonage does
	// (https://api.support.vonage.com/hc/en-us/articles/360028543292). Twilio comes again
	// only where it got no connection
	// (https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides).
	insist bool
	count  *receiptCount
	again  int // how often it was sent in vain
}

const (
	maxWaiting   = 100_000
	maxCarrying  = 16
	maxTries     = 7
	firstAgain   = time.Second // doubled each time; the vendor starts at 5 s
	answerLimit  = 10 * time.Second
	maxRead      = 4 << 10
	maxCallbacks = 2048 // bytes of a callback address
)

func newPostOffice() *postOffice {
	p := &postOffice{client: &http.Client{
		Timeout:       answerLimit,
		Transport:     &http.Transport{MaxIdleConnsPerHost: maxCarrying, IdleConnTimeout: 30 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// post sends a report after d. One too many is dropped: receipts are no promise.
func (p *postOffice) post(r report, d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting >= maxWaiting || p.ctx.Err() != nil {
		return
	}
	p.waiting++
	if d <= 0 {
		p.queue(r)
		return
	}
	time.AfterFunc(d, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.queue(r)
	})
}

// queue hands a report to the carrying goroutines. The lock is held.
func (p *postOffice) queue(r report) {
	if p.ctx.Err() != nil {
		return
	}
	p.ready = append(p.ready, r)
	if p.carry < maxCarrying {
		p.carry++
		p.ended.Go(p.deliver)
	}
}

func (p *postOffice) deliver() {
	for {
		p.mu.Lock()
		if len(p.ready) == 0 || p.ctx.Err() != nil {
			p.ready = nil
			p.carry--
			p.mu.Unlock()
			return
		}
		r := p.ready[0]
		p.ready = p.ready[1:]
		p.waiting--
		p.mu.Unlock()

		for len(r.requests) > 0 && p.send(r.requests[0], r) {
			r.requests = r.requests[1:]
		}
		if r.again++; len(r.requests) > 0 && r.again < r.tries {
			p.post(r, firstAgain<<(r.again-1))
		}
	}
}

// send reports whether the receipt was taken, or refused for good.
func (p *postOffice) send(make func(context.Context) (*http.Request, error), of report) bool {
	r, err := make(p.ctx)
	if err != nil {
		return true // an address that cannot be asked will not get better
	}
	res, err := p.client.Do(r)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, maxRead) // so that the connection can be used again
	if res.StatusCode < 300 {
		of.count.taken.Add(1)
		return true
	}
	of.count.refused.Add(1)
	return !of.insist || res.StatusCode < 500 && res.StatusCode != http.StatusTooManyRequests
}

// close ends what is on the wire and waits for it; what waits is forgotten.
func (p *postOffice) close() {
	p.mu.Lock()
	p.cancel()
	p.mu.Unlock()
	p.ended.Wait()
	p.client.CloseIdleConnections()
}

func newRequest(ctx context.Context, method, address, kind string, body io.Reader) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, address, body)
	if err == nil && kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	return r, err
}

// falsified is an address that nobody gave out: its last character differs.
func falsified(address string) string {
	last := "A"
	if strings.HasSuffix(address, last) {
		last = "B"
	}
	return address[:len(address)-1] + last
}

// reportable tells whether receipts can be sent to an address.
func reportable(address string) bool {
	return len(address) <= maxCallbacks && (strings.HasPrefix(address, "http://") || strings.HasPrefix(address, "https://"))
}

// arranged puts a text's receipts into the order that the behaviour asks for.
func arranged[T any](b Behaviour, receipts ...T) []T {
	var all []T
	for _, r := range receipts {
		for range 1 + b.Duplicates {
			all = append(all, r)
		}
	}
	if b.Reorder {
		slices.Reverse(all)
	}
	return all
}

// twilioSignature is the X-Twilio-Signature of a form sent to an address
// (https://www.twilio.com/docs/usage/security#validating-requests).
func twilioSignature(token, address string, form map[string][]string) string {
	names := make([]string, 0, len(form))
	for name := range form {
		names = append(names, name)
	}
	slices.Sort(names)
	mac := hmac.New(sha1.New, []byte(token))
	io.WriteString(mac, address)
	for _, name := range names {
		io.WriteString(mac, name)
		for _, value := range form[name] {
			io.WriteString(mac, value)
		}
	}
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
