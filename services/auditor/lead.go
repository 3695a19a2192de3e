package auditor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	queries "latchkey.dev/queries/auditor"
	"latchkey.dev/services/internal/run"
)

// errLost says that the connection that held the lock is gone, and with it the lock.
var errLost = errors.New("the order's lock is lost")

// Run orders while this instance has the lock and waits for it otherwise, until ctx ends.
// It fails only when the bus' client must be made anew (bus.ErrStalled).
func (a *Auditor) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		conn := a.gain(ctx)
		if conn == nil {
			return nil
		}
		err := a.lead(ctx, conn)
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		_ = conn.Close(closing) // gives the lock back; it may be gone already
		cancel()
		if err != nil && !errors.Is(err, errLost) {
			return err
		}
	}
	return nil
}

// gain waits until this instance has the lock, and returns the connection that holds it;
// nil when ctx ended before.
func (a *Auditor) gain(ctx context.Context) *pgx.Conn {
	var conn *pgx.Conn
	defer func() {
		if conn != nil {
			_ = conn.Close(context.WithoutCancel(ctx))
		}
	}()
	told := false
	for {
		held, err := a.try(ctx, &conn)
		if held {
			own := conn
			conn = nil
			return own
		}
		if !told && ctx.Err() == nil { // once, not at every try
			told = true
			if err != nil {
				a.o.Logger.WarnContext(ctx, "order's lock cannot be asked for", "error", err)
			} else {
				a.o.Logger.InfoContext(ctx, "standing by: another instance orders the events")
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(a.tempo.gain*3/4 + rand.N(a.tempo.gain/2)):
		}
	}
}

// try asks for the lock once, over a connection that it opens if there is none and closes
// if it does not answer.
func (a *Auditor) try(ctx context.Context, conn **pgx.Conn) (held bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if *conn == nil {
		// Not one of the pool: closing a pool waits for every connection that is taken.
		cfg := a.o.Pool.Config().ConnConfig.Copy()
		p := cfg.RuntimeParams
		p["application_name"] = "latchkey-auditor-order"
		// The server lets go of the lock of a machine that vanished.
		p["tcp_keepalives_idle"], p["tcp_keepalives_interval"], p["tcp_keepalives_count"] = "5", "2", "3"
		c, err := pgx.ConnectConfig(ctx, cfg)
		if err != nil {
			return false, fmt.Errorf("connecting for the order's lock: %w", err)
		}
		*conn = c
	}
	if held, err = queries.New(*conn).OrderLock(ctx); err != nil {
		_ = (*conn).Close(ctx)
		*conn = nil
		return false, fmt.Errorf("asking for the order's lock: %w", err)
	}
	return held, nil
}

// lead orders events until ctx ends, the lock is lost (errLost) or the consumer stalls.
func (a *Auditor) lead(ctx context.Context, conn *pgx.Conn) error {
	ctx, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	o := &orderer{conn: conn, lost: func() { lose(errLost) }}
	w := newWatch(a, o)
	if err := w.begin(ctx); err != nil {
		a.o.Logger.WarnContext(ctx, "order cannot begin", "error", err)
		return errLost // and try again
	}
	a.orderer.Store(o)
	a.metrics.active.Set(1)
	defer a.metrics.rest()
	defer a.orderer.Store(nil)
	a.o.Logger.InfoContext(ctx, "ordering the events")

	loop := func(name string, every time.Duration, once func(context.Context) error) run.Component {
		return run.Component{Name: name, Run: run.NewLoop(run.LoopOptions{Name: "auditor " + name, Every: every, Jitter: every / 8,
			Timeout: 10 * time.Second, RunOnce: once, Log: a.o.Logger}).Run}
	}
	err := run.All(ctx,
		run.Component{Name: "consumer", Run: a.consumer.Run},
		run.Component{Name: "redrive", Run: a.redriver.Run},
		loop("lock", a.tempo.keep, func(ctx context.Context) error {
			return o.do(ctx, func(pgx.Tx) error { return nil })
		}),
		loop("watch", a.tempo.look, w.look))
	if errors.Is(context.Cause(ctx), errLost) {
		a.o.Logger.Warn("order's lock is lost: standing by until it is regained")
		return errLost
	}
	return err
}

// orderer writes the order, over the one connection that holds the lock.
type orderer struct {
	mu   sync.Mutex
	conn *pgx.Conn
	lost func()
}

// do runs f in a transaction. Two cannot run at a time; an error after which the
// connection is gone ends the leadership.
func (o *orderer) do(ctx context.Context, f func(pgx.Tx) error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	err := pgx.BeginFunc(ctx, o.conn, f)
	if o.conn.IsClosed() {
		o.lost()
		return errors.Join(errLost, err)
	}
	return err
}
