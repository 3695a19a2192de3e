package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"latchkey.dev/services/internal/install"
	"latchkey.dev/services/internal/natsd"
	"latchkey.dev/services/internal/pgd"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/store"
	"latchkey.dev/services/sms/carriers"
)

// digits of the codes: enough to tell one from any other eight digits that lie about.
const digits = 8

// Parts of a house, each a process of its own. Up is PostgreSQL, the console and a login
// that nobody asks; the others are what is killed.
const (
	busPart        = "bus"
	carriersPart   = "carriers"
	upPart         = "up"
	loginPart      = "login"
	dispatcherPart = "dispatcher"
	verifierPart   = "verifier"
	auditorPart    = "auditor"
)

// services are the parts that may be killed without a word to anybody.
var services = []string{loginPart, dispatcherPart, verifierPart, auditorPart}

// house is an installation of separate processes.
type house struct {
	t                  testing.TB
	dir, data, logs    string
	binary             string
	address            map[string]string // of each part's main door
	metrics            map[string]string
	vonageAt, twilioAt string
	parts              map[string]*process
	apiKey             string
	looked             map[string]int64 // how much of each log
	dice               *rand.Rand
	together           bool
	db                 *pgxpool.Pool // of the main database, as superuser
	folks              []*life
	numbers            map[string]bool // given out: two people with one would read each other's texts
	since              uint64          // how much of the journal earlier faults filled
	wiped              bool            // the bus lost its store: not every event is on the stream any more
}

// newHouse starts an installation and waits until it is ready: a process for each part, or,
// together, all but the carriers in one.
func newHouse(t testing.TB, dice *rand.Rand, together bool) *house {
	t.Helper()
	dir, err := os.MkdirTemp("", "latchkey-faults-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() && os.Getenv("LATCHKEY_KEEP") != "" {
			t.Logf("kept: %s", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	h := &house{t: t, dir: dir, data: filepath.Join(dir, "data"), logs: filepath.Join(dir, "logs"), binary: filepath.Join(dir, "latchkey"),
		address: map[string]string{}, metrics: map[string]string{}, parts: map[string]*process{}, looked: map[string]int64{}, numbers: map[string]bool{}, dice: dice, together: together}
	// PostgreSQL's own user, where we are root, passes through to its folder.
	if err := errors.Join(os.Chmod(dir, 0o711), os.Mkdir(h.data, 0o711), os.Mkdir(h.logs, 0o700), build(h.binary)); err != nil {
		t.Fatal(err)
	}
	free := func() string {
		a, err := freeAddress()
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for _, p := range []string{busPart, carriersPart, upPart, loginPart, dispatcherPart} {
		h.address[p] = free()
	}
	for _, p := range append([]string{upPart}, services...) {
		h.metrics[p] = free()
	}
	h.vonageAt, h.twilioAt = free(), free()
	if together {
		h.address[loginPart], h.address[dispatcherPart] = h.address[upPart], h.address[upPart]
	}
	h.configure()
	h.readable()
	t.Cleanup(h.close)
	if together {
		h.start(carriersPart)
		h.start(upPart)
		h.ready(upPart)
		h.connect()
		return h
	}
	for _, p := range []string{busPart, carriersPart, upPart} {
		h.start(p)
	}
	// It is ready when the others are: nobody can sign in without them.
	h.answers(upPart, "/healthz")
	for _, p := range services {
		h.start(p)
	}
	h.ready(append(services, upPart)...)
	h.connect()
	return h
}

// configure names the simulated carriers as any provider is named.
func (h *house) configure() {
	h.t.Helper()
	file := func(name, content string) string {
		path := filepath.Join(h.data, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			h.t.Fatal(err)
		}
		return path
	}
	file("latchkey.yaml", fmt.Sprintf(`
receipts: http://%s/receipts
limits: {member: {ten_minutes: -1, day: -1}, number: {ten_minutes: -1, day: -1}, address: {ten_minutes: -1, day: -1}, network: {ten_minutes: -1, day: -1}, account: {ten_minutes: -1, day: -1}, prefix: -1}
softwares:
  - {id: web, kind: web, name: Maple, autofill_host: login.maple.example}
providers:
  - {name: vonage, kind: vonage, rate: 10000, from: Latchkey, base_url: "http://%s", api_key: %s, api_secret_file: %s}
  - {name: twilio, kind: twilio, from: "+15005550006", base_url: "http://%s", account_sid: %s, auth_token_file: %s}
`, h.address[dispatcherPart], h.vonageAt, carriers.DemoVonageKey, file("vonage.secret", carriers.DemoVonageSecret),
		h.twilioAt, carriers.DemoTwilioSID, file("twilio.token", carriers.DemoTwilioToken)))
}

// start starts a part that does not run.
func (h *house) start(part string) {
	h.t.Helper()
	args := map[string][]string{
		busPart:        {"--listen", h.address[busPart]},
		carriersPart:   {"--listen", h.address[carriersPart], "--vonage-listen", h.vonageAt, "--twilio-listen", h.twilioAt},
		upPart:         {"--without", "bus,dispatcher,verifier,auditor", "--listen", h.address[upPart], "--console-listen", "127.0.0.1:0", "--phones-listen", "127.0.0.1:0", "--auditor-listen", "127.0.0.1:0"},
		auditorPart:    {"--listen", "127.0.0.1:0"},
		loginPart:      {"--listen", h.address[loginPart], "--origin", "http://" + h.address[loginPart]},
		dispatcherPart: {"--listen", h.address[dispatcherPart]},
	}[part]
	if h.together && part == upPart {
		args = args[2:]
	}
	if at, ok := h.metrics[part]; ok {
		args = append(args, "--metrics-listen", at)
		if part != auditorPart {
			args = append(args, "--digits", fmt.Sprint(digits))
		}
	}
	args = append(args, "--data", h.data, "--log-level", "debug")
	h.parts[part] = start(h.t, h.binary, h.logs, part, nil, args...)
}

// kill ends a part as a crash would.
func (h *house) kill(part string) { h.parts[part].kill() }

// restart kills a part and starts it again at once.
func (h *house) restart(part string) {
	h.t.Helper()
	h.kill(part)
	h.start(part)
}

// ready waits until parts can do their work.
func (h *house) ready(parts ...string) {
	h.t.Helper()
	for _, part := range parts {
		h.answers(part, "/readyz")
	}
}

// answers waits until a part's address of metrics and health says that all is well.
func (h *house) answers(part, path string) {
	h.t.Helper()
	h.until(part+" answers "+path, 60*time.Second, func() bool {
		if !h.parts[part].runs() {
			h.t.Fatalf("%s ended: %s", part, h.parts[part].tail())
		}
		resp, err := http.Get("http://" + h.metrics[part] + path)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// connect opens the main database as its superuser, once the demonstration account is there.
func (h *house) connect() {
	h.t.Helper()
	h.until("the demonstration account is there", 30*time.Second, func() bool {
		_, err := os.Stat(filepath.Join(h.data, "seeded"))
		return err == nil
	})
	keys := install.Folder(filepath.Join(h.data, "keys"))
	url, err := keys.MainURL("login")
	if err == nil {
		url, err = store.URLFor(url, "latchkey", pgd.Superuser, secret.String{})
	}
	if err != nil {
		h.t.Fatal(err)
	}
	if h.apiKey == "" {
		key, err := keys.DemoKey()
		if err != nil {
			h.t.Fatal(err)
		}
		h.apiKey = key.Reveal()
	}
	if h.db != nil {
		h.db.Close()
	}
	if h.db, err = pgxpool.New(context.Background(), url.Reveal()); err != nil {
		h.t.Fatal(err)
	}
}

// close stops every part, the last first, and looks for what none should have written.
func (h *house) close() {
	if h.db != nil {
		h.db.Close()
	}
	for _, part := range []string{auditorPart, verifierPart, dispatcherPart, loginPart, upPart, carriersPart, busPart} {
		if p := h.parts[part]; p != nil {
			p.thaw()
			if p.runs() {
				p.stop(h.t)
			}
		}
	}
	h.forgive()
}

// forgive looks for what no part may have written since the last look, but for what a fault
// brought about.
func (h *house) forgive(expected ...string) {
	h.t.Helper()
	logs, err := filepath.Glob(filepath.Join(h.logs, "*.log"))
	if err != nil {
		h.t.Error(err)
	}
	for _, log := range logs {
		lines, read, err := complaints(log, h.looked[log])
		if err != nil {
			h.t.Error(err)
		}
		h.looked[log] = read
		for _, line := range lines {
			if !slices.ContainsFunc(expected, func(e string) bool { return strings.Contains(line, e) }) {
				h.t.Error(line)
			}
		}
	}
}

// until waits for something, a while at most.
func (h *house) until(what string, most time.Duration, ok func() bool) {
	h.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(most)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			h.t.Fatalf("not within %v: %s; at work is %s", most, what, h.activity())
		}
	}
}

// count is the one number that a query returns.
func (h *house) count(sql string, args ...any) (n int) {
	h.t.Helper()
	if err := h.db.QueryRow(context.Background(), sql, args...).Scan(&n); err != nil {
		h.t.Fatalf("%s: %v", sql, err)
	}
	return n
}

func (h *house) exec(sql string, args ...any) {
	h.t.Helper()
	if _, err := h.db.Exec(context.Background(), sql, args...); err != nil {
		h.t.Fatalf("%s: %v", sql, err)
	}
}

// control asks the simulated carriers.
func (h *house) control(method, path string, in, out any) int {
	h.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		h.t.Fatal(err)
	}
	r, err := http.NewRequest(method, "http://"+h.address[carriersPart]+"/control/"+path, bytes.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatalf("asking the carriers: %v", err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && out != nil && resp.StatusCode < 300 {
		err = json.Unmarshal(b, out)
	}
	if err != nil {
		h.t.Fatalf("asking the carriers for %s: %v: %s", path, err, b)
	}
	return resp.StatusCode
}

// behave sets how a carrier behaves from now on.
func (h *house) behave(c carriers.Carrier, b carriers.Behaviour) {
	h.t.Helper()
	if status := h.control("PUT", "carriers/"+string(c)+"/behaviour", b, nil); status != http.StatusOK {
		h.t.Fatalf("%s does not behave as %+v: %d", c, b, status)
	}
}

// codesAsked is how many texts with a code a carrier was asked to carry; notices come and go beside.
func (h *house) codesAsked(c carriers.Carrier) int {
	h.t.Helper()
	return h.count("SELECT count(*) FROM attempt WHERE provider = $1", string(c))
}

// journal returns every text with a code that reached a phone after a place in the journal.
func (h *house) journal(since uint64) []carriers.Text {
	h.t.Helper()
	var all []carriers.Text
	for {
		var page carriers.Texts
		h.control("GET", fmt.Sprintf("texts?limit=1000&since=%d", since), nil, &page)
		all = append(all, slices.DeleteFunc(slices.Clone(page.Texts), func(t carriers.Text) bool { return !t.Code() })...)
		if len(page.Texts) < 1000 {
			return all
		}
		since = page.Texts[len(page.Texts)-1].Seq
	}
}

// last is the place of the newest text in the journal.
func (h *house) last() uint64 {
	h.t.Helper()
	var page carriers.Texts
	h.control("GET", "texts?limit=1", nil, &page)
	return page.Last
}

// busStore is where the bus keeps its files.
func (h *house) busStore() string { return natsd.StoreDir(filepath.Join(h.data, "bus")) }

// scrape returns the metrics of a part.
func (h *house) scrape(part string) string {
	h.t.Helper()
	resp, err := http.Get("http://" + h.metrics[part] + "/metrics")
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(b)
}

// metric sums the samples of a metric of a part whose line starts so.
func (h *house) metric(part, start string) (sum float64) {
	h.t.Helper()
	for line := range strings.Lines(h.scrape(part)) {
		if rest, ok := strings.CutPrefix(line, start); ok {
			var v float64
			if _, err := fmt.Sscan(rest[strings.LastIndexByte(rest, ' ')+1:], &v); err == nil {
				sum += v
			}
		}
	}
	return sum
}
