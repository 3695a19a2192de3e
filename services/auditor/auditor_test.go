package auditor_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"latchkey.dev/services/auditor"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/deadletter"
)

const lock = "hashtext('latchkey auditor order')"

// cutLock ends the connections that hold the order's lock.
func (w *world) cutLock() {
	w.t.Helper()
	w.exec(`SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid()
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
}

// Two instances, of which one is stopped, cut off from its lock and killed in turn, while
// events come in: each event has one place, and there is no gap.
func TestTakeoverLeavesNoGap(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, second := w.instance(), w.instance()
	var all []event.Event
	happen := func() { all = append(all, w.happen(300)...) }

	w.until("one is active", func() bool { return first.Active() || second.Active() })
	if second.Active() {
		first, second = second, first
	}
	happen()
	first.stop() // cleanly
	happen()
	w.until("the other takes over", second.Active)
	for range 5 { // the lock is lost in the middle of work
		happen()
		w.cutLock()
	}
	third := w.instance()
	happen()
	second.conn.Close() // killed: what it had in hand comes again
	happen()
	w.cutLock()
	second.stop()
	w.until("the third takes over", third.Active)
	happen()
	w.ordered(len(all))
	w.settled()
	w.inOrder(all)
	w.alarms()
}

// While somebody else has the lock an instance orders nothing and leaves the stream alone.
func TestLostLockStopsOrdering(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.instance()
	w.until("it is active", i.Active)
	events := w.happen(10)
	w.ordered(10)

	other, err := pgx.Connect(t.Context(), w.owner.Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(t.Context())
	got := make(chan error, 1)
	go func() {
		_, err := other.Exec(t.Context(), "SELECT pg_advisory_lock("+lock+")") // waits
		got <- err
	}()
	w.until("the other waits", func() bool {
		return w.count("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") > 0
	})
	w.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'latchkey-auditor-order' AND datname = current_database()")
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	w.until("it stands by", func() bool { return !i.Active() })
	if err := i.Ready(t.Context()); err != nil {
		t.Errorf("a standby is not ready: %v", err)
	}
	events = append(events, w.happen(10)...)
	w.passes(2 * patience)
	if n := w.count("SELECT count(*) FROM leaf"); n != 10 {
		t.Errorf("%d places, want the 10 from before the lock was lost", n)
	}
	if _, err := other.Exec(t.Context(), "SELECT pg_advisory_unlock("+lock+")"); err != nil {
		t.Fatal(err)
	}
	w.ordered(20)
	w.inOrder(events)
	w.alarms()
}

// The whole stream comes again from the first message: nothing changes.
func TestReplayOfTheStreamIsInert(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.instance()
	events := w.happen(1000)
	w.ordered(1000)
	w.settled()
	i.stop()
	if err := w.bus.Admin(t).DeleteConsumer(t.Context(), bus.Stream, bus.AuditorOrder); err != nil {
		t.Fatal(err)
	}
	w.bus.Provision()
	w.instance()
	w.settled()
	w.inOrder(events)
	w.alarms()
	if n := w.count("SELECT count(*) FROM dead_letter"); n != 0 {
		t.Errorf("%d dead letters", n)
	}
}

// The store of the bus is wiped: the stream numbers its messages anew, services publish
// what was not ordered, and nothing is lost, ordered twice or alarmed about.
func TestWipedStoreIsInert(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.instance()
	events := w.happen(500)
	w.ordered(500)
	unpublished := w.make(100)
	w.write(unpublished)
	w.bus.Wipe()
	w.passes(2 * patience) // nobody provisions it yet
	w.bus.Provision()
	w.publish(unpublished)
	w.publish(events[:200]) // and some that were ordered already
	events = append(events, unpublished...)
	events = append(events, w.happen(200)...)
	w.ordered(len(events))
	w.settled()
	w.inOrder(events)
	w.alarms()
}

// The bus is down for longer than an event may lie: it comes later, and no alarm is raised.
func TestBusDownRaisesNoAlarm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// Longer than the services may need to be back on the bus after the auditor is, on a slow machine.
	const long = 5 * patience
	i := w.patient(long)
	w.until("it is active", i.Active)
	events := w.happen(10)
	w.ordered(10)
	w.bus.Stop()
	late := w.make(100)
	w.write(late)
	w.passes(long + patience)
	if n := w.count("SELECT count(*) FROM leaf"); n != 10 {
		t.Errorf("%d places while the bus was down, want none new", n)
	}
	w.bus.Restart()
	w.publish(late)
	events = append(events, late...)
	w.ordered(len(events))
	w.inOrder(events)
	w.alarms()
}

// A service's backlog may take longer than an event may lie, as long as it comes.
func TestBacklogThatComesRaisesNoAlarm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.instance()
	events := w.make(40)
	w.write(events)
	pace := time.NewTicker(patience / 5)
	defer pace.Stop()
	for _, e := range events { // eight times the patience
		w.publish([]event.Event{e})
		<-pace.C
	}
	w.ordered(len(events))
	w.inOrder(events)
	w.alarms()
}

// An event that lies in a table and does not come is archived, with an alarm.
func TestEventOnlyInTheTable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	events := w.happen(10)
	silent := w.make(3)
	w.write(silent)
	w.instance()
	w.ordered(13)
	w.inOrder(append(events, silent...))
	var want []string
	for _, e := range silent {
		want = append(want, "not_in_stream "+e.ID.String())
	}
	w.alarms(want...)
	w.publish(silent) // too late: it changes nothing
	w.settled()
	w.inOrder(append(events, silent...))
	w.alarms(want...)
}

// A row whose id is of another time than it was written at is found, too: somebody forged it.
func TestBackdatedRowIsFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.instance()
	events := w.happen(10)
	w.ordered(10)
	i.stop()
	for _, id := range []uuid.UUID{uuid.MustParse("01900000-0000-7000-8000-000000000001"), uuid.MustParse("fff00000-0000-4000-8000-000000000001")} {
		e, err := event.NewWithID(id, "login", account, time.Now(), event.LoginEnded{Member: uuid.New(), Session: uuid.New()})
		if err != nil {
			t.Fatal(err)
		}
		w.write([]event.Event{e})
		events = append(events, e)
	}
	w.instance()
	w.ordered(12)
	w.inOrder(events)
	w.alarms("not_in_stream "+events[10].ID.String(), "not_in_stream "+events[11].ID.String())
}

// An event that no service wrote is not ordered: it alarms, and its bytes are kept. Where
// the row comes back, as after a database was restored, redriving it orders it.
func TestEventOnlyOnTheStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.patient(time.Minute)
	forged := w.make(1)
	w.publish(forged)
	events := w.happen(5)
	w.ordered(5)
	w.settled()
	w.inOrder(events)
	w.alarms("not_in_table " + forged[0].ID.String())

	desk := deadletter.NewDesk(w.db.Pool(t, "console"))
	letters, err := desk.List(t.Context(), deadletter.Filter{Consumer: bus.AuditorOrder}, uuid.Nil, 10)
	if err != nil || len(letters) != 1 || letters[0].MessageID != forged[0].ID.String() || letters[0].Reason != "refused" {
		t.Fatalf("letters = %+v, %v, want the forged event", letters, err)
	}
	w.write(forged)
	if _, err := desk.Redrive(t.Context(), "op", letters[0].ID); err != nil {
		t.Fatal(err)
	}
	w.until("the letter is redriven", func() bool { return w.count("SELECT count(*) FROM dead_letter WHERE redriven_at IS NOT NULL") == 1 })
	w.inOrder(append(events, forged...))
	w.alarms("not_in_table " + forged[0].ID.String())
}

// A row that was altered before it was ordered: the stream knows better.
func TestAlteredRow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.instance()
	e := w.make(1)[0]
	altered := e
	altered.Body = []byte(strings.Replace(string(e.Body), `"session":"`, `"session": "`, 1))
	w.write([]event.Event{altered})
	w.publish([]event.Event{e})
	w.settled()
	w.inOrder([]event.Event{altered}) // the archive holds what the table holds, and says so
	w.alarms("bytes_differ " + e.ID.String())
	if n := w.count("SELECT count(*) FROM dead_letter WHERE data = $1", e.Body); n != 1 {
		t.Errorf("the stream's bytes are kept %d times, want once", n)
	}
}

// What is no event of ours becomes a dead letter, and the others flow.
func TestPoison(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.instance()
	e := w.make(1)[0]
	known := w.happen(1)[0]
	poison := map[uuid.UUID]bus.Message{}
	add := func(m bus.Message) { poison[m.ID] = m }
	add(bus.Message{ID: uuid.New(), Subject: "latchkey.code.requested.x", Data: []byte("{")})
	add(bus.Message{ID: uuid.New(), Subject: "latchkey.login.x", Data: []byte(strings.Repeat("\x00\xff", 50<<10))})
	add(bus.Message{ID: uuid.New(), Subject: "latchkey.login.ended.x", Data: e.Body}) // another's id
	add(bus.Message{ID: uuid.New(), Subject: "latchkey.login.y", Data: []byte(strings.Replace(string(e.Body), "login.ended", "login.begun", 1))})
	add(bus.Message{ID: uuid.New(), Subject: "latchkey.login.z", Data: nil})
	add(bus.Message{ID: uuid.New(), Subject: "latchkey.login.z", Data: []byte("x"), Header: map[string]string{"X": "nul \x00 and \xff"}})
	var msgs []bus.Message
	for _, m := range poison {
		msgs = append(msgs, m)
	}
	if err := w.publisher.Publish(t.Context(), msgs); err != nil {
		t.Fatal(err)
	}
	events := append(w.happen(5), known)
	w.ordered(6)
	w.settled()
	w.inOrder(events)
	w.alarms()
	for id, m := range poison {
		if n := w.count("SELECT count(*) FROM dead_letter WHERE message_id = $1 AND subject = $2 AND length(data) = $3", id.String(), m.Subject, len(m.Data)); n != 1 {
			t.Errorf("%q on %s is kept %d times, want once", m.Data[:min(20, len(m.Data))], m.Subject, n)
		}
	}
}

func TestOptionsThatAreMissing(t *testing.T) {
	t.Parallel()
	_, err := auditor.New(auditor.Options{Patience: -1})
	for _, want := range []string{"database", "bus", "patience"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, want a word about the %s", err, want)
		}
	}
}
