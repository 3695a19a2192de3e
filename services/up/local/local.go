// Package local is a whole Latchkey on one machine, with nothing around it: a private
// PostgreSQL, an embedded bus, all services, two simulated carriers and their phones.
// It is what `make run` starts.
package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/config"
	"latchkey.dev/services/internal/details"
	"latchkey.dev/services/internal/geo"
	"latchkey.dev/services/internal/install"
	"latchkey.dev/services/internal/natsd"
	"latchkey.dev/services/internal/obs"
	"latchkey.dev/services/internal/run"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/mail/mailbox"
	"latchkey.dev/services/sms/carriers"
	"latchkey.dev/services/up"
)

// Options say where it lives. All are required but DatabaseURL, Auditor, the origins, Proxies, GeoIP, Config and Digits.
type Options struct {
	Data        string        // folder of everything that is kept
	DatabaseURL secret.String // of an administrator of a PostgreSQL that runs; a private one is started if empty
	Config      string        // file of softwares and providers; <Data>/latchkey.yaml if empty, and none if that is absent

	Public, Console, Phones, Metrics string // addresses to listen on, as 127.0.0.1:8080
	Auditor                          string // where the auditor opens details for the console; one of its own choice if empty

	Origin        string         // how browsers reach Public; http://<Public> if empty
	ConsoleOrigin string         // how they reach Console; http://<Console> if empty
	Proxies       []netip.Prefix // that are before both: their X-Forwarded-For says who asks
	GeoIP         string         // file of countries of addresses; none if empty
	Digits        int            // of a code: six if zero

	// Without names what runs in processes of its own beside this one: Bus, dispatcher, verifier, auditor.
	Without []string

	Out    io.Writer // gets the lines for the person who started it
	Logger *slog.Logger
}

// Local is a running one.
type Local struct {
	o       Options
	keys    install.Folder
	config  config.File
	url     string // of the public address
	seeded  atomic.Bool
	bus     *natsd.Server // nil where it runs in a process of its own
	phones  *carriers.Simulator
	mail    *mailbox.Server
	k       *up.Latchkey
	parts   []run.Component
	closers []func()
}

// Run starts everything, tells where it is, and returns when ctx has ended and all of it
// has stopped, or when a part failed.
func Run(ctx context.Context, o Options) (err error) {
	l := &Local{o: o}
	defer l.close()
	listeners, err := l.listen()
	if err != nil {
		return err
	}
	begun := time.Now()
	if err := l.start(ctx, listeners); err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- run.All(running, l.parts...) }()
	err = l.ready(running, ended)
	if err == nil {
		err = l.seed(running)
	}
	if err == nil {
		l.seeded.Store(true)
		l.tell(time.Since(begun))
		return <-ended
	}
	stop()
	if failed := <-ended; failed != nil {
		err = failed // a part that ended is why the others were not ready
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// listeners are opened before anything is started: a port that is taken is told at once.
type listeners struct{ public, console, phones, metrics, details net.Listener }

func (l *Local) listen() (ls listeners, err error) {
	for _, a := range []struct {
		address, name string
		into          *net.Listener
	}{{l.o.Public, "LISTEN", &ls.public}, {l.o.Console, "CONSOLE_LISTEN", &ls.console}, {l.o.Phones, "PHONES_LISTEN", &ls.phones}, {l.o.Metrics, "METRICS_LISTEN", &ls.metrics}} {
		*a.into, err = net.Listen("tcp", a.address)
		if err != nil {
			return ls, fmt.Errorf("%s cannot be listened on, perhaps since another Latchkey runs: stop it, or set LATCHKEY_%s to another address (%w)", a.address, a.name, err)
		}
		l.closers = append(l.closers, func() { (*a.into).Close() })
	}
	if l.o.Auditor == "" {
		l.o.Auditor = "127.0.0.1:0"
	}
	if !slices.Contains(l.o.Without, bus.Auditor) {
		if ls.details, err = net.Listen("tcp", l.o.Auditor); err != nil {
			return ls, fmt.Errorf("AUDITOR_LISTEN cannot be listened on, perhaps since another Latchkey runs: stop it, or set LATCHKEY_AUDITOR_LISTEN to another address (%w)", err)
		}
		l.closers = append(l.closers, func() { ls.details.Close() })
		l.o.Auditor = ls.details.Addr().String()
	}
	l.o.Phones, l.o.Metrics = ls.phones.Addr().String(), ls.metrics.Addr().String()
	l.url = "http://" + ls.public.Addr().String()
	if l.o.Origin == "" {
		l.o.Origin = l.url
	}
	if l.o.ConsoleOrigin == "" {
		l.o.ConsoleOrigin = "http://" + ls.console.Addr().String()
	}
	return ls, nil
}

func (l *Local) start(ctx context.Context, ls listeners) error {
	// PostgreSQL's own user passes through the folder to its own where we are root.
	if err := os.MkdirAll(l.o.Data, 0o711); err != nil {
		return fmt.Errorf("making the data folder: %w", err)
	}
	unlock, err := lock(l.o.Data)
	if err != nil {
		return err
	}
	l.closers = append(l.closers, unlock)
	if l.keys, err = install.Make(filepath.Join(l.o.Data, "keys"), bus.Services(), bus.NewSeed, bus.PublicKey); err != nil {
		return err
	}
	if err := l.startPostgres(ctx); err != nil {
		return err
	}
	if err := l.startBus(ctx); err != nil {
		return err
	}
	if err := l.startCarriers(ls); err != nil {
		return err
	}
	return l.startServices(ctx, ls)
}

// lock takes a data folder for this process. The kernel lets go of it when the process
// ends, however it ends.
func lock(data string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(data, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("taking the data folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("the data in %s are in use by another Latchkey: stop it, or set LATCHKEY_DATA to another folder", data)
	}
	return func() { f.Close() }, nil
}

// startServices opens all services on what was started.
func (l *Local) startServices(ctx context.Context, ls listeners) error {
	o, err := Services(l.keys, l.config, Origins{l.o.Origin, l.o.ConsoleOrigin}, l.o.Digits)
	if err != nil {
		return err
	}
	o.Login.Proxies, o.Console.Served.Proxies = l.o.Proxies, l.o.Proxies
	if o.Login.Countries, err = geo.Open(l.o.GeoIP, time.Now); err != nil {
		return err
	}
	key, err := l.keys.DetailsKey()
	if err != nil {
		return err
	}
	if o.Console.Details, err = details.NewClient("http://"+l.o.Auditor, key); err != nil {
		return err
	}
	o.Details = ls.details
	o.Public, o.Pages, o.Registry, o.Logger, o.Without = ls.public, ls.console, obs.NewRegistry(), l.o.Logger, l.o.Without
	if l.bus != nil {
		o.Bus = l.bus
		o.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "latchkey_bus_server_sync_interval_seconds",
			Help: "How often the embedded bus syncs its store to disk: what a power failure may take of the stream's tail."},
			func() float64 { return l.bus.SyncInterval().Seconds() }))
	}
	if l.k, err = up.New(ctx, o); err != nil {
		return err
	}
	if err := l.k.Console.SetSoftwares(ctx, l.config.Softwares); err != nil {
		return err
	}
	server := func(name string, s *web.Server) { l.parts = append(l.parts, run.Component{Name: name, Run: s.Run}) }
	l.parts = append(l.parts, run.Component{Name: "services", Run: l.k.Run})
	l.parts = append(l.parts, run.Component{Name: "carriers", Run: l.phones.Run})
	server("phones", &web.Server{Name: "phones", Listener: ls.phones, Handler: l.phones.Handler(), Logger: l.o.Logger})
	server("metrics", &web.Server{Name: "metrics", Listener: ls.metrics, Handler: obs.Handler(o.Registry, l.usable, l.o.Logger), Logger: l.o.Logger})
	return nil
}

// usable reports whether everything that was promised is there.
func (l *Local) usable(ctx context.Context) error {
	if !l.seeded.Load() {
		return errors.New("the demonstration is not made yet")
	}
	return l.k.Ready(ctx)
}

// ready waits until every service can do its work.
func (l *Local) ready(ctx context.Context, ended chan error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for {
		err := l.k.Ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case failed := <-ended:
			ended <- failed
			return errors.New("a part ended before all were ready")
		case <-ctx.Done():
			return ctx.Err()
		case <-limit.C:
			return fmt.Errorf("not ready after a minute: %w", err)
		}
	}
}

// close lets go of what was started, the last first.
func (l *Local) close() {
	for i := len(l.closers) - 1; i >= 0; i-- {
		l.closers[i]()
	}
}

// host is the host of an address, without its port.
func host(origin string) string {
	u, err := url.Parse(origin)
	if err != nil || net.ParseIP(u.Hostname()) != nil || u.Hostname() == "" {
		return "localhost" // an autofill line names a host, never an address
	}
	return u.Hostname()
}
