package dispatcher_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	queries "latchkey.dev/queries/dispatcher"
	"latchkey.dev/services/dispatcher"
	"latchkey.dev/services/sms"
)

// until waits for something that another goroutine does.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	limit := time.After(15 * time.Second)
	for !done() {
		select {
		case <-limit:
			t.Fatalf("waited 15 s for %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// sendAnother asks for a further text, as "send another" does.
func (k *desk) sendAnother(r dispatcher.Request, no int) dispatcher.Request {
	k.t.Helper()
	k.exec("INSERT INTO text_request (challenge_id, request_no) VALUES ($1, $2)", r.Challenge, no)
	return dispatcher.Request{Challenge: r.Challenge, No: no}
}

// With the sweep off, the stream has to bring a text again that every provider refused:
// Deliver says when.
func TestABackoffIsTold(t *testing.T) {
	t.Parallel()
	k := newDesk(t, []sms.Ending{sms.RefusedElsewhere}, []sms.Ending{sms.RefusedElsewhere})
	if later := k.deliver(k.challenge()); later <= 0 || later > 3*time.Second {
		t.Errorf("come again after %v, want the backoff of a first round", later)
	}
}

// Two texts of one challenge are asked for at the same moment, and only the stream
// brings them. Both want the next attempt's number; the one that loses takes another.
func TestTwoTextsOfOneChallengeAtOnce(t *testing.T) {
	t.Parallel()
	k := newDesk(t, nil, nil)
	var rs []dispatcher.Request
	for range 10 {
		r := k.challenge()
		rs = append(rs, r, k.sendAnother(r, 2))
	}
	var wg sync.WaitGroup
	for _, r := range rs {
		wg.Go(func() {
			if _, err := k.d.Deliver(t.Context(), r, dispatcher.Stream); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := 0; i < len(rs); i += 2 {
		for n := 1; n <= 2; n++ {
			if !slices.Contains(append(k.a.digits(), k.b.digits()...), k.code(rs[i], n)) {
				t.Errorf("text %d of challenge %d was never sent", n, i/2)
			}
		}
	}
	if n := len(k.a.digits()) + len(k.b.digits()); n != len(rs) {
		t.Errorf("%d texts, want %d", n, len(rs))
	}
}

// A claim that loses against another text of the challenge leaves what its own text is
// due for: otherwise nobody would come back to it.
func TestALostClaimSettlesNothing(t *testing.T) {
	t.Parallel()
	k := newDesk(t, []sms.Ending{sms.RefusedElsewhere}, []sms.Ending{sms.RefusedElsewhere})
	r := k.challenge()
	k.deliver(r) // attempts 1 and 2, and attempt 3 is due
	id := uuid.Must(uuid.NewV7())
	won, err := queries.New(k.db.Pool(t, "dispatcher")).AttemptClaim(t.Context(), queries.AttemptClaimParams{
		ChallengeIds: [][16]byte{r.Challenge, r.Challenge}, AttemptNos: []int16{3, 3}, Ids: [][16]byte{uuid.Must(uuid.NewV7()), id},
		RequestNos: []int16{2, 1}, TextNos: []int16{2, 1}, Providers: []string{"a", "a"}, EventIds: [][16]byte{uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())},
		EventTypes: []string{"latchkey.sms.attempted", "latchkey.sms.attempted"}, AccountIds: [][16]byte{uuid.New(), uuid.New()},
		EventBodies: [][]byte{[]byte("{}"), []byte("{}")}, LeaseSeconds: 6, MarginSeconds: 60})
	if err != nil || len(won) != 1 || uuid.UUID(won[0]) == id {
		t.Fatalf("won %v, %v; want request 2 to win", won, err)
	}
	if n := k.count("SELECT count(*) FROM attempt WHERE request_no = 1 AND due_at IS NOT NULL"); n != 1 {
		t.Errorf("%d attempts of the losing text are due, want 1", n)
	}
}

// Giving a text up under a number that another text took is not done, and leaves it due.
func TestALostAbandoningSettlesNothing(t *testing.T) {
	t.Parallel()
	k := newDesk(t, []sms.Ending{sms.RefusedElsewhere}, []sms.Ending{sms.RefusedElsewhere})
	r := k.challenge()
	k.deliver(r)
	done, err := queries.New(k.db.Pool(t, "dispatcher")).RequestAbandon(t.Context(), queries.RequestAbandonParams{
		ChallengeIds: [][16]byte{r.Challenge}, AttemptNos: []int16{2}, Ids: [][16]byte{uuid.Must(uuid.NewV7())}, RequestNos: []int16{1}, Reasons: []string{"too_late"},
		EventIds: [][16]byte{uuid.Must(uuid.NewV7())}, EventTypes: []string{"latchkey.sms.abandoned"}, AccountIds: [][16]byte{uuid.New()}, EventBodies: [][]byte{[]byte("{}")}})
	if err != nil || len(done) != 0 {
		t.Fatalf("abandoned %v, %v; want none", done, err)
	}
	if n := k.count("SELECT count(*) FROM attempt WHERE request_no = 1 AND due_at IS NOT NULL"); n != 1 {
		t.Errorf("%d attempts of the text are due, want 1", n)
	}
}

// After a crash, the repetition by the same provider is not that provider's next turn:
// when it is refused, the other one is asked at once.
func TestARefusedRepetitionFailsOverAtOnce(t *testing.T) {
	t.Parallel()
	k := newDesk(t, []sms.Ending{sms.RefusedElsewhere}, nil)
	r := k.challenge()
	k.exec(`INSERT INTO attempt (challenge_id, attempt_no, id, request_no, text_no, provider, due_at) VALUES ($1, 1, $2, 1, 1, 'a', now() - interval '1 second')`,
		r.Challenge, uuid.Must(uuid.NewV7()))
	k.deliver(r)
	if got, want := k.b.digits(), []string{k.code(r, 2)}; !slices.Equal(got, want) {
		t.Errorf("the other carrier got %v at once, want %v", got, want)
	}
}

// A dispatcher that is told to stop lets the text in flight end and records how: else
// every restart would send second texts.
func TestStoppingDoesNotCutATextInFlight(t *testing.T) {
	t.Parallel()
	k := newDesk(t, nil, nil)
	k.a.hold = make(chan struct{})
	r := k.challenge()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { _, err := k.d.Deliver(ctx, r, dispatcher.Stream); ended <- err }()
	until(t, "the text", func() bool { return len(k.a.digits()) == 1 })
	stop()
	close(k.a.hold)
	<-ended
	if n := k.count("SELECT count(*) FROM attempt WHERE ending = 'accepted'"); n != 1 || len(k.b.digits()) != 0 {
		t.Errorf("%d accepted attempts, want 1; the second carrier got %v", n, k.b.digits())
	}
}

// A carrier that hangs holds up its own texts only: the sweep goes on with the others.
func TestTheSweepWaitsForNobody(t *testing.T) {
	t.Parallel()
	k := newDesk(t, nil, nil)
	k.a.hold = make(chan struct{})
	slow := k.challenge()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- k.another().Run(ctx) }()
	until(t, "the first text", func() bool { return len(k.a.digits()) == 1 })
	quick := k.challenge()
	until(t, "the second text while the first hangs", func() bool { return slices.Contains(k.a.digits(), k.code(quick, 1)) })
	if k.count("SELECT count(*) FROM attempt WHERE challenge_id = $1 AND attempt_no = 1 AND ending IS NULL", slow.Challenge) != 1 {
		t.Error("the second text waited for the end of the first")
	}
	stop()
	close(k.a.hold)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := k.a.digits(); len(got) != 2 || got[0] != k.code(slow, 1) {
		t.Errorf("texts %v, want one of each challenge", got)
	}
	if n := k.count("SELECT count(*) FROM attempt WHERE ending = 'accepted'"); n != 2 {
		t.Errorf("%d texts recorded when Run returned, want 2", n)
	}
}
