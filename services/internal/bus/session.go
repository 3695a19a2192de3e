package bus

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// session opens the consumer and consumes until ctx ends (no error), the consumer is
// gone, or the watchdog sees a stall (ErrStalled).
func (c *Consumer) session(ctx context.Context) error {
	consumer, err := c.open(ctx)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)

	buffer := make(chan *nats.Msg, c.opt.BatchMax)
	pull, err := c.subscribe(func(m *nats.Msg) {
		c.received.Add(1)
		if ctx.Err() != nil {
			c.giveBack(m)
			return
		}
		select {
		case buffer <- m:
		case <-ctx.Done():
			c.giveBack(m)
		}
	}, end)
	if err != nil {
		return err
	}
	var asking sync.WaitGroup
	asking.Go(func() { pull.run(ctx) })
	defer func() {
		end(nil)
		asking.Wait()
		pull.close()
		for len(buffer) > 0 {
			c.giveBack(<-buffer)
		}
	}()
	c.setHealthy(true)

	watched := make(chan error, 1)
	go func() {
		err := c.watch(ctx, consumer, func() bool { return len(buffer) == 0 && len(c.slots) < cap(c.slots) })
		end(err)
		watched <- err
	}()
	c.dispatch(ctx, buffer)
	err = <-watched
	if cause := context.Cause(ctx); err == nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	return err
}

// giveBack lets another instance have a message at once. If the word does not arrive, the
// message comes again later.
func (c *Consumer) giveBack(m *nats.Msg) { _ = c.conn.nc.Publish(m.Reply, []byte("-NAK")) }

// dispatch hands what is in the buffer to the handler, batch by batch, until ctx ends.
// The batch is filled when a slot is free for it, so a busy handler makes batches larger.
func (c *Consumer) dispatch(ctx context.Context, buffer <-chan *nats.Msg) {
	// Handlers may finish what they have begun when ctx ends.
	handling := context.WithoutCancel(ctx)
	var started time.Time
	for {
		var first *nats.Msg
		select {
		case first = <-buffer:
		case <-ctx.Done():
			return
		}
		select {
		case c.slots <- struct{}{}:
		case <-ctx.Done():
			c.giveBack(first)
			return
		}
		c.pace(ctx, started, buffer)
		started = time.Now()
		batch := c.fill(handling, first, buffer)
		if len(batch) == 0 {
			<-c.slots
			continue
		}
		c.metrics.batch.Observe(float64(len(batch)))
		c.handlers.Go(func() {
			defer func() { <-c.slots }()
			ctx, cancel := context.WithTimeout(handling, c.opt.Timeout)
			defer cancel()
			c.opt.Handler(ctx, batch)
		})
	}
}

// pace waits until a batch may begin: at its distance from the one before, or as soon as
// the buffer is full.
func (c *Consumer) pace(ctx context.Context, started time.Time, buffer <-chan *nats.Msg) {
	for ctx.Err() == nil && len(buffer) < cap(buffer)-1 {
		wait := c.opt.Pace - time.Since(started)
		if wait <= 0 {
			return
		}
		t := time.NewTimer(min(wait, 5*time.Millisecond))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
	}
}

// fill makes a batch of first and of what else is there.
func (c *Consumer) fill(ctx context.Context, first *nats.Msg, buffer <-chan *nats.Msg) []*Msg {
	batch := make([]*Msg, 0, min(c.opt.BatchMax, len(buffer)+1))
	for next := first; ; {
		if m := c.read(ctx, next); m != nil {
			batch = append(batch, m)
		}
		if len(batch) == c.opt.BatchMax {
			return batch
		}
		select {
		case next = <-buffer:
		default:
			return batch
		}
	}
}

// read returns the message, or nil if it is none of ours and was buried.
func (c *Consumer) read(ctx context.Context, raw *nats.Msg) *Msg {
	m := &Msg{Subject: raw.Subject, Data: raw.Data, Header: raw.Header, from: delivery{raw.Reply, c}}
	if meta, err := raw.Metadata(); err == nil {
		m.Delivered, m.StreamSeq = int(meta.NumDelivered), meta.Sequence.Stream
	}
	c.metrics.consumed.Inc()
	if m.Delivered > 1 {
		c.metrics.redelivered.Inc()
	}
	id, err := uuid.Parse(raw.Header.Get(jetstream.MsgIDHeader))
	if err == nil && id != uuid.Nil {
		m.ID = id
		return m
	}
	ctx, cancel := context.WithTimeout(ctx, c.opt.Timeout)
	defer cancel()
	if err := m.Bury(ctx, NoID); err != nil {
		c.log.ErrorContext(ctx, "message could not be buried", "durable", c.opt.Durable, "error", err)
	}
	return nil
}

// watch compares the server's count with what arrives. Client libraries have lost
// subscriptions in silence more than once; a consumer that gets nothing while messages
// are pending, though it is idle and connected, is stalled.
func (c *Consumer) watch(ctx context.Context, consumer jetstream.Consumer, idle func() bool) error {
	look := time.NewTicker(c.tempo.look)
	defer look.Stop()
	quiet, before := 0, c.received.Load()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
		info, err := consumer.Info(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
			return err
		case err != nil: // down, or no leader: says nothing about the subscription
			c.setHealthy(false)
			quiet, before = 0, c.received.Load()
			continue
		}
		c.metrics.pending.Set(float64(info.NumPending))
		received := c.received.Load()
		// With MaxAckPending reached, or paused, the server itself holds messages back.
		held := info.Paused || info.Config.MaxAckPending > 0 && info.NumAckPending >= info.Config.MaxAckPending
		if info.NumPending == 0 || received != before || held || !idle() {
			quiet, before = 0, received
			c.setHealthy(true)
			continue
		}
		c.setHealthy(false)
		if quiet++; quiet >= c.tempo.stalls {
			return ErrStalled
		}
	}
}
