package bus

import (
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
)

// Hurry makes the watchdog look often, so that tests need not wait.
func (c *Consumer) Hurry(look time.Duration) {
	c.tempo.look, c.tempo.retry, c.tempo.retryMost = look, 10*time.Millisecond, 50*time.Millisecond
}

// Deafen makes those subscriptions of c hear nothing for which deaf returns true, as
// client libraries have had it; it gets their number, from 1.
func (c *Consumer) Deafen(deaf func(n int) bool) {
	subscribe, n := c.subscribe, 0
	c.subscribe = func(deliver func(*nats.Msg), fail func(error)) (*pull, error) {
		p, err := subscribe(deliver, fail)
		if n++; err == nil && deaf(n) {
			p.subject = "nobody.listens" // requests get lost in silence
		}
		return p, err
	}
}

// Report is what the client library says of itself, outside of any call.
func (c *Conn) Report(err error) { c.failed(nil, nil, err) }

// Remembered is the set of acknowledged ids.
type Remembered struct{ set *acked }

// NewRemembered returns a set with limits of the test's own.
func NewRemembered(now func() time.Time, keep time.Duration, most int) Remembered {
	return Remembered{newAcked(now, keep, most)}
}

// Add adds an id.
func (r Remembered) Add(id uuid.UUID) { r.set.add(id) }

// Has reports whether the id is remembered.
func (r Remembered) Has(id uuid.UUID) bool { return r.set.has(id) }
