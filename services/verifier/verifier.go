// Package verifier judges typed codes and registers devices. It alone may close a
// challenge, count a try or insert a device; it never sees a phone number.
package verifier

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	queries "latchkey.dev/queries/verifier"
	"latchkey.dev/services/code"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/run"
	"latchkey.dev/services/internal/seal"
	"latchkey.dev/services/internal/store"
)

// Bus is what the verifier needs of the bus. It may be down at any time.
type Bus interface {
	// Publish sends an event at once and returns without waiting.
	Publish(e event.Event)
	// Notify wakes whoever waits at subject, or nobody.
	Notify(subject string, data []byte)
}

// Options configure a Verifier. All but those with a default are required.
type Options struct {
	Pool     *pgxpool.Pool // main database, as latchkey_verifier
	KeysPool *pgxpool.Pool // key database, as latchkey_verifier
	Bus      Bus

	Digits int // of a code: code.Digits if zero

	// SweepOff and StreamOff leave one of the two roads of work out, for tests that show
	// that the other is enough.
	SweepOff, StreamOff bool

	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

func (o *Options) validate() error {
	var errs []error
	if o.Pool == nil || o.KeysPool == nil {
		errs = append(errs, errors.New("both databases are required"))
	}
	if o.Bus == nil {
		errs = append(errs, errors.New("a bus is required"))
	}
	if o.Digits == 0 {
		o.Digits = code.Digits
	}
	if o.Digits < code.Digits || o.Digits > code.MaxDigits {
		errs = append(errs, errors.New("a code has 6 to 8 digits"))
	}
	if len(errs) > 0 {
		return fmt.Errorf("verifier: %w", errors.Join(errs...))
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	return nil
}

// Verifier is the verifier service.
type Verifier struct {
	o       Options
	q       *queries.Queries
	keys    *keyring
	metrics *metrics
	since   time.Time // how far the sweep has seen, by the database's clock
}

// New makes a Verifier. Nothing is opened yet.
func New(o Options) (*Verifier, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	return &Verifier{o: o, q: queries.New(o.Pool), keys: newKeyring(queries.New(o.KeysPool), queries.New(o.Pool)), metrics: newMetrics(o.Registerer)}, nil
}

// Run makes keys ahead, judges what the stream does not bring, closes what is over and
// keeps the partitions, until ctx ends.
func (v *Verifier) Run(ctx context.Context) error {
	loop := func(name string, every time.Duration, once func(context.Context) error) run.Component {
		return run.Component{Name: name, Run: run.NewLoop(run.LoopOptions{Name: "verifier " + name, Every: every, Jitter: every / 4, Timeout: 10 * time.Second, RunOnce: once, Log: v.o.Logger}).Run}
	}
	if err := v.keys.upkeep(ctx); err != nil {
		v.o.Logger.Warn("keys were not made yet", "error", err)
	}
	// At once, too: a row that comes before its partition goes to the default one, and
	// then that partition cannot be made any more.
	if err := v.partitions(ctx); err != nil {
		v.o.Logger.Warn("partitions were not looked after yet", "error", err)
	}
	parts := []run.Component{
		loop("keys", 5*time.Second, v.keys.upkeep),
		loop("expiry", time.Second, v.expire),
		loop("partitions", 20*time.Minute, v.partitions),
	}
	if !v.o.SweepOff {
		parts = append(parts, loop("sweep", time.Second, v.sweep))
	}
	return run.All(ctx, parts...)
}

func (v *Verifier) partitions(ctx context.Context) error {
	if _, err := v.q.PartitionUpkeep(ctx); err != nil {
		return fmt.Errorf("looking after partitions: %w", err)
	}
	return nil
}

// Ready reports whether codes can be judged now.
func (v *Verifier) Ready(ctx context.Context) error {
	now, err := v.q.DatabaseTime(ctx)
	if err != nil {
		return fmt.Errorf("verifier is not ready: %w", err)
	}
	if _, err := v.keys.epoch(ctx, epochOf(now)); err != nil {
		return fmt.Errorf("verifier is not ready: %w", err)
	}
	return nil
}

// Source says where work came from: a label.
type Source string

const (
	Stream Source = "stream"
	Sweep  Source = "sweep"
)

// Entry names a typed code to judge, and who waits for its verdict.
type Entry struct {
	ID    uuid.UUID
	Reply string // subject to wake, "" for none
}

// Judge answers entries in one transaction, and tells nobody before it is committed.
// What was judged before, or is not there, is passed over, so a replay does nothing.
// If the transaction fails, the entries are tried one by one, and the error is Failures.
func (v *Verifier) Judge(ctx context.Context, entries []Entry, from Source) error {
	begun := time.Now()
	events, judged, err := v.judgeAll(ctx, entries)
	if err != nil && len(entries) == 1 {
		return Failures{entries[0].ID: fmt.Errorf("judging an entry: %w", err)}
	}
	if err != nil {
		failed := Failures{}
		for _, e := range entries {
			one := Failures{}
			if errors.As(v.Judge(ctx, []Entry{e}, from), &one) {
				failed[e.ID] = one[e.ID]
			}
		}
		if len(failed) > 0 {
			return failed
		}
		return nil
	}
	v.metrics.tell(from, judged, time.Since(begun))
	// Who waits is woken also for an entry that was judged before.
	for _, e := range entries {
		if e.Reply != "" {
			v.o.Bus.Notify(e.Reply, e.ID[:])
		}
	}
	for _, e := range events {
		v.o.Bus.Publish(e)
	}
	return nil
}

// Failures says which entries of a batch were not judged, and why. The others were.
type Failures map[uuid.UUID]error

func (f Failures) Error() string {
	for _, err := range f {
		return fmt.Sprintf("%d entries were not judged, one of them: %v", len(f), err)
	}
	return "no entry failed"
}

func (f Failures) Unwrap() []error { return slices.Collect(maps.Values(f)) }

func (v *Verifier) judgeAll(ctx context.Context, asked []Entry) (events []event.Event, out []verdict, err error) {
	ids := make([][16]byte, len(asked))
	for i, e := range asked {
		ids[i] = e.ID
	}
	err = store.InTx(ctx, v.o.Pool, func(tx pgx.Tx) error {
		db := v.q.WithTx(tx)
		events, out = nil, nil
		locked, err := db.MemberLock(ctx, ids)
		if err != nil {
			return fmt.Errorf("locking members: %w", err)
		}
		mine := make([][16]byte, len(locked))
		for i, e := range locked {
			mine[i] = e.ID
		}
		rows, err := db.JudgeRead(ctx, mine)
		if err != nil || len(rows) == 0 {
			return err
		}
		entries, err := v.load(ctx, rows)
		if err != nil {
			return err
		}
		out = judge(entries, rows[0].Now, v.o.Digits)
		events, err = v.write(ctx, db, out, rows)
		return err
	})
	return events, out, err
}

// load makes entries of what was read, those of one challenge or member with the same.
func (v *Verifier) load(ctx context.Context, rows []queries.JudgeReadRow) (entries []entry, err error) {
	challenges, tallies := map[[16]byte]*challenge{}, map[[16]byte]*tally{}
	for _, r := range rows {
		c, t := challenges[r.ChallengeID], tallies[r.MemberID]
		if c == nil {
			c = &challenge{id: r.ChallengeID, account: r.AccountID, member: r.MemberID, proves: r.Purpose == proveNumber, expiresAt: r.ExpiresAt, closed: r.ClosedAt != nil, void: r.Void, tries: int(r.Tries)}
			challenges[r.ChallengeID] = c
		}
		if t == nil {
			t = &tally{hourStart: r.HourStartedAt, hour: int(r.HourCount), dayStart: r.DayStartedAt, day: int(r.DayCount), consecutive: int(r.Consecutive)}
			tallies[r.MemberID] = t
		}
		key, err := v.keys.epoch(ctx, r.Epoch)
		if errors.Is(err, errNoKey) && r.Now.After(r.ExpiresAt) {
			c.lost = true
		} else if err != nil {
			return nil, err
		}
		if err := v.keys.judgeKey(ctx, r.JudgeKey); err != nil {
			return nil, err
		}
		bind := seal.EntryBinding{Challenge: r.ChallengeID, Member: r.MemberID, Entry: r.ID, Thumbprint: r.DeviceThumbprint}
		entries = append(entries, entry{id: r.ID, challenge: c, tally: t, enteredAt: r.EnteredAt, registrationCodes: ids(r.RegistrationCodeIds), digests: r.RegistrationCodeDigests,
			read: func() (string, bool) {
				typed, err := v.keys.opener.Open(r.JudgeKey, r.Encapsulated, r.Sealed, bind)
				return typed, err == nil
			},
			candidates: func() (all [code.Texts]code.Code) {
				for i := range all {
					all[i] = code.Derive(key, r.ChallengeID, i+1, r.Seed, v.o.Digits)
				}
				return all
			}})
	}
	return entries, nil
}

func ids(raw [][16]byte) []uuid.UUID {
	out := make([]uuid.UUID, len(raw))
	for i, id := range raw {
		out[i] = id
	}
	return out
}
