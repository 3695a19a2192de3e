package bus

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
)

// Inbox receives wake-ups for many waiters over one subscription.
type Inbox struct {
	prefix string
	sub    *nats.Subscription

	mu      sync.Mutex
	waiters map[string]map[*waiter]struct{} // by token
}

type waiter struct{ ch chan []byte }

// Inbox opens an inbox under the service's own prefix. It outlives reconnections.
func (c *Conn) Inbox() (*Inbox, error) {
	in := &Inbox{prefix: InboxPrefix(c.service) + ".wake." + nuid.Next() + ".", waiters: map[string]map[*waiter]struct{}{}}
	var err error
	if in.sub, err = c.nc.Subscribe(in.prefix+"*", in.receive); err != nil {
		return nil, fmt.Errorf("opening an inbox: %w", err)
	}
	if c.nc.IsConnected() {
		_ = c.nc.FlushTimeout(time.Second) // so that the server knows it by now; else it will soon
	}
	return in, nil
}

// Subject is where others send the wake-up for token, which must be one subject token
// (an id): no dot, no space, no wildcard.
func (in *Inbox) Subject(token string) string { return in.prefix + token }

// Await returns a channel that gets the first wake-up for token, and nothing ever if
// that is lost or comes before Await. Call cancel when done waiting. Several may await
// one token; each is woken.
func (in *Inbox) Await(token string) (woken <-chan []byte, cancel func()) {
	w := &waiter{ch: make(chan []byte, 1)}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.waiters[token] == nil {
		in.waiters[token] = map[*waiter]struct{}{}
	}
	in.waiters[token][w] = struct{}{}
	return w.ch, func() {
		in.mu.Lock()
		defer in.mu.Unlock()
		if delete(in.waiters[token], w); len(in.waiters[token]) == 0 {
			delete(in.waiters, token)
		}
	}
}

func (in *Inbox) receive(m *nats.Msg) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for w := range in.waiters[strings.TrimPrefix(m.Subject, in.prefix)] {
		select {
		case w.ch <- m.Data:
		default: // it has been woken already
		}
	}
}

// Close ends the inbox. Waiters are not woken.
func (in *Inbox) Close() { _ = in.sub.Unsubscribe() } // fails only where it is closed already
