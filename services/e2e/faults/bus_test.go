package faults

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"latchkey.dev/services/sms/carriers"
)

// unaided is how soon a text must go out, and a typed code must register, without the bus.
const unaided = 5 * time.Second

// testBusDown: with the bus stopped, and then with one that hangs, sign-ins are answered,
// texts go out and codes register by the sweeps. When it returns, the backlog is published.
func (h *house) testBusDown(t *testing.T) {
	n := size(12, 200)
	for _, how := range []string{"stopped", "hanging"} {
		people := h.crowd(n)
		if how == "stopped" {
			h.parts[busPart].stop(t)
		} else {
			h.parts[busPart].freeze()
		}
		swept := h.metric(dispatcherPart, `latchkey_work_total{service="dispatcher",source="sweep"}`)
		var mu sync.Mutex
		var answer, text, verdict time.Duration
		h.all(people, func(ctx context.Context, l *life) error {
			if err := l.ask(ctx); err != nil {
				return err
			}
			answered := time.Since(l.askedAt)
			if err := l.finish(ctx); err != nil {
				return err
			}
			mu.Lock()
			answer, text, verdict = max(answer, answered), max(text, l.textedAt.Sub(l.askedAt)), max(verdict, l.registeredAt.Sub(l.typedAt))
			mu.Unlock()
			return l.known(ctx)
		})
		// What was down at the time is known by who did the work.
		if swept = h.metric(dispatcherPart, `latchkey_work_total{service="dispatcher",source="sweep"}`) - swept; swept != float64(n) {
			t.Errorf("with the bus %s %v of %d texts were found by the sweep", how, swept, n)
		}
		for what, took := range map[string]time.Duration{"a text went out": text, "a code registered": verdict} {
			if took > unaided {
				t.Errorf("with the bus %s %s after %v, want %v at most", how, what, took, unaided)
			}
		}
		if how == "stopped" {
			h.start(busPart)
		} else {
			h.parts[busPart].thaw()
		}
		begun := time.Now()
		h.settled(t)
		caughtUp := time.Since(begun)
		h.sound(t, tolerance{})
		t.Logf("with the bus %s 0 of %d lives failed; slowest: answer %v, text %v, verdict %v; all events on the stream and in their order %v after its return",
			how, n, answer.Round(time.Millisecond), text.Round(time.Millisecond), verdict.Round(time.Millisecond), caughtUp.Round(time.Millisecond))
	}
}

// testBusWiped: the bus dies and its whole store is gone, while some people wait for their
// texts and others are just signing in.
func (h *house) testBusWiped(t *testing.T) {
	n := size(24, 200)
	before, after := h.crowd(n), h.crowd(n/2)
	h.behave(carriers.Vonage, carriers.Behaviour{DelayMS: 1500})
	defer h.behave(carriers.Vonage, carriers.Behaviour{})
	var asked, finished atomic.Int64
	live := func(ctx context.Context, l *life) error {
		if err := l.ask(ctx); err != nil {
			return err
		}
		asked.Add(1)
		if err := l.finish(ctx); err != nil {
			return err
		}
		finished.Add(1)
		return l.known(ctx)
	}
	var lives sync.WaitGroup
	lives.Go(func() { h.all(before, live) })
	h.until("everybody waits for a text", 30*time.Second, func() bool { return asked.Load() == int64(n) })
	hit := asked.Load() - finished.Load()
	h.kill(busPart)
	lives.Go(func() { h.all(after, live) })
	if err := os.RemoveAll(h.busStore()); err != nil {
		t.Fatal(err)
	}
	h.start(busPart)
	lives.Wait()
	if hit < 20 {
		t.Errorf("%d lives were in flight when the store went, want 20 at least", hit)
	}
	h.wiped = true
	h.sound(t, tolerance{})
	t.Logf("the bus's store was wiped with %d lives in flight and %d that began meanwhile: 0 of %d lost", hit, len(after), n+len(after))
}
