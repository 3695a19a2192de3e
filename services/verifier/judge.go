package verifier

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/code"
	"latchkey.dev/services/factor"
)

// The caps on wrong codes. NIST SP 800-63B-4 section 3.2.2 allows 100 in a row; ours
// per hour and day are stricter.
const (
	maxTries         = 5
	hourLimit        = 10
	dayLimit         = 20
	consecutiveLimit = 100
)

// Result is the verdict on one entry.
type Result string

const (
	Registered Result = "registered"
	Proved     Result = "proved" // the right code of a challenge that was to prove a number
	Wrong      Result = "wrong"
	Expired    Result = "expired"    // typed after the challenge's time was over or its number was changed, or judged after its key was destroyed
	Closed     Result = "closed"     // the challenge had ended
	Locked     Result = "locked"     // the person's wrong codes are too many; nothing was compared
	Unreadable Result = "unreadable" // not sealed for this challenge, member and device; counts as wrong
)

// Results is the closed set of results.
var Results = []Result{Registered, Proved, Wrong, Expired, Closed, Locked, Unreadable}

// end is why a challenge was closed; "" while it is open.
type end string

const (
	endRegistered end = "registered"
	endProved     end = "proved"
	endTries      end = "tries"
	endLocked     end = "locked"
)

// challenge is what judging knows and changes of a challenge.
type challenge struct {
	id, account, member uuid.UUID
	proves              bool // the number, and registers nothing
	expiresAt           time.Time
	closed              bool // before this batch
	lost                bool // over, and the key of its hour destroyed: nothing can be compared
	void                bool // its number is not the member's any more
	tries               int
	ended               end
	by                  factor.Name // what ended it; "" while nothing right was typed
	typedText           int         // the number of the text whose code was typed
	registrationCode    uuid.UUID   // the one that was typed
}

// tally counts a person's wrong codes, and knows which registration codes are used up.
type tally struct {
	hourStart, dayStart    time.Time
	hour, day, consecutive int
	changed                bool
	spent                  []uuid.UUID // registration codes that were used in this batch
}

// at starts new windows when the old ones are over.
func (t *tally) at(now time.Time) {
	if now.Sub(t.hourStart) >= time.Hour {
		t.hourStart, t.hour = now, 0
	}
	if now.Sub(t.dayStart) >= 24*time.Hour {
		t.dayStart, t.day = now, 0
	}
}

func (t *tally) locked() bool {
	return t.hour >= hourLimit || t.day >= dayLimit || t.consecutive >= consecutiveLimit
}

func (t *tally) wrong() { t.hour++; t.day++; t.consecutive++; t.changed = true }

// right forgives: only a right code resets the count.
func (t *tally) right() {
	t.changed = t.changed || t.hour+t.day+t.consecutive > 0
	t.hour, t.day, t.consecutive = 0, 0, 0
}

// entry is one typed code to be judged.
type entry struct {
	id        uuid.UUID
	challenge *challenge
	tally     *tally
	enteredAt time.Time
	// read opens the seal; false when it was not made for this challenge, member and device.
	read func() (string, bool)
	// candidates derives the codes of the challenge's texts.
	candidates func() [code.Texts]code.Code
	// registrationCodes are the member's that were live when it was typed, and their digests.
	registrationCodes []uuid.UUID
	digests           [][]byte
}

// verdict is the answer to one entry.
type verdict struct {
	entry
	result    Result
	triesLeft int
}

// judge answers entries in the order in which they were typed, changing their challenges
// and tallies. A try is counted before anything is opened or compared.
func judge(entries []entry, now time.Time, digits int) []verdict {
	slices.SortStableFunc(entries, func(a, b entry) int { return a.enteredAt.Compare(b.enteredAt) })
	out := make([]verdict, len(entries))
	for i, e := range entries {
		out[i] = verdict{entry: e, result: judgeOne(e, now, digits)}
		if c := e.challenge; !c.closed && c.ended == "" {
			out[i].triesLeft = maxTries - c.tries
		}
	}
	return out
}

func judgeOne(e entry, now time.Time, digits int) Result {
	c := e.challenge
	if c.closed || c.ended != "" || c.tries >= maxTries {
		return Closed
	}
	if e.enteredAt.After(c.expiresAt) || c.lost || c.void {
		return Expired
	}
	e.tally.at(now)
	if e.tally.locked() {
		c.ended = endLocked
		return Locked
	}
	c.tries++
	result := Wrong
	typed, ok := e.read()
	if !ok {
		result = Unreadable
	} else if e.right(typed, digits) {
		e.tally.right()
		if c.proves {
			c.ended = endProved
			return Proved
		}
		c.ended = endRegistered
		return Registered
	}
	e.tally.wrong()
	if c.tries >= maxTries {
		c.ended = endTries
	}
	return result
}

// right reports whether what was typed is right, and keeps by what. A registration code is
// right once, and says nothing of a number.
func (e entry) right(typed string, digits int) bool {
	proof, err := factor.Read(typed, digits)
	if err != nil {
		return false
	}
	c := e.challenge
	which := proof.Match(factor.Right{Texts: e.candidates, RegistrationCodes: e.digests, Member: c.member})
	if which == 0 {
		return false
	}
	by := proof.Factor().Name()
	switch by {
	case factor.SMS:
		c.typedText = which
	case factor.RegistrationCode:
		id := e.registrationCodes[which-1]
		if c.proves || slices.Contains(e.tally.spent, id) {
			return false
		}
		c.registrationCode, e.tally.spent = id, append(e.tally.spent, id)
	}
	c.by = by
	return true
}
