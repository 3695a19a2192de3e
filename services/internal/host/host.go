// Package host opens what a service needs around it (its databases under its own role,
// the bus under its own rights, metrics, logs) and runs the service's parts together.
package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/run"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/store"
)

// Options say where the parts are. All but those with a default are required.
type Options struct {
	Service  string        // one of bus.Services: its role is latchkey_<service>
	MainURL  secret.String // of the main database, for the service's role
	KeysURL  secret.String // of the key database; empty for a service that may not read it
	BusURL   string
	Bus      bus.Embedded  // the bus server, where it runs in this process
	BusSeed  secret.String // the service's key to the bus
	MaxConns int32         // to each database: store's default if zero

	// Registry may be shared by services of one process: every metric carries its service.
	Registry *prometheus.Registry
	Logger   *slog.Logger
}

func (o *Options) validate() error {
	var errs []error
	if o.Service == "" {
		errs = append(errs, errors.New("a service's name is required"))
	}
	if o.MainURL.Empty() {
		errs = append(errs, errors.New("the main database's URL is required"))
	}
	if o.BusURL == "" || o.BusSeed.Empty() {
		errs = append(errs, errors.New("the bus's URL and the service's key to it are required"))
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return errors.Join(errs...)
}

// Host is what is around one service.
type Host struct {
	Main, Keys *pgxpool.Pool // Keys is nil for a service that has no right there
	Line       *Line
	Log        *slog.Logger
	Registerer prometheus.Registerer // labels every metric with the service
	Registry   *prometheus.Registry

	service string
	parts   []run.Component
	closers []func()
}

// Open opens the databases and the bus, which may both be down: they are waited for.
func Open(ctx context.Context, o Options) (h *Host, err error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("opening a service: %w", err)
	}
	h = &Host{Log: o.Logger.With("service", o.Service), Registry: o.Registry, service: o.Service,
		Registerer: prometheus.WrapRegistererWith(prometheus.Labels{"service": o.Service}, o.Registry)}
	defer func() {
		if err != nil {
			h.Close()
		}
	}()
	if h.Main, err = h.open(ctx, o, o.MainURL, "main"); err != nil {
		return nil, err
	}
	if !o.KeysURL.Empty() {
		if h.Keys, err = h.open(ctx, o, o.KeysURL, "keys"); err != nil {
			return nil, err
		}
	}
	conn, err := bus.Connect(ctx, bus.Options{URL: o.BusURL, Within: o.Bus, NKeySeed: o.BusSeed, Service: o.Service, Logger: h.Log, Registerer: h.Registerer})
	if err != nil {
		return nil, fmt.Errorf("connecting %s to the bus: %w", o.Service, err)
	}
	h.closers = append(h.closers, conn.Close)
	h.Line = &Line{publisher: bus.NewPublisher(conn, time.Now), conn: conn, log: h.Log}
	return h, nil
}

func (h *Host) open(ctx context.Context, o Options, url secret.String, database string) (*pgxpool.Pool, error) {
	pool, err := store.Open(ctx, store.Options{URL: url, Service: o.Service, Database: database, MaxConns: o.MaxConns, Registerer: h.Registerer})
	if err != nil {
		return nil, fmt.Errorf("opening the %s database for %s: %w", database, o.Service, err)
	}
	h.closers = append(h.closers, pool.Close)
	return pool, nil
}

// Part adds a part of the service, to be run by Run.
func (h *Host) Part(name string, do func(context.Context) error) {
	h.parts = append(h.parts, run.Component{Name: h.service + " " + name, Run: do})
}

// Run runs all parts until ctx ends or one fails. It closes nothing: requests that a server
// beside it lets finish need what is open.
func (h *Host) Run(ctx context.Context) error { return run.All(ctx, h.parts...) }

// Close lets go of what was opened, the last first. Closing twice is safe.
func (h *Host) Close() {
	for i := len(h.closers) - 1; i >= 0; i-- {
		h.closers[i]()
	}
	h.closers = nil
}
