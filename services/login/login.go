// Package login answers the people who sign in and the products that ask for them: is
// this device registered, and if not, is a code on its way?
//
// It never waits for the bus, a provider or another service to give that answer. It
// may not read a challenge's seed, close a challenge, count a try or insert a device.
package login

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/tink-crypto/tink-go/v2/tink"

	queries "latchkey.dev/queries/login"
	"latchkey.dev/services/code"
	"latchkey.dev/services/device"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/coalesce"
	"latchkey.dev/services/internal/dpop"
	"latchkey.dev/services/internal/geo"
	"latchkey.dev/services/internal/page"
	"latchkey.dev/services/internal/password"
	"latchkey.dev/services/internal/run"
	"latchkey.dev/services/internal/seal"
)

// Bus is what login needs of the bus. It may be down at any time.
type Bus interface {
	// Publish sends events at once and returns without waiting; reply is where the
	// verifier's wake-up for code.entered goes, "" for none.
	Publish(e event.Event, reply string)
	// Await returns a subject for reply and a channel that its first wake-up comes on.
	Await(token string) (subject string, woken <-chan []byte, cancel func())
}

// Options configure a Login. All but those with a default are required.
type Options struct {
	Pool     *pgxpool.Pool // main database, as latchkey_login
	KeysPool *pgxpool.Pool // key database, as latchkey_login
	Bus      Bus

	Origin   string      // how browsers reach us: "https://login.example"
	NonceMAC tink.MAC    // nonces and tickets
	People   seal.People // closes what is kept of people

	Console string         // origin of the console, "" where there is none
	Valid   time.Duration  // of a code: 5 min if zero, 10 min at most
	Digits  int            // of a code: code.Digits if zero
	Hashing int            // password hashes at a time: 2 if zero
	Proxies []netip.Prefix // whose X-Forwarded-For counts
	Limits  Limits         // on texts; none if zero
	Reach   []string       // countries that codes go to, ISO 3166-1 alpha-2; anywhere if empty

	Countries *geo.Countries // where devices were used from; nil: not kept

	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time // time.Now if nil
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
	u, err := url.Parse(o.Origin)
	need(err == nil && u.Host != "" && u.Path == "" && (u.Scheme == "https" || u.Scheme == "http"), "origin must be as https://login.example, without a path")
	need(o.NonceMAC != nil && !o.People.Missing(), "both MAC keysets and the dispatcher's and the auditor's public keys are required")
	need(o.Valid >= 0 && o.Valid <= 10*time.Minute, "a code is valid for ten minutes at most")
	need(o.Digits == 0 || o.Digits >= code.Digits && o.Digits <= code.MaxDigits, "a code has 6 to 8 digits")
	if len(errs) > 0 {
		return fmt.Errorf("login: %w", errors.Join(errs...))
	}
	if o.Valid == 0 {
		o.Valid = 5 * time.Minute
	}
	if o.Digits == 0 {
		o.Digits = code.Digits
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

// Login is the login service.
type Login struct {
	o         Options
	q         *queries.Queries
	nonces    *dpop.Nonces
	passwords *password.Hasher
	nobodys   string // the digest of nobody's password: for user IDs that do not exist
	metrics   *metrics
	softwares cached[map[string]software]
	sealer    cached[*seal.EntrySealer]
	site      *page.Site
	clocks    cached[clock]
	clock     atomic.Pointer[clock]
	followers followers
	apiKeys   sync.Map // digest → apiKey, for a second

	checks     *coalesce.Batcher[checkKey, *queries.CheckReadRow]
	spends     *coalesce.Batcher[spend, bool]
	challenges *coalesce.Batcher[newChallenge, madeChallenge]
	states     *coalesce.Batcher[uuid.UUID, *queries.ChallengeStateRow]
	entries    *coalesce.Batcher[newEntry, bool]
	verdicts   *coalesce.Batcher[uuid.UUID, *queries.VerdictReadRow]
	tells      *coalesce.Batcher[event.Event, struct{}]

	stopped chan struct{} // closed when Run ends: streams end with it
}

// New makes a Login. Nothing is opened yet.
func New(o Options) (*Login, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	l := &Login{o: o, q: queries.New(o.Pool), metrics: newMetrics(o.Registerer), passwords: password.New(o.Hashing, o.Registerer), stopped: make(chan struct{})}
	l.nonces = dpop.NewNonces(o.NonceMAC, l.now)
	var err error
	if l.site, err = page.New(page.Options{Origin: o.Origin, FormCookie: formCookie, Tokens: l.nonces, Next: o.Console}); err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	if l.nobodys, err = password.Nobodys(); err != nil {
		return nil, err
	}
	if err := device.Prepare(); err != nil {
		return nil, fmt.Errorf("login: the rules of User-Agents: %w", err)
	}
	if strings.HasPrefix(o.Origin, "https:") && len(o.Proxies) == 0 {
		// We speak HTTP alone, so somebody before us does TLS.
		o.Logger.Warn("no proxy is named: everybody seems to come from one address, and shares its limit of wrong passwords")
	}
	l.softwares = cached[map[string]software]{life: 5 * time.Second, now: o.Now, load: l.loadSoftwares}
	l.sealer = cached[*seal.EntrySealer]{life: 10 * time.Second, now: o.Now, load: l.loadSealer}
	l.clocks = cached[clock]{life: clockLife, now: o.Now, load: l.loadClock}
	l.batch()
	return l, nil
}

// Run does the upkeep until ctx ends.
func (l *Login) Run(ctx context.Context) error {
	defer close(l.stopped)
	upkeep := run.NewLoop(run.LoopOptions{Name: "login upkeep", Every: slotLength / 4, Jitter: 5 * time.Second, Timeout: 10 * time.Second, Log: l.o.Logger, RunOnce: func(ctx context.Context) error {
		return errors.Join(l.q.UsedProofClear(ctx, int32(slotLength/time.Second)), l.q.LimitSweep(ctx), l.q.SessionSweep(ctx))
	}})
	return upkeep.Run(ctx)
}

// Ready reports whether sign-ins can be answered: the database answers, its clock is
// known, and there is a key to seal codes to.
func (l *Login) Ready(ctx context.Context) error {
	if err := l.timed(ctx); err != nil {
		return fmt.Errorf("login is not ready: %w", err)
	}
	if _, err := l.sealer.get(ctx); err != nil {
		return fmt.Errorf("login is not ready: %w", err)
	}
	return nil
}

// Handler serves the public API, the pages and the browser's module.
func (l *Login) Handler() http.Handler {
	mux := http.NewServeMux()
	l.routes(mux)
	l.pages(mux)
	return mux
}

// cached keeps a value read from the database for a short life, and the old value
// while a new one cannot be read, which is tried again every second.
type cached[T any] struct {
	life time.Duration
	now  func() time.Time
	load func(context.Context) (T, error)

	mu    sync.Mutex
	value T
	until time.Time
	have  bool
}

func (c *cached[T]) get(ctx context.Context) (T, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if c.have && now.Before(c.until) {
		return c.value, nil
	}
	v, err := c.load(ctx)
	if err != nil {
		if c.have {
			c.until = now.Add(min(c.life, time.Second))
			return c.value, nil
		}
		return v, err
	}
	c.value, c.until, c.have = v, now.Add(c.life), true
	return v, nil
}
