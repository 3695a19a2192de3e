// Package console is what owners, administrators and operators do to an installation:
// accounts and their options, people and their devices, keys of products, softwares. It has
// pages and an API, and the command line works through it. It never reads a credential's
// digest, a code's key or an open number.
package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/tink-crypto/tink-go/v2/tink"

	queries "latchkey.dev/queries/console"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/config"
	"latchkey.dev/services/internal/details"
	"latchkey.dev/services/internal/dpop"
	"latchkey.dev/services/internal/host"
	"latchkey.dev/services/internal/page"
	"latchkey.dev/services/internal/password"
	"latchkey.dev/services/internal/run"
	"latchkey.dev/services/internal/seal"
	"latchkey.dev/services/internal/store"
)

// Bus is what the console needs of the bus. It may be down at any time.
type Bus interface {
	// Publish sends an event at once and returns without waiting.
	Publish(e event.Event)
}

// Details is the auditor, which alone opens what is sealed to people's own keys. Each
// opening is an event of the auditor's. Both return web.NotFound for what is not there.
type Details interface {
	Show(context.Context, details.ShowRequest) (details.Shown, error)
	Export(context.Context, details.ExportRequest) (io.ReadCloser, error)
}

// Options configure a Console. Pool and Bus are required, the rest for what needs it.
type Options struct {
	Pool     *pgxpool.Pool // main database, as latchkey_console
	KeysPool *pgxpool.Pool // key database, as latchkey_console: to make people
	Bus      Bus
	People   seal.People // closes what is kept of people
	Details  Details     // opens it; nil where nothing is opened
	Delivery Delivery    // who carries texts; nobody where it is empty

	// Served says how browsers and programs reach it; nil for a command that serves nobody.
	Served *Served

	Reach      []string // countries that codes go to, ISO 3166-1 alpha-2; anywhere if empty
	Hashing    int      // password hashes at a time: 2 if zero
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time // time.Now if nil
}

// Delivery is what the configuration says of the providers that carry texts.
type Delivery struct {
	Providers []config.Provider   // in order of preference
	Routes    map[string][]string // orders of countries of their own, by country
}

// Served is what pages and API need. All but Proxies is required.
type Served struct {
	Origin  string         // how browsers reach the console: "https://console.example"
	Login   string         // how they reach login: "https://login.example"
	FormMAC tink.MAC       // tokens of forms
	Proxies []netip.Prefix // whose X-Forwarded-For counts
}

func (o *Options) validate() error {
	var errs []error
	need := func(ok bool, what string) {
		if !ok {
			errs = append(errs, errors.New(what))
		}
	}
	need(o.Pool != nil && o.Bus != nil, "a database and a bus are required")
	if o.Served != nil {
		for name, origin := range map[string]string{"its own origin": o.Served.Origin, "login's origin": o.Served.Login} {
			u, err := url.Parse(origin)
			need(err == nil && u.Host != "" && u.Path == "" && (u.Scheme == "https" || u.Scheme == "http"), name+" must be as https://login.example, without a path")
		}
		need(o.Served.FormMAC != nil && !o.People.Missing() && o.KeysPool != nil, "the MAC keysets, the dispatcher's and the auditor's public keys and the key database are required")
	}
	if len(errs) > 0 {
		return fmt.Errorf("console: %w", errors.Join(errs...))
	}
	if o.Hashing == 0 {
		o.Hashing = 2
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// Console changes an installation. Every change is an event, in the same transaction.
type Console struct {
	o         Options
	q         *queries.Queries
	passwords *password.Hasher
	site      *page.Site    // nil where nobody is served
	imports   chan struct{} // slots of those under way
	hintsTo   uuid.UUID     // the last registration that the sweep of hints has seen; of the sweep alone
}

// New makes a Console. Nothing is opened yet.
func New(o Options) (*Console, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	c := &Console{o: o, q: queries.New(o.Pool), passwords: password.New(o.Hashing, o.Registerer), imports: make(chan struct{}, importsAtATime)}
	if o.Served != nil {
		var err error
		c.site, err = page.New(page.Options{Origin: o.Served.Origin, FormCookie: formCookie, Tokens: dpop.NewNonces(o.Served.FormMAC, o.Now), Next: o.Served.Login})
		if err != nil {
			return nil, fmt.Errorf("console: %w", err)
		}
	}
	return c, nil
}

// Open makes a Console from what its host opened, and adds its parts to the host: upkeep, and
// publishing again what the bus missed of its events. Pools, bus, logger and registerer of
// the options are the host's.
func Open(h *host.Host, o Options) (*Console, error) {
	o.Pool, o.KeysPool, o.Bus, o.Logger, o.Registerer = h.Main, h.Keys, h.Line, h.Log, h.Registerer
	c, err := New(o)
	if err != nil {
		return nil, err
	}
	h.Part("upkeep", c.Run)
	host.Journal(h, c.q.EventWindow, c.q.EventUnordered, c.q.EventRead)
	return c, nil
}

// Run does the upkeep until ctx ends.
func (c *Console) Run(ctx context.Context) error {
	return run.NewLoop(run.LoopOptions{Name: "console upkeep", Every: time.Minute, Jitter: 10 * time.Second, Timeout: 10 * time.Second, Log: c.o.Logger, RunOnce: c.sweep}).Run(ctx)
}

// sweep deletes what is too old to count.
func (c *Console) sweep(ctx context.Context) error {
	return errors.Join(c.q.GrantSweep(ctx), c.q.ConsoleSessionSweep(ctx), c.q.IdempotencySweep(ctx), c.q.PasswordLinkSweep(ctx), c.q.RegistrationCodeSweep(ctx), c.clearHints(ctx))
}

// Ready reports whether the console can answer: its database does.
func (c *Console) Ready(ctx context.Context) error {
	if err := c.o.Pool.Ping(ctx); err != nil {
		return fmt.Errorf("console is not ready: %w", err)
	}
	return nil
}

// Handler serves pages and API. The Console must have been told how it is Served.
func (c *Console) Handler() http.Handler {
	mux := http.NewServeMux()
	c.routes(mux)
	c.pages(mux)
	return mux
}

// change makes one change with its events, in one transaction, and publishes them.
func (c *Console) change(ctx context.Context, account uuid.UUID, told []event.Data, do func(*queries.Queries) error) error {
	return c.changeAndTell(ctx, account, func(db *queries.Queries) ([]event.Data, error) { return told, do(db) })
}

// changeAndTell is change where only the change itself knows what to tell. A change that
// tells nothing has changed nothing.
func (c *Console) changeAndTell(ctx context.Context, account uuid.UUID, do func(*queries.Queries) ([]event.Data, error)) error {
	var events []event.Event
	err := store.InTx(ctx, c.o.Pool, func(tx pgx.Tx) error {
		db := c.q.WithTx(tx)
		told, err := do(db)
		if err != nil {
			return err
		}
		events = events[:0]
		var p queries.EventInsertParams
		for _, d := range told {
			e, err := event.New("console", account, c.o.Now(), d)
			if err != nil {
				return err
			}
			events = append(events, e)
			p.Ids, p.Types = append(p.Ids, e.ID), append(p.Types, e.Type)
			p.AccountIds, p.Bodies = append(p.AccountIds, e.Account), append(p.Bodies, e.Body)
		}
		return db.EventInsert(ctx, p)
	})
	if err != nil {
		return err
	}
	for _, e := range events {
		c.o.Bus.Publish(e)
	}
	return nil
}
