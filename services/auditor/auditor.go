// Package auditor gives every event its place in the one order, without gaps, and raises
// an alarm where the tables and the stream disagree.
//
// One instance is active: it holds an advisory lock on a connection of its own, and writes
// the order over that same connection, so an instance that lost the lock cannot write. The
// others stand by and leave the stream to it.
package auditor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	queries "latchkey.dev/queries/auditor"
	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/deadletter"
	"latchkey.dev/services/internal/host"
	"latchkey.dev/services/internal/seal"
	"latchkey.dev/services/internal/secret"
)

// Options configure an Auditor. Pool and Bus are required.
type Options struct {
	Pool *pgxpool.Pool // main database, as latchkey_auditor; not through a pooler that shares sessions
	Bus  *bus.Conn     // as the auditor

	// Patience is how long an event may lie in the tables without passing the stream,
	// while the stream is open, before it is archived with an alarm. 30 s if zero.
	Patience time.Duration

	// WrapKey unwraps members' keys, and DetailsKey is how the console proves itself: without
	// them no details are opened, and nobody is erased.
	WrapKey    seal.PrivateKey
	DetailsKey secret.String
	Settle     time.Duration // of an erasure, as of DetailsOptions

	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

func (o *Options) validate() error {
	var errs []error
	if o.Pool == nil {
		errs = append(errs, errors.New("a database is required"))
	}
	if o.Bus == nil {
		errs = append(errs, errors.New("a bus is required"))
	}
	if o.Patience < 0 {
		errs = append(errs, errors.New("patience must not be negative"))
	}
	if len(errs) > 0 {
		return fmt.Errorf("auditor: %w", errors.Join(errs...))
	}
	if o.Patience == 0 {
		o.Patience = 30 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	return nil
}

// batchMost is the most events that get their places in one transaction.
const batchMost = 512

// longestPause is the most that a message waits whose ordering failed.
const longestPause = 15 * time.Second

// batchPace is the distance between two batches: nobody waits for the order, and many
// events together cost little more than one.
const batchPace = 50 * time.Millisecond

// Auditor is the auditor service.
type Auditor struct {
	o        Options
	q        *queries.Queries // over the pool: reads alone
	consumer *bus.Consumer
	redriver *deadletter.Redriver
	metrics  *metrics
	tempo    tempo

	orderer atomic.Pointer[orderer] // nil while standing by
	details *Details                // nil where none are opened
}

// tempo is how often things are looked at; tests hurry it.
type tempo struct {
	gain  time.Duration // between two tries of a standby to get the lock
	keep  time.Duration // between two proofs that the lock is still held
	look  time.Duration // between two looks for what did not pass the stream
	grace time.Duration // how long an event has to pass the stream before it is looked at
}

// New makes an Auditor. Nothing is opened yet.
func New(o Options) (*Auditor, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	a := &Auditor{o: o, q: queries.New(o.Pool), metrics: newMetrics(o.Registerer),
		tempo: tempo{gain: time.Second, keep: 2 * time.Second, look: 2 * time.Second, grace: 10 * time.Second}}
	letters := deadletter.Auditor(o.Pool)
	var err error
	if a.consumer, err = bus.NewConsumer(o.Bus, bus.ConsumerOptions{Durable: bus.AuditorOrder, BatchMax: batchMost, Pace: batchPace, Handler: a.handle, DeadLetter: letters}); err != nil {
		return nil, fmt.Errorf("auditor: %w", err)
	}
	if a.redriver, err = deadletter.NewRedriver(deadletter.RedriverOptions{Letters: letters, Handler: a.handle, Logger: o.Logger, Registerer: o.Registerer}); err != nil {
		return nil, fmt.Errorf("auditor: %w", err)
	}
	return a, nil
}

// Open makes an Auditor from what its host opened, and adds it to the host. Pool, bus,
// logger and registerer of the options are the host's.
func Open(h *host.Host, o Options) (*Auditor, error) {
	o.Pool, o.Bus, o.Logger, o.Registerer = h.Main, h.Bus(), h.Log, h.Registerer
	a, err := New(o)
	if err != nil {
		return nil, err
	}
	h.Part("order", a.Run)
	if o.WrapKey.IsZero() && o.DetailsKey.Empty() {
		return a, nil
	}
	a.details, err = NewDetails(DetailsOptions{Pool: h.Main, KeysPool: h.Keys, Bus: h.Line, WrapKey: o.WrapKey, Key: o.DetailsKey, Settle: o.Settle, Logger: h.Log, Registerer: h.Registerer})
	if err != nil {
		return nil, err
	}
	h.Part("exports and erasures", a.details.Run)
	host.Journal(h, a.q.OwnEventWindow, a.q.OwnEventUnordered, a.q.OwnEventRead)
	return a, nil
}

// Handler serves the API that opens details, for the console alone; nil where none are opened.
func (a *Auditor) Handler() http.Handler {
	if a.details == nil {
		return nil
	}
	return a.details.Handler()
}

// Active reports whether this instance is the one that orders.
func (a *Auditor) Active() bool { return a.orderer.Load() != nil }

// Ready reports whether the auditor can do its work, which for a standby is to wait.
func (a *Auditor) Ready(ctx context.Context) error {
	if err := a.o.Pool.Ping(ctx); err != nil {
		return fmt.Errorf("auditor is not ready: %w", err)
	}
	return nil
}
