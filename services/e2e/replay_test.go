package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/up"
)

// effects is all that the stream may lead to, and must not lead to twice.
func (w *world) effects() string {
	w.t.Helper()
	var s string
	if err := w.owner.QueryRow(w.t.Context(), `SELECT concat_ws(' ',
		(SELECT count(*) FROM attempt), 'attempts', (SELECT count(*) FROM device), 'devices', (SELECT count(*) FROM verdict), 'verdicts',
		(SELECT count(*) FROM entry), 'entries', (SELECT coalesce(sum(tries), 0) FROM challenge), 'tries',
		(SELECT count(*) FROM notice), 'notices', (SELECT coalesce(sum(n.tries), 0) FROM notice n), 'tries of them',
		(SELECT coalesce(sum(hour_count + day_count + consecutive), 0) FROM member_try), 'counted',
		(SELECT count(*) FROM login_event) + (SELECT count(*) FROM verifier_event) + (SELECT count(*) FROM dispatcher_event), 'events')`).Scan(&s); err != nil {
		w.t.Fatal(err)
	}
	return fmt.Sprint(s, " ", w.first.count()+w.second.count(), " texts")
}

// caughtUp waits until the consumers have handled everything on the stream.
func (w *world) caughtUp(stream jetstream.Stream) {
	w.t.Helper()
	for _, durable := range []string{bus.DispatcherSend, bus.VerifierJudge} {
		w.until(durable+" has handled everything", func() bool {
			c, err := stream.Consumer(w.t.Context(), durable)
			if err != nil {
				return false
			}
			info, err := c.Info(w.t.Context())
			return err == nil && info.NumPending == 0 && info.NumAckPending == 0
		})
	}
}

// F7: the consumers are made anew and get the whole stream from its first message: no text
// is sent, nobody is registered, no try is counted, nothing becomes a dead letter.
func TestTheWholeStreamAgainDoesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(*up.Options) {})
	people := size(6, 300)
	for i := range people {
		p := w.person(i)
		c, digits := p.open(1)
		w.atOnce("POST", entries(c), p.proofs(2, "POST", entries(c), c), guesses(2, digits))
		if i%3 > 0 { // some never type the right one
			status, out := p.enter(c, digits)
			p.registered(c, status, out)
		}
	}
	w.judged()
	w.until("everybody is told", func() bool { return w.count("SELECT count(*) FROM notice WHERE due_at IS NOT NULL") == 0 })
	js := w.bus.Admin(t)
	stream := must(js.Stream(t.Context(), bus.Stream))(t)
	w.until("every event is on the stream", func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Msgs >= uint64(w.count("SELECT count(*) FROM login_event")+w.count("SELECT count(*) FROM verifier_event")+w.count("SELECT count(*) FROM dispatcher_event"))
	})
	w.caughtUp(stream)
	before := w.effects()
	for range 2 {
		for _, durable := range []string{bus.DispatcherSend, bus.VerifierJudge} {
			if err := js.DeleteConsumer(t.Context(), bus.Stream, durable); err != nil {
				t.Fatal(err)
			}
		}
		begun := time.Now()
		w.bus.Provision()
		w.caughtUp(stream)
		for _, durable := range []string{bus.DispatcherSend, bus.VerifierJudge} {
			info := must(must(stream.Consumer(t.Context(), durable))(t).Info(t.Context()))(t)
			if info.Delivered.Consumer < uint64(people) {
				t.Errorf("%s got %d messages again, of %d people", durable, info.Delivered.Consumer, people)
			}
		}
		t.Logf("the stream of %d people again, in %s", people, time.Since(begun).Round(time.Millisecond))
	}
	if after := w.effects(); after != before {
		t.Errorf("there were %s\nand after the stream came twice more %s", before, after)
	}
	if n := w.count("SELECT count(*) FROM dead_letter"); n != 0 {
		t.Errorf("%d dead letters", n)
	}
	p := w.person(people)
	p.live(w.first) // and they go on
}

// counted reads a counter without labels but its service.
func counted(t *testing.T, from prometheus.Gatherer, name string) (n float64) {
	t.Helper()
	for _, f := range must(from.Gather())(t) {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

// captured waits for the event of a typed code on the stream.
func (w *world) captured(stream jetstream.Stream, challenge uuid.UUID) *jetstream.RawStreamMsg {
	w.t.Helper()
	var found *jetstream.RawStreamMsg
	w.until("the typed code is on the stream", func() bool {
		info, err := stream.Info(w.t.Context())
		if err != nil {
			return false
		}
		for seq := info.State.FirstSeq; seq <= info.State.LastSeq; seq++ {
			m, err := stream.GetMsg(w.t.Context(), seq)
			if err != nil {
				continue
			}
			if e, err := event.Decode(m.Data); err == nil && e.Type == "latchkey.code.entered" && e.Data.Subject() == challenge {
				found = m
			}
		}
		return found != nil
	})
	return found
}

// F24: somebody who may read the stream, publish as login and even write entries takes a
// right code that was typed, and publishes it again, changed, or copies it to another
// challenge of the same person: nothing is registered.
func TestACapturedCodeRegistersNothing(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	w := newWorld(t, func(o *up.Options) { o.Registry = registry })
	p := w.person(1)
	c, digits := p.open(1)
	status, out := p.enter(c, digits)
	p.registered(c, status, out)
	stream := must(w.bus.Admin(t).Stream(t.Context(), bus.Stream))(t)
	m := w.captured(stream, c)
	e := must(event.Decode(m.Data))(t)
	typed := *e.Data.(*event.CodeEntered)

	thief := p
	thief.key = w.person(2).key
	target := thief.begin() // the thief's device, the same person
	w.first.code(t, p.number, 2)
	before := w.count("SELECT count(*) FROM device")

	login := must(jetstream.New(w.bus.Raw(t, bus.Login, nil)))(t)
	publish := func(id uuid.UUID, data []byte) {
		t.Helper()
		h := nats.Header{nats.MsgIdHdr: {id.String()}}
		must(login.PublishMsg(t.Context(), &nats.Msg{Subject: m.Subject, Header: h, Data: data}))(t)
	}
	again := func(d event.CodeEntered) event.Event { return must(event.New("login", e.Account, time.Now(), d))(t) }

	publish(e.ID, m.Data)       // as it was: within two minutes the stream drops it
	publish(uuid.New(), m.Data) // under another id: not the event's own
	same := again(typed)
	publish(same.ID, same.Body) // another event of the same entry
	spliced := typed
	spliced.Challenge = target
	other := again(spliced)
	publish(other.ID, other.Body) // the entry, said to be of the thief's challenge
	unknown := typed
	unknown.Entry = uuid.Must(uuid.NewV7())
	gone := again(unknown)
	publish(gone.ID, gone.Body) // an entry that is not there

	// Whoever has login's rights in the database can copy the sealed code, too.
	copied := uuid.Must(uuid.NewV7())
	w.exec("INSERT INTO entry (id, challenge_id, judge_key, encapsulated, sealed) SELECT $1, $2, judge_key, encapsulated, sealed FROM entry WHERE id = $3", copied, target, typed.Entry)
	stolen := typed
	stolen.Challenge, stolen.Entry = target, copied
	last := again(stolen)
	publish(last.ID, last.Body)

	w.until("the copied entry is judged", func() bool {
		return w.count("SELECT count(*) FROM verdict WHERE entry_id = '"+copied.String()+"'") == 1
	})
	w.caughtUp(stream)
	if n := w.count("SELECT count(*) FROM verdict WHERE entry_id = '" + copied.String() + "' AND result = 'unreadable'"); n != 1 {
		t.Error("the copied entry was readable")
	}
	if n := counted(t, registry, "latchkey_entry_seal_mismatches_total"); n != 1 {
		t.Errorf("%v mismatches are counted, want one", n)
	}
	if after := w.count("SELECT count(*) FROM device"); after != before {
		t.Errorf("%d devices, there were %d", after, before)
	}
	if n := w.count("SELECT count(*) FROM verdict"); n != 2 {
		t.Errorf("%d verdicts, want one for the code that was typed and one for its copy", n)
	}
	if status, out := thief.see(target); status != http.StatusOK || out["tries_left"] != 4.0 {
		t.Errorf("the thief's challenge is %d %v, want one try counted for the copy alone", status, out)
	}
	if n := w.count("SELECT count(*) FROM dead_letter WHERE reason = 'refused' AND consumer = 'verifier-judge'"); n != 1 {
		t.Errorf("%d dead letters, want one of the event that came under another id", n)
	}
}
