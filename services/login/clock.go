package login

import (
	"context"
	"fmt"
	"time"
)

const (
	// clockLife is how long a reading of the database's clock is relied on. In between our
	// own clock is asked for what went by since, which no step of it disturbs.
	clockLife = 30 * time.Second
	// clockTook is the longest a reading may take: it is wrong by half of that at most.
	clockTook = 2 * time.Second
)

// clock is a reading of the database's clock, and of our own at that moment.
//
// Nonces are dated by the database's clock: used_proof forgets by it which proofs were
// used, so a proof that is still good must be young by that same clock, however wrong the
// clock of this machine is.
type clock struct{ own, database time.Time }

func (l *Login) loadClock(ctx context.Context) (clock, error) {
	ctx, cancel := context.WithTimeout(ctx, clockTook)
	defer cancel()
	asked := l.o.Now()
	at, err := l.q.ClockRead(ctx)
	if err != nil {
		return clock{}, fmt.Errorf("reading the database's clock: %w", err)
	}
	c := clock{own: asked.Add(l.o.Now().Sub(asked) / 2), database: at}
	l.metrics.clock.Set(c.own.Sub(c.database).Seconds())
	return c, nil
}

// timed sees to it that the database's clock is known. What makes or checks a nonce, a
// ticket or a form's token calls it first.
func (l *Login) timed(ctx context.Context) error {
	c, err := l.clocks.get(ctx)
	if err == nil {
		l.clock.Store(&c)
	}
	return err
}

// now is the database's time.
func (l *Login) now() time.Time {
	c, own := l.clock.Load(), l.o.Now()
	if c == nil {
		return own
	}
	return c.database.Add(own.Sub(c.own))
}
