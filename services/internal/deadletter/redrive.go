package deadletter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/run"
)

// RedriverOptions configure a Redriver. Letters and Handler are required.
type RedriverOptions struct {
	Letters *Letters
	// Handler is the one of the letters' consumer. It settles in the call or later, and
	// bears a message twice: two instances of a service may take up one letter.
	Handler func(ctx context.Context, batch []*bus.Msg)

	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

const (
	redriveEvery = time.Second
	redrivePage  = 32
	noteTime     = 5 * time.Second
)

// Redriver hands letters that an operator marked to their handler.
type Redriver struct {
	o        RedriverOptions
	outcomes *prometheus.CounterVec
}

// NewRedriver returns a Redriver that is not running yet.
func NewRedriver(o RedriverOptions) (*Redriver, error) {
	if o.Letters == nil || o.Handler == nil {
		return nil, errors.New("a redriver needs Letters and Handler")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	r := &Redriver{o: o, outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "latchkey_dead_letters_redriven_total",
		Help:        "Dead letters that an operator asked to have redriven, by what became of them.",
		ConstLabels: prometheus.Labels{"durable": o.Letters.consumer}}, []string{"outcome"})}
	for _, outcome := range []string{"handled", "buried", "later"} {
		r.outcomes.WithLabelValues(outcome)
	}
	if err := o.Registerer.Register(r.outcomes); err != nil {
		return nil, fmt.Errorf("registering the redriver's metrics: %w", err)
	}
	return r, nil
}

// Run takes up marked letters until ctx ends.
func (r *Redriver) Run(ctx context.Context) error {
	return run.NewLoop(run.LoopOptions{Name: "redrive of " + r.o.Letters.consumer, Every: redriveEvery, Jitter: redriveEvery / 4,
		Timeout: 30 * time.Second, RunOnce: r.runOnce, Log: r.o.Logger}).Run(ctx)
}

// runOnce tries every marked letter once. One whose work fails stays marked and is tried
// at the next turn; it holds up no other.
func (r *Redriver) runOnce(ctx context.Context) error {
	for after := (uuid.UUID{}); ; {
		page, err := r.o.Letters.marked(ctx, marked{Consumer: r.o.Letters.consumer, After: after, Most: redrivePage})
		if err != nil {
			return fmt.Errorf("looking for marked letters: %w", err)
		}
		if err := r.redrive(ctx, page); err != nil {
			return err
		}
		if len(page) < redrivePage {
			return nil
		}
		after = page[len(page)-1].ID
	}
}

func (r *Redriver) redrive(ctx context.Context, page []letter) error {
	o := newOutcomes(len(page))
	batch := make([]*bus.Msg, 0, len(page))
	for i, l := range page {
		// As the consumer does with a message that carries no id.
		id, err := uuid.Parse(l.MessageID)
		if err != nil || id == uuid.Nil {
			o.settle(i, bus.Drop(bus.NoID))
			continue
		}
		var headers map[string][]string
		if err := json.Unmarshal(l.Headers, &headers); err != nil {
			o.settle(i, bus.Drop(bus.Undecodable))
			continue
		}
		batch = append(batch, bus.Unearth(bus.Letter{Durable: r.o.Letters.consumer, Subject: l.Subject, StreamSeq: uint64(l.StreamSequence), ID: id,
			Headers: headers, Data: l.Data, Reason: bus.Reason(l.Reason), Deliveries: int(l.Deliveries) + int(l.Redrives)},
			func(out bus.Outcome) { o.settle(i, out) }))
	}
	if len(batch) > 0 {
		r.o.Handler(ctx, batch)
	}
	settled := o.wait(ctx)
	// What was handled is noted also when the turn is over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
	defer cancel()
	for i, out := range settled {
		if err := r.note(ctx, page[i], out); err != nil {
			return fmt.Errorf("noting what became of a letter: %w", err)
		}
	}
	return nil
}

// outcomes collects what became of a page of letters.
type outcomes struct {
	mu   sync.Mutex
	of   map[int]bus.Outcome
	want int
	all  chan struct{} // closed when all are there
}

func newOutcomes(want int) *outcomes {
	o := &outcomes{of: map[int]bus.Outcome{}, want: want, all: make(chan struct{})}
	if want == 0 {
		close(o.all)
	}
	return o
}

func (o *outcomes) settle(i int, out bus.Outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.of[i] = out
	if len(o.of) == o.want {
		close(o.all)
	}
}

// wait returns the outcomes when all are there or ctx has ended. A letter without one
// stays marked.
func (o *outcomes) wait(ctx context.Context) map[int]bus.Outcome {
	select {
	case <-o.all:
	case <-ctx.Done():
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.of)
}

func (r *Redriver) note(ctx context.Context, l letter, o bus.Outcome) error {
	reason, dropped := o.Dropped()
	switch {
	case o.Done():
		if err := r.o.Letters.redriven(ctx, l.ID); err != nil {
			return err
		}
		r.outcomes.WithLabelValues("handled").Inc()
		r.o.Logger.Info("dead letter was redriven", "letter", uuid.UUID(l.ID))
	case dropped:
		if err := r.o.Letters.rebury(ctx, rebury{Reason: string(reason), ID: l.ID}); err != nil {
			return err
		}
		r.outcomes.WithLabelValues("buried").Inc()
		r.o.Logger.Warn("dead letter was buried again", "letter", uuid.UUID(l.ID), "reason", string(reason))
	default:
		r.outcomes.WithLabelValues("later").Inc()
	}
	return nil
}
