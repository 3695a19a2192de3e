package coalesce_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"latchkey.dev/services/internal/coalesce"
)

// table is what a batch writes to: it takes a second for each commit, and refuses "bad".
type table struct {
	mu      sync.Mutex
	batches [][]string
	err     error // befalls every commit
}

var errBad = errors.New("bad row")

func (tb *table) insert(ctx context.Context, rows []string) ([]string, error) {
	tb.mu.Lock()
	tb.batches = append(tb.batches, slices.Clone(rows))
	err := tb.err
	tb.mu.Unlock()
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	if slices.Contains(rows, "bad") {
		return nil, errBad
	}
	out := make([]string, len(rows))
	for i, r := range rows {
		out[i] = "did " + r
	}
	return out, nil
}

func (tb *table) sizes() []int {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	var s []int
	for _, b := range tb.batches {
		s = append(s, len(b))
	}
	return s
}

// all calls Do for each row at once, and returns the answers by row.
func all(b *coalesce.Batcher[string, string], rows ...string) map[string]error {
	var mu sync.Mutex
	var wg sync.WaitGroup
	errs := map[string]error{}
	for _, r := range rows {
		wg.Go(func() {
			res, err := b.Do(context.Background(), r)
			if err == nil && res != "did "+r {
				err = fmt.Errorf("%s got the answer %q", r, res)
			}
			mu.Lock()
			defer mu.Unlock()
			errs[r] = err
		})
	}
	wg.Wait()
	return errs
}

func numbered(n int) []string {
	rows := make([]string, n)
	for i := range rows {
		rows[i] = fmt.Sprintf("row %03d", i)
	}
	return rows
}

func TestALoneRequestDoesNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tb := &table{}
		b := coalesce.New(coalesce.Options[string, string]{Run: tb.insert})
		defer b.Close()
		start := time.Now()
		if res, err := b.Do(t.Context(), "x"); res != "did x" || err != nil {
			t.Fatalf("Do = %q, %v", res, err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("a lone request took %v, want the one second of its commit", took)
		}
	})
}

// quick is a table whose commits take no time.
func quick(_ context.Context, rows []string) ([]string, error) {
	out := make([]string, len(rows))
	for i, r := range rows {
		out[i] = "did " + r
	}
	return out, nil
}

func TestWhatComesSoonAfterABatchSharesTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var batches []int
		b := coalesce.New(coalesce.Options[string, string]{Pace: 10 * time.Millisecond, Full: 5, Run: func(ctx context.Context, rows []string) ([]string, error) {
			batches = append(batches, len(rows))
			return quick(ctx, rows)
		}})
		defer b.Close()
		start := time.Now()
		all(b, "alone")
		if took := time.Since(start); took != 0 {
			t.Errorf("a lone request took %v, want none", took)
		}
		all(b, numbered(4)...)
		if took := time.Since(start); took != 10*time.Millisecond {
			t.Errorf("four that came right after it were done after %v, want the 10 ms that two batches keep apart", took)
		}
		all(b, numbered(5)...)
		if took := time.Since(start); took != 10*time.Millisecond {
			t.Errorf("five, as many as are enough, were done after %v, want at once", took)
		}
		if !slices.Equal(batches, []int{1, 4, 5}) {
			t.Errorf("batches of %v, want 1, 4 and 5", batches)
		}
	})
}

func TestRequestsShareACommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tb := &table{}
		b := coalesce.New(coalesce.Options[string, string]{Parallel: 1, MaxBatch: 64, Run: tb.insert})
		defer b.Close()
		first := make(chan error)
		go func() { _, err := b.Do(t.Context(), "first"); first <- err }()
		synctest.Wait() // the first holds the only slot
		start := time.Now()
		for row, err := range all(b, numbered(100)...) {
			if err != nil {
				t.Errorf("%s: %v", row, err)
			}
		}
		if err := <-first; err != nil {
			t.Error(err)
		}
		if got, want := tb.sizes(), []int{1, 64, 36}; !slices.Equal(got, want) {
			t.Errorf("batches of %v, want %v", got, want)
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("101 requests took %v, want three commits", took)
		}
	})
}

func TestParallelIsTheMostAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tb := &table{}
		b := coalesce.New(coalesce.Options[string, string]{Parallel: 3, MaxBatch: 1, Run: tb.insert})
		defer b.Close()
		start := time.Now()
		all(b, numbered(9)...)
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("nine commits, three at a time, took %v, want 3 s", took)
		}
	})
}

func TestABadMemberFailsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tb := &table{}
		b := coalesce.New(coalesce.Options[string, string]{Parallel: 1, Run: tb.insert})
		defer b.Close()
		go b.Do(t.Context(), "first")
		synctest.Wait()
		for row, err := range all(b, "a", "bad", "c") {
			if row == "bad" && !errors.Is(err, errBad) || row != "bad" && err != nil {
				t.Errorf("%s: %v", row, err)
			}
		}
		if got, want := tb.sizes(), []int{1, 3, 1, 1, 1}; !slices.Equal(got, want) {
			t.Errorf("batches of %v, want %v", got, want)
		}
	})
}

func TestAnErrorOfTheWholeIsNotTriedSingly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("connection lost")
		tb := &table{err: down}
		b := coalesce.New(coalesce.Options[string, string]{Parallel: 1, Run: tb.insert,
			Whole: func(err error) bool { return errors.Is(err, down) }})
		defer b.Close()
		go b.Do(t.Context(), "first")
		synctest.Wait()
		for row, err := range all(b, "a", "b", "c") {
			if !errors.Is(err, down) {
				t.Errorf("%s: %v, want the lost connection", row, err)
			}
		}
		if got, want := tb.sizes(), []int{1, 3}; !slices.Equal(got, want) {
			t.Errorf("batches of %v, want %v", got, want)
		}
	})
}

func TestTheTimeoutBoundsSingleTriesToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tb := &table{err: errBad}
		b := coalesce.New(coalesce.Options[string, string]{Parallel: 1, Timeout: 5500 * time.Millisecond, Run: tb.insert})
		defer b.Close()
		go b.Do(t.Context(), "first")
		synctest.Wait()
		start := time.Now()
		for row, err := range all(b, numbered(50)...) {
			if err == nil {
				t.Errorf("%s succeeded", row)
			}
		}
		if took := time.Since(start); took != 6500*time.Millisecond {
			t.Errorf("a failing batch of 50 took %v, want its timeout after the one second of the first", took)
		}
	})
}

func TestACallerWhoLeavesTakesNobodyAlong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tb := &table{}
		b := coalesce.New(coalesce.Options[string, string]{Parallel: 1, Run: tb.insert})
		defer b.Close()
		running, leaveRunning := context.WithCancel(t.Context())
		queued, leaveQueued := context.WithCancel(t.Context())
		gone := make(chan error, 2)
		go func() { _, err := b.Do(running, "running"); gone <- err }()
		synctest.Wait()
		go func() { _, err := b.Do(queued, "queued"); gone <- err }()
		stays := make(chan error)
		go func() { _, err := b.Do(t.Context(), "stays"); stays <- err }()
		synctest.Wait()
		leaveRunning()
		leaveQueued()
		for range 2 {
			if err := <-gone; !errors.Is(err, context.Canceled) {
				t.Errorf("a caller who left got %v", err)
			}
		}
		if err := <-stays; err != nil {
			t.Errorf("the caller who stayed got %v", err)
		}
		if got, want := fmt.Sprint(tb.batches), "[[running] [stays]]"; got != want {
			t.Errorf("ran %s, want %s: what runs goes on, what is queued is dropped", got, want)
		}
	})
}

func TestAFullQueueRefusesAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tb := &table{}
		reg := prometheus.NewRegistry()
		b := coalesce.New(coalesce.Options[string, string]{Name: "test", Parallel: 1, Queue: 2, Run: tb.insert, Registerer: reg})
		defer b.Close()
		for range 3 { // one runs, two wait
			go b.Do(t.Context(), "x")
			synctest.Wait()
		}
		start := time.Now()
		if _, err := b.Do(t.Context(), "too many"); !errors.Is(err, coalesce.ErrOverloaded) || time.Since(start) != 0 {
			t.Errorf("Do = %v after %v, want ErrOverloaded at once", err, time.Since(start))
		}
		want := `
# HELP latchkey_coalesce_refused_total Requests refused because the queue was full. Rising: the service sheds load.
# TYPE latchkey_coalesce_refused_total counter
latchkey_coalesce_refused_total{batch="test"} 1
`
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "latchkey_coalesce_refused_total"); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute) // of the bubble: the queue is empty again
		if _, err := b.Do(t.Context(), "later"); err != nil {
			t.Errorf("after the rush: %v", err)
		}
	})
}

func TestCloseRunsWhatIsQueued(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tb := &table{}
		b := coalesce.New(coalesce.Options[string, string]{Parallel: 1, Run: tb.insert})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- b.Run(ctx) }()
		answers := make(chan error, 2)
		for range 2 {
			go func() { _, err := b.Do(context.Background(), "x"); answers <- err }()
			synctest.Wait()
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
		for range 2 {
			if err := <-answers; err != nil {
				t.Errorf("a request from before the end got %v", err)
			}
		}
		if _, err := b.Do(t.Context(), "late"); !errors.Is(err, coalesce.ErrClosed) {
			t.Errorf("after the end Do = %v, want ErrClosed", err)
		}
		b.Close()
	})
}

func TestKeyOrdersABatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tb := &table{}
		b := coalesce.New(coalesce.Options[string, string]{Parallel: 1, Run: tb.insert, Key: func(s string) string { return s }})
		defer b.Close()
		go b.Do(t.Context(), "first")
		synctest.Wait()
		for row, err := range all(b, "c", "a", "d", "b") {
			if err != nil {
				t.Errorf("%s: %v", row, err)
			}
		}
		if got, want := fmt.Sprint(tb.batches), "[[first] [a b c d]]"; got != want {
			t.Errorf("ran %s, want %s", got, want)
		}
	})
}

func TestTooFewResultsAreAnErrorAndNotRepeated(t *testing.T) {
	t.Parallel()
	runs := 0
	b := coalesce.New(coalesce.Options[string, string]{Name: "short",
		Run: func(context.Context, []string) ([]string, error) { runs++; return nil, nil }})
	if _, err := b.Do(t.Context(), "x"); err == nil {
		t.Error("a request without a result succeeded")
	}
	b.Close()
	if runs != 1 {
		t.Errorf("ran %d times, want once", runs)
	}
}

// BenchmarkDo is the cost of sharing itself: the batch does nothing.
func BenchmarkDo(b *testing.B) {
	c := coalesce.New(coalesce.Options[int, int]{Run: func(_ context.Context, in []int) ([]int, error) { return in, nil }})
	defer c.Close()
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.Do(context.Background(), 1); err != nil {
				b.Error(err)
			}
		}
	})
}
