// Package coalesce turns concurrent requests into batches, so that many callers
// share one statement and one commit (group commit).
//
// A lone request runs at once. Under load the batches grow, because requests queue while
// earlier batches run, and because batches keep a small distance from each other.
package coalesce

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	// ErrOverloaded says that the queue is full: the request was not started and
	// the caller should answer "try again later".
	ErrOverloaded = errors.New("coalesce: the queue is full")
	// ErrClosed says that the request came after Close and was not started.
	ErrClosed = errors.New("coalesce: closed")
)

// Options configure a Batcher. Only Run is required.
type Options[Req, Res any] struct {
	// Name is the label of the metrics, as "challenge_insert"; unique in a Registerer.
	Name string
	// MaxBatch is the largest number of requests of one Run. 128 if zero.
	MaxBatch int
	// Parallel is the largest number of Runs at a time. 1 if zero: the next batch grows while
	// one is written.
	Parallel int
	// Pace is the distance between the starts of two batches: a request that comes sooner
	// after the last start waits so long, unless Full of them wait. Statement and commit
	// cost about the same for one request as for ten, so a busy machine gains most by this.
	// 5 ms if zero, none if negative.
	Pace time.Duration
	// Full is how many waiting requests are enough to start at once. 16 if zero.
	Full int
	// Queue is the largest number of requests that wait for a Run; more are refused
	// with ErrOverloaded. 16 full batches if zero.
	Queue int
	// Timeout bounds a batch, from its start to the last of its single tries. 10 s if zero.
	Timeout time.Duration

	// Run does a batch and returns one result for each request, in their order. An
	// error means that nothing of the batch was done: its members are then tried
	// one by one, so Run must be all or nothing, or harmless to repeat.
	// Its context is the batch's own and ends by Timeout alone.
	Run func(ctx context.Context, batch []Req) ([]Res, error)
	// Key, when set, orders the requests of a batch, so that all batches lock their
	// rows in one order and cannot deadlock. Equal keys keep the order of arrival.
	Key func(Req) string
	// Whole, when set, says that an error befell the batch and not a member of it (a
	// lost connection): then all members fail with it and are not tried singly.
	Whole func(error) bool

	// Registerer takes the metrics; none are kept if nil.
	Registerer prometheus.Registerer
}

// Batcher runs requests in batches. It is safe for concurrent use and holds no
// goroutine while there is nothing to do.
type Batcher[Req, Res any] struct {
	opt     Options[Req, Res]
	metrics *metrics

	mu      sync.Mutex
	queue   []*call[Req, Res]
	running int         // batches under way, at most opt.Parallel
	started time.Time   // when the last batch began
	waiting *time.Timer // until the next may begin; nil if it may, or nothing is queued
	closed  bool
	idle    chan struct{} // closed when closed is set and nothing runs or waits
	end     sync.Once
}

// call is one request on its way. Once its batch has begun, res and err belong to
// the batch until done is closed.
type call[Req, Res any] struct {
	ctx   context.Context
	req   Req
	key   string
	since time.Time
	res   Res
	err   error
	done  chan struct{}
}

// New returns a Batcher. It panics without Run and where Name is already taken in
// the Registerer, both mistakes of the program.
func New[Req, Res any](o Options[Req, Res]) *Batcher[Req, Res] {
	if o.Run == nil {
		panic("coalesce: Options.Run is missing")
	}
	if o.MaxBatch <= 0 {
		o.MaxBatch = 128
	}
	if o.Parallel <= 0 {
		o.Parallel = 1
	}
	if o.Pace == 0 {
		o.Pace = 5 * time.Millisecond
	}
	if o.Full <= 0 {
		o.Full = 16
	}
	o.Full = min(o.Full, o.MaxBatch)
	if o.Queue <= 0 {
		o.Queue = 16 * o.MaxBatch
	}
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	return &Batcher[Req, Res]{opt: o, metrics: newMetrics(o.Name, o.Registerer), idle: make(chan struct{})}
}

// Do runs req in some batch and returns its result. It returns early when ctx ends;
// whether req is done is then unknown, unless it was still queued: such a request
// is dropped. The end of one caller's ctx does not touch the others of its batch.
//
// Errors: ErrOverloaded, ErrClosed, ctx's cause, or what Run said.
func (b *Batcher[Req, Res]) Do(ctx context.Context, req Req) (Res, error) {
	var none Res
	if ctx.Err() != nil {
		return none, context.Cause(ctx)
	}
	c := &call[Req, Res]{ctx: ctx, req: req, since: time.Now(), done: make(chan struct{})}
	if b.opt.Key != nil {
		c.key = b.opt.Key(req)
	}
	if err := b.enqueue(c); err != nil {
		return none, err
	}
	select {
	case <-c.done:
		return c.res, c.err
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}

func (b *Batcher[Req, Res]) enqueue(c *call[Req, Res]) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return ErrClosed
	}
	if len(b.queue) >= b.opt.Queue {
		b.metrics.refused.Inc()
		return ErrOverloaded
	}
	b.queue = append(b.queue, c)
	b.start()
	return nil
}

// start begins a batch if one may begin now, else sees to it that one will. The lock is held.
func (b *Batcher[Req, Res]) start() {
	for len(b.queue) > 0 && b.running < b.opt.Parallel {
		if wait := b.opt.Pace - time.Since(b.started); wait > 0 && len(b.queue) < b.opt.Full && !b.closed {
			if b.waiting == nil {
				b.waiting = time.AfterFunc(wait, b.due)
			}
			return
		}
		if b.waiting != nil {
			b.waiting.Stop()
			b.waiting = nil
		}
		batch := b.take()
		if batch == nil {
			continue
		}
		b.running++
		b.started = time.Now()
		go b.work(batch)
	}
	if b.closed && b.running == 0 && len(b.queue) == 0 {
		b.end.Do(func() { close(b.idle) })
	}
}

// due begins the batch that waited for its time.
func (b *Batcher[Req, Res]) due() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = nil
	b.start()
}

func (b *Batcher[Req, Res]) work(batch []*call[Req, Res]) {
	b.run(batch)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running--
	b.start()
}

// take returns the next batch, nil if every caller of it has gone. The lock is held.
func (b *Batcher[Req, Res]) take() (batch []*call[Req, Res]) {
	for i, c := range b.queue {
		b.queue[i] = nil // the array outlives the call
		if c.ctx.Err() == nil {
			batch = append(batch, c)
		}
		if len(batch) == b.opt.MaxBatch || i == len(b.queue)-1 {
			b.queue = b.queue[i+1:]
			break
		}
	}
	if len(b.queue) == 0 {
		b.queue = nil
	}
	return batch
}

func (b *Batcher[Req, Res]) run(batch []*call[Req, Res]) {
	ctx, cancel := context.WithTimeout(context.Background(), b.opt.Timeout)
	defer cancel()
	if b.opt.Key != nil {
		slices.SortStableFunc(batch, func(x, y *call[Req, Res]) int { return strings.Compare(x.key, y.key) })
	}
	start := time.Now()
	for _, c := range batch {
		b.metrics.waited.Observe(start.Sub(c.since).Seconds())
	}
	b.metrics.members.Observe(float64(len(batch)))
	err := b.try(ctx, batch)
	b.metrics.took.Observe(time.Since(start).Seconds())
	if err == nil {
		return
	}
	if len(batch) == 1 || ctx.Err() != nil || b.opt.Whole != nil && b.opt.Whole(err) {
		fail(batch, err)
		return
	}
	for i, c := range batch {
		if ctx.Err() != nil {
			fail(batch[i:], err)
			return
		}
		b.metrics.singly.Inc()
		if one := batch[i : i+1]; c.ctx.Err() != nil {
			fail(one, context.Cause(c.ctx))
		} else if err := b.try(ctx, one); err != nil {
			fail(one, err)
		}
	}
}

// try runs the calls together and ends them if that worked.
func (b *Batcher[Req, Res]) try(ctx context.Context, calls []*call[Req, Res]) error {
	reqs := make([]Req, len(calls))
	for i, c := range calls {
		reqs[i] = c.req
	}
	res, err := b.opt.Run(ctx, reqs)
	if err != nil {
		return err
	}
	if len(res) != len(calls) {
		// The work is done, so it must not be done again singly.
		fail(calls, fmt.Errorf("coalesce: %s returned %d results for %d requests", b.opt.Name, len(res), len(calls)))
		return nil
	}
	for i, c := range calls {
		c.res = res[i]
		close(c.done)
	}
	return nil
}

func fail[Req, Res any](calls []*call[Req, Res], err error) {
	for _, c := range calls {
		c.err = err
		close(c.done)
	}
}

// Run waits for the end of ctx, then closes and returns when the last batch has ended.
func (b *Batcher[Req, Res]) Run(ctx context.Context) error {
	<-ctx.Done()
	b.Close()
	return nil
}

// Close refuses new requests, runs those that are queued and returns when the last
// batch has ended. Closing twice is safe.
func (b *Batcher[Req, Res]) Close() {
	b.mu.Lock()
	b.closed = true
	b.start()
	b.mu.Unlock()
	<-b.idle
}
