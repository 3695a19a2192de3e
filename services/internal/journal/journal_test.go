package journal

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
)

// table plays a service's event table, the order and the bus.
type table struct {
	ids       []uuid.UUID
	ordered   map[uuid.UUID]bool
	acked     map[uuid.UUID]bool
	published map[uuid.UUID]int
	down      bool
	losing    bool
	looked    int // ids that were looked at
	now       time.Time
}

func newTable() *table {
	return &table{ordered: map[uuid.UUID]bool{}, acked: map[uuid.UUID]bool{}, published: map[uuid.UUID]int{}, now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
}

// write adds n events made ago before now.
func (t *table) write(n int, ago time.Duration) (made []uuid.UUID) {
	for range n {
		id := floor(t.now.Add(-ago))
		id[15], id[14] = byte(len(t.ids)), byte(len(t.ids)>>8)
		t.ids = append(t.ids, id)
		made = append(made, id)
	}
	slices.SortFunc(t.ids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	return made
}

func (t *table) sweeper() *Sweeper {
	return New(Options{
		Window: func(_ context.Context, since, before uuid.UUID, most int) (out []uuid.UUID, _ error) {
			for _, id := range t.ids {
				if bytes.Compare(id[:], since[:]) >= 0 && bytes.Compare(id[:], before[:]) < 0 && len(out) < most {
					out = append(out, id)
				}
			}
			t.looked += len(out)
			return out, nil
		},
		Unordered: func(_ context.Context, ids []uuid.UUID) ([]uuid.UUID, error) {
			return slices.DeleteFunc(slices.Clone(ids), func(id uuid.UUID) bool { return t.ordered[id] }), nil
		},
		Read: func(_ context.Context, ids []uuid.UUID) (out []Event, _ error) {
			for _, id := range ids {
				out = append(out, Event{ID: id})
			}
			return out, nil
		},
		Acked:     func(id uuid.UUID) bool { return t.acked[id] },
		Connected: func() bool { return !t.down },
		Publish: func(_ context.Context, events []Event) error {
			if t.losing {
				return errors.New("no acknowledgement")
			}
			for _, e := range events {
				t.published[e.ID]++
				t.acked[e.ID] = true
			}
			return nil
		},
		Registerer: prometheus.NewRegistry(), Now: func() time.Time { return t.now },
	})
}

func TestTheBacklogIsPublishedOnceTheBusIsBack(t *testing.T) {
	t.Parallel()
	tab := newTable()
	s := tab.sweeper()
	tab.down = true
	missed := tab.write(3*page/2, 10*time.Minute)
	for range 100 { // an outage longer than the overlap
		tab.now = tab.now.Add(10 * time.Second)
		if err := s.runOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(tab.published) != 0 {
		t.Fatal("something was published into a bus that is down")
	}
	tab.down, tab.losing = false, true
	if err := s.runOnce(t.Context()); err == nil {
		t.Error("a publish without acknowledgement was taken for done")
	}
	tab.losing = false
	for range 3 {
		if err := s.runOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range missed {
		if tab.published[id] != 1 {
			t.Fatalf("event %s was published %d times, want once", id, tab.published[id])
		}
	}
}

func TestWhatIsOrderedAcknowledgedOrNewIsLeftAlone(t *testing.T) {
	t.Parallel()
	tab := newTable()
	s := tab.sweeper()
	ordered, acked, fresh, late := tab.write(1, time.Minute)[0], tab.write(1, time.Minute)[0], tab.write(1, time.Second)[0], tab.write(1, time.Minute)[0]
	tab.ordered[ordered], tab.acked[acked] = true, true
	if err := s.runOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	if tab.published[ordered]+tab.published[acked]+tab.published[fresh] != 0 || tab.published[late] != 1 {
		t.Errorf("published: ordered %d, acknowledged %d, fresh %d, missed %d; want only the missed one",
			tab.published[ordered], tab.published[acked], tab.published[fresh], tab.published[late])
	}
	// A row that was committed late is still inside the window, and one that was committed
	// very late inside the one that is looked at now and then.
	slow, straggler := tab.write(1, 5*time.Second)[0], tab.write(1, 30*time.Second)[0]
	for range 2 {
		if err := s.runOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		if tab.published[slow] != 1 {
			t.Error("a row that was committed late was not published")
		}
		tab.now = tab.now.Add(wide)
	}
	if tab.published[straggler] != 1 {
		t.Error("a row that was committed very late was never published")
	}
}

// What was looked at is not looked at again and again: the sweep runs beside everything else.
func TestASweepCostsLittle(t *testing.T) {
	t.Parallel()
	tab := newTable()
	s := tab.sweeper()
	const second, seconds = 100, 240
	for range seconds {
		for _, id := range tab.write(second, 0) {
			tab.acked[id] = true
		}
		if err := s.runOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		tab.now = tab.now.Add(time.Second)
	}
	if most := 15 * second * seconds; tab.looked > most {
		t.Errorf("%d ids were looked at of %d events, want at most %d", tab.looked, second*seconds, most)
	}
}
