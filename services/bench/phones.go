package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"latchkey.dev/services/sms/carriers"
)

// phones are everybody's: it follows the carriers' journal and hands each text to who
// waits for it.
type phones struct {
	url  string
	http *http.Client

	mu      sync.Mutex
	waiting map[string]chan arrival // by number
	failed  error
}

// arrival is a text on a phone.
type arrival struct {
	code string
	at   time.Time // when the carrier took it
}

func newPhones(url string) *phones {
	return &phones{url: url, http: &http.Client{Timeout: 30 * time.Second}, waiting: map[string]chan arrival{}}
}

const (
	// pollWait is how long a request waits for texts, in seconds.
	pollWait = 20
	// pollPause follows each answer, so that many texts share the next.
	pollPause = 2 * time.Millisecond
)

// follow reads the journal until end is called.
func (p *phones) follow() (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		for last := uint64(0); ctx.Err() == nil; {
			texts, err := p.read(ctx, last)
			if err != nil && ctx.Err() == nil {
				p.mu.Lock()
				p.failed = fmt.Errorf("reading the phones: %w", err)
				p.mu.Unlock()
				return
			}
			p.hand(texts)
			if len(texts) > 0 {
				last = texts[len(texts)-1].Seq
			}
			_ = wait(ctx, pollPause) // the loop sees the end of ctx
		}
	})
	return func() { cancel(); done.Wait() }
}

func (p *phones) read(ctx context.Context, last uint64) ([]carriers.Text, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/control/texts?since=%d&limit=1000&wait=%d", p.url, last, pollWait), nil)
	if err != nil {
		return nil, err
	}
	resp, err := p.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var got carriers.Texts
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(resp.Status)
	}
	err = json.NewDecoder(resp.Body).Decode(&got)
	return got.Texts, err
}

func (p *phones) hand(texts []carriers.Text) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range texts {
		if ch := p.waiting[t.To]; ch != nil && t.Code() {
			code, _, _ := strings.Cut(t.Body, " ")
			ch <- arrival{code, t.At} // it has room for the one that is waited for
			delete(p.waiting, t.To)
		}
	}
}

// expect returns the channel of the next text to a number.
func (p *phones) expect(number string) <-chan arrival {
	ch := make(chan arrival, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting[number] = ch
	return ch
}

// patience is how long a text is waited for.
const patience = 20 * time.Second

var errNoText = errors.New("no text came within 20 s")

func (p *phones) await(ctx context.Context, ch <-chan arrival) (arrival, error) {
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case a := <-ch:
		return a, nil
	case <-ctx.Done():
		return arrival{}, ctx.Err()
	case <-late.C:
		p.mu.Lock()
		defer p.mu.Unlock()
		return arrival{}, errors.Join(errNoText, p.failed)
	}
}
