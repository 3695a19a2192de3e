package auditor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	queries "latchkey.dev/queries/auditor"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/details"
	"latchkey.dev/services/internal/seal"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/store"
	"latchkey.dev/services/internal/web"
)

// Publisher sends an event at once and returns without waiting. It may be down.
type Publisher interface{ Publish(e event.Event) }

// DetailsOptions configure Details. All are required but Settle and those below it.
type DetailsOptions struct {
	Pool     *pgxpool.Pool // main database, as latchkey_auditor
	KeysPool *pgxpool.Pool // key database, as latchkey_auditor
	Bus      Publisher
	WrapKey  seal.PrivateKey // unwraps members' keys
	Key      secret.String   // what the console proves itself with

	// Settle is how long after an erasure something may still come that was on its way before:
	// a request that read the person's row. 30 s if zero.
	Settle time.Duration

	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time
}

// Details opens what is sealed to people's own keys, for the console, and destroys those
// keys. Nobody else holds the key that unwraps them. Each opening is an event, committed
// before anything is answered.
type Details struct {
	o    DetailsOptions
	q    *queries.Queries
	look int32 // events that one step of an export looks through
	age  prometheus.Gauge
}

// NewDetails makes a Details. Nothing is opened yet.
func NewDetails(o DetailsOptions) (*Details, error) {
	if o.Pool == nil || o.KeysPool == nil || o.Bus == nil || o.WrapKey.IsZero() || o.Key.Empty() {
		return nil, errors.New("auditor: to open details, both databases, a bus, the key that unwraps and the console's key are required")
	}
	if o.Settle == 0 {
		o.Settle = 30 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	d := &Details{o: o, q: queries.New(o.Pool), look: 5000, age: prometheus.NewGauge(prometheus.GaugeOpts{Name: "latchkey_privacy_job_age_seconds",
		Help: "How long the oldest export or erasure has been on its way, at the last look; 0 for none. Over ten minutes: look at the auditor's log, and at the key database."})}
	o.Registerer.MustRegister(d.age)
	return d, nil
}

// Handler serves the API of package details: to the console alone, never to the public.
func (d *Details) Handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(path string, serve func(http.ResponseWriter, *http.Request) error) {
		mux.Handle("POST "+path, web.Handler{Logger: d.o.Logger, Serve: func(w http.ResponseWriter, r *http.Request) error {
			if !d.known(r) {
				return errUnknown
			}
			return serve(w, r)
		}})
	}
	handle(details.ShowPath, d.postShow)
	handle(details.ExportPath, d.postExport)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { web.NotFound.Write(w) })
	return mux
}

var (
	errUnknown = web.NewProblem(http.StatusUnauthorized, "no-session", "Not the console", "This API is for the console alone.")
	// by is how events name who acts.
	by = regexp.MustCompile(`^(operator(:[a-z0-9][a-z0-9-]{0,31})?|(key|member):[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$`)
)

// known reports whether the console asks. The comparison takes the same time for every key.
func (d *Details) known(r *http.Request) bool {
	all := r.Header.Values("Authorization")
	if len(all) != 1 {
		return false
	}
	token, ok := strings.CutPrefix(all[0], "Bearer ")
	return ok && secret.New(token).Equal(d.o.Key)
}

func (d *Details) postShow(w http.ResponseWriter, r *http.Request) error {
	var in details.ShowRequest
	if err := web.ReadJSON(w, r, &in); err != nil {
		return err
	}
	if !by.MatchString(in.By) {
		return web.BadRequest
	}
	shown, err := d.show(r.Context(), in)
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, shown)
	return nil
}

// show opens a number and an e-mail address. It is an event also where there is neither:
// somebody looked. What was read and the event are one transaction: of a person who is
// erased meanwhile nothing is shown.
func (d *Details) show(ctx context.Context, in details.ShowRequest) (s details.Shown, err error) {
	err = d.tell(ctx, in.Account, event.NumberShown{Member: in.Member, By: in.By}, func(db *queries.Queries) error {
		_, s, err = d.open(ctx, db, in.Account, in.Member)
		return err
	})
	return s, err
}

// open reads what is sealed to a person's key, and returns that key and what is in the person's row.
func (d *Details) open(ctx context.Context, db *queries.Queries, account, member uuid.UUID) (key seal.PrivateKey, s details.Shown, err error) {
	row, err := db.DetailsRead(ctx, queries.DetailsReadParams{ID: member, AccountID: account})
	if errors.Is(err, pgx.ErrNoRows) {
		return key, s, web.NotFound
	}
	if err != nil {
		return key, s, fmt.Errorf("reading a member: %w", err)
	}
	wrapped, err := queries.New(d.o.KeysPool).MemberKeyRead(ctx, queries.MemberKeyReadParams{MemberID: member, PublicKey: row.PublicKey})
	if errors.Is(err, pgx.ErrNoRows) {
		return key, s, web.NotFound // erased since the row was read
	}
	if err != nil {
		return key, s, fmt.Errorf("reading a member's key: %w", err)
	}
	if key, err = seal.UnwrapMemberKey(d.o.WrapKey, wrapped, member); err != nil {
		return key, s, fmt.Errorf("unwrapping a member's key: %w", err)
	}
	if s.Number, err = opened(key, row.PhoneDetails, member); err != nil {
		return key, s, err
	}
	s.Email, err = opened(key, row.EmailDetails, member)
	return key, s, err
}

// opened is what was sealed, "" where nothing was.
func opened(key seal.PrivateKey, sealed []byte, member uuid.UUID) (string, error) {
	if sealed == nil {
		return "", nil
	}
	plain, err := seal.OpenDetails(key, sealed, member)
	if err != nil {
		return "", fmt.Errorf("opening a member's details: %w", err)
	}
	return string(plain), nil
}

// tell keeps an event with what it tells of, do, in one transaction, and publishes it.
func (d *Details) tell(ctx context.Context, account uuid.UUID, data event.Data, do func(*queries.Queries) error) error {
	var e event.Event
	err := store.InTx(ctx, d.o.Pool, func(tx pgx.Tx) (err error) {
		db := d.q.WithTx(tx)
		if err := do(db); err != nil {
			return err
		}
		e, err = d.keep(ctx, db, account, data)
		return err
	})
	if err != nil {
		return err
	}
	d.o.Bus.Publish(e)
	return nil
}

// keep writes an event, to be published after the commit.
func (d *Details) keep(ctx context.Context, db *queries.Queries, account uuid.UUID, data event.Data) (event.Event, error) {
	e, err := event.New("auditor", account, d.o.Now(), data)
	if err != nil {
		return e, err
	}
	if err := db.OwnEventInsert(ctx, queries.OwnEventInsertParams{ID: e.ID, Type: e.Type, AccountID: e.Account, Body: e.Body}); err != nil {
		return e, fmt.Errorf("telling of %s: %w", e.Type, err)
	}
	return e, nil
}
