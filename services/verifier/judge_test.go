package verifier

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/code"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// fixture makes the entries of one challenge, and counts what was opened and derived.
type fixture struct {
	c              *challenge
	t              *tally
	opened, looked int
}

func newFixture() *fixture {
	return &fixture{c: &challenge{id: uuid.New(), member: uuid.New(), expiresAt: noon.Add(5 * time.Minute)}, t: &tally{hourStart: noon, dayStart: noon}}
}

func codes() (all [code.Texts]code.Code) {
	for i := range all {
		all[i] = code.Derive(bytes.Repeat([]byte{1}, code.KeySize), uuid.Nil, i+1, bytes.Repeat([]byte{2}, code.SeedSize), code.Digits)
	}
	return all
}

// spliced is typed where the seal shall not open.
const spliced = "spliced"

func (f *fixture) typed(what string, at time.Time) entry {
	return entry{id: uuid.New(), challenge: f.c, tally: f.t, enteredAt: at,
		read: func() (string, bool) { f.opened++; return what, what != spliced },
		candidates: func() [code.Texts]code.Code {
			f.looked++
			return codes()
		}}
}

func wrongDigits(i int) string {
	for ; ; i++ {
		typed := fmt.Sprintf("%06d", i%1_000_000)
		if !slices.ContainsFunc(func() []code.Code { a := codes(); return a[:] }(), func(c code.Code) bool { return c.Reveal() == typed }) {
			return typed
		}
	}
}

func TestJudgeOneEntry(t *testing.T) {
	t.Parallel()
	right, late := codes()[1].Reveal(), noon.Add(5*time.Minute+time.Nanosecond)
	for name, x := range map[string]struct {
		typed     string
		at        time.Time // noon if zero
		set       func(*fixture)
		want      Result
		end       end
		left      int
		tries     int // counted on the challenge
		consec    int // the person's wrong codes in a row, afterwards
		untouched bool
	}{
		"right":                       {typed: right, want: Registered, end: endRegistered, tries: 1},
		"right, as pasted":            {typed: right[:3] + " " + right[3:], want: Registered, end: endRegistered, tries: 1},
		"right at the last moment":    {typed: right, at: noon.Add(5 * time.Minute), want: Registered, end: endRegistered, tries: 1},
		"right, too late":             {typed: right, at: late, want: Expired, left: 5, untouched: true},
		"right, fifth try":            {typed: right, set: func(f *fixture) { f.c.tries = 4 }, want: Registered, end: endRegistered, tries: 5},
		"right, after five tries":     {typed: right, set: func(f *fixture) { f.c.tries = 5 }, want: Closed, tries: 5, untouched: true},
		"right, challenge over":       {typed: right, set: func(f *fixture) { f.c.closed = true }, want: Closed, untouched: true},
		"right, over and late":        {typed: right, at: late, set: func(f *fixture) { f.c.closed = true }, want: Closed, untouched: true},
		"right, forgives":             {typed: right, set: func(f *fixture) { f.t.hour, f.t.day, f.t.consecutive = 9, 19, 99 }, want: Registered, end: endRegistered, tries: 1},
		"right, ten wrong this hour":  {typed: right, set: func(f *fixture) { f.t.hour = 10; f.t.consecutive = 10 }, want: Locked, end: endLocked, consec: 10, untouched: true},
		"right, twenty wrong today":   {typed: right, set: func(f *fixture) { f.t.day = 20; f.t.consecutive = 20 }, want: Locked, end: endLocked, consec: 20, untouched: true},
		"right, a hundred in a row":   {typed: right, set: func(f *fixture) { f.t.consecutive = 100 }, want: Locked, end: endLocked, consec: 100, untouched: true},
		"right, its hour's key gone":  {typed: right, set: func(f *fixture) { f.c.lost = true }, want: Expired, left: 5, untouched: true},
		"wrong":                       {typed: wrongDigits(0), want: Wrong, left: 4, tries: 1, consec: 1},
		"wrong, fifth try":            {typed: wrongDigits(0), set: func(f *fixture) { f.c.tries = 4 }, want: Wrong, end: endTries, tries: 5, consec: 1},
		"not digits":                  {typed: "codeco", want: Wrong, left: 4, tries: 1, consec: 1},
		"of another challenge":        {typed: spliced, want: Unreadable, left: 4, tries: 1, consec: 1},
		"of another, fifth try":       {typed: spliced, set: func(f *fixture) { f.c.tries = 4 }, want: Unreadable, end: endTries, tries: 5, consec: 1},
		"wrong, tenth in a new hour":  {typed: wrongDigits(0), set: func(f *fixture) { f.t.hourStart, f.t.hour, f.t.day = noon.Add(-time.Hour), 10, 10 }, want: Wrong, left: 4, tries: 1, consec: 1},
		"wrong, the hour not over":    {typed: wrongDigits(0), set: func(f *fixture) { f.t.hourStart, f.t.hour = noon.Add(-time.Hour+1), 10 }, want: Locked, end: endLocked, untouched: true},
		"wrong, a new hour same day":  {typed: wrongDigits(0), set: func(f *fixture) { f.t.hourStart, f.t.day = noon.Add(-time.Hour), 20 }, want: Locked, end: endLocked, untouched: true},
		"wrong, twentieth in new day": {typed: wrongDigits(0), set: func(f *fixture) { f.t.dayStart, f.t.day = noon.Add(-24*time.Hour), 20 }, want: Wrong, left: 4, tries: 1, consec: 1},
	} {
		f := newFixture()
		if x.set != nil {
			x.set(f)
		}
		if x.at.IsZero() {
			x.at = noon
		}
		v := judge([]entry{f.typed(x.typed, x.at)}, noon, code.Digits)[0]
		if v.result != x.want || f.c.ended != x.end || v.triesLeft != x.left || f.c.tries != x.tries || f.t.consecutive != x.consec {
			t.Errorf("%s: %s, end %q, %d left, %d tries, %d in a row; want %s, %q, %d, %d, %d", name,
				v.result, f.c.ended, v.triesLeft, f.c.tries, f.t.consecutive, x.want, x.end, x.left, x.tries, x.consec)
		}
		if x.untouched != (f.opened == 0 && f.looked == 0) {
			t.Errorf("%s: opened %d seals, derived %d times", name, f.opened, f.looked)
		}
	}
}

// C6: the try is counted before the seal is opened and before anything is compared.
func TestATryIsCountedBeforeItIsCompared(t *testing.T) {
	t.Parallel()
	f := newFixture()
	e := f.typed(codes()[0].Reveal(), noon)
	read, derive := e.read, e.candidates
	e.read = func() (string, bool) {
		if f.c.tries != 1 {
			t.Errorf("opened with %d tries counted", f.c.tries)
		}
		return read()
	}
	e.candidates = func() [code.Texts]code.Code {
		if f.c.tries != 1 {
			t.Errorf("compared with %d tries counted", f.c.tries)
		}
		return derive()
	}
	judge([]entry{e}, noon, code.Digits)
	if f.opened != 1 || f.looked != 1 {
		t.Errorf("opened %d times, compared %d times", f.opened, f.looked)
	}
}

// Of entries in one batch, the one that was typed first counts, wherever it stands.
func TestTheOrderOfTypingDecides(t *testing.T) {
	t.Parallel()
	f := newFixture()
	second, first := f.typed(codes()[0].Reveal(), noon.Add(2*time.Second)), f.typed(codes()[2].Reveal(), noon.Add(time.Second))
	for _, v := range judge([]entry{second, first}, noon, code.Digits) {
		if want := map[uuid.UUID]Result{first.id: Registered, second.id: Closed}[v.id]; v.result != want {
			t.Errorf("typed at %s: %s, want %s", v.enteredAt.Format(time.TimeOnly), v.result, want)
		}
	}
	if f.c.typedText != 3 {
		t.Errorf("text %d was typed, want that of the first entry: 3", f.c.typedText)
	}
}

// C4, C6, C7, F22, F23: whatever people type, in whatever batches, no challenge is
// compared more than five times or opened twice, no person's wrong codes pass the caps,
// and only a right code lets the count fall within its window.
func TestJudgingKeepsItsPromisesForAnyInput(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 22))
		person := &tally{hourStart: noon, dayStart: noon}
		now := noon
		hourStart, dayStart, wrongInHour, wrongInDay := noon, noon, 0, 0
		var open []*fixture
		for range 1 + r.IntN(30) {
			if len(open) == 0 || r.IntN(4) == 0 {
				f := newFixture()
				f.t, f.c.expiresAt = person, now.Add(5*time.Minute)
				open = append(open, f)
			}
			now = now.Add([]time.Duration{0, time.Second, time.Minute, 59 * time.Minute, 13 * time.Hour}[r.IntN(5)])
			var batch []entry
			for range 1 + r.IntN(12) {
				f := open[r.IntN(len(open))]
				typed := wrongDigits(r.IntN(1_000_000))
				switch r.IntN(20) {
				case 0:
					typed = codes()[r.IntN(code.Texts)].Reveal()
				case 1, 2:
					typed = spliced
				case 3:
					typed = ""
				}
				batch = append(batch, f.typed(typed, now.Add(-time.Duration(r.IntN(3000))*time.Millisecond)))
			}
			for _, v := range judge(batch, now, code.Digits) {
				if v.result == Closed || v.result == Expired {
					continue // met no count, so it starts no window
				}
				if now.Sub(hourStart) >= time.Hour {
					hourStart, wrongInHour = now, 0
				}
				if now.Sub(dayStart) >= 24*time.Hour {
					dayStart, wrongInDay = now, 0
				}
				switch v.result {
				case Wrong, Unreadable:
					wrongInHour++
					wrongInDay++
				case Registered:
					wrongInHour, wrongInDay = 0, 0
				}
				if wrongInHour > hourLimit || wrongInDay > dayLimit {
					t.Fatalf("seed %d: %d wrong codes compared in an hour, %d in a day", seed, wrongInHour, wrongInDay)
				}
			}
			for _, f := range open {
				if f.opened > maxTries || f.opened != f.c.tries || f.looked > f.opened {
					t.Fatalf("seed %d: %d seals opened, %d compared, %d tries counted", seed, f.opened, f.looked, f.c.tries)
				}
				if left := maxTries - f.c.tries; left < 0 || left == 0 && f.c.ended == "" {
					t.Fatalf("seed %d: %d tries left, end %q", seed, left, f.c.ended)
				}
				if (f.c.ended == endRegistered) != (f.c.typedText > 0) {
					t.Fatalf("seed %d: end %q, text %d", seed, f.c.ended, f.c.typedText)
				}
			}
		}
	}
}
