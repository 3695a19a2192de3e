package auditor_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/auditor"
	"latchkey.dev/services/event"
)

// told are events in their order: a challenge of one member, texts of it, another's login.
func told(t *testing.T) (events []event.Event, member, challenge uuid.UUID) {
	t.Helper()
	begun := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	at := 0
	id := func() uuid.UUID {
		u, err := uuid.NewV7()
		if err != nil {
			t.Fatal(err)
		}
		ms := begun.Add(time.Duration(at) * time.Minute).UnixMilli()
		for i := range 6 {
			u[i] = byte(ms >> (8 * (5 - i)))
		}
		return u
	}
	challenge = id()
	member = uuid.New()
	for _, d := range []event.Data{
		event.CodeRequested{Challenge: challenge, Member: member, Software: "web", Purpose: "register"},
		event.CodeEntered{Challenge: challenge, Member: member, Entry: uuid.New()},
		event.LoginEnded{Member: uuid.New(), Session: uuid.New()},
		event.TextRequested{Challenge: challenge, Member: member, Request: 2},
		event.DeviceRevoked{Member: uuid.New(), Device: uuid.New(), Reason: "owner", By: "member:" + member.String()},
	} {
		e, err := event.NewWithID(id(), "login", account, begun.Add(time.Duration(at)*time.Minute), d)
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
		at++
	}
	return events, member, challenge
}

func (w *world) replay(o auditor.ReplayOptions) (string, auditor.Replayed, error) {
	w.t.Helper()
	var out bytes.Buffer
	seen, err := auditor.Replay(w.t.Context(), w.db.Pool(w.t, "auditor"), o, &out)
	return out.String(), seen, err
}

func TestReplayPrintsWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if out, seen, err := w.replay(auditor.ReplayOptions{}); err != nil || out != "" || seen.Looked != 0 || seen.First != -1 {
		t.Errorf("a replay of nothing: %q, %+v, %v", out, seen, err)
	}
	events, member, challenge := told(t)
	w.write(events)
	w.publish(events)
	w.instance()
	w.ordered(len(events))
	minute := func(n int) time.Time { return events[0].Time.Add(time.Duration(n) * time.Minute) }
	for name, c := range map[string]struct {
		o    auditor.ReplayOptions
		want []int
	}{
		"all":       {auditor.ReplayOptions{}, []int{0, 1, 2, 3, 4}},
		"since":     {auditor.ReplayOptions{Since: minute(2)}, []int{2, 3, 4}},
		"until":     {auditor.ReplayOptions{Until: minute(2)}, []int{0, 1}},
		"between":   {auditor.ReplayOptions{Since: minute(1), Until: minute(3)}, []int{1, 2}},
		"later":     {auditor.ReplayOptions{Since: time.Now().Add(time.Hour)}, nil},
		"type":      {auditor.ReplayOptions{Type: "latchkey.login.ended"}, []int{2}},
		"account":   {auditor.ReplayOptions{Account: uuid.New()}, nil},
		"challenge": {auditor.ReplayOptions{Challenge: challenge}, []int{0, 1, 3}},
		"member":    {auditor.ReplayOptions{Member: member}, []int{0, 1, 3, 4}},
		"both":      {auditor.ReplayOptions{Member: member, Type: "latchkey.code.entered", Account: account}, []int{1}},
	} {
		out, seen, err := w.replay(c.o)
		if err != nil || seen.Printed != len(c.want) || len(seen.Faults) != 0 {
			t.Errorf("%s: %+v, %v", name, seen, err)
		}
		lines := strings.SplitAfter(out, "\n")
		if len(lines) != len(c.want)+1 {
			t.Fatalf("%s: printed %s", name, out)
		}
		for i, n := range c.want {
			var l struct {
				Index   int             `json:"index"`
				Service string          `json:"service"`
				Event   json.RawMessage `json:"event"`
			}
			if err := json.Unmarshal([]byte(lines[i]), &l); err != nil || l.Index != n || l.Service != "login" || !bytes.Equal(l.Event, events[n].Body) {
				t.Errorf("%s: line %d is %s (%v), want event %d", name, i, lines[i], err, n)
			}
		}
	}

	out, _, err := w.replay(auditor.ReplayOptions{Format: auditor.CloudEvents})
	var batch []json.RawMessage
	if err := errors.Join(err, json.Unmarshal([]byte(out), &batch)); err != nil || len(batch) != len(events) {
		t.Fatalf("as CloudEvents: %v: %s", err, out)
	}
	for i, raw := range batch {
		if e, err := event.Decode(raw); err != nil || e.ID != events[i].ID {
			t.Errorf("event %d of the batch: %v", i, err)
		}
	}
	if out, _, err := w.replay(auditor.ReplayOptions{Format: auditor.CloudEvents, Type: "none"}); err != nil || out != "[]\n" {
		t.Errorf("as CloudEvents, none: %q, %v", out, err)
	}
	out, _, err = w.replay(auditor.ReplayOptions{Format: auditor.Table})
	if lines := strings.Split(strings.TrimSpace(out), "\n"); err != nil || len(lines) != 6 || !strings.Contains(lines[4], "latchkey.text.requested") || !strings.Contains(lines[4], challenge.String()) {
		t.Errorf("as a table: %v:\n%s", err, out)
	}
	if _, _, err := w.replay(auditor.ReplayOptions{Format: "xml"}); err == nil {
		t.Error("a format that there is not was taken")
	}
	w.inOrder(events) // and nothing was changed
}

// Whatever a superuser does to the log, a replay says where.
func TestReplayReportsAlteration(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.instance()
	events := w.happen(1200)
	w.ordered(len(events))
	i.stop() // it would give what lost its place a new one, and an alarm
	w.exec("ALTER TABLE login_event DISABLE TRIGGER USER; ALTER TABLE leaf DISABLE TRIGGER USER")
	at := func(index int) (id uuid.UUID) {
		t.Helper()
		if err := w.owner.QueryRow(t.Context(), "SELECT event_id FROM leaf WHERE index = $1", index).Scan(&id); err != nil {
			t.Fatal(err)
		}
		return id
	}
	edited, removed := at(3), at(700)
	w.exec("UPDATE login_event SET body = replace(convert_from(body, 'UTF8'), 'session', 'passion')::bytea WHERE id = $1", edited)
	w.exec("DELETE FROM login_event WHERE id = $1", removed)
	w.exec("DELETE FROM leaf WHERE index BETWEEN 1000 AND 1001")
	for _, f := range auditor.Formats() {
		out, seen, err := w.replay(auditor.ReplayOptions{Format: f})
		if !errors.Is(err, auditor.ErrAltered) || seen.Printed != 1196 {
			t.Errorf("as %s: %d printed, %v, want the 1,196 whole ones and ErrAltered", f, seen.Printed, err)
		}
		want := []auditor.Fault{{3, edited, "bytes differ from the leaf hash"}, {700, removed, "the event is missing"},
			{1000, uuid.Nil, "the place is missing"}, {1001, uuid.Nil, "the place is missing"}}
		if len(seen.Faults) != len(want) {
			t.Fatalf("as %s: faults %+v", f, seen.Faults)
		}
		for n := range want {
			if seen.Faults[n] != want[n] {
				t.Errorf("as %s: fault %+v, want %+v", f, seen.Faults[n], want[n])
			}
		}
		if f != auditor.CloudEvents && strings.Count(out, "the place is missing") != 2 || f == auditor.CloudEvents && strings.Contains(out, "passion") {
			t.Errorf("as %s, the faults are not told, or an altered event passes for one", f)
		}
	}
	// Conditions do not hide a fault from whoever asks for other events.
	if _, seen, err := w.replay(auditor.ReplayOptions{Type: "latchkey.code.entered"}); !errors.Is(err, auditor.ErrAltered) || len(seen.Faults) != 4 {
		t.Errorf("with a condition: %+v, %v", seen, err)
	}
}

// A hole as large as the log is told without printing each place of it.
func TestReplayOfAMillionPlacesThatAreMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.instance()
	w.happen(2)
	w.ordered(2)
	i.stop()
	w.exec("ALTER TABLE leaf DISABLE TRIGGER USER")
	w.exec("UPDATE leaf SET index = 1000000 WHERE index = 1")
	_, seen, err := w.replay(auditor.ReplayOptions{})
	if !errors.Is(err, auditor.ErrAltered) || len(seen.Faults) != 100 || !strings.Contains(err.Error(), "999999") {
		t.Errorf("%d faults noted, %v; want the first 100, and that 999,999 places are missing", len(seen.Faults), err)
	}
}
