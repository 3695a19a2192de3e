package bus

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
)

// Hurry makes the watchdog look often, so that tests need not wait.
func (c *Consumer) Hurry(look time.Duration) {
	c.tempo.look, c.tempo.retry, c.tempo.retryMost = look, 10*time.Millisecond, 50*time.Millisecond
}

// WrapOpened lets a test break the consumers that c opens.
func (c *Consumer) WrapOpened(wrap func(jetstream.Consumer) jetstream.Consumer) {
	open := c.open
	c.open = func(ctx context.Context) (jetstream.Consumer, error) {
		opened, err := open(ctx)
		if err != nil {
			return nil, err
		}
		return wrap(opened), nil
	}
}

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
