// Package up runs the services of one Latchkey in one process: what is demonstrated is
// what is tested. Each service keeps its own role in Postgres and its own rights on the bus.
package up

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/tink-crypto/tink-go/v2/tink"

	"latchkey.dev/services/dispatcher"
	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/run"
	"latchkey.dev/services/internal/seal"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/store"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/login"
	"latchkey.dev/services/verifier"
)

// Options say where the parts are. All are required but those with a default.
type Options struct {
	MainURL, KeysURL func(role string) secret.String // of the two databases, for a role
	BusURL           string
	Seed             func(service string) secret.String // a service's key to the bus

	Listener net.Listener // the public API and pages
	Origin   string       // how browsers reach it
	Proxies  []netip.Prefix

	NonceMAC, IndexMAC tink.MAC
	NumberKey          seal.PrivateKey // the dispatcher's
	WrapKey            seal.PublicKey  // the auditor's
	Providers          []dispatcher.Provider
	Digits             int // of a code: six if zero

	// SweepOff and StreamOff leave one of the two roads of work out, for tests that show
	// that the other is enough.
	SweepOff, StreamOff bool

	Logger *slog.Logger
}

// Latchkey is a whole Latchkey.
type Latchkey struct {
	Login      *login.Login
	Dispatcher *dispatcher.Dispatcher
	Verifier   *verifier.Verifier

	parts   []run.Component
	closers []func()
}

// New opens what the services need. Postgres and the bus may be down: they are waited for.
func New(ctx context.Context, o Options) (k *Latchkey, err error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	k = &Latchkey{}
	defer func() {
		if err != nil {
			k.close()
		}
	}()
	if err := errors.Join(k.openLogin(ctx, o), k.openDispatcher(ctx, o), k.openVerifier(ctx, o)); err != nil {
		return nil, err
	}
	k.part("public server", (&web.Server{Name: "public", Listener: o.Listener, Handler: k.Login.Handler(), Logger: o.Logger}).Run)
	return k, nil
}

// Run runs all services until ctx ends or one fails, and returns when all have ended.
func (k *Latchkey) Run(ctx context.Context) error {
	defer k.close()
	return run.All(ctx, k.parts...)
}

// Ready reports whether every service can do its work.
func (k *Latchkey) Ready(ctx context.Context) error {
	return errors.Join(k.Login.Ready(ctx), k.Dispatcher.Ready(ctx), k.Verifier.Ready(ctx))
}

func (k *Latchkey) part(name string, do func(context.Context) error) {
	k.parts = append(k.parts, run.Component{Name: name, Run: do})
}

// close lets go of what was opened, the last first.
func (k *Latchkey) close() {
	for i := len(k.closers) - 1; i >= 0; i-- {
		k.closers[i]()
	}
	k.closers = nil
}

// service is what every service has of its own.
type service struct {
	main, keys *pgxpool.Pool
	line       *line
	log        *slog.Logger
	registry   *prometheus.Registry
}

func (k *Latchkey) open(ctx context.Context, o Options, name string) (s service, err error) {
	s.log, s.registry = o.Logger.With("service", name), prometheus.NewRegistry()
	for _, p := range []struct {
		pool     **pgxpool.Pool
		url      func(string) secret.String
		database string
	}{{&s.main, o.MainURL, "main"}, {&s.keys, o.KeysURL, "keys"}} {
		*p.pool, err = store.Open(ctx, store.Options{URL: p.url("latchkey_" + name), Service: name, Database: p.database, Registerer: s.registry})
		if err != nil {
			return s, err
		}
		k.closers = append(k.closers, (*p.pool).Close)
	}
	conn, err := bus.Connect(ctx, bus.Options{URL: o.BusURL, NKeySeed: o.Seed(name), Service: name, Logger: s.log, Registerer: s.registry})
	if err != nil {
		return s, fmt.Errorf("connecting %s to the bus: %w", name, err)
	}
	k.closers = append(k.closers, conn.Close)
	s.line = &line{publisher: bus.NewPublisher(conn, time.Now), conn: conn, log: s.log}
	return s, nil
}

func (k *Latchkey) openLogin(ctx context.Context, o Options) error {
	s, err := k.open(ctx, o, bus.Login)
	if err != nil {
		return err
	}
	if s.line.inbox, err = s.line.conn.Inbox(); err != nil {
		return fmt.Errorf("opening login's inbox: %w", err)
	}
	k.closers = append(k.closers, s.line.inbox.Close)
	k.Login, err = login.New(login.Options{Pool: s.main, KeysPool: s.keys, Bus: loginLine{s.line}, Origin: o.Origin, NonceMAC: o.NonceMAC, IndexMAC: o.IndexMAC,
		NumberKey: o.NumberKey.Public(), WrapKey: o.WrapKey, Digits: o.Digits, Proxies: o.Proxies, Logger: s.log, Registerer: s.registry})
	if err != nil {
		return err
	}
	k.part("login", k.Login.Run)
	k.keepJournal(bus.Login, s, loginEvents(s))
	return nil
}

func (k *Latchkey) openDispatcher(ctx context.Context, o Options) error {
	s, err := k.open(ctx, o, bus.Dispatcher)
	if err != nil {
		return err
	}
	k.Dispatcher, err = dispatcher.New(dispatcher.Options{Pool: s.main, KeysPool: s.keys, NumberKey: o.NumberKey, Providers: o.Providers, Bus: serviceLine{s.line},
		Digits: o.Digits, SweepOff: o.SweepOff, Logger: s.log, Registerer: s.registry})
	if err != nil {
		return err
	}
	k.part("dispatcher", k.Dispatcher.Run)
	k.keepJournal(bus.Dispatcher, s, dispatcherEvents(s))
	if o.StreamOff {
		return nil
	}
	c, err := bus.NewConsumer(s.line.conn, bus.ConsumerOptions{Durable: bus.DispatcherSend, Parallel: 8, Handler: deliver(k.Dispatcher, s.log), DeadLetter: dispatcherLetters(s.main)})
	if err != nil {
		return fmt.Errorf("consuming requested texts: %w", err)
	}
	k.part("dispatcher consumer", c.Run)
	return nil
}

func (k *Latchkey) openVerifier(ctx context.Context, o Options) error {
	s, err := k.open(ctx, o, bus.Verifier)
	if err != nil {
		return err
	}
	k.Verifier, err = verifier.New(verifier.Options{Pool: s.main, KeysPool: s.keys, Bus: serviceLine{s.line}, Digits: o.Digits, SweepOff: o.SweepOff, Logger: s.log, Registerer: s.registry})
	if err != nil {
		return err
	}
	k.part("verifier", k.Verifier.Run)
	k.keepJournal(bus.Verifier, s, verifierEvents(s))
	if o.StreamOff {
		return nil
	}
	c, err := bus.NewConsumer(s.line.conn, bus.ConsumerOptions{Durable: bus.VerifierJudge, Parallel: 2, Handler: judge(k.Verifier, s.log), DeadLetter: verifierLetters(s.main)})
	if err != nil {
		return fmt.Errorf("consuming typed codes: %w", err)
	}
	k.part("verifier consumer", c.Run)
	return nil
}
