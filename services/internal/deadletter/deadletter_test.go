package deadletter_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/deadletter"
	"latchkey.dev/services/internal/storetest"
)

// There is no bus in these tests: nothing here needs one.

func letter(subject string) bus.Letter {
	return bus.Letter{Subject: subject, StreamSeq: 7, ID: uuid.New(), Headers: map[string][]string{"Nats-Msg-Id": {"x"}},
		Data: []byte("{"), Reason: bus.Undecodable, Deliveries: 1}
}

func bury(t *testing.T, l *deadletter.Letters, letters ...bus.Letter) {
	t.Helper()
	for _, m := range letters {
		if err := l.Bury(t.Context(), m); err != nil {
			t.Fatalf("burying %q: %v", m.Subject, err)
		}
	}
}

func list(t *testing.T, d *deadletter.Desk, f deadletter.Filter) []deadletter.Summary {
	t.Helper()
	all, err := d.List(t.Context(), f, uuid.Nil, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// handler settles every message with one outcome and keeps what it saw.
type handler struct {
	settle func(*bus.Msg)
	seen   []*bus.Msg
}

func (h *handler) handle(_ context.Context, batch []*bus.Msg) {
	h.seen = append(h.seen, batch...)
	for _, m := range batch {
		h.settle(m)
	}
}

func redrive(t *testing.T, ctx context.Context, l *deadletter.Letters, h func(context.Context, []*bus.Msg)) {
	t.Helper()
	r, err := deadletter.NewRedriver(deadletter.RedriverOptions{Letters: l, Handler: h, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.RunOnce(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestOneLetterIsKeptOnce(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	dispatcher, verifier := deadletter.Dispatcher(db.Pool(t, "dispatcher")), deadletter.Verifier(db.Pool(t, "verifier"))
	desk := deadletter.NewDesk(db.Pool(t, "console"))
	m := letter("latchkey.code.requested.a")
	again, other := m, m
	again.StreamSeq = 900 // republished, or the stream came again
	other.Data = []byte("}")
	bury(t, dispatcher, m, again, other)
	bury(t, verifier, m)
	// The stream lost its store and has another message without an id at the same number.
	nobody := letter("latchkey.code.requested.a")
	nobody.ID = uuid.Nil
	elsewhere := nobody
	elsewhere.Subject = "latchkey.code.requested.b"
	bury(t, dispatcher, nobody, elsewhere)
	if got := list(t, desk, deadletter.Filter{}); len(got) != 5 {
		t.Errorf("%d letters, want 5: %+v", len(got), got)
	}
}

// Whatever a message holds, its letter can be kept: else it would come again for ever.
func TestEveryMessageCanBeKept(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	letters, desk := deadletter.Auditor(db.Pool(t, "auditor")), deadletter.NewDesk(db.Pool(t, "console"))
	for _, m := range []bus.Letter{
		{Subject: "nothing"},
		{Subject: "nul \x00 and \xff", Headers: map[string][]string{"K\x00\xfe": {"v\x00", "\xff"}, "Empty": {}}, Data: []byte{0, 255}},
		{Subject: strings.Repeat("long.", 4000), Data: bytes.Repeat([]byte("x"), bus.MaxMessage), Headers: map[string][]string{"Long": {strings.Repeat("x", 60<<10)}}},
	} {
		bury(t, letters, m)
		all := list(t, desk, deadletter.Filter{})
		got, err := desk.Show(t.Context(), all[0].ID)
		if err != nil || !bytes.Equal(got.Data, m.Data) || got.Size != len(m.Data) {
			t.Errorf("%.20q is kept as %d bytes, %v", m.Subject, len(got.Data), err)
		}
	}
}

// A service sees, marks and keeps the letters of its own consumer alone.
func TestServicesSeeTheirOwnLettersAlone(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	bury(t, deadletter.Verifier(db.Pool(t, "verifier")), letter("latchkey.code.entered.a"))
	pool := db.Pool(t, "dispatcher")
	var n int
	if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM dead_letter").Scan(&n); err != nil || n != 0 {
		t.Errorf("the dispatcher sees %d letters of the verifier, %v", n, err)
	}
	if tag, err := pool.Exec(t.Context(), "UPDATE dead_letter SET redriven_at = now()"); err != nil || tag.RowsAffected() != 0 {
		t.Errorf("the dispatcher changed %d letters of the verifier, %v", tag.RowsAffected(), err)
	}
	if _, err := pool.Exec(t.Context(), `INSERT INTO dead_letter (id, consumer, subject, message_id, stream_sequence, headers, data, digest, reason, deliveries)
		VALUES (gen_random_uuid(), 'verifier-judge', '', '', 1, '{}', '', sha256(''), 'x', 1)`); err == nil {
		t.Error("the dispatcher buried a letter as the verifier")
	}
}

func TestDeskListsAndShows(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	dispatcher, verifier := deadletter.Dispatcher(db.Pool(t, "dispatcher")), deadletter.Verifier(db.Pool(t, "verifier"))
	desk := deadletter.NewDesk(db.Pool(t, "console"))
	for n := range 5 {
		bury(t, dispatcher, letter(fmt.Sprintf("latchkey.code.requested.%d", n)))
	}
	unknown := letter("latchkey.code.entered.a")
	unknown.Reason = bus.UnknownType
	bury(t, verifier, unknown)

	var pages [][]string
	for before := uuid.Nil; ; {
		page, err := desk.List(t.Context(), deadletter.Filter{}, before, 4)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		var subjects []string
		for _, s := range page {
			subjects = append(subjects, s.Subject[len(s.Subject)-1:])
		}
		pages, before = append(pages, subjects), page[len(page)-1].ID
	}
	if want := [][]string{{"a", "4", "3", "2"}, {"1", "0"}}; !slices.EqualFunc(pages, want, slices.Equal) {
		t.Errorf("pages %v, want %v: the newest first", pages, want)
	}
	for f, want := range map[deadletter.Filter]int{
		{Consumer: bus.DispatcherSend}:                       5,
		{Reason: string(bus.UnknownType)}:                    1,
		{Consumer: bus.VerifierJudge, Reason: "no_id"}:       0,
		{Consumer: bus.VerifierJudge, RedrivenToo: true}:     1,
		{Consumer: bus.AuditorOrder}:                         0,
		{Reason: string(bus.Undecodable), RedrivenToo: true}: 5,
	} {
		if got := list(t, desk, f); len(got) != want {
			t.Errorf("%+v: %d letters, want %d", f, len(got), want)
		}
	}
	s := list(t, desk, deadletter.Filter{Consumer: bus.VerifierJudge})[0]
	got, err := desk.Show(t.Context(), s.ID)
	if err != nil || got.MessageID != unknown.ID.String() || string(got.Data) != "{" || got.Headers["Nats-Msg-Id"][0] != "x" || got.Reason != "unknown_type" ||
		got.State() != "buried" || got.StreamSeq != 7 || got.Deliveries != 1 || time.Since(got.BuriedAt).Abs() > time.Minute {
		t.Errorf("the letter is shown as %+v, %v", got, err)
	}
	if _, err := desk.Show(t.Context(), uuid.New()); !errors.Is(err, deadletter.ErrNotFound) {
		t.Errorf("a letter that there is not: %v", err)
	}
	counts, err := desk.Counts(t.Context())
	if want := []deadletter.Count{{bus.DispatcherSend, "undecodable", 5, 0}, {bus.VerifierJudge, "unknown_type", 1, 0}}; err != nil || !slices.Equal(counts, want) {
		t.Errorf("counts %+v, %v, want %+v", counts, err, want)
	}
}

// What an operator marks is handed to the consumer's handler, as it came; once.
func TestRedrivenLetter(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	letters, desk := deadletter.Dispatcher(db.Pool(t, "dispatcher")), deadletter.NewDesk(db.Pool(t, "console"))
	m, other := letter("latchkey.code.requested.a"), letter("latchkey.code.requested.b")
	bury(t, letters, m, other)
	s := list(t, desk, deadletter.Filter{})[1]

	h := &handler{settle: (*bus.Msg).Ack}
	redrive(t, t.Context(), letters, h.handle)
	if len(h.seen) != 0 {
		t.Fatal("a letter was taken up that nobody marked")
	}
	if marked, err := desk.Redrive(t.Context(), "operator@example", s.ID, uuid.New()); err != nil || !slices.Equal(marked, []uuid.UUID{s.ID}) {
		t.Fatalf("marked %v, %v", marked, err)
	}
	if got, err := desk.Show(t.Context(), s.ID); err != nil || got.State() != "marked" || got.MarkedBy != "operator@example" {
		t.Errorf("once marked: %+v, %v", got, err)
	}
	redrive(t, t.Context(), letters, h.handle)
	if len(h.seen) != 1 || h.seen[0].ID != m.ID || h.seen[0].Subject != m.Subject || !bytes.Equal(h.seen[0].Data, m.Data) || h.seen[0].Header["Nats-Msg-Id"][0] != "x" {
		t.Fatalf("the handler got %+v, want the letter as it came", h.seen)
	}
	got, err := desk.Show(t.Context(), s.ID)
	if err != nil || got.State() != "redriven" || got.Redrives != 1 {
		t.Errorf("once redriven: %+v, %v", got, err)
	}
	if marked, err := desk.Redrive(t.Context(), "operator", s.ID); err != nil || len(marked) != 0 {
		t.Errorf("a redriven letter was marked again: %v, %v", marked, err)
	}
	redrive(t, t.Context(), letters, h.handle)
	bury(t, letters, m) // the stream came again
	if len(h.seen) != 1 || len(list(t, desk, deadletter.Filter{})) != 1 {
		t.Error("a redriven letter came back")
	}
}

// A letter that cannot be handled this time either is buried again with the new reason,
// and one whose work fails waits for a better moment; neither holds up the others.
func TestLettersThatFailAgain(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	letters, desk := deadletter.Verifier(db.Pool(t, "verifier")), deadletter.NewDesk(db.Pool(t, "console"))
	const n = 100 // some pages
	nobody := letter("latchkey.code.entered.nobody")
	nobody.ID = uuid.Nil
	bury(t, letters, nobody)
	for i := range n {
		bury(t, letters, letter(fmt.Sprintf("latchkey.code.entered.%d", i)))
	}
	if marked, err := desk.RedriveAll(t.Context(), "operator", deadletter.Filter{Consumer: bus.DispatcherSend}, time.Now().Add(time.Hour)); err != nil || marked != 0 {
		t.Errorf("%d letters of another consumer were marked, %v", marked, err)
	}
	if marked, err := desk.RedriveAll(t.Context(), "operator", deadletter.Filter{Reason: "undecodable"}, time.Now().Add(time.Hour)); err != nil || marked != n+1 {
		t.Fatalf("%d letters were marked, %v, want %d", marked, err, n+1)
	}
	fails := &handler{settle: func(m *bus.Msg) {
		switch m.Subject[len(m.Subject)-1] {
		case '1':
			if err := m.Bury(t.Context(), bus.UnknownType); err != nil {
				t.Error(err)
			}
		case '2':
			m.Nak(time.Hour)
		case '3': // later, elsewhere
			go m.Ack()
		default:
			m.Ack()
		}
	}}
	redrive(t, t.Context(), letters, fails.handle)
	if len(fails.seen) != n {
		t.Errorf("the handler got %d letters, want %d", len(fails.seen), n)
	}
	states := map[string]int{}
	for _, s := range list(t, desk, deadletter.Filter{RedrivenToo: true}) {
		states[s.State()+" "+s.Reason]++
	}
	if states["buried unknown_type"] != 10 || states["marked undecodable"] != 10 || states["redriven undecodable"] != 80 || states["buried no_id"] != 1 {
		t.Errorf("states %v", states)
	}
	works := &handler{settle: (*bus.Msg).Ack}
	redrive(t, t.Context(), letters, works.handle)
	if len(works.seen) != 10 {
		t.Errorf("the next turn took up %d letters, want the 10 whose work had failed", len(works.seen))
	}
	again := list(t, desk, deadletter.Filter{Reason: "unknown_type"})[0]
	if again.Redrives != 1 || again.MarkedAt != nil || again.MarkedBy != "operator" {
		t.Errorf("a letter buried again: %+v", again)
	}
	if marked, err := desk.Redrive(t.Context(), "other", again.ID); err != nil || len(marked) != 1 {
		t.Errorf("a letter buried again was marked: %v, %v", marked, err)
	}
}

// A handler that never settles does not stop the redriver, and what it had stays marked.
func TestHandlerThatHangs(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	letters, desk := deadletter.Auditor(db.Pool(t, "auditor")), deadletter.NewDesk(db.Pool(t, "console"))
	bury(t, letters, letter("latchkey.login.a"), letter("latchkey.login.b"))
	if n, err := desk.RedriveAll(t.Context(), "operator", deadletter.Filter{}, time.Now().Add(time.Hour)); err != nil || n != 2 {
		t.Fatalf("%d marked, %v", n, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	redrive(t, ctx, letters, func(_ context.Context, batch []*bus.Msg) { batch[0].Ack() })
	if marked, all := list(t, desk, deadletter.Filter{}), list(t, desk, deadletter.Filter{RedrivenToo: true}); len(marked) != 1 || marked[0].State() != "marked" || len(all) != 2 {
		t.Errorf("after a turn that hung: %+v of %+v", marked, all)
	}
}
