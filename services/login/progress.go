package login

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	queries "latchkey.dev/queries/login"
	"latchkey.dev/services/code"
)

// challengeStatus is how far a challenge is, in the words of the API.
type challengeStatus string

const (
	statusRequested         challengeStatus = "requested"           // nothing has been handed to a provider yet
	statusSending           challengeStatus = "sending"             // a provider is being asked
	statusAccepted          challengeStatus = "accepted"            // a provider took the text
	statusAcceptedByAnother challengeStatus = "accepted_by_another" // one took it after another had failed
	statusDelivered         challengeStatus = "delivered"           // it says that the text is on the phone
	statusTryingAnother     challengeStatus = "trying_another"      // one provider failed, another is asked
	statusDelayed           challengeStatus = "delayed"             // none took it for a while: they are asked until sendsUntil
	statusTooLate           challengeStatus = "too_late"            // none took it in time, and none is asked any more
	statusNotPossible       challengeStatus = "not_possible"        // no text will come
)

// patience is how long nobody may have taken a text before the person is told that it is
// late: two providers can have let their time pass by then. With the page's own wait for
// news it stays under the 15 seconds within which the truth is promised.
const patience = 10 * time.Second

// challengeAnswer is a challenge as its device may see it.
type challengeAnswer struct {
	ID         uuid.UUID       `json:"id"`
	Status     challengeStatus `json:"status"` // or, once it ended, the reason: registered, proved, expired, tries, locked
	LastTwo    string          `json:"last_two"`
	ExpiresAt  time.Time       `json:"expires_at"`
	SendsUntil time.Time       `json:"sends_until"` // no text leaves from then on
	TriesLeft  int             `json:"tries_left"`
	TextsLeft  int             `json:"texts_left"`
	NextTextIn int             `json:"next_text_in"` // seconds until another text may be asked for
	Reason     string          `json:"reason,omitempty"`
	From       string          `json:"from,omitempty"` // of an upgrade: what it was, as far as is known
	To         string          `json:"to,omitempty"`   // and what it is
}

// sendsUntil is when the texts of a challenge stop: a code that ends sooner than it can be
// read and typed is not sent.
func sendsUntil(row *queries.ChallengeStateRow) time.Time { return row.ExpiresAt.Add(-code.Margin) }

// attemptSeen is what ChallengeState tells of an attempt.
type attemptSeen struct {
	Request  int    `json:"request"`
	Text     int    `json:"text"`
	Ending   string `json:"ending"`
	Reason   string `json:"reason"`
	Due      bool   `json:"due"`
	Receipt  string `json:"receipt"`
	Provider string `json:"provider"`
}

// took reports whether a provider has the text and did not say that it is lost.
func (a attemptSeen) took() bool {
	return a.Ending == "accepted" && (a.Receipt == "" || a.Receipt == "in_transit" || a.Receipt == "unknown")
}

// progress tells how the last requested text is doing, waited after it was asked for and
// left before texts stop. It says no more than the rows and the clock do.
func progress(requests int, attempts []attemptSeen, waited, left time.Duration) challengeStatus {
	status := handing(requests, attempts)
	switch status {
	case statusRequested, statusSending, statusTryingAnother:
		switch {
		case left < -patience: // what is in flight at the end has come back by then
			return statusTooLate
		case waited >= patience && !slices.ContainsFunc(attempts, func(a attemptSeen) bool { return a.Request == requests && a.took() }):
			return statusDelayed
		}
	case statusNotPossible:
		if last := lastOf(requests, attempts); last.Reason == "too_late" || last.Ending == "accepted" && left <= 0 {
			return statusTooLate
		}
	}
	return status
}

// lastOf is the last attempt of a request.
func lastOf(request int, attempts []attemptSeen) (last attemptSeen) {
	for _, a := range attempts {
		if a.Request == request {
			last = a
		}
	}
	return last
}

// handing is how far the last requested text was handed over, whatever time it takes.
func handing(requests int, attempts []attemptSeen) challengeStatus {
	status, failed := statusRequested, false
	held := challengeStatus("") // of a provider that took it: the next is asked where it is silent
	for _, a := range attempts {
		if a.Receipt == "delivered" {
			return statusDelivered // whichever text arrived, its code works
		}
		if a.Request != requests {
			continue
		}
		switch {
		case a.took():
			if status = statusAccepted; failed || held != "" {
				status = statusAcceptedByAnother
			}
			held = status
		case a.Ending == "" && (failed || held != ""):
			status = statusTryingAnother
		case a.Ending == "":
			status = statusSending
		case held != "":
			status = held
		case a.Ending == "not_sent", a.Ending == "refused_never":
			status = statusNotPossible
		case a.Ending == "accepted" && !a.Due:
			status, failed = statusNotPossible, true // unless another attempt follows
		default:
			status, failed = statusTryingAnother, true
		}
	}
	return status
}

func seen(row *queries.ChallengeStateRow) (challengeAnswer, error) {
	var attempts []attemptSeen
	if err := json.Unmarshal(row.Attempts, &attempts); err != nil {
		return challengeAnswer{}, fmt.Errorf("reading attempts: %w", err)
	}
	until := sendsUntil(row)
	left := until.Sub(row.Now)
	a := challengeAnswer{ID: row.ID, Status: progress(int(row.Requests), attempts, row.Now.Sub(row.LastRequestedAt), left), LastTwo: row.PhoneLastTwo,
		ExpiresAt: row.ExpiresAt, SendsUntil: until, TriesLeft: maxTries - int(row.Tries), TextsLeft: maxTexts - int(row.Requests)}
	if row.EndReason != "" {
		a.Status, a.TriesLeft, a.TextsLeft = challengeStatus(row.EndReason), 0, 0
		return a, nil
	}
	if left <= 0 {
		a.TextsLeft = 0
	}
	if a.TextsLeft > 0 {
		wait := row.LastRequestedAt.Add(textSteps[row.Requests-1]).Sub(row.Now)
		a.NextTextIn = max(0, int((wait+time.Second-1)/time.Second))
	}
	return a, nil
}
