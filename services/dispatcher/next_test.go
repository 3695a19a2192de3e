package dispatcher

import (
	"strings"
	"testing"
	"time"

	"latchkey.dev/services/sms"
)

func TestNext(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	past, future := now.Add(-time.Second), now.Add(4*time.Second)
	at := func(no, request, text int, provider, ending string, due *time.Time) attempt {
		return attempt{No: no, Request: request, Text: text, Provider: provider, Ending: ending, DueAt: due}
	}
	reported := func(a attempt, s sms.Status) attempt { a.Receipt = string(s); return a }
	const refused, ambiguous, accepted = string(sms.RefusedElsewhere), string(sms.Ambiguous), string(sms.Accepted)
	for _, tc := range []struct {
		name     string
		request  int
		left     time.Duration
		closed   bool
		attempts []attempt
		want     step
	}{
		{"the first text", 1, 5 * time.Minute, false, nil, step{do: send, attempt: 1, text: 1}},
		{"too late", 1, 59 * time.Second, false, nil, step{do: abandon, attempt: 1, reason: tooLate}},
		{"closed meanwhile", 1, 5 * time.Minute, true, nil, step{do: abandon, attempt: 1, reason: challengeClosed}},
		{"accepted: a replay does nothing", 1, 5 * time.Minute, false, []attempt{at(1, 1, 1, "a", accepted, nil)}, step{do: nothing}},
		{"accepted and closed: nothing", 1, 5 * time.Minute, true, []attempt{at(1, 1, 1, "a", accepted, nil)}, step{do: nothing}},
		{"in flight elsewhere", 1, 5 * time.Minute, false, []attempt{at(1, 1, 1, "a", "", &future)}, step{do: wait, after: 4 * time.Second}},
		{"left by a crash: the same digits by the same provider", 1, 5 * time.Minute, false, []attempt{at(1, 1, 1, "b", "", &past)},
			step{do: send, attempt: 2, text: 1, provider: "b", rescued: true}},
		{"left by a crash, too late", 1, time.Second, false, []attempt{at(1, 1, 1, "b", "", &past)}, step{do: abandon, attempt: 2, reason: tooLate}},
		{"surely not sent: the same digits by the next", 1, 5 * time.Minute, false, []attempt{at(1, 1, 1, "a", refused, &past)},
			step{do: send, attempt: 2, text: 1}},
		{"perhaps sent: other digits by the next", 1, 5 * time.Minute, false, []attempt{at(1, 1, 1, "a", ambiguous, &past)},
			step{do: send, attempt: 2, text: 2}},
		{"backing off", 1, 5 * time.Minute, false, []attempt{at(1, 1, 1, "a", refused, nil), at(2, 1, 1, "b", refused, &future)}, step{do: wait, after: 4 * time.Second}},
		{"round again", 1, 5 * time.Minute, false, []attempt{at(1, 1, 1, "a", refused, nil), at(2, 1, 1, "b", refused, &past)},
			step{do: send, attempt: 3, text: 1}},
		{"its account may spend no more", 1, 5 * time.Minute, false, []attempt{at(1, 1, 1, "a", refused, &past)}, step{do: abandon, attempt: 2, reason: spendStop}},
		{"can never receive", 1, 5 * time.Minute, false, []attempt{at(1, 1, 1, "a", string(sms.RefusedNever), &past)}, step{do: abandon, attempt: 2, reason: neverDeliverable}},
		{"all three perhaps sent", 1, 5 * time.Minute, false,
			[]attempt{at(1, 1, 1, "a", ambiguous, nil), at(2, 1, 2, "b", ambiguous, nil), at(3, 1, 3, "a", ambiguous, &past)},
			step{do: abandon, attempt: 4, reason: noTextLeft}},
		{"send another has digits of its own", 2, 5 * time.Minute, false, []attempt{at(1, 1, 1, "a", accepted, nil)}, step{do: send, attempt: 2, text: 2}},
		{"send another after two used by failover", 2, 5 * time.Minute, false,
			[]attempt{at(1, 1, 1, "a", ambiguous, nil), at(2, 1, 2, "b", accepted, nil)}, step{do: send, attempt: 3, text: 3}},
		{"a text that was never sent is free", 3, 5 * time.Minute, false,
			[]attempt{at(1, 1, 1, "a", accepted, nil), at(2, 2, 2, "a", refused, nil), at(3, 2, 3, "b", accepted, nil)}, step{do: send, attempt: 4, text: 2}},
		{"repeated after a crash and refused: the first time may have been sent, so other digits", 1, 5 * time.Minute, false,
			[]attempt{at(1, 1, 1, "a", "", nil), at(2, 1, 1, "a", refused, &past)}, step{do: send, attempt: 3, text: 2}},
		{"a repetition after a crash is no turn of its own", 1, 5 * time.Minute, false,
			[]attempt{at(1, 1, 1, "a", "", nil), at(2, 1, 1, "a", refused, nil), at(3, 1, 2, "b", refused, &past)}, step{do: send, attempt: 4, text: 2}},
		{"taken, and its receipt is not overdue yet", 1, 5 * time.Minute, false, []attempt{at(1, 1, 1, "a", accepted, &future)}, step{do: nothing}},
		{"taken, and no receipt came in time: other digits", 1, 5 * time.Minute, false, []attempt{at(1, 1, 1, "a", accepted, &past)},
			step{do: send, attempt: 2, text: 2, reason: silent}},
		{"taken, and not delivered: other digits", 1, 5 * time.Minute, false, []attempt{reported(at(1, 1, 1, "a", accepted, &past), sms.Undelivered)},
			step{do: send, attempt: 2, text: 2, reason: undelivered}},
		{"on its way is no delivery", 1, 5 * time.Minute, false, []attempt{reported(at(1, 1, 1, "a", accepted, &past), sms.InTransit)},
			step{do: send, attempt: 2, text: 2, reason: silent}},
		{"taken and delivered at the last moment", 1, 5 * time.Minute, false, []attempt{reported(at(1, 1, 1, "a", accepted, &past), sms.Delivered)}, step{do: settle}},
		{"overdue, and the code was typed", 1, 5 * time.Minute, true, []attempt{at(1, 1, 1, "a", accepted, &past)}, step{do: settle}},
		{"overdue, and too late for another", 1, 59 * time.Second, false, []attempt{at(1, 1, 1, "a", accepted, &past)}, step{do: settle}},
		{"overdue, and no text is left", 3, 5 * time.Minute, false,
			[]attempt{at(1, 1, 1, "a", accepted, nil), at(2, 2, 2, "b", accepted, nil), at(3, 3, 3, "a", accepted, &past)}, step{do: settle}},
		{"overdue, and the next refused: the same digits again", 1, 5 * time.Minute, false, []attempt{at(1, 1, 1, "a", accepted, nil), at(2, 1, 2, "b", refused, &past)},
			step{do: send, attempt: 3, text: 2}},
		{"a receipt of what another attempt followed", 1, 5 * time.Minute, false,
			[]attempt{at(1, 1, 1, "a", accepted, &past), at(2, 1, 2, "b", accepted, nil)}, step{do: settle}},
		{"abandoned stays so", 1, 5 * time.Minute, false, []attempt{at(1, 1, 0, "", notSent, nil)}, step{do: nothing}},
	} {
		s := state{request: tc.request, now: now, expiresAt: now.Add(tc.left), open: !tc.closed, stopped: strings.HasPrefix(tc.name, "its account"), attempts: tc.attempts}
		if got := next(s); got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}

// Who asks for another text did not get the last: it goes to whom this challenge asked least.
func TestAskedCountsTheWholeChallenge(t *testing.T) {
	t.Parallel()
	past := time.Now()
	s := state{request: 2, attempts: []attempt{{No: 1, Request: 1, Provider: "a", Ending: string(sms.Accepted)}, {No: 2, Request: 1, Ending: notSent},
		{No: 3, Request: 2, Provider: "b", DueAt: &past}, {No: 4, Request: 2, Provider: "b", Ending: string(sms.RefusedElsewhere)}}}
	if got := s.asked(); got["a"] != 1 || got["b"] != 1 || len(got) != 2 {
		t.Errorf("asked = %v, want each once: what a crash left is none, nor is a text that was given up", got)
	}
	if got := s.turns(); got["b"] != 1 || len(got) != 1 {
		t.Errorf("turns = %v, want the one of the request that ended", got)
	}
}

func TestFollowUp(t *testing.T) {
	t.Parallel()
	usable := []string{"a", "b", "c"}
	turns := map[string]int{}
	for n := range 12 {
		turns[usable[n%3]]++
		got := followUp(sms.RefusedElsewhere, turns, usable)
		if n%3 != 2 && got != 0 {
			t.Errorf("turn %d of 3 providers waits %s before the next", n, got)
		}
		if n%3 == 2 && (got <= 0 || got > 23*time.Second) {
			t.Errorf("after a whole round, turn %d backs off for %s", n, got)
		}
	}
	if got := followUp(sms.Ambiguous, map[string]int{"a": 1}, []string{"b"}); got != 0 {
		t.Errorf("a provider that answers no more holds its text up for %s, though another can be asked", got)
	}
	if got := followUp(sms.Ambiguous, map[string]int{"a": 1}, nil); got <= 0 {
		t.Error("where nobody can be asked it does not back off")
	}
	if followUp(sms.RefusedNever, map[string]int{"a": 1, "b": 1, "c": 1}, usable) != 0 {
		t.Error("a hopeless text is not ended at once")
	}
}
