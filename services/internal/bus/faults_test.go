package bus_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/bustest"
)

func TestAServerRestartInTheMiddle(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	msgs := publish(t, b, 400)
	half := make(chan struct{})
	var seen atomic.Int64
	d := newDesk(t, b.Connect(t, bus.Dispatcher), bus.ConsumerOptions{BatchMax: 10, Handler: func(_ context.Context, batch []*bus.Msg) {
		if n := seen.Add(int64(len(batch))); n >= 200 && n < 200+int64(len(batch)) {
			close(half)
		}
		for _, m := range batch {
			m.Ack()
		}
	}}).start(t)
	receive(t, "half of the messages", half)
	b.Restart()
	msgs = append(msgs, publish(t, b, 50)...)
	eventually(t, "every message is consumed after the restart", func() bool { return d.sawAll(msgs) })
	d.finish(t)
}

func TestALongOutageIsOnlyWaitedFor(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	c := b.Connect(t, bus.Dispatcher)
	b.Stop()
	d := newDesk(t, c, bus.ConsumerOptions{}).start(t) // starts while the bus is down
	select {
	case err := <-d.ended:
		t.Fatalf("Run = %v while the bus was down", err)
	case <-time.After(2 * time.Second): // many looks and retries
	}
	if d.Healthy() {
		t.Error("it calls itself healthy while the bus is down")
	}
	b.Restart()
	msgs := publish(t, b, 5)
	eventually(t, "it consumes when the bus is back", func() bool { return d.sawAll(msgs) })
	d.finish(t)
}

func TestTheWholeStoreIsWiped(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	d := newDesk(t, b.Connect(t, bus.Dispatcher), bus.ConsumerOptions{}).start(t)
	p := bus.NewPublisher(b.Connect(t, bus.Login), time.Now)
	before := publish(t, b, 20)
	eventually(t, "messages are consumed", func() bool { return d.sawAll(before) })

	b.Wipe() // no stream, no consumer
	eventually(t, "the consumer is known to be gone", func() bool { return !d.Healthy() })
	msgs := messages(20, "latchkey.code.requested.a1")
	eventually(t, "publishing says that there is no stream", func() bool {
		return errors.Is(p.Publish(t.Context(), msgs[:1]), jetstream.ErrNoStreamResponse)
	})
	b.Provision()
	eventually(t, "publishing works again", func() bool { return p.Publish(t.Context(), msgs) == nil })
	eventually(t, "consuming works again", func() bool { return d.sawAll(msgs) })
	eventually(t, "it is healthy again", d.Healthy)
	d.finish(t)
}

func TestAReplayOfTheWholeStream(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	msgs := publish(t, b, 200)
	d := newDesk(t, b.Connect(t, bus.Dispatcher), bus.ConsumerOptions{}).start(t)
	eventually(t, "messages are consumed", func() bool { return d.sawAll(msgs) })
	if err := b.Admin(t).DeleteConsumer(t.Context(), bus.Stream, bus.DispatcherSend); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the consumer is known to be gone", func() bool { return !d.Healthy() })
	b.Provision()
	eventually(t, "all come a second time", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, m := range msgs {
			if d.seen[m.ID] != 2 {
				return false
			}
		}
		return true
	})
	d.finish(t)
}

func TestProvisioningTwiceKeepsThePosition(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	js := b.Admin(t)
	msgs := publish(t, b, 10)
	d := newDesk(t, b.Connect(t, bus.Dispatcher), bus.ConsumerOptions{}).start(t)
	eventually(t, "messages are consumed", func() bool { return d.sawAll(msgs) })
	eventually(t, "and acknowledged", func() bool { return ackPending(t, js) == 0 })
	d.finish(t)
	b.Provision()
	more := publish(t, b, 1)
	d = newDesk(t, b.Connect(t, bus.Dispatcher), bus.ConsumerOptions{}).start(t)
	eventually(t, "the new one comes", func() bool { return d.sawAll(more) })
	d.finish(t)
	if len(d.seen) != 1 {
		t.Errorf("%d messages came after provisioning again, want only the new one", len(d.seen))
	}
}

func TestProvisionRefusesNonsense(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	if err := bus.Provision(t.Context(), b.Connect(t, bus.Provisioner), bus.Config{Replicas: -1}); err == nil {
		t.Error("a negative number of replicas was taken")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := bus.Provision(ctx, b.Connect(t, bus.Login), bus.Config{}); err == nil {
		t.Error("login could provision")
	}
}

func TestAStalledSubscriptionIsMadeAnew(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	d := newDesk(t, b.Connect(t, bus.Dispatcher), bus.ConsumerOptions{})
	var opened atomic.Int64
	d.Deafen(func(n int) bool {
		opened.Store(int64(n))
		return n <= 2
	})
	d.start(t)
	msgs := publish(t, b, 10)
	eventually(t, "the third subscription works", func() bool { return d.sawAll(msgs) })
	if n := opened.Load(); n != 3 {
		t.Errorf("opened %d times, want 3", n)
	}
	eventually(t, "it is healthy", d.Healthy)
	d.finish(t)
}

func TestAStallThatRebuildingDoesNotMendEndsTheConsumer(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	d := newDesk(t, b.Connect(t, bus.Dispatcher), bus.ConsumerOptions{})
	d.Deafen(func(int) bool { return true })
	d.start(t)
	select {
	case err := <-d.ended:
		t.Fatalf("Run = %v though nothing is pending", err)
	case <-time.After(time.Second): // ten looks
	}
	publish(t, b, 1)
	if err := receive(t, "the consumer gives up", d.ended); !errors.Is(err, bus.ErrStalled) {
		t.Errorf("Run = %v, want ErrStalled", err)
	}
}

func TestASlowHandlerAndAPauseAreNoStall(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	js := b.Admin(t)
	release := make(chan struct{})
	d := newDesk(t, b.Connect(t, bus.Dispatcher), bus.ConsumerOptions{BatchMax: 2, Handler: func(_ context.Context, batch []*bus.Msg) {
		<-release
		for _, m := range batch {
			m.Ack()
		}
	}}).start(t)
	msgs := publish(t, b, 50)
	select {
	case err := <-d.ended:
		t.Fatalf("Run = %v while the handler was busy", err)
	case <-time.After(time.Second):
	}
	close(release)
	eventually(t, "all are consumed", func() bool { return d.sawAll(msgs) })

	if _, err := js.PauseConsumer(t.Context(), bus.Stream, bus.DispatcherSend, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	msgs = publish(t, b, 5)
	select {
	case err := <-d.ended:
		t.Fatalf("Run = %v while an operator had paused the consumer", err)
	case <-time.After(time.Second):
	}
	if _, err := js.ResumeConsumer(t.Context(), bus.Stream, bus.DispatcherSend); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it goes on after the pause", func() bool { return d.sawAll(msgs) })
	d.finish(t)
}

// Messages that look like words of the server to a client are letters like any other, and
// stop nobody (F21).
func TestMessagesThatLookLikeTheServers(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	graves := &graveyard{}
	d := newDesk(t, b.Connect(t, bus.Dispatcher), bus.ConsumerOptions{DeadLetter: graves}).start(t)
	eventually(t, "the consumer is open", d.Healthy)
	nc := b.Raw(t, bus.Login, nil)
	statuses := map[string]string{"100": "Idle Heartbeat", "400": "Bad Request", "404": "No Messages", "408": "Request Timeout", "409": "Consumer Deleted",
		"423": "Nats-Wrong-Pin-Id", "503": "", "x": "Leadership Change"}
	for status, description := range statuses {
		m := nats.NewMsg("latchkey.code.requested.a1")
		m.Header.Set("Status", status)
		m.Header.Set("Description", description)
		m.Header.Set("Nats-Pending-Messages", "1000000")
		if _, err := nc.RequestMsg(m, 5*time.Second); err != nil {
			t.Fatal(err)
		}
		m.Header.Set(jetstream.MsgIDHeader, uuid.NewString()) // with an id the handler gets it
		if _, err := nc.RequestMsg(m, 5*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	msgs := publish(t, b, 10)
	eventually(t, "the good ones come", func() bool { return d.sawAll(msgs) })
	eventually(t, "those without an id are buried", func() bool { return len(graves.all()) == len(statuses) })
	if !d.Healthy() {
		t.Error("the consumer was stopped")
	}
	d.finish(t)
	if len(d.seen) != 10+len(statuses) {
		t.Errorf("the handler saw %d messages, want the good ones and those with an id", len(d.seen))
	}
	for id, n := range d.seen {
		if n != 1 {
			t.Errorf("%s came %d times", id, n)
		}
	}
}

// The handler is busy for longer than a request lives: nothing is asked for in vain, and
// everything comes once.
func TestAHandlerSlowerThanARequest(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	msgs := publish(t, b, 40)
	d := newDesk(t, b.Connect(t, bus.Dispatcher), bus.ConsumerOptions{BatchMax: 4, Handler: func(ctx context.Context, batch []*bus.Msg) {
		if batch[0].StreamSeq == 1 {
			<-time.After(7 * time.Second)
		}
		for _, m := range batch {
			m.Ack()
		}
	}}).start(t)
	eventually(t, "all are consumed", func() bool { return d.sawAll(msgs) })
	d.finish(t)
	for id, n := range d.seen {
		if n != 1 {
			t.Errorf("%s came %d times", id, n)
		}
	}
}
