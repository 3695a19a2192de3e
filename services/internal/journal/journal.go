// Package journal publishes again the events that the bus may have missed: written to a
// service's table, and neither acknowledged by the stream nor given a place in the order.
package journal

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"latchkey.dev/services/internal/run"
)

// Event is an event as its table holds it.
type Event struct {
	ID      uuid.UUID
	Type    string
	Account uuid.UUID
	Body    []byte
}

// Options configure a Sweeper. All are required but Now and Logger.
type Options struct {
	// Window returns at most most ids, sorted, of the service's events from since to before.
	Window func(ctx context.Context, since, before uuid.UUID, most int) ([]uuid.UUID, error)
	// Unordered returns those of the events that have no place in the order.
	Unordered func(ctx context.Context, ids []uuid.UUID) ([]uuid.UUID, error)
	// Read returns events by their ids, sorted.
	Read func(ctx context.Context, ids []uuid.UUID) ([]Event, error)
	// Acked reports whether the stream acknowledged an event to this process.
	Acked func(uuid.UUID) bool
	// Publish publishes and waits for acknowledgements; an error says that at least one is missing.
	Publish func(ctx context.Context, events []Event) error
	// Connected reports whether publishing is worth trying.
	Connected func() bool

	Registerer prometheus.Registerer
	Logger     *slog.Logger
	Now        func() time.Time
}

const (
	every = time.Second
	// grace is how long an event has to be published by the one who wrote it.
	grace = 3 * time.Second
	// lag is how far back each look begins, for rows whose transaction took its time.
	lag = 8 * time.Second
	// overlap is how far back a look begins each wide: for rows that were committed very
	// late, and for clocks that differ.
	overlap, wide = 2 * time.Minute, 20 * time.Second
	// memory is how far back the first sweep of a process looks. The stream keeps a week;
	// what lies longer than this is the auditor's to find in the table.
	memory = time.Hour
	page   = 5000
)

// Sweeper publishes what was missed.
type Sweeper struct {
	o           Options
	since       time.Time // all before was published or ordered
	widely      time.Time // when to look back over the overlap again
	republished prometheus.Counter
	waiting     prometheus.Gauge
}

// New makes a Sweeper that is not running yet.
func New(o Options) *Sweeper {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	s := &Sweeper{o: o, republished: prometheus.NewCounter(prometheus.CounterOpts{Name: "latchkey_events_republished_total",
		Help: "Events that the sweeper published. A rise is the bus coming back; a steady flow is a bus that loses."}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{Name: "latchkey_events_unpublished",
			Help: "Events that were neither acknowledged nor ordered at the last look, at most a page. Wake someone when it stays up."})}
	o.Registerer.MustRegister(s.republished, s.waiting)
	return s
}

// Run sweeps until ctx ends.
func (s *Sweeper) Run(ctx context.Context) error {
	return run.NewLoop(run.LoopOptions{Name: "journal", Every: every, Jitter: every / 4, Timeout: 20 * time.Second, RunOnce: s.runOnce, Log: s.o.Logger}).Run(ctx)
}

// runOnce looks through the window once, page by page. The window moves on only when all
// of it is on the stream. Nearly all of it is known to be from the acknowledgements, which
// costs nothing: only the rest is looked up in the order.
func (s *Sweeper) runOnce(ctx context.Context) error {
	now := s.o.Now()
	if s.since.IsZero() {
		s.since = now.Add(-memory)
	}
	begin, widely := s.since, !now.Before(s.widely)
	if earlier := now.Add(-overlap); widely && earlier.Before(begin) {
		begin = earlier
	}
	from, before := floor(begin), floor(now.Add(-grace))
	for {
		ids, err := s.o.Window(ctx, from, before, page)
		if err != nil {
			return fmt.Errorf("looking for unpublished events: %w", err)
		}
		missing, err := s.missing(ctx, ids)
		if err != nil {
			return err
		}
		s.waiting.Set(float64(len(missing)))
		if len(missing) > 0 {
			if !s.o.Connected() {
				return nil // the window stays until the bus is back
			}
			if err := s.publish(ctx, missing); err != nil {
				return err
			}
		}
		if len(ids) < page {
			break
		}
		from = after(ids[len(ids)-1])
	}
	s.waiting.Set(0)
	if next := now.Add(-lag); next.After(s.since) {
		s.since = next
	}
	if widely {
		s.widely = now.Add(wide)
	}
	return nil
}

// missing are those of the events that have neither an acknowledgement nor a place.
func (s *Sweeper) missing(ctx context.Context, ids []uuid.UUID) ([]uuid.UUID, error) {
	var unknown []uuid.UUID
	for _, id := range ids {
		if !s.o.Acked(id) {
			unknown = append(unknown, id)
		}
	}
	if len(unknown) == 0 {
		return nil, nil
	}
	missing, err := s.o.Unordered(ctx, unknown)
	if err != nil {
		return nil, fmt.Errorf("looking for places of unpublished events: %w", err)
	}
	return missing, nil
}

// atOnce is how many events are read and published at a time.
const atOnce = 500

func (s *Sweeper) publish(ctx context.Context, missing []uuid.UUID) error {
	for ids := range slices.Chunk(missing, atOnce) {
		events, err := s.o.Read(ctx, ids)
		if err != nil {
			return fmt.Errorf("reading unpublished events: %w", err)
		}
		if err := s.o.Publish(ctx, events); err != nil {
			return fmt.Errorf("publishing events again: %w", err)
		}
		s.republished.Add(float64(len(events)))
		s.o.Logger.Info("events published again", "events", len(events))
	}
	return nil
}

// floor is the smallest UUIDv7 of a moment (RFC 9562 section 5.7).
func floor(t time.Time) (id uuid.UUID) {
	ms := uint64(t.UnixMilli())
	for i := range 6 {
		id[i] = byte(ms >> (8 * (5 - i)))
	}
	return id
}

// after is the next id in order.
func after(id uuid.UUID) uuid.UUID {
	for i := len(id) - 1; i >= 0; i-- {
		id[i]++
		if id[i] != 0 {
			break
		}
	}
	return id
}
