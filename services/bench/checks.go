package bench

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// checks measures device checks of people whose device is registered: as fast as they are
// answered at two levels, and at a steady rate.
func (r *rig) checks(ctx context.Context) ([]Checks, error) {
	var out []Checks
	for _, at := range []int{16, 64} {
		profiled := func() error { return nil }
		if at == 64 && r.o.Profile != "" {
			profiled = r.profile(ctx, r.o.Profile+".checks", r.o.Time)
		}
		c, err := r.countChecks(ctx, func() ([]time.Duration, error) { return r.checksClosed(ctx, at) })
		c.AtATime = at
		err = errors.Join(err, profiled())
		if out = append(out, c); err != nil {
			return out, err
		}
		r.say("%4d at a time: %.0f checks of registered devices a second", at, c.PerSecond)
	}
	c, err := r.countChecks(ctx, func() ([]time.Duration, error) { return r.checksSteady(ctx, checkRate) })
	c.Rate = checkRate
	return append(out, c), err
}

func (r *rig) countChecks(ctx context.Context, run func() ([]time.Duration, error)) (c Checks, err error) {
	before, err := r.mark(ctx)
	if err != nil {
		return c, err
	}
	begun := time.Now()
	took, failed := run()
	elapsed := time.Since(begun).Seconds()
	if failed != nil {
		return c, failed
	}
	after, err := r.usage()
	if err != nil {
		return c, err
	}
	n := float64(len(took))
	c = Checks{N: len(took), PerSecond: n / elapsed, Times: timesOf(took), CPUPerCheckMS: map[string]float64{}}
	for p, used := range after.since(before.usage) {
		c.CPUPerCheckMS[p] = 1000 * over(used, n)
	}
	return c, nil
}

// checkOne checks somebody's device.
func (r *rig) checkOne(ctx context.Context) error {
	_, err := r.api.check(ctx, &r.people[rand.IntN(len(r.people))], "registered")
	return err
}

func (r *rig) checksClosed(ctx context.Context, at int) ([]time.Duration, error) {
	took := make([][]time.Duration, at)
	errs := make([]error, at)
	end := time.Now().Add(r.o.Time)
	var all sync.WaitGroup
	for i := range at {
		all.Go(func() {
			for begun := time.Now(); begun.Before(end) && errs[i] == nil; begun = time.Now() {
				errs[i] = r.checkOne(ctx)
				took[i] = append(took[i], time.Since(begun))
			}
		})
	}
	all.Wait()
	var out []time.Duration
	for _, t := range took {
		out = append(out, t...)
	}
	return out, errors.Join(errs...)
}

// maxBehind is how many checks of a steady rate may be under way: then the next waits, and
// its time counts from when it was due all the same.
const maxBehind = 1024

// checksSteady begins rate checks a second. Where they cannot be kept up with it ends after
// twice the time, and fewer were made.
func (r *rig) checksSteady(ctx context.Context, rate int) ([]time.Duration, error) {
	took := make([]time.Duration, rate*int(max(r.o.Time, time.Second)/time.Second))
	slots := make(chan struct{}, maxBehind)
	limit, enough := context.WithTimeout(ctx, 2*r.o.Time)
	defer enough()
	var first atomic.Pointer[error]
	paced(limit, rate, len(took), func() { slots <- struct{}{} }, func(i int, due time.Time) {
		defer func() { <-slots }()
		if err := r.checkOne(ctx); err != nil {
			first.CompareAndSwap(nil, &err)
		}
		took[i] = time.Since(due)
	})
	if err := first.Load(); err != nil {
		return nil, *err
	}
	return slices.DeleteFunc(took, func(d time.Duration) bool { return d == 0 }), nil
}
