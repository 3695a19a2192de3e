package router

import (
	"math/rand/v2"
	"testing"
	"time"
)

// world plays texts of two providers through judge, with the sample that Measure would take.
type world struct {
	dice   *rand.Rand
	now    time.Time
	health [2]Health
	texts  [2][]text // newest last
	sent   [2]int
	moves  int

	measured time.Time
}

type text struct {
	at    time.Time
	typed bool
}

func newWorld(seed uint64) *world {
	w := &world{dice: rand.New(rand.NewPCG(seed, 0)), now: time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)}
	w.health[0].Usual, w.health[1].Usual = -1, -1
	return w
}

// play sends texts at a rate for a while: typed is how likely a provider's text is typed in.
func (w *world) play(d time.Duration, perSecond float64, typed [2]float64) {
	step := time.Duration(float64(time.Second) / perSecond)
	for end := w.now.Add(d); w.now.Before(end); w.now = w.now.Add(step) {
		p := 0
		if w.health[0].demoted() && !(w.dice.Float64() < trialShare) {
			p = 1
		}
		w.sent[p]++
		w.texts[p] = append(w.texts[p], text{w.now, w.dice.Float64() < typed[p]})
		if w.now.Sub(w.measured) >= measurePause {
			w.measured = w.now
			w.measure()
		}
	}
}

func (w *world) measure() {
	const ripe = 15 * time.Second
	for p := range w.health {
		h := &w.health[p]
		accepted, typed := 0, 0
		for i := len(w.texts[p]) - 1; i >= 0 && accepted < sample; i-- {
			t := w.texts[p][i]
			if w.now.Sub(t.at) < ripe {
				continue
			}
			if !t.at.After(h.JudgedSince) {
				break
			}
			if accepted++; t.typed {
				typed++
			}
		}
		if accepted > 0 {
			h.Accepted, h.Typed = accepted, typed
		}
	}
	for p := range w.health {
		before := w.health[p].demoted()
		w.health[p] = judge(w.health[p], []Health{w.health[1-p]}, w.now)
		if w.health[p].demoted() != before {
			w.moves++
		}
	}
}

// A provider that takes texts, says "delivered" and delivers nothing loses its place within
// 200 texts, whether anything is known of the time before or not.
func TestACollapseIsSeenWithin200Texts(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]time.Duration{"after an hour of health": time.Hour, "from the start": 0} {
		for seed := range uint64(50) {
			w := newWorld(seed)
			w.play(before, 5, [2]float64{0.85, 0.85})
			was := w.sent[0]
			for !w.health[0].demoted() && w.sent[0]-was <= 200 {
				w.play(measurePause, 5, [2]float64{0, 0.85})
			}
			if n := w.sent[0] - was; n > 200 {
				t.Fatalf("%s, seed %d: still in its place after %d texts", name, seed, n)
			}
		}
	}
}

// Health that is merely uneven moves nobody, over a week of texts.
func TestChanceMovesNobody(t *testing.T) {
	t.Parallel()
	for _, share := range []float64{0.5, 0.7, 0.9} {
		moves := 0
		for seed := range uint64(10) {
			w := newWorld(seed)
			w.play(16*time.Hour, 1, [2]float64{share, share})
			moves += w.moves
		}
		if moves > 0 {
			t.Errorf("with %.1f typed, %d moves in 160 hours of texts, want none", share, moves)
		}
	}
}

// A provider that comes and goes every five minutes for a day does not move with it: each
// fall lasts longer than the one before.
func TestAnUnsteadyProviderDoesNotFlap(t *testing.T) {
	t.Parallel()
	w := newWorld(1)
	w.play(time.Hour, 2, [2]float64{0.85, 0.85})
	for range 6 * 24 {
		w.play(5*time.Minute, 2, [2]float64{0, 0.85})
		w.play(5*time.Minute, 2, [2]float64{0.85, 0.85})
	}
	if w.moves == 0 || w.moves > 60 {
		t.Errorf("%d moves in a day of 144 outages, want a few and 60 at most", w.moves)
	}
	t.Logf("%d moves, %d and %d texts", w.moves, w.sent[0], w.sent[1])
}

// One that is well again gets its place back, and keeps it.
func TestARecoveredProviderComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	w.play(time.Hour, 5, [2]float64{0.85, 0.85})
	w.play(10*time.Minute, 5, [2]float64{0, 0.85})
	if !w.health[0].demoted() {
		t.Fatal("it has its place while nothing arrives")
	}
	w.play(30*time.Minute, 5, [2]float64{0.85, 0.85})
	if w.health[0].demoted() || w.moves != 2 {
		t.Errorf("after half an hour of health: demoted %v, %d moves; want its place, 2", w.health[0].demoted(), w.moves)
	}
}

// Where everybody's codes stop being typed in, nobody is better: the order stays useful.
func TestNobodyIsDemotedForNobody(t *testing.T) {
	t.Parallel()
	now := time.Now()
	bad := Health{Accepted: sample, Usual: 0.85}
	if judge(bad, nil, now).demoted() {
		t.Error("the only provider lost its place")
	}
	if judge(bad, []Health{{DemotedAt: now, Usual: -1}}, now).demoted() {
		t.Error("the last provider in its place lost it")
	}
	if judge(bad, []Health{{Accepted: sample, Usual: 0.85}}, now).demoted() {
		// Both fell: the first is judged by what is usual, and the second keeps its place.
		if judge(bad, []Health{{Accepted: sample, Usual: 0.85, DemotedAt: now}}, now).demoted() {
			t.Error("both lost their place")
		}
	}
}

func TestSilence(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	for _, tc := range []struct {
		h    Health
		want time.Duration
		ok   bool
	}{
		{Health{}, unlearnt, true},
		{Health{Reports: &no}, 0, false},
		{Health{Reports: &no, Receipt: time.Second}, 0, false},
		{Health{Reports: &yes, Receipt: 10 * time.Second}, 15 * time.Second, true},
		{Health{Reports: &yes, Receipt: 100 * time.Millisecond}, silenceLeast, true},
		{Health{Reports: &yes, Receipt: 10 * time.Minute}, silenceMost, true},
	} {
		if got, ok := tc.h.silence(); got != tc.want || ok != tc.ok {
			t.Errorf("%+v: silence %v, %v; want %v, %v", tc.h, got, ok, tc.want, tc.ok)
		}
	}
}
