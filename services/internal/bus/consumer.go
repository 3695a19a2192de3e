package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrStalled says that a consumer got nothing though messages were pending, and that
// making it anew did not help: the process should end and be started again.
var ErrStalled = errors.New("bus: consumer is stalled")

// ConsumerOptions configure a Consumer. Durable, Handler and DeadLetter are required.
type ConsumerOptions struct {
	Durable string // one of the provisioned consumers
	// BatchMax is the most messages of a batch, 64 if zero.
	BatchMax int
	// Parallel is the most batches in Handler at a time, 1 if zero. With 1 the batches
	// come in the order of the stream, redeliveries apart.
	Parallel int
	// Pace is the distance between the starts of two batches, unless BatchMax messages wait:
	// for work that may be late and gains by being done together. None if zero.
	Pace time.Duration
	// Timeout ends the context of a Handler call, 10 s if zero.
	Timeout time.Duration
	// Handler settles the messages of a batch, in the call or later. It gets them as
	// soon as there is one, and all that came meanwhile, so batches grow with the load.
	Handler    func(ctx context.Context, batch []*Msg)
	DeadLetter DeadLetter
}

// Consumer hands the messages of a durable consumer to a handler. It lives through
// restarts of the bus, and waits for a stream or consumer that is gone.
type Consumer struct {
	conn    *Conn
	opt     ConsumerOptions
	log     *slog.Logger
	metrics *consumerMetrics
	tempo   tempo
	open    func(context.Context) (jetstream.Consumer, error)
	// subscribe makes a subscription; tests put a deaf one here.
	subscribe func(deliver func(*nats.Msg), fail func(error)) (*pull, error)

	healthy  atomic.Bool
	received atomic.Uint64 // messages, ever
	slots    chan struct{} // as many as batches may be in Handler
	handlers sync.WaitGroup
}

// tempo is how a consumer's watchdog looks and waits.
type tempo struct {
	look      time.Duration // between two looks at the server's count
	stalls    int           // looks in a row without progress that mean a stall
	rebuilds  int           // rebuilds in a row without progress that are enough
	retry     time.Duration // shortest pause before opening again
	retryMost time.Duration
}

// NewConsumer returns a consumer that is not running yet. Make one for a durable on a
// connection: its metrics cannot be registered twice.
func NewConsumer(c *Conn, o ConsumerOptions) (*Consumer, error) {
	if o.Durable == "" || o.Handler == nil || o.DeadLetter == nil {
		return nil, errors.New("a consumer needs Durable, Handler and DeadLetter")
	}
	if o.BatchMax <= 0 {
		o.BatchMax = 64
	}
	if o.Parallel <= 0 {
		o.Parallel = 1
	}
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	return &Consumer{conn: c, opt: o, log: c.log, metrics: newConsumerMetrics(o.Durable, c.reg),
		tempo: tempo{look: 5 * time.Second, stalls: 2, rebuilds: 3, retry: 200 * time.Millisecond, retryMost: 2 * time.Second},
		open: func(ctx context.Context) (jetstream.Consumer, error) {
			return c.js.Consumer(ctx, Stream, o.Durable)
		},
		subscribe: func(deliver func(*nats.Msg), fail func(error)) (*pull, error) {
			return newPull(c.nc, o.Durable, o.BatchMax, deliver, fail)
		},
		slots: make(chan struct{}, o.Parallel)}, nil
}

// Healthy reports whether the consumer is open, and answered at the last look.
func (c *Consumer) Healthy() bool { return c.healthy.Load() && c.conn.Connected() }

// Run consumes until ctx ends, which is no error, and returns when the last call of
// Handler has ended. It fails only with ErrStalled. It may be called again after.
func (c *Consumer) Run(ctx context.Context) error {
	defer c.handlers.Wait()
	defer c.setHealthy(false)
	rebuilds, pause := 0, c.tempo.retry
	for ctx.Err() == nil {
		before := c.received.Load()
		err := c.session(ctx)
		c.setHealthy(false)
		if c.received.Load() != before {
			rebuilds, pause = 0, c.tempo.retry
		}
		if errors.Is(err, ErrStalled) {
			rebuilds++
			c.metrics.rebuilds.Inc()
			c.log.WarnContext(ctx, "consumer made anew", "durable", c.opt.Durable, "rebuilds", rebuilds)
			if rebuilds >= c.tempo.rebuilds {
				return fmt.Errorf("consuming %s: %w", c.opt.Durable, ErrStalled)
			}
			continue
		}
		if err != nil && ctx.Err() == nil {
			c.metrics.waits.Inc()
			level := slog.LevelDebug
			if pause == c.tempo.retry { // the first time in a row
				level = slog.LevelWarn
			}
			c.log.Log(ctx, level, "consumer is not there", "durable", c.opt.Durable, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause/2 + rand.N(pause)):
			pause = min(2*pause, c.tempo.retryMost)
		}
	}
	return nil
}

// Position is how far a consumer is in the stream, by the stream's own numbers: all up to
// Handled is settled, and End is the last message there is.
type Position struct {
	Handled, End uint64
	// Unhandled counts the messages that are not settled, delivered ones included.
	Unhandled uint64
}

// Position asks the bus; an error says that it does not answer, or has no such consumer.
func (c *Consumer) Position(ctx context.Context) (Position, error) {
	consumer, err := c.open(ctx)
	if err != nil {
		return Position{}, fmt.Errorf("asking for the position of %s: %w", c.opt.Durable, err)
	}
	info := consumer.CachedInfo()
	return Position{Handled: info.AckFloor.Stream, End: info.Delivered.Stream + info.NumPending,
		Unhandled: info.NumPending + uint64(max(info.NumAckPending, 0))}, nil
}

func (c *Consumer) setHealthy(ok bool) {
	c.healthy.Store(ok)
	if ok {
		c.metrics.healthy.Set(1)
	} else {
		c.metrics.healthy.Set(0)
	}
}
