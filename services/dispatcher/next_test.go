package dispatcher

import (
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
	const refused, ambiguous, accepted = string(sms.RefusedElsewhere), string(sms.Ambiguous), string(sms.Accepted)
	for _, tc := range []struct {
		name     string
		request  int
		left     time.Duration
		closed   bool
		attempts []attempt
		want     step
	}{
		{"the first text", 1, 5 * time.Minute, false, nil, step{do: send, attempt: 1, text: 1, provider: "a"}},
		{"too late", 1, 59 * time.Second, false, nil, step{do: abandon, attempt: 1, reason: tooLate}},
		{"closed meanwhile", 1, 5 * time.Minute, true, nil, step{do: abandon, attempt: 1, reason: challengeClosed}},
		{"accepted: a replay does nothing", 1, 5 * time.Minute, false, []attempt{at(1, 1, 1, "a", accepted, nil)}, step{do: nothing}},
		{"accepted and closed: nothing", 1, 5 * time.Minute, true, []attempt{at(1, 1, 1, "a", accepted, nil)}, step{do: nothing}},
		{"in flight elsewhere", 1, 5 * time.Minute, false, []attempt{at(1, 1, 1, "a", "", &future)}, step{do: wait, after: 4 * time.Second}},
		{"left by a crash: the same digits by the same provider", 1, 5 * time.Minute, false, []attempt{at(1, 1, 1, "b", "", &past)},
			step{do: send, attempt: 2, text: 1, provider: "b", rescued: true}},
		{"left by a crash, too late", 1, time.Second, false, []attempt{at(1, 1, 1, "b", "", &past)}, step{do: abandon, attempt: 2, reason: tooLate}},
		{"surely not sent: the same digits by the next", 1, 5 * time.Minute, false, []attempt{at(1, 1, 1, "a", refused, &past)},
			step{do: send, attempt: 2, text: 1, provider: "b"}},
		{"perhaps sent: other digits by the next", 1, 5 * time.Minute, false, []attempt{at(1, 1, 1, "a", ambiguous, &past)},
			step{do: send, attempt: 2, text: 2, provider: "b"}},
		{"backing off", 1, 5 * time.Minute, false, []attempt{at(1, 1, 1, "a", refused, nil), at(2, 1, 1, "b", refused, &future)}, step{do: wait, after: 4 * time.Second}},
		{"round again", 1, 5 * time.Minute, false, []attempt{at(1, 1, 1, "a", refused, nil), at(2, 1, 1, "b", refused, &past)},
			step{do: send, attempt: 3, text: 1, provider: "a"}},
		{"can never receive", 1, 5 * time.Minute, false, []attempt{at(1, 1, 1, "a", string(sms.RefusedNever), &past)}, step{do: abandon, attempt: 2, reason: neverDeliverable}},
		{"all three perhaps sent", 1, 5 * time.Minute, false,
			[]attempt{at(1, 1, 1, "a", ambiguous, nil), at(2, 1, 2, "b", ambiguous, nil), at(3, 1, 3, "a", ambiguous, &past)},
			step{do: abandon, attempt: 4, reason: noTextLeft}},
		{"send another has digits of its own", 2, 5 * time.Minute, false, []attempt{at(1, 1, 1, "a", accepted, nil)}, step{do: send, attempt: 2, text: 2, provider: "a"}},
		{"send another after two used by failover", 2, 5 * time.Minute, false,
			[]attempt{at(1, 1, 1, "a", ambiguous, nil), at(2, 1, 2, "b", accepted, nil)}, step{do: send, attempt: 3, text: 3, provider: "a"}},
		{"a text that was never sent is free", 3, 5 * time.Minute, false,
			[]attempt{at(1, 1, 1, "a", accepted, nil), at(2, 2, 2, "a", refused, nil), at(3, 2, 3, "b", accepted, nil)}, step{do: send, attempt: 4, text: 2, provider: "a"}},
		{"repeated after a crash and refused: the first time may have been sent, so other digits", 1, 5 * time.Minute, false,
			[]attempt{at(1, 1, 1, "a", "", nil), at(2, 1, 1, "a", refused, &past)}, step{do: send, attempt: 3, text: 2, provider: "b"}},
		{"a repetition after a crash is no turn of its own", 1, 5 * time.Minute, false,
			[]attempt{at(1, 1, 1, "a", "", nil), at(2, 1, 1, "a", refused, nil), at(3, 1, 2, "b", refused, &past)}, step{do: send, attempt: 4, text: 2, provider: "a"}},
		{"abandoned stays so", 1, 5 * time.Minute, false, []attempt{at(1, 1, 0, "", notSent, nil)}, step{do: nothing}},
	} {
		s := state{request: tc.request, now: now, expiresAt: now.Add(tc.left), open: !tc.closed, attempts: tc.attempts, providers: []string{"a", "b"}}
		if got := next(s); got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}

func TestFollowUp(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 12; n++ {
		got := followUp(sms.RefusedElsewhere, n, 3)
		if n%3 != 0 && got != 0 {
			t.Errorf("attempt %d of 3 providers waits %s before the next", n, got)
		}
		if n%3 == 0 && (got <= 0 || got > 23*time.Second) {
			t.Errorf("after a whole round, attempt %d backs off for %s", n, got)
		}
	}
	if followUp(sms.Accepted, 1, 3) >= 0 || followUp(sms.RefusedNever, 3, 3) != 0 {
		t.Error("an accepted text is followed up, or a hopeless one not ended at once")
	}
}
