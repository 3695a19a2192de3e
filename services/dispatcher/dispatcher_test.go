package dispatcher_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"latchkey.dev/services/code"
	"latchkey.dev/services/dispatcher"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/seal"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/storetest"
	"latchkey.dev/services/notice"
	"latchkey.dev/services/phone"
	"latchkey.dev/services/sms"
)

type bus struct {
	mu     sync.Mutex
	events []event.Event
}

func (b *bus) Publish(e event.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, e)
}

// carrier answers as it is told, one outcome a text, the last one ever after. What a
// real provider's protocol does is tested with its adapter; here the decisions are.
type carrier struct {
	mu    sync.Mutex
	plan  []sms.Ending
	texts []string
	where []string      // the countries of the texts
	hold  chan struct{} // when set, the answer waits until it is closed
}

func (c *carrier) Send(ctx context.Context, m sms.Message) sms.Outcome {
	c.mu.Lock()
	ending := sms.Accepted
	if len(c.plan) > 0 {
		ending = c.plan[0]
		if len(c.plan) > 1 {
			c.plan = c.plan[1:]
		}
	}
	c.texts, c.where = append(c.texts, m.Body.Reveal()), append(c.where, m.Country)
	hold := c.hold
	c.mu.Unlock()
	if hold != nil {
		// As an adapter: a request that is cut has an unknown end, also where both are ready.
		select {
		case <-hold:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return sms.Outcome{Ending: sms.Ambiguous, Reason: sms.ReasonTimeout}
		}
	}
	return sms.Outcome{Ending: ending, Reason: sms.ReasonProviderError, Reference: "ref"}
}

// digits are the codes of the texts that were handed over.
func (c *carrier) digits() (out []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.texts {
		out = append(out, t[:code.Digits])
	}
	return out
}

type desk struct {
	t      *testing.T
	db     *storetest.DB
	owner  *pgxpool.Pool
	bus    *bus
	a, b   *carrier
	office *office
	key    seal.PrivateKey
	log    *bytes.Buffer
	logger *slog.Logger // one for all: its handler's lock is the buffer's
	meter  *prometheus.Registry
	d      *dispatcher.Dispatcher
	member uuid.UUID
	epoch  []byte
}

func newDesk(t *testing.T, a, b []sms.Ending) *desk {
	t.Helper()
	db := storetest.New(t)
	key, err := seal.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	k := &desk{t: t, db: db, owner: db.Owner(t), bus: &bus{}, a: &carrier{plan: a}, b: &carrier{plan: b}, office: &office{}, key: key, log: &bytes.Buffer{},
		member: uuid.New(), epoch: bytes.Repeat([]byte{3}, code.KeySize)}
	if _, err := db.KeysOwner(t).Exec(t.Context(), "INSERT INTO code_epoch SELECT floor(extract(epoch FROM now()) / 3600) + n, $1 FROM generate_series(0, 1) n", k.epoch); err != nil {
		t.Fatal(err)
	}
	k.logger, k.meter = slog.New(slog.NewJSONHandler(k.log, nil)), prometheus.NewRegistry()
	k.exec("INSERT INTO software (id, kind, name, autofill_host) VALUES ('web', 'web', 'Maple', 'login.maple.example')")
	k.d = k.dispatcher(k.meter)
	return k
}

// another is a dispatcher beside the first.
func (k *desk) another() *dispatcher.Dispatcher { return k.dispatcher(prometheus.NewRegistry()) }

func (k *desk) dispatcher(meter prometheus.Registerer) *dispatcher.Dispatcher {
	k.t.Helper()
	d, err := dispatcher.New(k.options(meter))
	if err != nil {
		k.t.Fatal(err)
	}
	return d
}

func (k *desk) options(meter prometheus.Registerer) dispatcher.Options {
	k.t.Helper()
	return dispatcher.Options{Pool: k.db.Pool(k.t, "dispatcher"), KeysPool: k.db.KeysPool(k.t, "dispatcher"), NumberKey: k.key, Bus: k.bus, Origin: "https://login.maple.example", NoticeKey: secret.New("key of links"), Mail: k.office,
		Providers: []sms.Provider{{Name: "a", Sender: k.a, Receipts: reports{}}, {Name: "b", Sender: k.b, Receipts: reports{}}},
		Logger:    k.logger, Registerer: meter}
}

func (k *desk) exec(sql string, args ...any) {
	k.t.Helper()
	if _, err := k.owner.Exec(k.t.Context(), sql, args...); err != nil {
		k.t.Fatal(err)
	}
}

func (k *desk) count(sql string, args ...any) (n int) {
	k.t.Helper()
	if err := k.owner.QueryRow(k.t.Context(), sql, args...).Scan(&n); err != nil {
		k.t.Fatal(err)
	}
	return n
}

// challenge writes one as login does, with its first text asked for.
func (k *desk) challenge() dispatcher.Request {
	k.t.Helper()
	n, err := phone.Parse("+16044410142", "")
	if err != nil {
		k.t.Fatal(err)
	}
	sealed, err := seal.SealNumber(k.key.Public(), n, k.member, 1)
	if err != nil {
		k.t.Fatal(err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		k.t.Fatal(err)
	}
	k.exec(`INSERT INTO challenge (id, account_id, member_id, software_id, purpose, origin, device_kind, device_thumbprint, device_facets, seed, epoch,
		phone_sealed, phone_version, phone_country, phone_last_two, expires_at)
		VALUES ($1, $2, $3, 'web', 'register', 'sign_in', 'key', $4, '{}', $4, floor(extract(epoch FROM now()) / 3600), $5, 1, 'CA', '42', now() + interval '5 minutes')`,
		id, uuid.New(), k.member, bytes.Repeat([]byte{1}, 32), sealed)
	k.exec("INSERT INTO text_request (challenge_id, request_no) VALUES ($1, 1)", id)
	return dispatcher.Request{Challenge: id, No: 1}
}

func (k *desk) code(r dispatcher.Request, n int) string {
	return code.Derive(k.epoch, r.Challenge, n, bytes.Repeat([]byte{1}, 32), code.Digits).Reveal()
}

func (k *desk) deliver(r dispatcher.Request) time.Duration {
	k.t.Helper()
	later, err := k.d.Deliver(k.t.Context(), r, dispatcher.Stream)
	if err != nil {
		k.t.Fatal(err)
	}
	return later
}

func (k *desk) events() (types []string) {
	k.t.Helper()
	rows, err := k.owner.Query(k.t.Context(), "SELECT type FROM dispatcher_event ORDER BY id")
	if err != nil {
		k.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var typ string
		if err := rows.Scan(&typ); err != nil {
			k.t.Fatal(err)
		}
		types = append(types, strings.TrimPrefix(typ, "latchkey.sms."))
	}
	return types
}

func TestFailover(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		a, b   []sms.Ending
		texts  [2][]int // which text each carrier got
		events string
	}{
		{"the first takes it", nil, nil, [2][]int{{1}, nil}, "attempted accepted"},
		{"surely not sent: the same digits elsewhere", []sms.Ending{sms.RefusedElsewhere}, nil, [2][]int{{1}, {1}}, "attempted refused attempted accepted"},
		{"perhaps sent: other digits elsewhere", []sms.Ending{sms.Ambiguous}, nil, [2][]int{{1}, {2}}, "attempted unanswered attempted accepted"},
		{"can never receive: not tried elsewhere", []sms.Ending{sms.RefusedNever}, nil, [2][]int{{1}, nil}, "attempted refused abandoned"},
		{"both fail: it backs off", []sms.Ending{sms.RefusedElsewhere}, []sms.Ending{sms.RefusedElsewhere}, [2][]int{{1}, {1}}, "attempted refused attempted refused"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			k := newDesk(t, tc.a, tc.b)
			r := k.challenge()
			k.deliver(r)
			for i, c := range []*carrier{k.a, k.b} {
				var want []string
				for _, n := range tc.texts[i] {
					want = append(want, k.code(r, n))
				}
				if !slices.Equal(c.digits(), want) {
					t.Errorf("carrier %d got %v, want %v", i+1, c.digits(), want)
				}
			}
			if got := strings.Join(k.events(), " "); got != tc.events {
				t.Errorf("events %q, want %q", got, tc.events)
			}
			if len(k.bus.events) != len(k.events()) {
				t.Errorf("%d events published, %d written", len(k.bus.events), len(k.events()))
			}
			// C9 and rule 15: no code and no number anywhere but in the text.
			all := k.log.String()
			for _, e := range k.bus.events {
				all += string(e.Body)
			}
			for _, secret := range []string{k.code(r, 1), k.code(r, 2), "4410142"} {
				if strings.Contains(all, `"`+secret) || strings.Contains(all, secret+`"`) {
					t.Errorf("%s can be read in events or logs", secret)
				}
			}
			// A replay of the event does nothing.
			before := len(k.events())
			k.deliver(r)
			if len(k.events()) != before {
				t.Errorf("a replay wrote %v", k.events()[before:])
			}
		})
	}
}

func TestTheTextIsFitForThePhone(t *testing.T) {
	t.Parallel()
	k := newDesk(t, nil, nil)
	r := k.challenge()
	k.deliver(r)
	if text := k.a.texts[0]; !strings.HasPrefix(text, k.code(r, 1)+" is your Maple code") || !strings.HasSuffix(text, "\n@login.maple.example #"+k.code(r, 1)) {
		t.Errorf("the text is %q", text)
	}
}

// Two dispatchers and a sweep get the same request at once: one text is sent.
func TestOneTextWhoeverTakesIt(t *testing.T) {
	t.Parallel()
	k := newDesk(t, nil, nil)
	second := k.another()
	r := k.challenge()
	var wg sync.WaitGroup
	for range 20 {
		for _, d := range []*dispatcher.Dispatcher{k.d, second} {
			wg.Go(func() {
				if _, err := d.Deliver(t.Context(), r, dispatcher.Stream); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	if n := len(k.a.digits()) + len(k.b.digits()); n != 1 {
		t.Errorf("%d texts, want 1", n)
	}
}

// F1: a dispatcher that dies between the carrier's accepting and the record leaves an
// attempt in flight; another repeats the text, with the same digits by the same carrier.
func TestACrashRepeatsTheSameDigits(t *testing.T) {
	t.Parallel()
	k := newDesk(t, nil, nil)
	r := k.challenge()
	k.a.hold = make(chan struct{})
	dead := make(chan struct{})
	go func() {
		defer close(dead)
		k.d.Deliver(context.Background(), r, dispatcher.Stream) // its record comes far too late
	}()
	for len(k.a.digits()) == 0 {
		select {
		case <-t.Context().Done():
			t.Fatal("no text was sent")
		case <-time.After(5 * time.Millisecond):
		}
	}
	if later := k.deliver(r); later <= 0 {
		t.Error("the attempt in flight was taken for lost at once")
	}
	k.exec("UPDATE attempt SET due_at = now() - interval '1 second'") // its lease is over
	hold := k.a.hold
	k.a.mu.Lock()
	k.a.hold = nil
	k.a.mu.Unlock()
	k.deliver(r)
	close(hold)
	<-dead
	if got, want := k.a.digits(), []string{k.code(r, 1), k.code(r, 1)}; !slices.Equal(got, want) || len(k.b.digits()) != 0 {
		t.Errorf("the carriers got %v and %v, want the same digits twice from the first", got, k.b.digits())
	}
	var rescued event.Event
	for _, e := range k.bus.events {
		if strings.Contains(string(e.Body), `"rescued":true`) {
			rescued = e
		}
	}
	if rescued.Type != "latchkey.sms.attempted" {
		t.Error("no event tells of the rescue")
	}
	if later := k.deliver(r); later != 0 || len(k.a.digits()) != 2 {
		t.Error("a third text was sent")
	}
}

// Rule 16 and F17: what would come too late is not sent, and said so once.
func TestNothingStaleIsSent(t *testing.T) {
	t.Parallel()
	k := newDesk(t, nil, nil)
	r := k.challenge()
	k.exec("UPDATE challenge SET expires_at = now() + interval '59 seconds'")
	k.deliver(r)
	k.deliver(r)
	if len(k.a.digits()) != 0 || strings.Join(k.events(), " ") != "abandoned" {
		t.Errorf("texts %v, events %v", k.a.digits(), k.events())
	}
}

// With the bus away, the sweep sends.
func TestTheSweepSendsWhatTheStreamDidNotBring(t *testing.T) {
	t.Parallel()
	k := newDesk(t, []sms.Ending{sms.RefusedElsewhere}, []sms.Ending{sms.RefusedElsewhere, sms.Accepted})
	r := k.challenge()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- k.another().Run(ctx) }()
	limit := time.After(20 * time.Second)
	for k.count("SELECT count(*) FROM attempt WHERE ending = 'accepted'") == 0 {
		select {
		case <-limit:
			t.Fatalf("not accepted within 20 s; events %v", k.events())
		case <-time.After(20 * time.Millisecond):
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := k.b.digits(); !slices.Equal(got, []string{k.code(r, 1), k.code(r, 1)}) {
		t.Errorf("the second carrier got %v", got)
	}
}

// The pages can follow what happens: login may read how attempts end, and no reference.
func TestAttemptsCanBeFollowed(t *testing.T) {
	t.Parallel()
	k := newDesk(t, []sms.Ending{sms.Ambiguous}, nil)
	k.deliver(k.challenge())
	var raw []byte
	if err := k.db.Pool(t, "login").QueryRow(t.Context(), "SELECT jsonb_agg(ending ORDER BY attempt_no) FROM attempt").Scan(&raw); err != nil {
		t.Fatal(err)
	}
	var endings []string
	if err := json.Unmarshal(raw, &endings); err != nil || !slices.Equal(endings, []string{"ambiguous", "accepted"}) {
		t.Errorf("login sees %v, %v", endings, err)
	}
	if _, err := k.db.Pool(t, "login").Exec(t.Context(), "SELECT vendor_reference FROM attempt"); err == nil {
		t.Error("login may read a vendor's reference")
	}
}

func TestOptionsSayAllThatIsWrong(t *testing.T) {
	t.Parallel()
	_, err := dispatcher.New(dispatcher.Options{Digits: 5, Providers: []sms.Provider{{Name: "a", Sender: &carrier{}}, {Name: "a", Sender: &carrier{}}}})
	for _, want := range []string{"both databases", "a bus", "the key that opens numbers", "a name of its own", "6 to 8 digits"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

// A provider is told the country of every text's number, whichever way the text goes.
func TestProvidersAreToldTheCountry(t *testing.T) {
	t.Parallel()
	k := newDesk(t, nil, nil)
	k.somebody("")
	r := k.challenge()
	asked := &event.CodeRequested{Challenge: r.Challenge, Country: "CA"}
	var account uuid.UUID
	if err := k.owner.QueryRow(t.Context(), "SELECT account_id FROM challenge WHERE id = $1", r.Challenge).Scan(&account); err != nil {
		t.Fatal(err)
	}
	if _, err := k.d.Begin(t.Context(), event.Event{Account: account, Data: asked}, asked, dispatcher.Stream); err != nil {
		t.Fatal(err)
	}
	k.deliver(k.challenge())
	k.tell(k.notice(notice.Text))
	if want := []string{"CA", "CA", "CA"}; !slices.Equal(k.a.where, want) {
		t.Errorf("the countries of a first text, of another and of a notice are %q, want %q", k.a.where, want)
	}
}
