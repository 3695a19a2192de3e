package dispatcher

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	queries "latchkey.dev/queries/dispatcher"
	"latchkey.dev/services/internal/run"
)

const (
	// noticeParallel is how many notices are under way at a time: few beside the codes.
	noticeParallel = 16
	// noticeQueue is how many wait for that in this process; the others wait in their table.
	noticeQueue = 1000
	// noticeLag is how long the stream has before the sweep takes a notice.
	noticeLag = time.Second
)

// notices are those that wait to be sent. The table knows them all, so one that is not
// taken in here, or lost with the process, comes by the sweep.
type notices struct {
	d     *Dispatcher
	queue chan uuid.UUID

	mu     sync.Mutex
	queued map[uuid.UUID]bool // in the queue or under way
}

func newNotices(d *Dispatcher) *notices {
	return &notices{d: d, queue: make(chan uuid.UUID, noticeQueue), queued: map[uuid.UUID]bool{}}
}

// add takes a notice in, unless it is there or there is no room.
func (n *notices) add(id uuid.UUID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.queued[id] {
		return
	}
	select {
	case n.queue <- id:
		n.queued[id] = true
	default:
	}
}

// run sends what is taken in until ctx ends and what is under way has.
func (n *notices) run(ctx context.Context) error {
	var all sync.WaitGroup
	for range noticeParallel {
		all.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case id := <-n.queue:
					n.tell(ctx, id)
				}
			}
		})
	}
	all.Wait()
	return nil
}

func (n *notices) tell(ctx context.Context, id uuid.UUID) {
	err := n.d.Tell(ctx, id)
	if err != nil && ctx.Err() == nil {
		n.d.o.Logger.Warn("notice was not sent yet", "notice", id, "error", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.queued, id)
}

// sweep takes in what the stream did not bring, and what is due again.
func (n *notices) sweep(ctx context.Context) error {
	ids, err := n.d.q.NoticeDue(ctx, queries.NoticeDueParams{LagSeconds: noticeLag.Seconds(), Most: sweepMost})
	if err != nil {
		return fmt.Errorf("looking for due notices: %w", err)
	}
	for _, id := range ids {
		n.add(id)
	}
	return nil
}

// loop is the sweep, every second.
func (n *notices) loop() *run.Loop {
	return run.NewLoop(run.LoopOptions{Name: "dispatcher notices", Every: time.Second, Jitter: 250 * time.Millisecond, Timeout: 10 * time.Second,
		RunOnce: n.sweep, Log: n.d.o.Logger})
}

// waiting counts the codes that wait for a slot: while there are any, no notice is begun.
type waiting struct {
	mu    sync.Mutex
	count int
	gone  chan struct{} // closed when none waits any more; set while one does
}

func (w *waiting) add() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count++; w.count == 1 {
		w.gone = make(chan struct{})
	}
}

func (w *waiting) done() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count--; w.count == 0 {
		close(w.gone)
	}
}

// none returns when no code waits, or ctx has ended.
func (w *waiting) none(ctx context.Context) error {
	for {
		w.mu.Lock()
		count, gone := w.count, w.gone
		w.mu.Unlock()
		if count == 0 {
			return nil
		}
		select {
		case <-gone:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
