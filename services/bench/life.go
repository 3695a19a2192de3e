package bench

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/internal/dpop"
)

// moments are those of one life; zero where it did not get so far.
type moments struct {
	asked   time.Time // the device check was to be sent
	checked time.Time // it was answered with a challenge
	texted  time.Time // a carrier took the text
	typed   time.Time // the code was read on the phone, and sent
	in      time.Time // the device is registered
}

// live has a person register their device. asked is when that was to begin.
func (r *rig) live(ctx context.Context, p *person, asked time.Time) (m moments, err error) {
	m.asked = asked
	text := r.phones.expect(p.number)
	challenge, err := r.api.check(ctx, p, "challenge")
	if err != nil {
		return m, err
	}
	m.checked = time.Now()
	a, err := r.phones.await(ctx, text)
	if err != nil {
		return m, err
	}
	m.texted, m.typed = a.at, time.Now()
	if err := r.api.enter(ctx, p, challenge, a.code); err != nil {
		return m, err
	}
	m.in = time.Now()
	return m, nil
}

// newPeople saves people, each with a number of their own and a device that nobody knows.
func (r *rig) newPeople(ctx context.Context, n int) ([]person, error) {
	people := make([]person, n)
	for i := range people {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, err
		}
		device, err := dpop.NewKey()
		if err != nil {
			return nil, err
		}
		// Valid numbers of one area. None is texted: the carriers are simulated.
		people[i] = person{id: id, number: fmt.Sprintf("+1604%07d", 2_000_000+r.numbers), device: device}
		r.numbers++
	}
	return people, each(ctx, 16, n, func(ctx context.Context, i int) error { return r.api.join(ctx, &people[i]) })
}

// each does n things, at most at of them at a time, and stops at the first failure.
func each(ctx context.Context, at, n int, do func(context.Context, int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(at, n) {
		all.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// lives are what came of many.
type lives struct {
	all     []moments
	failed  int
	first   error // of those that failed
	elapsed time.Duration
}

// closed has everybody live, at of them at a time: the next begins when one ends.
func (r *rig) closed(ctx context.Context, at int, people []person) (l lives) {
	l.all = make([]moments, len(people))
	var mu sync.Mutex
	begun := time.Now()
	err := each(ctx, at, len(people), func(ctx context.Context, i int) error {
		m, err := r.live(ctx, &people[i], time.Now())
		l.all[i] = m
		if err != nil {
			mu.Lock()
			defer mu.Unlock()
			l.fail(err)
		}
		return ctx.Err()
	})
	l.elapsed = time.Since(begun)
	if err != nil && l.first == nil {
		l.fail(err)
	}
	return l
}

// steady has everybody live, rate of them begun each second, however the others do.
func (r *rig) steady(ctx context.Context, rate int, people []person) (l lives) {
	l.all = make([]moments, len(people))
	var mu sync.Mutex
	l.elapsed = paced(ctx, rate, len(people), func() {}, func(i int, due time.Time) {
		m, err := r.live(ctx, &people[i], due)
		l.all[i] = m
		if err != nil {
			mu.Lock()
			defer mu.Unlock()
			l.fail(err)
		}
	})
	return l
}

// paced begins n things at a steady rate a second, each after turn has returned, until ctx
// ends, and returns when all have ended.
func paced(ctx context.Context, rate, n int, turn func(), do func(i int, due time.Time)) time.Duration {
	var all sync.WaitGroup
	begun := time.Now()
	for i := range n {
		due := begun.Add(time.Duration(i) * time.Second / time.Duration(rate))
		if wait(ctx, time.Until(due)) != nil {
			break
		}
		turn()
		all.Go(func() { do(i, due) })
	}
	all.Wait()
	return time.Since(begun)
}

// wait waits for a while, or until ctx ends, which is an error.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *lives) fail(err error) {
	if l.failed++; l.first == nil {
		l.first = err
	}
}

// steps are how long each step of the lives took that came to their end.
func (l *lives) steps() Steps {
	var check, carrier, text, entry, life []time.Duration
	for _, m := range l.all {
		if m.in.IsZero() {
			continue
		}
		check = append(check, m.checked.Sub(m.asked))
		carrier = append(carrier, m.texted.Sub(m.asked))
		text = append(text, max(0, m.texted.Sub(m.checked)))
		entry = append(entry, m.in.Sub(m.typed))
		life = append(life, m.in.Sub(m.asked))
	}
	return Steps{Check: timesOf(check), Text: timesOf(text), Carrier: timesOf(carrier), Entry: timesOf(entry), Life: timesOf(life)}
}

// warmUp has a few people live, so that every connection is open and every statement
// prepared, and has PostgreSQL look at the tables, as it does by itself within a minute of
// their filling.
func (r *rig) warmUp(ctx context.Context) error {
	people, err := r.newPeople(ctx, max(20, r.o.Lives/20))
	if err != nil {
		return err
	}
	l := r.closed(ctx, 64, people)
	r.people = append(r.people, people...)
	if l.first != nil {
		return l.first
	}
	_, err = r.admin.Exec(ctx, "ANALYZE")
	return err
}

// level measures lives, at of them at a time.
func (r *rig) level(ctx context.Context, at int) (Level, error) {
	people, err := r.newPeople(ctx, r.o.lives(at))
	if err != nil {
		return Level{}, fmt.Errorf("saving people: %w", err)
	}
	profiled := func() error { return nil }
	if at == 64 && r.o.Profile != "" {
		profiled = r.profile(ctx, r.o.Profile, 10*time.Second)
	}
	level, err := r.count(ctx, func() lives { return r.closed(ctx, at, people) })
	level.AtATime = at
	r.people = append(r.people, people...)
	if err := profiled(); err != nil {
		return level, err
	}
	return level, err
}

// openLoop measures lives that begin at a steady rate.
func (r *rig) openLoop(ctx context.Context, rate int) (Level, error) {
	people, err := r.newPeople(ctx, int(float64(rate)*2*r.o.Time.Seconds()))
	if err != nil {
		return Level{}, fmt.Errorf("saving people: %w", err)
	}
	level, err := r.count(ctx, func() lives { return r.steady(ctx, rate, people) })
	level.Rate = rate
	r.people = append(r.people, people...)
	return level, err
}

// profile takes a CPU profile of Latchkey from now on, in whole seconds, and keeps it in a
// file. The function it returns waits for that.
func (r *rig) profile(ctx context.Context, file string, d time.Duration) (end func() error) {
	ended := make(chan error, 1)
	go func() {
		ended <- func() error {
			b, err := get(ctx, fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", r.profileURL, max(1, int(d.Seconds()))))
			if err != nil {
				return fmt.Errorf("taking a profile: %w", err)
			}
			return os.WriteFile(file, b, 0o644)
		}()
	}()
	return func() error { return <-ended }
}
