// Package dispatcher sends the texts: admit, route, send, record, with failover between
// providers while the code lives. It never sees a credential, a device or a try.
package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	queries "latchkey.dev/queries/dispatcher"
	"latchkey.dev/services/code"
	"latchkey.dev/services/dispatcher/router"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/coalesce"
	"latchkey.dev/services/internal/run"
	"latchkey.dev/services/internal/seal"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/mail"
	"latchkey.dev/services/notice"
	"latchkey.dev/services/sms"
)

// Bus is what the dispatcher needs of the bus. It may be down at any time.
type Bus interface {
	// Publish sends an event at once and returns without waiting.
	Publish(e event.Event)
}

// Options configure a Dispatcher. All but those with a default are required.
type Options struct {
	Pool      *pgxpool.Pool       // main database, as latchkey_dispatcher
	KeysPool  *pgxpool.Pool       // key database, as latchkey_dispatcher
	NumberKey seal.PrivateKey     // opens the numbers to be texted
	Providers []sms.Provider      // in order of preference
	Routes    map[string][]string // orders of their own, by country
	Bus       Bus

	Spend Spend // what texts may cost
	// PrefixLimit bounds the texts of ten minutes to numbers that begin with the same digits; 0 bounds none.
	PrefixLimit int
	Origin      string        // how browsers reach the sign-in pages: what links in notices begin with
	NoticeKey   secret.String // makes what those links carry
	Mail        mail.Sender   // takes notices by e-mail; none go so if nil

	Digits   int // of a code: code.Digits if zero
	Parallel int // texts in flight at a time: 256 if zero

	// SweepOff and StreamOff leave one of the two roads of work out, for tests that show
	// that the other is enough.
	SweepOff, StreamOff bool

	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

func (o *Options) validate() error {
	var errs []error
	need := func(ok bool, what string) {
		if !ok {
			errs = append(errs, errors.New(what))
		}
	}
	need(o.Pool != nil && o.KeysPool != nil, "both databases are required")
	need(o.Bus != nil, "a bus is required")
	need(!o.NumberKey.IsZero(), "the key that opens numbers is required")
	need(o.Origin != "" && len(o.Origin) <= notice.MaxOrigin, fmt.Sprintf("the origin of the sign-in pages is required, of %d bytes at most: a text has room for no more", notice.MaxOrigin))
	need(!o.NoticeKey.Empty(), "the key of the links in notices is required")
	need(len(o.Providers) > 0, "at least one provider is required")
	names := map[string]bool{}
	for _, p := range o.Providers {
		need(p.Name != "" && p.Sender != nil && !names[p.Name], "each provider needs a name of its own and a sender")
		names[p.Name] = true
	}
	if o.Digits == 0 {
		o.Digits = code.Digits
	}
	need(o.Digits >= code.Digits && o.Digits <= code.MaxDigits, "a code has 6 to 8 digits")
	if len(errs) > 0 {
		return fmt.Errorf("dispatcher: %w", errors.Join(errs...))
	}
	if o.Parallel == 0 {
		o.Parallel = 256
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	return nil
}

// Dispatcher is the dispatcher service.
type Dispatcher struct {
	o         Options
	q         *queries.Queries
	providers map[string]sms.Sender
	router    *router.Router
	metrics   *metrics
	slots     chan struct{}
	epochs    *epochs

	receipts map[string]sms.ReceiptParser // by the provider's name
	sources  bool                         // a provider reports over a connection of its own

	reads    *coalesce.Batcher[Request, *queries.DeliveryReadRow]
	firsts   *coalesce.Batcher[claim, *queries.DeliveryReadRow]
	claims   *coalesce.Batcher[claim, bool]
	records  *coalesce.Batcher[record, bool]
	abandons *coalesce.Batcher[claim, bool]
	takes    *coalesce.Batcher[taken, *event.Event]

	spends        *guard
	codes         waiting
	notices       *notices
	noticeClaims  *coalesce.Batcher[uuid.UUID, *queries.NoticeClaimRow]
	noticeRecords *coalesce.Batcher[told, bool]
}

// New makes a Dispatcher. Nothing is opened yet.
func New(o Options) (*Dispatcher, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	d := &Dispatcher{o: o, q: queries.New(o.Pool), providers: map[string]sms.Sender{},
		slots: make(chan struct{}, o.Parallel), epochs: newEpochs(queries.New(o.KeysPool).EpochRead),
		receipts: map[string]sms.ReceiptParser{}}
	var names []string
	for _, p := range o.Providers {
		d.providers[p.Name] = p.Sender
		names = append(names, p.Name)
		d.sources = d.sources || p.Source != nil
		if p.Receipts != nil {
			d.receipts[p.Name] = p.Receipts
		}
	}
	var err error
	if d.router, err = router.New(router.Options{Pool: o.Pool, Providers: o.Providers, Routes: o.Routes, Logger: o.Logger, Registerer: o.Registerer}); err != nil {
		return nil, fmt.Errorf("dispatcher: %w", err)
	}
	d.metrics = newMetrics(o.Registerer, names)
	d.batch()
	d.notices = newNotices(d)
	d.spends = newGuard(d)
	return d, nil
}

// Run sends notices, and does what the stream did not bring, until ctx ends and what is
// under way has.
func (d *Dispatcher) Run(ctx context.Context) error {
	parts := []run.Component{{Name: "notices", Run: d.notices.run}, {Name: "router", Run: d.router.Run}, {Name: "spend", Run: d.spends.loop().Run}}
	for _, p := range d.o.Providers {
		if p.Source != nil {
			parts = append(parts, run.Component{Name: "receipts of " + p.Name, Run: d.source(p)})
		}
	}
	if !d.o.SweepOff {
		parts = append(parts, run.Component{Name: "notice sweep", Run: d.notices.loop().Run}, run.Component{Name: "sweep", Run: d.sweep})
	}
	return run.All(ctx, parts...)
}

func (d *Dispatcher) sweep(ctx context.Context) error {
	s := &sweep{d: d, ctx: ctx, under: map[Request]bool{}}
	defer s.texts.Wait()
	return run.NewLoop(run.LoopOptions{Name: "dispatcher sweep", Every: time.Second, Jitter: 250 * time.Millisecond, Timeout: 10 * time.Second,
		RunOnce: s.once, Log: d.o.Logger}).Run(ctx)
}

// Ready reports whether texts can be sent: the databases answer.
func (d *Dispatcher) Ready(ctx context.Context) error {
	if err := errors.Join(d.o.Pool.Ping(ctx), d.o.KeysPool.Ping(ctx)); err != nil {
		return fmt.Errorf("dispatcher is not ready: %w", err)
	}
	return nil
}

// Source says where work came from: a label.
type Source string

const (
	Stream Source = "stream"
	Sweep  Source = "sweep"
)

// Request names one requested text.
type Request struct {
	Challenge uuid.UUID
	No        int // 1 with the challenge, 2 and 3 by "send another"
}

// RequestOf returns the request that an event makes, false for an event that makes none.
func RequestOf(e event.Event) (Request, bool) {
	switch d := e.Data.(type) {
	case *event.CodeRequested:
		return Request{d.Challenge, 1}, true
	case *event.TextRequested:
		return Request{d.Challenge, d.Request}, true
	}
	return Request{}, false
}
