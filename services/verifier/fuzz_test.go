package verifier

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/code"
)

// FuzzJudge lets one person type whatever codes into several challenges at whatever times,
// two bytes an entry, and holds the caps: what was compared is never more than they allow,
// a challenge registers once, and nothing is accepted that was late.
func FuzzJudge(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 0x80, 1, 0x80})
	f.Add([]byte{0, 0x80, 0, 0x81, 1, 0xff, 2, 0x40, 3, 3})
	f.Fuzz(func(t *testing.T, moves []byte) {
		t0 := &tally{hourStart: noon, dayStart: noon}
		var challenges [8]*challenge
		for i := range challenges {
			challenges[i] = &challenge{id: uuid.New(), member: uuid.Nil, expiresAt: noon.Add(time.Duration(i+1) * time.Minute)}
		}
		now, compared, wrongs := noon, 0, 0
		registered := map[*challenge]int{}
		for ; len(moves) >= 2; moves = moves[2:] {
			c, how := challenges[moves[0]&7], moves[1]
			now = now.Add(time.Duration(moves[0]>>3) * time.Second)
			typed := wrongDigits(int(how))
			right := how&0x80 != 0
			if right {
				typed = codes()[int(how)%code.Texts].Reveal()
			}
			was, locked := *c, t0.locked()
			out := judge([]entry{{id: uuid.New(), challenge: c, tally: t0, enteredAt: now,
				read:       func() (string, bool) { return typed, how&0x40 == 0 },
				candidates: func() [code.Texts]code.Code { compared++; return codes() }}}, now, code.Digits)
			switch out[0].result {
			case Registered:
				registered[c]++
				if !right || how&0x40 != 0 || now.After(c.expiresAt) || was.ended != "" || locked {
					t.Errorf("a code registered that must not: %+v at %s", was, now)
				}
				wrongs = 0
			case Wrong, Unreadable:
				wrongs++
			}
			if c.tries > maxTries || t0.hour > hourLimit || t0.day > dayLimit || wrongs > dayLimit || registered[c] > 1 || out[0].triesLeft < 0 {
				t.Fatalf("the caps do not hold: %+v, %+v, %d in a row", c, t0, wrongs)
			}
		}
		if most := len(challenges) * maxTries; compared > most {
			t.Errorf("%d comparisons, more than %d", compared, most)
		}
	})
}
