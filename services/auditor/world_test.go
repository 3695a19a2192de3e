package auditor_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"latchkey.dev/services/auditor"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/bustest"
	"latchkey.dev/services/internal/storetest"
)

const (
	hurry    = 50 * time.Millisecond
	patience = 500 * time.Millisecond
)

var account = uuid.MustParse("0197a000-0000-7000-8000-00000000000a")

// world is a database and a bus with a service that writes events, login.
type world struct {
	t         testing.TB
	db        *storetest.DB
	bus       *bustest.Bus
	owner     *pgxpool.Pool
	login     *pgxpool.Pool
	publisher *bus.Publisher
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, db: storetest.New(t), bus: bustest.Start(t)}
	w.owner, w.login = w.db.Owner(t), w.db.Pool(t, "login")
	w.publisher = bus.NewPublisher(w.bus.Connect(t, bus.Login), time.Now)
	return w
}

// instance is a running auditor.
type instance struct {
	*auditor.Auditor
	conn  *bus.Conn
	ended chan error
	stop  context.CancelFunc
}

// instance starts an auditor; it is stopped when the test ends.
func (w *world) instance() *instance { return w.patient(patience) }

func (w *world) patient(patience time.Duration) *instance {
	w.t.Helper()
	i := &instance{conn: w.bus.Connect(w.t, bus.Auditor), ended: make(chan error, 1)}
	var err error
	i.Auditor, err = auditor.New(auditor.Options{Pool: w.db.Pool(w.t, "auditor"), Bus: i.conn, Patience: patience, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	i.Hurry(hurry)
	ctx, stop := context.WithCancel(context.Background())
	go func() { i.ended <- i.Run(ctx) }()
	i.stop = func() {
		stop()
		if err, first := <-i.ended; first {
			close(i.ended)
			if err != nil {
				w.t.Errorf("the auditor ended with %v", err)
			}
		}
	}
	w.t.Cleanup(i.stop)
	return i
}

func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			w.t.Fatalf("not within a minute: %s", what)
		}
	}
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.owner.Exec(w.t.Context(), sql, args...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) count(sql string, args ...any) (n int) {
	w.t.Helper()
	if err := w.owner.QueryRow(w.t.Context(), sql, args...).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// make makes events of login that nobody wrote yet.
func (w *world) make(n int) []event.Event {
	w.t.Helper()
	events := make([]event.Event, n)
	for i := range events {
		e, err := event.New("login", account, time.Now(), event.LoginEnded{Member: uuid.New(), Session: uuid.New()})
		if err != nil {
			w.t.Fatal(err)
		}
		events[i] = e
	}
	return events
}

// write commits events to login's table.
func (w *world) write(events []event.Event) {
	w.t.Helper()
	var ids, accounts [][16]byte
	var types []string
	var bodies [][]byte
	for _, e := range events {
		ids, types, accounts, bodies = append(ids, e.ID), append(types, e.Type), append(accounts, e.Account), append(bodies, e.Body)
	}
	if _, err := w.login.Exec(w.t.Context(), `INSERT INTO login_event (id, type, account_id, body)
		SELECT unnest($1::uuid[]), unnest($2::text[]), unnest($3::uuid[]), unnest($4::bytea[])`, ids, types, accounts, bodies); err != nil {
		w.t.Fatal(err)
	}
}

// publish publishes events and waits until the stream has them.
func (w *world) publish(events []event.Event) {
	w.t.Helper()
	msgs := make([]bus.Message, len(events))
	for i, e := range events {
		msgs[i] = bus.Message{ID: e.ID, Subject: e.BusSubject(), Data: e.Body}
	}
	w.until("the events are on the stream", func() bool { return w.publisher.Publish(w.t.Context(), msgs) == nil })
}

// happen writes and publishes n events, as a service does.
func (w *world) happen(n int) []event.Event {
	w.t.Helper()
	events := w.make(n)
	w.write(events)
	w.publish(events)
	return events
}

func (w *world) ordered(n int) {
	w.t.Helper()
	w.until(fmt.Sprintf("%d events have a place", n), func() bool { return w.count("SELECT count(*) FROM leaf") >= n })
}

// inOrder checks that exactly these events have places, without a gap, with their hashes.
func (w *world) inOrder(events []event.Event) {
	w.t.Helper()
	want := map[uuid.UUID]event.Event{}
	for _, e := range events {
		want[e.ID] = e
	}
	rows, err := w.owner.Query(w.t.Context(), "SELECT index, event_id, hash FROM leaf ORDER BY index")
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var index int64
		var id uuid.UUID
		var hash []byte
		if err := rows.Scan(&index, &id, &hash); err != nil {
			w.t.Fatal(err)
		}
		e, ours := want[id]
		if int(index) != n || !ours {
			w.t.Fatalf("place %d has number %d and event %s, which is one of ours: %v", n, index, id, ours)
		}
		delete(want, id)
		if h := auditor.LeafHash(e.Body); !bytes.Equal(hash, h[:]) {
			w.t.Errorf("place %d has hash %s, want %x", n, hex.EncodeToString(hash), h)
		}
	}
	if n != len(events) || rows.Err() != nil {
		w.t.Errorf("%d events have a place (%v), want %d", n, rows.Err(), len(events))
	}
}

// alarms checks what alarms there are, as "kind event".
func (w *world) alarms(want ...string) {
	w.t.Helper()
	all, err := auditor.Alarms(w.t.Context(), w.db.Pool(w.t, "auditor"), uuid.Nil, 100)
	if err != nil {
		w.t.Fatal(err)
	}
	got := map[string]bool{}
	for _, a := range all {
		got[string(a.Kind)+" "+a.Event.String()] = true
	}
	for _, a := range want {
		if !got[a] {
			w.t.Errorf("there is no alarm %q", a)
		}
		delete(got, a)
	}
	for a := range got {
		w.t.Errorf("there is an alarm %q", a)
	}
}

// settled waits until the auditor has settled every message of the stream.
func (w *world) settled() {
	w.t.Helper()
	js := w.bus.Admin(w.t)
	w.until("every message is settled", func() bool {
		c, err := js.Consumer(w.t.Context(), bus.Stream, bus.AuditorOrder)
		if err != nil {
			return false
		}
		info := c.CachedInfo()
		return info.NumPending == 0 && info.NumAckPending == 0
	})
}

// passes waits until d is over, for what must not happen in that time.
func (w *world) passes(d time.Duration) {
	w.t.Helper()
	select {
	case <-time.After(d):
	case <-w.t.Context().Done():
	}
}
