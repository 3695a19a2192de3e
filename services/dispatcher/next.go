package dispatcher

import (
	"math/rand/v2"
	"slices"
	"time"

	"latchkey.dev/services/code"
	"latchkey.dev/services/sms"
)

// lease is how long an attempt may be in flight before another dispatcher takes it for lost.
const lease = 6 * time.Second

// notSent is the ending of the row that marks an abandoned request.
const notSent = "not_sent"

// attempt is one of a challenge's attempts, of any of its requests.
type attempt struct {
	No       int        `json:"no"`
	Request  int        `json:"request"`
	Text     int        `json:"text"`
	Provider string     `json:"provider"`
	Ending   string     `json:"ending"` // "" while in flight
	DueAt    *time.Time `json:"due_at"`
	Receipt  string     `json:"receipt"` // what its provider reported, "" for nothing yet
}

// state is all that decides what happens next to one requested text.
type state struct {
	request   int
	now       time.Time // the database's
	expiresAt time.Time
	open      bool
	stopped   bool      // its account may spend no more on its country
	attempts  []attempt // of the challenge, oldest first
}

// action is what is to be done.
type action int

const (
	nothing action = iota // it is settled
	wait                  // something is in flight or backing off: come again after step.after
	send                  // make the attempt in step
	abandon               // no text will be sent: step.reason says why
	settle                // a provider took it, and nothing follows that
)

type step struct {
	do       action
	after    time.Duration
	reason   string
	attempt  int
	text     int
	provider string // "": whichever the router chooses
	rescued  bool
}

// The reasons for sending again what a provider took: labels, beside those of sms.Outcome.
const (
	undelivered = "undelivered" // its receipt says that it did not arrive
	silent      = "silent"      // no receipt came in time
)

// The reasons for abandoning a requested text: a label.
const (
	tooLate          = "too_late"
	neverDeliverable = "never_deliverable"
	noTextLeft       = "no_text_left"
	challengeClosed  = "closed"
)

// next decides. What a crash left in flight is repeated with the same digits by the
// same provider, whose own duplicate check may catch it. What was surely not sent goes
// to the next provider with the same digits. What may have been sent goes to the next
// provider as the next text, with other digits: the ones typed tell which text arrived.
func next(s state) step {
	mine, highest, last := 0, 0, attempt{}
	texts := highestText(s.attempts)
	for _, a := range s.attempts {
		highest = max(highest, a.No)
		if a.Request == s.request {
			mine, last = mine+1, a
		}
	}
	st := step{do: send, attempt: highest + 1}
	switch {
	case mine > 0 && last.DueAt == nil:
		if s.leftDue() {
			return step{do: settle}
		}
		return step{do: nothing} // accepted, abandoned, or settled with its request
	case mine > 0 && last.Ending == string(sms.Accepted):
		return s.overdue(last, st, freeText(s.attempts, texts))
	case mine > 0 && last.DueAt.After(s.now):
		return step{do: wait, after: last.DueAt.Sub(s.now)}
	case last.Ending == string(sms.RefusedNever):
		st.do, st.reason = abandon, neverDeliverable
		return st
	case !s.open:
		st.do, st.reason = abandon, challengeClosed
		return st
	case s.expiresAt.Sub(s.now) < code.Margin:
		st.do, st.reason = abandon, tooLate
		return st
	case s.stopped:
		st.do, st.reason = abandon, spendStop
		return st
	case mine > 0 && last.Ending == "":
		st.text, st.provider, st.rescued = last.Text, last.Provider, true
		return st
	case last.Ending == string(sms.RefusedElsewhere) && unsent(s.attempts, last.Text):
		st.text = last.Text
	default:
		st.text = freeText(s.attempts, texts)
	}
	if st.text == 0 {
		st.do, st.reason = abandon, noTextLeft
		return st
	}
	return st
}

// overdue decides on a text that its provider took, and whose receipt says that it did not
// arrive, or did not come in time: the next provider sends the next text, if there is one.
func (s state) overdue(last attempt, st step, text int) step {
	switch {
	case last.DueAt.After(s.now):
		return step{do: nothing} // the sweep looks at it in time
	case !s.open, s.stopped, s.expiresAt.Sub(s.now) < code.Margin, last.Receipt == string(sms.Delivered), text == 0:
		return step{do: settle}
	}
	st.text, st.reason = text, silent
	if sms.Status(last.Receipt).Final() && last.Receipt != "" {
		st.reason = undelivered
	}
	return st
}

// leftDue reports whether an attempt of the request that others followed is still due: a
// receipt came at the same moment as the next claim.
func (s state) leftDue() bool {
	return slices.ContainsFunc(s.attempts, func(a attempt) bool {
		return a.Request == s.request && a.Ending != "" && a.DueAt != nil && !a.DueAt.After(s.now)
	})
}

// freeText returns the number of a text that was surely not sent: a new one, or after the
// last one that every attempt failed to send. 0 where there is none.
func freeText(attempts []attempt, highest int) int {
	if highest < code.Texts {
		return highest + 1
	}
	for n := 1; n <= code.Texts; n++ {
		if unsent(attempts, n) {
			return n
		}
	}
	return 0
}

func highestText(attempts []attempt) (n int) {
	for _, a := range attempts {
		n = max(n, a.Text)
	}
	return n
}

// unsent reports whether surely no attempt sent text n. One that a crash left without
// an end may have, whatever its repetition says.
func unsent(attempts []attempt, n int) bool {
	return !slices.ContainsFunc(attempts, func(a attempt) bool { return a.Text == n && a.Ending != string(sms.RefusedElsewhere) })
}

// asked counts by provider the attempts of the whole challenge: who asks for another text did
// not get the last one, so it goes by another provider. One that a crash left without an end
// is none: its repetition by the same provider is.
func (s state) asked() map[string]int {
	turns := map[string]int{}
	for _, a := range s.attempts {
		if a.Ending != "" && a.Ending != notSent {
			turns[a.Provider]++
		}
	}
	return turns
}

// turns counts by provider the attempts of the request that ended.
func (s state) turns() map[string]int {
	turns := map[string]int{}
	for _, a := range s.attempts {
		if a.Request == s.request && a.Ending != "" {
			turns[a.Provider]++
		}
	}
	return turns
}

// followUp says when to look at a request again after a turn ended in vain: zero for at
// once. turns are those of the request by provider, with the one that ended;
// when all that may be asked had their turn, it backs off.
func followUp(ending sms.Ending, turns map[string]int, usable []string) time.Duration {
	round := 0
	for _, n := range turns {
		round = max(round, n)
	}
	more := slices.ContainsFunc(usable, func(p string) bool { return turns[p] < round })
	if ending == sms.RefusedNever || more {
		return 0
	}
	backoff := min(time.Second<<min(max(round-1, 0), 4), 15*time.Second)
	return backoff/2 + rand.N(backoff)
}
