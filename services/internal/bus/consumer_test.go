package bus_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/bustest"
)

// graveyard keeps letters, unless it is closed.
type graveyard struct {
	mu      sync.Mutex
	letters []bus.Letter
	closed  bool
}

func (g *graveyard) Bury(_ context.Context, l bus.Letter) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return errors.New("the database is away")
	}
	g.letters = append(g.letters, l)
	return nil
}

func (g *graveyard) close(closed bool) { g.mu.Lock(); defer g.mu.Unlock(); g.closed = closed }

func (g *graveyard) all() []bus.Letter {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.letters)
}

// desk is a consumer with what it has seen.
type desk struct {
	*bus.Consumer
	ended chan error
	stop  context.CancelFunc

	mu      sync.Mutex
	seen    map[uuid.UUID]int // deliveries
	order   []uint64
	batches []int
}

func (d *desk) note(batch []*bus.Msg) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.batches = append(d.batches, len(batch))
	for _, m := range batch {
		d.seen[m.ID]++
		d.order = append(d.order, m.StreamSeq)
	}
}

// sawAll reports whether every one of msgs has been delivered.
func (d *desk) sawAll(msgs []bus.Message) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range msgs {
		if d.seen[m.ID] == 0 {
			return false
		}
	}
	return true
}

// newDesk makes a consumer, of the dispatcher unless o says otherwise, that acknowledges
// everything unless o says otherwise.
func newDesk(t *testing.T, c *bus.Conn, o bus.ConsumerOptions) *desk {
	t.Helper()
	d := &desk{seen: map[uuid.UUID]int{}, ended: make(chan error, 1)}
	if o.Durable == "" {
		o.Durable = bus.DispatcherSend
	}
	if o.DeadLetter == nil {
		o.DeadLetter = &graveyard{}
	}
	handle := o.Handler
	o.Handler = func(ctx context.Context, batch []*bus.Msg) {
		d.note(batch)
		if handle != nil {
			handle(ctx, batch)
			return
		}
		for _, m := range batch {
			m.Ack()
		}
	}
	var err error
	if d.Consumer, err = bus.NewConsumer(c, o); err != nil {
		t.Fatal(err)
	}
	d.Hurry(100 * time.Millisecond)
	return d
}

func (d *desk) start(t *testing.T) *desk {
	ctx, stop := context.WithCancel(t.Context())
	d.stop = stop
	go func() { d.ended <- d.Run(ctx) }()
	t.Cleanup(stop)
	return d
}

// finish stops the consumer and waits for its end.
func (d *desk) finish(t *testing.T) {
	t.Helper()
	d.stop()
	if err := receive(t, "the consumer ends", d.ended); err != nil {
		t.Errorf("Run = %v", err)
	}
}

func publish(t *testing.T, b *bustest.Bus, n int) []bus.Message {
	t.Helper()
	msgs := messages(n, "latchkey.code.requested.a1")
	if err := bus.NewPublisher(b.Connect(t, bus.Login), time.Now).Publish(t.Context(), msgs); err != nil {
		t.Fatal(err)
	}
	return msgs
}

// ackPending is how many messages of the dispatcher's consumer wait for an outcome.
func ackPending(t *testing.T, js jetstream.JetStream) int {
	t.Helper()
	c, err := js.Consumer(t.Context(), bus.Stream, bus.DispatcherSend)
	if err != nil {
		t.Fatal(err)
	}
	return c.CachedInfo().NumAckPending
}

func TestConsumingInBatchesAndInOrder(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	js := b.Admin(t)
	msgs := publish(t, b, 500)
	d := newDesk(t, b.Connect(t, bus.Dispatcher), bus.ConsumerOptions{BatchMax: 50, Handler: func(_ context.Context, batch []*bus.Msg) {
		for _, m := range batch {
			if m.Subject != "latchkey.code.requested.a1" || m.Delivered != 1 || !strings.HasPrefix(string(m.Data), `{"n":`) ||
				len(m.Header["traceparent"]) != 1 {
				t.Errorf("got %+v", m)
			}
			m.Ack()
			m.Nak(0) // too late to count
		}
	}}).start(t)
	eventually(t, "all are consumed", func() bool { return d.sawAll(msgs) })
	eventually(t, "it calls itself healthy", d.Healthy)
	eventually(t, "all are acknowledged", func() bool { return ackPending(t, js) == 0 })
	d.finish(t)
	if d.Healthy() {
		t.Error("it calls itself healthy after its end")
	}
	if !slices.IsSorted(d.order) || len(d.order) != 500 {
		t.Errorf("%d deliveries, in order: %v", len(d.order), slices.IsSorted(d.order))
	}
	if largest := slices.Max(d.batches); largest > 50 || largest == 1 {
		t.Errorf("the largest batch has %d, want more than one and 50 at most", largest)
	}
}

func TestALoneMessageComesAtOnce(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	at := make(chan time.Time, 1)
	d := newDesk(t, b.Connect(t, bus.Dispatcher), bus.ConsumerOptions{BatchMax: 100,
		Handler: func(_ context.Context, batch []*bus.Msg) { batch[0].Ack(); at <- time.Now() }}).start(t)
	eventually(t, "the consumer is open", d.Healthy)
	start := time.Now()
	publish(t, b, 1)
	if took := receive(t, "the message", at).Sub(start); took > 2*time.Second {
		t.Errorf("one message took %v: it waited for a batch to fill", took)
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	js := b.Admin(t)
	msgs := publish(t, b, 3)
	retried := make(chan time.Time, 2)
	graves := &graveyard{closed: true}
	d := newDesk(t, b.Connect(t, bus.Dispatcher), bus.ConsumerOptions{DeadLetter: graves, Handler: func(ctx context.Context, batch []*bus.Msg) {
		for _, m := range batch {
			switch m.ID {
			case msgs[0].ID:
				m.Settle(bus.Done())
			case msgs[1].ID: // comes again once
				retried <- time.Now()
				if m.Delivered == 1 {
					m.Nak(300 * time.Millisecond)
				} else {
					m.Ack()
				}
			case msgs[2].ID:
				if err := m.Bury(ctx, bus.Undecodable); err == nil {
					t.Error("buried in a closed graveyard")
				}
				graves.close(false)
				m.Settle(bus.Done()) // the failed burial counts
			}
		}
	}}).start(t)
	first := receive(t, "a message to retry", retried)
	if pause := receive(t, "its retry", retried).Sub(first); pause < 250*time.Millisecond {
		t.Errorf("the message came again after %v, want 300 ms", pause)
	}
	eventually(t, "only the one that could not be buried waits for an outcome", func() bool { return ackPending(t, js) == 1 })
	d.finish(t)

	d = newDesk(t, b.Connect(t, bus.Dispatcher), bus.ConsumerOptions{DeadLetter: graves, Handler: func(ctx context.Context, batch []*bus.Msg) {
		for _, m := range batch {
			if err := m.Bury(ctx, bus.Refused); err != nil {
				t.Error(err)
			}
		}
	}}).start(t)
	eventually(t, "it is buried in the end", func() bool { return len(graves.all()) == 1 })
	l := graves.all()[0]
	if l.ID != msgs[2].ID || l.Reason != bus.Refused || l.Deliveries != 2 || l.Durable != bus.DispatcherSend ||
		l.Subject != msgs[2].Subject || string(l.Data) != string(msgs[2].Data) || l.StreamSeq != 3 || len(l.Headers) == 0 {
		t.Errorf("buried %+v", l)
	}
	eventually(t, "nothing waits any more", func() bool { return ackPending(t, js) == 0 })
	d.finish(t)
}

func TestWhatHasNoIDIsBuriedAndTheOthersFlow(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	graves := &graveyard{}
	reg := prometheus.NewRegistry()
	c, err := bus.Connect(t.Context(), bus.Options{URL: b.URL(), NKeySeed: b.Seed(bus.Dispatcher), Service: bus.Dispatcher, Registerer: reg})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	nc := b.Raw(t, bus.Login, nil)
	for _, id := range []string{"", "not-an-id", uuid.Nil.String()} {
		m := nats.NewMsg("latchkey.code.requested.a1")
		m.Data = []byte("\x00\xffrubbish")
		if id != "" {
			m.Header.Set(jetstream.MsgIDHeader, id)
		}
		if _, err := nc.RequestMsg(m, 5*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	msgs := publish(t, b, 10)
	d := newDesk(t, c, bus.ConsumerOptions{DeadLetter: graves}).start(t)
	eventually(t, "the good ones come", func() bool { return d.sawAll(msgs) })
	eventually(t, "the bad ones are buried", func() bool { return len(graves.all()) == 3 })
	for _, l := range graves.all() {
		if l.Reason != bus.NoID || l.ID != uuid.Nil || string(l.Data) != "\x00\xffrubbish" {
			t.Errorf("buried %+v", l)
		}
	}
	d.finish(t)
	if len(d.seen) != 10 {
		t.Errorf("the handler saw %d, want the ten good ones", len(d.seen))
	}
	want := `
# HELP latchkey_bus_buried_total Messages put into the dead letters. Any: read them.
# TYPE latchkey_bus_buried_total counter
latchkey_bus_buried_total{durable="dispatcher-send",reason="no_id"} 3
latchkey_bus_buried_total{durable="dispatcher-send",reason="refused"} 0
latchkey_bus_buried_total{durable="dispatcher-send",reason="undecodable"} 0
latchkey_bus_buried_total{durable="dispatcher-send",reason="unknown_type"} 0
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "latchkey_bus_buried_total"); err != nil {
		t.Error(err)
	}
}

func TestParallelBatches(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	publish(t, b, 30)
	together := make(chan struct{}, 3)
	release := make(chan struct{})
	var mu sync.Mutex
	now, most := 0, 0
	d := newDesk(t, b.Connect(t, bus.Dispatcher), bus.ConsumerOptions{BatchMax: 5, Parallel: 3, Handler: func(_ context.Context, batch []*bus.Msg) {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		select {
		case together <- struct{}{}:
		default:
		}
		<-release
		for _, m := range batch {
			m.Ack()
		}
		mu.Lock()
		now--
		mu.Unlock()
	}}).start(t)
	for range 3 {
		receive(t, "three batches at a time", together)
	}
	close(release)
	eventually(t, "all are consumed", func() bool { d.mu.Lock(); defer d.mu.Unlock(); return len(d.seen) == 30 })
	d.finish(t)
	if most != 3 {
		t.Errorf("%d batches at a time, want 3", most)
	}
}

func TestStoppingFinishesWhatBeganAndGivesBackTheRest(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	msgs := publish(t, b, 20)
	begun, release := make(chan struct{}), make(chan struct{})
	d := newDesk(t, b.Connect(t, bus.Dispatcher), bus.ConsumerOptions{BatchMax: 5, Handler: func(ctx context.Context, batch []*bus.Msg) {
		close(begun)
		<-release
		if ctx.Err() != nil {
			t.Error("the context of a running batch ended with the consumer")
		}
		for _, m := range batch {
			m.Ack()
		}
	}}).start(t)
	receive(t, "a batch", begun)
	d.stop()
	select {
	case <-d.ended:
		t.Fatal("Run returned while a batch was running")
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	d.finish(t)

	start := time.Now()
	next := newDesk(t, b.Connect(t, bus.Dispatcher), bus.ConsumerOptions{}).start(t)
	rest := slices.DeleteFunc(slices.Clone(msgs), func(m bus.Message) bool { return d.seen[m.ID] > 0 })
	eventually(t, "another instance gets the rest", func() bool { return next.sawAll(rest) })
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("the rest came after %v: it was not given back", took)
	}
	next.finish(t)
	for id := range maps.Keys(next.seen) {
		if d.seen[id] > 0 {
			t.Errorf("%s was acknowledged and came again", id)
		}
	}
}

func TestAConsumerNeedsItsOptions(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	if _, err := bus.NewConsumer(b.Connect(t, bus.Dispatcher), bus.ConsumerOptions{Durable: bus.DispatcherSend}); err == nil {
		t.Error("a consumer without handler was made")
	}
}
