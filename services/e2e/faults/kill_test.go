package faults

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"latchkey.dev/services/sms/carriers"
)

// Recovery: the lease of an attempt, and what finding and sending it anew takes.
const (
	lease    = 6 * time.Second
	recovery = lease + 5*time.Second
)

// testDispatcherKilled: the dispatcher dies between a carrier's taking a text and its own
// record of it, again and again. Nothing is lost, a text comes twice at most and then with
// the same digits, and each person registers once.
func (h *house) testDispatcherKilled(t *testing.T) {
	kills, each := size(4, 50), 2
	var people []*life
	var slowest time.Duration
	for done := 0; done < kills; {
		wave, killedAt := h.killsWithinALease(t, kills-done, each)
		done += len(wave) / each
		people = append(people, wave...)
		h.behave(carriers.Vonage, carriers.Behaviour{})
		var mu sync.Mutex
		h.all(wave, func(ctx context.Context, l *life) error {
			again, err := l.text(ctx, 2)
			if err != nil {
				return err
			}
			first, err := l.text(ctx, 1)
			if err == nil && codeOf(first) != codeOf(again) {
				err = fmt.Errorf("the text came again with other digits")
			}
			if err != nil {
				return err
			}
			mu.Lock()
			slowest = max(slowest, again.At.Sub(killedAt[l]))
			mu.Unlock()
			if err := l.finish(ctx); err != nil {
				return err
			}
			return l.known(ctx)
		})
	}
	if slowest > recovery {
		t.Errorf("a text came again %v after the kill, want %v at most", slowest, recovery)
	}
	texts := len(h.journal(h.since))
	h.sound(t, tolerance{texts: 2})
	if texts != 2*len(people) {
		t.Errorf("%d texts for %d people, want two each", texts, len(people))
	}
	t.Logf("%d kills between accept and record: 0 of %d texts lost, 0 of %d sent more than twice, 0 of %d people registered other than once; the slowest came again after %v",
		kills, len(people), len(people), len(people), slowest.Round(time.Millisecond))
}

// killsWithinALease kills the dispatcher while a carrier holds texts that it took, until a
// number of kills or the first lease runs out: a text that is being sent anew would be
// killed twice. It returns the people of those texts, and when each was left alone.
func (h *house) killsWithinALease(t *testing.T, most, each int) (people []*life, killedAt map[*life]time.Time) {
	t.Helper()
	killedAt = map[*life]time.Time{}
	h.behave(carriers.Vonage, carriers.Behaviour{Mode: carriers.HangAfterAccept})
	begun := time.Now()
	for kill := 0; kill < most && (kill == 0 || time.Since(begun) < lease-2*time.Second); kill++ {
		hit := h.crowd(each)
		h.all(hit, func(ctx context.Context, l *life) error {
			if err := l.ask(ctx); err != nil {
				return err
			}
			_, err := l.text(ctx, 1) // the carrier has taken it, and does not answer
			return err
		})
		h.kill(dispatcherPart)
		for _, l := range hit {
			killedAt[l] = time.Now()
			if n := h.count(`SELECT count(*) FROM attempt WHERE challenge_id = $1 AND ending IS NULL AND due_at IS NOT NULL`, l.challenge()); n != 1 {
				t.Fatalf("the kill missed: %d attempts are in flight of a text that the carrier has, want 1", n)
			}
		}
		h.start(dispatcherPart)
		h.ready(dispatcherPart)
		people = append(people, hit...)
	}
	return people, killedAt
}

// testRandomKills: services and the bus die at random moments while people sign in.
func (h *house) testRandomKills(t *testing.T) {
	kills, pause := size(5, 120), 1500*time.Millisecond
	perSecond := size(4, 20)
	victims := append([]string{busPart}, services...)
	stop := make(chan struct{})
	var lives sync.WaitGroup
	var mu sync.Mutex
	var failed []error
	var count int
	// An open loop: people come whether or not others are served. They are made ahead, since
	// a product saves its people at other times.
	people := h.crowd(perSecond * (kills + 1) * int(pause/time.Millisecond) / 1000)
	lives.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		for _, l := range people {
			select {
			case <-tick.C:
			case <-stop:
				return
			}
			count++
			lives.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				if err := l.run(ctx); err != nil {
					mu.Lock()
					failed = append(failed, err)
					mu.Unlock()
				}
			})
		}
	})
	killed := map[string]int{}
	for range kills {
		time.Sleep(pause/2 + time.Duration(h.dice.Int64N(int64(pause))))
		victim := victims[h.dice.IntN(len(victims))]
		h.restart(victim)
		killed[victim]++
	}
	close(stop)
	lives.Wait()
	h.ready(services...)
	for i, err := range failed {
		if i < 5 {
			t.Error(err)
		}
	}
	texts, asks := len(h.journal(h.since)), 0
	for _, l := range people[:count] {
		asks += l.asks
	}
	h.sound(t, tolerance{texts: 3})
	t.Logf("%d random kills %v: %d of %d lives failed; %d texts for %d requests", kills, killed, len(failed), count, texts, asks)
}
