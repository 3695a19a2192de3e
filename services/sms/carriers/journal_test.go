package carriers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

func bodies(texts []Text) (all []string) {
	for _, t := range texts {
		all = append(all, t.Body)
	}
	return all
}

func TestJournalForgetsTheOldest(t *testing.T) {
	t.Parallel()
	j := newJournal(3)
	for i, to := range []string{"a", "b", "a", "a", "c"} {
		if seq := j.add(Text{To: to, Body: fmt.Sprint(i + 1)}); seq != uint64(i+1) {
			t.Errorf("seq %d, want %d", seq, i+1)
		}
	}
	for name, tc := range map[string]struct{ got, want []string }{
		"all":             {bodies(j.since(0, "", 9)), []string{"3", "4", "5"}},
		"after one":       {bodies(j.since(4, "", 9)), []string{"5"}},
		"after the last":  {bodies(j.since(5, "", 9)), nil},
		"far beyond":      {bodies(j.since(1<<62, "a", 9)), nil},
		"of one":          {bodies(j.since(0, "a", 9)), []string{"3", "4"}},
		"of one, limited": {bodies(j.since(0, "a", 1)), []string{"3"}},
		"of one, after":   {bodies(j.since(3, "a", 9)), []string{"4"}},
		"of nobody":       {bodies(j.since(0, "b", 9)), nil},
	} {
		if fmt.Sprint(tc.got) != fmt.Sprint(tc.want) {
			t.Errorf("%s: %v, want %v", name, tc.got, tc.want)
		}
	}
	// The second text to a is 3, though the first is forgotten.
	if got, err := j.wait(t.Context(), "a", 2); err != nil || got.Body != "3" {
		t.Errorf("wait = %+v, %v", got, err)
	}
	if _, err := j.wait(t.Context(), "a", 1); !errors.Is(err, errForgotten) {
		t.Errorf("wait = %v, want errForgotten", err)
	}
	newest, now, _ := j.latest(place{}, "", 2)
	if fmt.Sprint(bodies(newest)) != "[5 4]" || now != (place{0, 5}) {
		t.Errorf("latest = %v at %v", bodies(newest), now)
	}
	if one, _, _ := j.latest(place{0, 3}, "a", 9); fmt.Sprint(bodies(one)) != "[4]" {
		t.Errorf("latest of a = %v", bodies(one))
	}
}

func TestJournalKeepsNothingOfNumbersWithoutTexts(t *testing.T) {
	t.Parallel()
	j := newJournal(2)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range 100 {
		if _, err := j.wait(ctx, fmt.Sprint(i), 1); err == nil {
			t.Fatal("wait found a text")
		}
		j.add(Text{To: fmt.Sprint(1000 + i)})
	}
	if len(j.threads) != 2 {
		t.Errorf("%d numbers are kept, want 2", len(j.threads))
	}
}

func TestJournalWakesEachWhoWaits(t *testing.T) {
	t.Parallel()
	j := newJournal(1000)
	var all sync.WaitGroup
	for i := range 50 {
		for n := 1; n <= 3; n++ {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				if got, err := j.wait(ctx, fmt.Sprint(i), n); err != nil || got.Body != fmt.Sprint(i, n) {
					t.Errorf("wait(%d, %d) = %+v, %v", i, n, got, err)
				}
			})
		}
	}
	for n := 1; n <= 3; n++ {
		for i := range 50 {
			j.add(Text{To: fmt.Sprint(i), Body: fmt.Sprint(i, n)})
		}
	}
	all.Wait()
	j.reset()
	if got := j.since(0, "", 9); len(got) != 0 || j.add(Text{To: "1"}) != 1 {
		t.Errorf("after the reset there is %v", got)
	}
}
