package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/deadletter"
	"latchkey.dev/services/up"
)

// poison is a message that is no event of ours.
type poison struct {
	id     string
	data   []byte
	header map[string]string
	reason bus.Reason
}

// poisons are one of each kind, with ids of their own.
func poisons(t *testing.T) []poison {
	t.Helper()
	other := must(event.New("login", uuid.New(), time.Now(), event.LoginEnded{Member: uuid.New(), Session: uuid.New()}))(t)
	unknown := must(event.New("login", uuid.New(), time.Now(), event.LoginEnded{Member: uuid.New(), Session: uuid.New()}))(t)
	return []poison{
		{id: uuid.NewString(), data: []byte(`{"specversion":`), reason: bus.Undecodable},
		{id: uuid.NewString(), data: bytes.Repeat([]byte("\x00\xff\r\n"), 25<<10), reason: bus.Undecodable},
		{id: uuid.NewString(), data: []byte(`"` + strings.Repeat("[", 60<<10)), reason: bus.Undecodable},
		{id: unknown.ID.String(), data: bytes.Replace(unknown.Body, []byte("latchkey.login.ended"), []byte("latchkey.login.begun"), 1), reason: bus.UnknownType},
		{id: uuid.NewString(), data: other.Body, reason: bus.Refused}, // another event's id
		{id: "1", data: other.Body, reason: bus.NoID},
		{id: uuid.NewString(), header: map[string]string{"Status": "409", "Description": "Consumer Deleted"}, reason: bus.Undecodable},
	}
}

// F21: whatever a service sends where it may, each consumer puts aside within 5 s, and
// whoever signs in meanwhile notices nothing.
func TestPoisonOnEverySubject(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(*up.Options) {})
	w.poisoned = true
	type sent struct {
		poison
		subject string
		at      time.Time
	}
	var all []sent
	done := make(chan error, 1)
	go func() {
		done <- func() error {
			for _, service := range bus.Services() {
				nc := w.bus.Raw(t, service, nil)
				for _, subject := range bus.Rights(service).Publish {
					if !strings.HasPrefix(subject, "latchkey.") {
						continue
					}
					subject = strings.NewReplacer("*", service, ">", service).Replace(subject)
					for _, p := range poisons(t) {
						m := nats.NewMsg(subject)
						m.Data = p.data
						m.Header.Set(jetstream.MsgIDHeader, p.id)
						if p.reason == bus.NoID {
							m.Header.Set(jetstream.MsgIDHeader, "no id "+uuid.NewString()) // or the stream would take it for a duplicate
						}
						for k, v := range p.header {
							m.Header.Set(k, v)
						}
						at := time.Now()
						if _, err := nc.RequestMsg(m, 10*time.Second); err != nil {
							return fmt.Errorf("publishing %s as %s: %w", subject, service, err)
						}
						all = append(all, sent{p, subject, at})
					}
				}
			}
			return nil
		}()
	}()
	w.lives(10, w.first)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if len(all) < 100 {
		t.Fatalf("only %d messages were sent", len(all))
	}
	want := 0
	for _, s := range all {
		consumers := []string{bus.AuditorOrder}
		switch {
		case strings.HasPrefix(s.subject, "latchkey.code.requested."), strings.HasPrefix(s.subject, "latchkey.text.requested."),
			strings.HasPrefix(s.subject, "latchkey.notice.requested."):
			consumers = append(consumers, bus.DispatcherSend)
		case strings.HasPrefix(s.subject, "latchkey.code.entered."):
			consumers = append(consumers, bus.VerifierJudge)
		}
		for _, c := range consumers {
			want++
			id := s.id
			if s.reason == bus.NoID {
				id = uuid.Nil.String()
			}
			var buried time.Time
			var reason string
			w.until("a dead letter of "+c+" on "+s.subject, func() bool {
				return w.owner.QueryRow(t.Context(), "SELECT buried_at, reason FROM dead_letter WHERE consumer = $1 AND subject = $2 AND message_id = $3 AND data = $4",
					c, s.subject, id, append([]byte{}, s.data...)).Scan(&buried, &reason) == nil
			})
			if took := buried.Sub(s.at); took > 5*time.Second || reason != string(s.reason) {
				t.Errorf("%s put a message on %s aside after %v as %s, want within 5 s as %s", c, s.subject, took, reason, s.reason)
			}
		}
	}
	if n := w.count("SELECT count(*) FROM dead_letter"); n != want {
		t.Errorf("%d dead letters, want %d", n, want)
	}
	w.audited()
}

// An operator's redrive reaches the service whose consumer it was, with the bus down: what
// is still no event of ours is buried again, and the operator sees that it was tried.
func TestRedriveWithTheBusDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(*up.Options) {})
	w.poisoned = true
	nc := w.bus.Raw(t, bus.Login, nil)
	for _, subject := range []string{"latchkey.code.requested.x", "latchkey.code.entered.x"} {
		m := nats.NewMsg(subject)
		m.Header.Set(jetstream.MsgIDHeader, uuid.NewString())
		m.Data = []byte("{")
		if _, err := nc.RequestMsg(m, 10*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	w.until("each consumer put it aside", func() bool { return w.count("SELECT count(*) FROM dead_letter") == 4 })
	w.bus.Stop()
	desk := deadletter.NewDesk(w.db.Pool(t, "console"))
	if n, err := desk.RedriveAll(t.Context(), "operator", deadletter.Filter{}, time.Now().Add(time.Hour)); err != nil || n != 4 {
		t.Fatalf("%d letters marked, %v", n, err)
	}
	w.until("each service tried", func() bool {
		return w.count("SELECT count(*) FROM dead_letter WHERE redrives = 1 AND redrive_requested_at IS NULL AND redriven_at IS NULL") == 4
	})
	w.bus.Restart()
	w.lives(2, w.first)
}
