package run

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"
)

// LoopOptions configure a Loop. Name, Every, Timeout and RunOnce are required.
type LoopOptions struct {
	// Name is in the log line of a failed turn.
	Name string
	// Every is the pause between the end of a turn and the start of the next.
	Every time.Duration
	// Jitter is the most that is added at random to each pause, and all that the first
	// turn waits for: many instances started together do not work in step.
	Jitter time.Duration
	// Timeout bounds a turn.
	Timeout time.Duration
	// RunOnce does one turn. It logs what it did; the loop logs its error and goes on.
	RunOnce func(ctx context.Context) error
	// Log is slog.Default() if nil.
	Log *slog.Logger
}

// Loop calls RunOnce again and again: at every tick, and when woken.
type Loop struct {
	opt  LoopOptions
	wake chan struct{}
}

// NewLoop returns a Loop that is not running yet. It panics if a required option is missing.
func NewLoop(o LoopOptions) *Loop {
	if o.Name == "" || o.Every <= 0 || o.Timeout <= 0 || o.RunOnce == nil {
		panic("run: a loop needs Name, Every, Timeout and RunOnce")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Loop{opt: o, wake: make(chan struct{}, 1)}
}

// Wake makes the next turn start now, or right after the one under way. It never
// blocks; any number of wakes before that turn are one.
func (l *Loop) Wake() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Run loops until ctx ends, which is no error. Call it once.
func (l *Loop) Run(ctx context.Context) error {
	pause := time.NewTimer(l.jitter())
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.wake:
		case <-pause.C:
		}
		if ctx.Err() != nil { // all were ready, and select chose
			return nil
		}
		l.turn(ctx)
		pause.Reset(l.opt.Every + l.jitter())
	}
}

func (l *Loop) turn(ctx context.Context) {
	turn, cancel := context.WithTimeout(ctx, l.opt.Timeout)
	defer cancel()
	if err := l.opt.RunOnce(turn); err != nil && ctx.Err() == nil {
		l.opt.Log.WarnContext(ctx, "a turn failed", "loop", l.opt.Name, "error", err)
	}
}

func (l *Loop) jitter() time.Duration {
	if l.opt.Jitter <= 0 {
		return 0
	}
	return rand.N(l.opt.Jitter)
}
