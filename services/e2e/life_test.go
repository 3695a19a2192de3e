// Package e2e holds the tests of the whole system: every service with its own role and
// rights, over real Postgres and real JetStream, driven from outside.
package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/mac"
	"github.com/tink-crypto/tink-go/v2/tink"

	"latchkey.dev/services/auditor"
	"latchkey.dev/services/code"
	"latchkey.dev/services/console"
	"latchkey.dev/services/dispatcher"
	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/bustest"
	"latchkey.dev/services/internal/details"
	"latchkey.dev/services/internal/dpop"
	"latchkey.dev/services/internal/seal"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/storetest"
	"latchkey.dev/services/login"
	"latchkey.dev/services/mail/mailbox"
	"latchkey.dev/services/sms"
	"latchkey.dev/services/up"
)

// phones stands for a carrier and everybody's phone: what it takes, arrives.
type phones struct {
	mu    sync.Mutex
	texts map[string][]string // with codes, by number
	told  map[string][]string // the others, by number
	came  chan struct{}       // closed and made anew at every text
	down  bool
}

func newPhones() *phones {
	return &phones{texts: map[string][]string{}, told: map[string][]string{}, came: make(chan struct{})}
}

func (p *phones) Send(_ context.Context, m sms.Message) sms.Outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		return sms.Outcome{Ending: sms.RefusedElsewhere, Reason: sms.ReasonUnreachable}
	}
	kind := p.texts
	if first := m.Body.Reveal()[0]; first < '0' || first > '9' {
		kind = p.told
	}
	kind[m.To.E164()] = append(kind[m.To.E164()], m.Body.Reveal())
	close(p.came)
	p.came = make(chan struct{})
	return sms.Outcome{Ending: sms.Accepted, Reason: sms.ReasonOK, Reference: uuid.NewString()}
}

// code waits for the n-th text with a code of a number and returns its code.
func (p *phones) code(t *testing.T, number string, n int) string {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		p.mu.Lock()
		texts, came := p.texts[number], p.came
		p.mu.Unlock()
		if len(texts) >= n {
			return texts[n-1][:code.Digits]
		}
		select {
		case <-came:
		case <-limit:
			t.Fatalf("text %d did not arrive within 20 s", n)
		}
	}
}

// to returns the texts with codes that came to a number.
func (p *phones) to(number string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.texts[number]
}

// notices returns the texts without codes that came to a number.
func (p *phones) notices(number string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.told[number]
}

// fail has the carrier refuse all texts, or take them again.
func (p *phones) fail(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

func (p *phones) count() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, texts := range p.texts {
		n += len(texts)
	}
	return n
}

// world is a whole Latchkey and what is around it.
type world struct {
	t             *testing.T
	url, console  string // origins
	db            *storetest.DB
	bus           *bustest.Bus
	owner         *pgxpool.Pool
	first, second *phones
	mail          *mailbox.Server // nil without one
	apiKey        string
	poisoned      bool // dead letters are expected
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newMAC(t *testing.T) tink.MAC {
	t.Helper()
	return must(mac.New(must(keyset.NewHandle(mac.HMACSHA256Tag128KeyTemplate()))(t)))(t)
}

func newWorld(t *testing.T, change func(*up.Options)) *world {
	t.Helper()
	db, nats := storetest.New(t), bustest.Start(t)
	w := &world{t: t, db: db, bus: nats, owner: db.Owner(t), first: newPhones(), second: newPhones(), apiKey: rand.Text()}
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	w.url = "http://" + l.Addr().String()
	pages := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	w.console = "http://" + pages.Addr().String()
	account, digest := uuid.New(), sha256.Sum256([]byte(w.apiKey))
	w.exec("INSERT INTO account (id, kind, name, country) VALUES ($1, 'standalone_mobile', 'Clinic', 'CA')", account)
	w.exec("INSERT INTO api_key (id, account_id, name, key_digest) VALUES ($1, $2, 'e2e', $3)", uuid.New(), account, digest[:])
	w.exec("INSERT INTO software (id, kind, name, autofill_host) VALUES ('web', 'web', 'Maple', 'login.maple.example')")
	numbers := must(seal.GenerateKey())(t)
	wrap, opener := must(seal.GenerateKey())(t), must(net.Listen("tcp", "127.0.0.1:0"))(t)
	people := seal.People{IndexMAC: newMAC(t), Dispatcher: numbers.Public(), Auditor: wrap.Public()}
	toAuditor := secret.New(rand.Text())
	o := up.Options{MainURL: func(s string) secret.String { return db.URL("latchkey_" + s) }, KeysURL: func(s string) secret.String { return db.KeysURL("latchkey_" + s) }, BusURL: nats.URL(), Seed: nats.Seed, Public: l, Pages: pages, Details: opener,
		Login:      login.Options{Origin: w.url, NonceMAC: newMAC(t), Console: w.console, People: people},
		Dispatcher: dispatcher.Options{NumberKey: numbers, Origin: w.url, NoticeKey: secret.New(rand.Text()), Providers: []sms.Provider{{Name: "first", Sender: w.first}, {Name: "second", Sender: w.second}}},
		Auditor:    auditor.Options{WrapKey: wrap, DetailsKey: toAuditor, Settle: time.Second},
		Console:    console.Options{People: people, Details: must(details.NewClient("http://"+opener.Addr().String(), toAuditor))(t), Served: &console.Served{Origin: w.console, Login: w.url, FormMAC: newMAC(t)}},
		Logger:     slog.New(slog.DiscardHandler)}
	change(&o)
	k := must(up.New(t.Context(), o))(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	w.until("Latchkey is ready", func() bool { return k.Ready(t.Context()) == nil })
	return w
}

func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			w.t.Fatalf("not within 30 s: %s", what)
		}
	}
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.owner.Exec(w.t.Context(), sql, args...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) count(sql string, args ...any) (n int) {
	w.t.Helper()
	if err := w.owner.QueryRow(w.t.Context(), sql, args...).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// person is somebody with a browser and a phone.
type person struct {
	w      *world
	id     uuid.UUID
	number string
	key    *dpop.Key
}

func (w *world) person(n int) person {
	w.t.Helper()
	p := person{w: w, id: uuid.New(), number: fmt.Sprintf("+1604555%04d", 100+n), key: must(dpop.NewKey())(w.t)}
	status, out := w.call("PUT", "/v1/members/"+p.id.String(), map[string]any{"role": "provider", "phone": p.number}, "Authorization", "Bearer "+w.apiKey)
	if status != http.StatusCreated {
		w.t.Fatalf("making a member: %d %v", status, out)
	}
	return p
}

func (w *world) call(method, path string, body any, headers ...string) (int, map[string]any) {
	w.t.Helper()
	r := must(http.NewRequestWithContext(w.t.Context(), method, w.url+path, bytes.NewReader(must(json.Marshal(body))(w.t))))(w.t)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp := must(http.DefaultClient.Do(r))(w.t)
	defer resp.Body.Close()
	out := map[string]any{}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		w.t.Fatalf("%s %s: %d without JSON: %v", method, path, resp.StatusCode, err)
	}
	return resp.StatusCode, out
}

func (p person) proof(method, path string, challenge uuid.UUID) string {
	p.w.t.Helper()
	resp := must(http.Get(p.w.url + "/v1/nonce"))(p.w.t)
	resp.Body.Close()
	return must(p.key.Prove(method, p.w.url+path, resp.Header.Get("DPoP-Nonce"), challenge, time.Now()))(p.w.t)
}

// check asks whether the person's device is registered.
func (p person) check() (int, map[string]any) {
	p.w.t.Helper()
	return p.w.call("POST", "/v1/device-checks", map[string]any{"member": p.id, "software": "web", "proof": p.proof("POST", "/v1/device-checks", uuid.Nil),
		"address": "192.0.2.1", "headers": map[string]string{"user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}},
		"Authorization", "Bearer "+p.w.apiKey)
}

func (p person) begin() uuid.UUID {
	p.w.t.Helper()
	status, out := p.check()
	if status != http.StatusAccepted {
		p.w.t.Fatalf("a first check: %d %v, want a challenge", status, out)
	}
	return uuid.MustParse(out["challenge"].(map[string]any)["id"].(string))
}

func (p person) enter(challenge uuid.UUID, typed string) (int, map[string]any) {
	p.w.t.Helper()
	path := "/v1/challenges/" + challenge.String() + "/entries"
	return p.w.call("POST", path, map[string]any{"code": typed}, "DPoP", p.proof("POST", path, challenge))
}

// live is a whole life: a code is asked for, arrives by carrier and is typed in, and the
// next check asks for nothing.
func (p person) live(carrier *phones) {
	p.w.t.Helper()
	challenge := p.begin()
	status, out := p.enter(challenge, carrier.code(p.w.t, p.number, 1))
	p.registered(challenge, status, out)
	if status, out := p.check(); status != http.StatusOK || out["status"] != "registered" {
		p.w.t.Fatalf("the next check: %d %v, want no code", status, out)
	}
}

// see reads the challenge as its device may.
func (p person) see(challenge uuid.UUID) (int, map[string]any) {
	p.w.t.Helper()
	path := "/v1/challenges/" + challenge.String()
	return p.w.call("GET", path, nil, "DPoP", p.proof("GET", path, challenge))
}

// registered checks the answer to a right code, following the challenge where the verdict
// took longer than the request.
func (p person) registered(challenge uuid.UUID, status int, out map[string]any) {
	p.w.t.Helper()
	if status == http.StatusAccepted && out["result"] == "pending" {
		p.w.until("the device is registered", func() bool { _, out := p.see(challenge); return out["status"] == "registered" })
		return
	}
	if status != http.StatusOK || out["result"] != "registered" {
		p.w.t.Fatalf("the right code: %d %v", status, out)
	}
}

// lives lets n people register at the same time.
func (w *world) lives(n int, carrier *phones) {
	w.t.Helper()
	people := make([]person, n)
	for i := range people {
		people[i] = w.person(i)
	}
	w.t.Run("lives", func(t *testing.T) {
		for _, p := range people {
			t.Run(p.number[len(p.number)-4:], func(t *testing.T) {
				t.Parallel()
				own := *w
				own.t = t
				p.w = &own
				p.live(carrier)
			})
		}
	})
	if got := w.count("SELECT count(*) FROM device"); got != n {
		w.t.Errorf("%d devices for %d people", got, n)
	}
	if got := w.first.count() + w.second.count(); got != n {
		w.t.Errorf("%d texts for %d people", got, n)
	}
	if got := w.count("SELECT count(*) FROM dead_letter"); got != 0 && !w.poisoned {
		w.t.Errorf("%d dead letters", got)
	}
}

// audited waits until every event has its place, and checks that nothing alarmed.
func (w *world) audited() {
	w.t.Helper()
	w.until("every event has a place", func() bool {
		return w.count("SELECT count(*) FROM event") == w.count("SELECT count(*) FROM leaf JOIN event ON event.id = leaf.event_id")
	})
	if places, last := w.count("SELECT count(*) FROM leaf"), w.count("SELECT max(index) FROM leaf"); last != places-1 {
		w.t.Errorf("%d places and the last is %d: there are gaps", places, last)
	}
	if n := w.count("SELECT count(*) FROM audit_alarm"); n != 0 {
		w.t.Errorf("%d alarms", n)
	}
}

// With the sweeps off, every life completes over JetStream alone.
func TestLivesOverTheStreamAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *up.Options) { o.Dispatcher.SweepOff, o.Verifier.SweepOff = true, true })
	w.lives(30, w.first)
	w.audited()
}

// With the bus down, sign-ins answer, texts go out and codes register by the sweeps. When
// it returns, every event that was written is published, and nothing happens twice.
func TestLivesWithTheBusDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(*up.Options) {})
	w.bus.Stop()
	w.lives(10, w.first)
	w.bus.Restart()
	stream := must(w.bus.Admin(t).Stream(t.Context(), bus.Stream))(t)
	w.until("every event is on the stream", func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Msgs >= uint64(w.count("SELECT count(*) FROM event"))
	})
	if devices, texts := w.count("SELECT count(*) FROM device"), w.first.count(); devices != 10 || texts != 10 {
		t.Errorf("%d devices and %d texts after the backlog came, want 10 of each", devices, texts)
	}
	w.audited()
}

// The whole JetStream store is wiped while people sign in: nobody notices, nothing is
// sent or registered twice.
func TestLivesWhileTheStoreIsWiped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(*up.Options) {})
	p := w.person(900)
	challenge := p.begin()
	digits := w.first.code(t, p.number, 1)
	w.bus.Stop()
	w.bus.Wipe()
	w.bus.Restart()
	w.bus.Provision()
	status, out := p.enter(challenge, digits)
	p.registered(challenge, status, out)
	if status, out := p.check(); status != http.StatusOK {
		t.Errorf("the next check: %d %v, want no code", status, out)
	}
	if n := w.first.count(); n != 1 {
		t.Errorf("%d texts, want 1", n)
	}
}

// The first carrier is down: the second brings the same text.
func TestLivesWithTheFirstCarrierDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(*up.Options) {})
	w.first.fail(true)
	w.lives(5, w.second)
}

// Five wrong codes end a challenge, and the right one comes too late.
func TestFiveWrongCodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(*up.Options) {})
	p := w.person(1)
	challenge := p.begin()
	right := w.first.code(t, p.number, 1)
	for left := 4; left >= 0; left-- {
		wrong := fmt.Sprintf("%06d", left)
		if wrong == right {
			wrong = "999999"
		}
		status, out := p.enter(challenge, wrong)
		if status == http.StatusAccepted { // a slow verdict: it shows on the challenge
			w.until("the try is counted", func() bool { _, out := p.see(challenge); return out["tries_left"] == float64(left) })
		} else if status != http.StatusUnprocessableEntity || out["tries_left"] != float64(left) {
			t.Errorf("a wrong code: %d %v, want %d tries left", status, out, left)
		}
	}
	if status, out := p.enter(challenge, right); out["result"] == "registered" {
		t.Errorf("the right code after five wrong ones: %d %v", status, out)
	}
	if _, out := p.see(challenge); out["status"] != "tries" {
		t.Errorf("the challenge is %v, want it ended by its tries", out)
	}
	if n := w.count("SELECT count(*) FROM device"); n != 0 {
		t.Errorf("%d devices", n)
	}
}
