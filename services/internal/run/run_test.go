package run_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"latchkey.dev/services/internal/run"
)

func TestTheFirstFailureEndsTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		boom := errors.New("boom")
		ended := false
		err := run.All(t.Context(),
			run.Component{Name: "web", Run: func(ctx context.Context) error {
				<-ctx.Done()
				time.Sleep(time.Second) // takes its time to end
				ended = true
				return ctx.Err()
			}},
			run.Component{Name: "finite", Run: func(context.Context) error { return nil }},
			run.Component{Name: "bus", Run: func(context.Context) error {
				time.Sleep(time.Minute)
				return boom
			}})
		if !errors.Is(err, boom) || err.Error() != "bus: boom" {
			t.Errorf("All = %v, want bus: boom", err)
		}
		if !ended {
			t.Error("All returned before every component had ended")
		}
	})
}

func TestBeingStoppedIsNoFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		late := errors.New("could not flush")
		err := run.All(ctx,
			run.Component{Name: "calm", Run: func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }},
			run.Component{Name: "late", Run: func(ctx context.Context) error { <-ctx.Done(); return late }})
		if err == nil || err.Error() != "late: could not flush" {
			t.Errorf("All = %v, want only what went wrong while stopping", err)
		}
		if err := run.All(ctx); err != nil {
			t.Errorf("All of nothing = %v", err)
		}
	})
}

func TestLoopTicksWithJitter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		start := time.Now()
		loop := run.NewLoop(run.LoopOptions{Name: "sweep", Every: time.Minute, Jitter: 10 * time.Second, Timeout: time.Second,
			RunOnce: func(context.Context) error { at = append(at, time.Since(start)); return nil }})
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Minute)
		defer stop()
		if err := loop.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if len(at) < 9 || at[0] >= 10*time.Second {
			t.Fatalf("turns at %v, want the first within its jitter and about ten", at)
		}
		exact := true
		for i := 1; i < len(at); i++ {
			pause := at[i] - at[i-1]
			if pause < time.Minute || pause >= 70*time.Second {
				t.Errorf("pause %d is %v, want 60 to 70 s", i, pause)
			}
			exact = exact && pause == time.Minute
		}
		if exact {
			t.Error("no pause has jitter")
		}
	})
}

func TestWakeStartsATurnAndWakesAreOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := 0
		hold := make(chan struct{})
		loop := run.NewLoop(run.LoopOptions{Name: "sweep", Every: time.Hour, Timeout: time.Minute,
			RunOnce: func(context.Context) error { turns++; <-hold; return nil }})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- loop.Run(ctx) }()
		synctest.Wait() // in the first turn
		for range 5 {
			loop.Wake()
		}
		close(hold)
		synctest.Wait()
		if turns != 2 {
			t.Errorf("%d turns, want the first and one for all five wakes", turns)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestAFailedOrSlowTurnDoesNotEndTheLoop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		turns := 0
		loop := run.NewLoop(run.LoopOptions{Name: "sweep", Every: time.Second, Timeout: 3 * time.Second,
			Log: slog.New(slog.NewJSONHandler(&log, nil)),
			RunOnce: func(ctx context.Context) error {
				turns++
				if turns == 1 {
					return errors.New("database away")
				}
				<-ctx.Done() // hangs
				return ctx.Err()
			}})
		ctx, stop := context.WithTimeout(t.Context(), 9500*time.Millisecond)
		defer stop()
		if err := loop.Run(ctx); err != nil {
			t.Error(err)
		}
		if turns != 4 { // at 0, 1, 5 and 9 s
			t.Errorf("%d turns, want 4", turns)
		}
		if s := log.String(); !strings.Contains(s, `"loop":"sweep"`) || !strings.Contains(s, "database away") || strings.Count(s, "\n") != 3 {
			t.Errorf("logged %s; want one line for each failed turn, none for being stopped", s)
		}
	})
}
