// Package up runs the services of one Latchkey in one process: what is demonstrated is
// what is tested. Each service keeps its own role in Postgres and its own rights on the bus.
package up

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"latchkey.dev/services/auditor"
	"latchkey.dev/services/console"
	"latchkey.dev/services/dispatcher"
	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/host"
	"latchkey.dev/services/internal/run"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/login"
	"latchkey.dev/services/verifier"
)

// Options say where the parts are. All are required but Metrics and those with a default.
type Options struct {
	MainURL, KeysURL func(service string) secret.String // of the two databases, for its role
	BusURL           string
	Bus              bus.Embedded                       // the bus server, where it runs in this process
	Seed             func(service string) secret.String // a service's key to the bus

	Public net.Listener // the public API and pages, and the providers' receipts under /receipts/
	Pages  net.Listener // the console's API and pages; none are served if nil

	Details net.Listener // where the auditor opens people's details, for the console alone; none are opened if nil

	// Without names services that run in processes of their own: dispatcher, verifier, auditor.
	Without []string

	// What each service is told beside what its host opens.
	Login      login.Options
	Dispatcher dispatcher.Options
	Verifier   verifier.Options
	Auditor    auditor.Options
	Console    console.Options

	Registry *prometheus.Registry // of all services; one of its own if nil
	Logger   *slog.Logger
}

// Services are those that run, by their names.
var Services = []string{bus.Login, bus.Dispatcher, bus.Verifier, bus.Auditor, bus.Console}

// Latchkey is a whole Latchkey.
type Latchkey struct {
	Login      *login.Login
	Dispatcher *dispatcher.Dispatcher // nil, as Verifier and Auditor are, in a process that runs without it
	Verifier   *verifier.Verifier
	Auditor    *auditor.Auditor
	Console    *console.Console

	hosts []*host.Host
	parts []run.Component
	ready []func(context.Context) error
}

// New opens what the services need. Postgres and the bus may be down: they are waited for.
func New(ctx context.Context, o Options) (_ *Latchkey, err error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	k := &Latchkey{}
	defer func() {
		if err != nil {
			k.close()
		}
	}()
	open := func(service string) *host.Host {
		if slices.Contains(o.Without, service) {
			return nil
		}
		h, openErr := host.Open(ctx, host.Options{Service: service, MainURL: o.MainURL(service), KeysURL: o.KeysURL(service),
			BusURL: o.BusURL, Bus: o.Bus, BusSeed: o.Seed(service), Registry: o.Registry, Logger: o.Logger})
		if err = errors.Join(err, openErr); openErr != nil {
			return nil
		}
		k.hosts = append(k.hosts, h)
		k.parts = append(k.parts, run.Component{Name: service, Run: h.Run})
		return h
	}
	forLogin, forDispatcher, forVerifier := open(bus.Login), open(bus.Dispatcher), open(bus.Verifier)
	forAuditor, forConsole := open(bus.Auditor), open(bus.Console)
	if err != nil {
		return nil, err
	}
	var errs [5]error
	k.Login, errs[0] = login.Open(forLogin, o.Login)
	k.ready = append(k.ready, k.Login.Ready)
	if forDispatcher != nil {
		k.Dispatcher, errs[1] = dispatcher.Open(forDispatcher, o.Dispatcher)
		k.ready = append(k.ready, k.Dispatcher.Ready)
	}
	if forVerifier != nil {
		k.Verifier, errs[2] = verifier.Open(forVerifier, o.Verifier)
		k.ready = append(k.ready, k.Verifier.Ready)
	}
	if forAuditor != nil {
		k.Auditor, errs[3] = auditor.Open(forAuditor, o.Auditor)
		k.ready = append(k.ready, k.Auditor.Ready)
	}
	if k.Console, errs[4] = console.Open(forConsole, o.Console); k.Console != nil {
		k.ready = append(k.ready, k.Console.Ready)
	}
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	public := http.NewServeMux()
	public.Handle("/", k.Login.Handler())
	if k.Dispatcher != nil {
		public.Handle("/receipts/", k.Dispatcher.Handler())
	}
	k.parts = append(k.parts, run.Component{Name: "public server", Run: (&web.Server{Name: "public", Listener: o.Public, Handler: public, Logger: o.Logger}).Run})
	if o.Pages != nil {
		k.parts = append(k.parts, run.Component{Name: "console server", Run: (&web.Server{Name: "console", Listener: o.Pages, Handler: k.Console.Handler(), Logger: o.Logger}).Run})
	}
	if o.Details != nil && k.Auditor != nil {
		k.parts = append(k.parts, run.Component{Name: "details server", Run: (&web.Server{Name: "details", Listener: o.Details, Handler: k.Auditor.Handler(), Logger: o.Logger}).Run})
	}
	return k, nil
}

// Run runs all services until ctx ends or one fails, and returns when all have ended and
// what they had open is closed.
func (k *Latchkey) Run(ctx context.Context) error {
	defer k.close()
	return run.All(ctx, k.parts...)
}

func (k *Latchkey) close() {
	for _, h := range k.hosts {
		h.Close()
	}
}

// Ready reports whether every service of this process can do its work.
func (k *Latchkey) Ready(ctx context.Context) error {
	var errs []error
	for _, ready := range k.ready {
		errs = append(errs, ready(ctx))
	}
	return errors.Join(errs...)
}
