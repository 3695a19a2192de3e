package doctor

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/bustest"
	"latchkey.dev/services/internal/install"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/storetest"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/mail/mailbox"
	"latchkey.dev/services/sms/carriers"
	"latchkey.dev/services/up"
)

// house is an installation in good health, as far as a doctor can see.
type house struct {
	t    *testing.T
	o    Options
	db   *storetest.DB
	bus  *bustest.Bus
	mail *mailbox.Server
	web  *httptest.Server
	// carriers are the vendors, as they answer who asks for a balance.
	carriers *httptest.Server
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, db: storetest.New(t), bus: bustest.Start(t)}
	data := t.TempDir()
	order := bus.Services()
	keys, err := install.Make(filepath.Join(data, "keys"), order, func() (secret.String, error) {
		seed := h.bus.Seed(order[0])
		order = order[1:]
		return seed, nil
	}, bus.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range up.Services {
		if err := keys.SetDatabase(s, h.db.URL("latchkey_"+s), h.db.KeysURL("latchkey_"+s)); err != nil {
			t.Fatal(err)
		}
	}
	if err := keys.SetBusURL(h.bus.URL()); err != nil {
		t.Fatal(err)
	}
	if h.mail, err = mailbox.Start(mailbox.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.mail.Close)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/nonce", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("DPoP-Nonce", "n") })
	mux.HandleFunc("GET /v1/me", func(w http.ResponseWriter, _ *http.Request) {
		web.NewProblem(http.StatusUnauthorized, "no-session", "", "").Write(w)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { web.NotFound.Write(w) })
	h.web = httptest.NewServer(mux)
	t.Cleanup(h.web.Close)
	vendors := carriers.New(carriers.Options{})
	t.Cleanup(vendors.Close)
	h.carriers = httptest.NewServer(vendors.Handler())
	t.Cleanup(h.carriers.Close)
	h.o = Options{Data: data, Keys: keys, Console: h.web.URL}
	h.write("vonage.secret", carriers.DemoVonageSecret)
	h.write("twilio.token", carriers.DemoTwilioToken)
	h.write("running.yaml", h.configuration())
	h.sql("INSERT INTO dispatcher_instance (id) VALUES (gen_random_uuid())")
	if _, err := h.db.KeysOwner(t).Exec(t.Context(), "INSERT INTO code_epoch (epoch, key) SELECT floor(extract(epoch FROM now()) / 3600)::bigint + n, decode(repeat('00', 32), 'hex') FROM generate_series(0, 1) n"); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) configuration() string {
	host, port, _ := strings.Cut(h.mail.Address(), ":")
	return fmt.Sprintf(`
softwares: [{id: web, kind: web, name: Maple, autofill_host: login.maple.example}]
providers:
  - {name: one, kind: vonage, api_key: abcd1234, api_secret_file: '%[1]s/vonage.secret', from: Maple, base_url: %[5]s}
  - {name: two, kind: twilio, account_sid: AC00000000000000000000000000000001, auth_token_file: '%[1]s/twilio.token', from: '+15005550006', base_url: %[5]s}
receipts: %[2]s/receipts
origin: %[2]s
mail: {host: %[3]s, port: %[4]s, security: none, from: latchkey@maple.example}
`, h.o.Data, h.web.URL, host, port, h.carriers.URL)
}

// write replaces a file of the data folder.
func (h *house) write(name, text string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.o.Data, name), []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// with changes the configuration.
func (h *house) with(old, new string) {
	h.t.Helper()
	text := strings.ReplaceAll(h.configuration(), old, new)
	if text == h.configuration() {
		h.t.Fatalf("%q is not in the configuration", old)
	}
	h.write("running.yaml", text)
}

func (h *house) sql(sql string) {
	h.t.Helper()
	if _, err := h.db.Owner(h.t).Exec(h.t.Context(), sql); err != nil {
		h.t.Fatal(err)
	}
}

// bad are the findings that are not ok, but of the disk, which is the machine's.
func (h *house) bad() (all []string) {
	h.t.Helper()
	for _, f := range Look(h.t.Context(), h.o) {
		if f.State != OK && f.Check != "disk" {
			all = append(all, fmt.Sprintf("%s %s: %s", f.State, f.Check, f.Found))
			if f.Do == "" {
				h.t.Errorf("%s %s says no next step", f.Check, f.Found)
			}
		}
	}
	return all
}

// finds fails the test unless these are all that is bad, in any order, each by a part of its line.
func (h *house) finds(want ...string) {
	h.t.Helper()
	got := h.bad()
	for _, w := range want {
		i := slices.IndexFunc(got, func(g string) bool { return strings.Contains(g, w) })
		if i < 0 {
			h.t.Errorf("%q was not found in\n%s", w, strings.Join(got, "\n"))
			continue
		}
		got = slices.Delete(got, i, i+1)
	}
	if len(got) > 0 {
		h.t.Errorf("found besides:\n%s", strings.Join(got, "\n"))
	}
}

func TestAllIsWell(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.finds()
	seen := map[string]bool{}
	for _, f := range Look(t.Context(), h.o) {
		seen[f.Check] = true
		if strings.Contains(f.Found+f.Do, "\n") {
			t.Errorf("more than one line: %q", f)
		}
	}
	for _, c := range slices.Concat(first, then) {
		if !seen[c.name] {
			t.Errorf("nothing is told of %s", c.name)
		}
	}
}

// Each fault is found, is told as one line with a next step, and nothing else is told of it.
func TestWhatIsWrongIsFound(t *testing.T) {
	t.Parallel()
	for name, sick := range map[string]struct {
		breaks func(*house)
		finds  []string
	}{
		"a configuration with faults": {func(h *house) {
			h.write("running.yaml", "softwares: [{id: Web, kind: tv, name: Maple}]\nproviders: []\n")
		}, []string{"fault configuration: softwares[0].id", "fault configuration: softwares[0].kind"}},
		"no provider": {func(h *house) { h.write("running.yaml", "origin: "+h.web.URL+"\n") }, []string{"fault configuration: no provider is configured"}},
		"one provider alone, and no receipts": {func(h *house) {
			h.write("running.yaml", fmt.Sprintf("origin: %s\nproviders: [{name: one, kind: vonage, api_key: abcd1234, api_secret_file: '%s/vonage.secret', from: Maple, base_url: '%s'}]\n", h.web.URL, h.o.Data, h.carriers.URL))
		}, []string{"warning configuration: one provider alone", "warning configuration: no delivery reports"}},
		"a file for the next start that is wrong": {func(h *house) { h.write("latchkey.yaml", "origin: nowhere\n") }, []string{"fault configuration: origin: must be"}},
		"a file that is newer than the start": {func(h *house) {
			h.write("latchkey.yaml", h.configuration())
			if err := os.Chtimes(filepath.Join(h.o.Data, "latchkey.yaml"), time.Time{}, time.Now().Add(time.Hour)); err != nil {
				h.t.Fatal(err)
			}
		}, []string{"warning configuration: " /* the file */}},
		"secrets that cannot be used": {func(h *house) {
			h.write("vonage.secret", "\n")
			os.Remove(filepath.Join(h.o.Data, "twilio.token"))
		}, []string{"fault secrets: api_secret_file of one", "fault secrets: auth_token_file of two", "fault providers: one", "fault providers: two"}},
		"secrets that others read": {func(h *house) {
			h.chmod("vonage.secret", 0o644)
			h.chmod("twilio.token", 0o640)
		}, []string{"fault secrets: everybody on this machine may open", "warning secrets: a group may open"}},
		"keys that others read": {func(h *house) { h.chmod("keys/number.private", 0o604) }, []string{"fault keys: everybody on this machine may open"}},
		"keys that are not there": {func(h *house) {
			os.Remove(filepath.Join(h.o.Data, "keys/number.private"))
			os.Remove(filepath.Join(h.o.Data, "keys/wrap.public"))
		}, []string{"fault keys: not there: "}},
		"a key that is none": {func(h *house) { h.write("keys/nonce-mac.json", "{}") }, []string{"fault keys: "}},
		"a role that is not let in": {func(h *house) {
			h.sql("REVOKE CONNECT ON DATABASE " + h.database() + " FROM PUBLIC")
			h.sql("GRANT CONNECT ON DATABASE " + h.database() + " TO latchkey_login, latchkey_dispatcher, latchkey_auditor, latchkey_console")
		}, []string{"fault databases: the main database does not let verifier in"}},
		"an address under another's role": {func(h *house) {
			if err := h.o.Keys.SetDatabase("verifier", h.db.URL("latchkey_login"), h.db.KeysURL("latchkey_verifier")); err != nil {
				h.t.Fatal(err)
			}
		}, []string{"fault databases: verifier enters the main database as latchkey_login"}},
		"an old schema": {func(h *house) { h.sql("UPDATE public.schema_version SET version = 3") }, []string{"fault schema: main database: the database is at schema 3"}},
		"rights too many and too few": {func(h *house) {
			h.sql("GRANT INSERT ON device TO latchkey_login")
			h.sql("REVOKE INSERT ON leaf FROM latchkey_auditor")
			h.sql("GRANT SELECT (seed) ON challenge TO latchkey_console")
			h.sql("GRANT DELETE ON login_event TO latchkey_login")
		}, []string{"fault rights: login may INSERT device", "fault rights: auditor may not INSERT leaf", "fault rights: console may SELECT challenge.seed", "fault rights: login may DELETE login_event"}},
		"no key for codes": {func(h *house) {
			if _, err := h.db.KeysOwner(h.t).Exec(h.t.Context(), "DELETE FROM code_epoch"); err != nil {
				h.t.Fatal(err)
			}
		}, []string{"fault codes: there is no key for the codes of this hour"}},
		"no dispatcher":      {func(h *house) { h.sql("DELETE FROM dispatcher_instance") }, []string{"fault dispatchers: no dispatcher was seen"}},
		"a bus that is down": {func(h *house) { h.bus.Stop() }, []string{"fault running: Latchkey runs in part", "bus does not let login in", "bus does not let dispatcher in", "bus does not let verifier in", "bus does not let auditor in", "bus does not let console in"}},
		"a stranger's key to the bus": {func(h *house) {
			seed, err := bus.NewSeed()
			if err != nil {
				h.t.Fatal(err)
			}
			h.write("keys/bus/login.seed", seed.Reveal())
		}, []string{"fault bus: the bus does not let login in"}},
		"consumers that are not as provisioned": {func(h *house) {
			js := h.bus.Admin(h.t)
			if err := js.DeleteConsumer(h.t.Context(), bus.Stream, bus.DispatcherSend); err != nil {
				h.t.Fatal(err)
			}
			c, err := js.Consumer(h.t.Context(), bus.Stream, bus.VerifierJudge)
			if err != nil {
				h.t.Fatal(err)
			}
			odd := c.CachedInfo().Config
			odd.AckWait = time.Minute
			if _, err := js.UpdateConsumer(h.t.Context(), bus.Stream, odd); err != nil {
				h.t.Fatal(err)
			}
		}, []string{"fault bus: there is no consumer dispatcher-send", "fault bus: the consumer verifier-judge gives messages out in another way"}},
		"another server at our addresses": {func(h *house) {
			h.web.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })
		}, []string{"fault receipts: the endpoint of delivery reports is not what answers", "fault sign-in: the sign-in is not what answers", "fault console: the console is not what answers"}},
		"nobody at our addresses": {func(h *house) { h.web.Close() }, []string{"fault receipts: the endpoint of delivery reports cannot be reached", "fault sign-in: the sign-in cannot be reached", "fault console: the console cannot be reached"}},
		"no origin":               {func(h *house) { h.with("origin: "+h.web.URL+"\n", "") }, []string{"warning sign-in: how people reach the sign-in pages is not configured"}},
		"a mail server that is down": {func(h *house) {
			if err := h.mail.Behave(mailbox.Down); err != nil {
				h.t.Fatal(err)
			}
		}, []string{"fault mail: 127.0.0.1: the mail server cannot be reached"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			sick.breaks(h)
			h.finds(sick.finds...)
		})
	}
}

func (h *house) chmod(name string, mode os.FileMode) {
	h.t.Helper()
	if err := os.Chmod(filepath.Join(h.o.Data, name), mode); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) database() (name string) {
	h.t.Helper()
	if err := h.db.Owner(h.t).QueryRow(h.t.Context(), "SELECT quote_ident(current_database())").Scan(&name); err != nil {
		h.t.Fatal(err)
	}
	return name
}

// Where nothing runs that is said once, with what to type, and nothing is told of what only
// a running installation has.
func TestWhatDoesNotRun(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.bus.Stop()
	for _, s := range up.Services {
		gone := secret.New("host=" + h.o.Data + " user=latchkey_" + s + " dbname=latchkey")
		if err := h.o.Keys.SetDatabase(s, gone, gone); err != nil {
			t.Fatal(err)
		}
	}
	h.finds("fault running: Latchkey is not running")
	if all := Look(t.Context(), h.o); all[0].Do != "start it: latchkey up" {
		t.Errorf("%+v", all[0])
	}
	h.o = Options{Data: t.TempDir()}
	h.o.Keys = install.Folder(filepath.Join(h.o.Data, "keys"))
	h.finds("fault running: no installation is here")
}

// On a machine with one service alone its files are enough.
func TestOneServiceAlone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.o.Services = []string{bus.Dispatcher}
	for _, gone := range []string{"nonce-mac.json", "form-mac.json", "index-mac.json", "number.public", "wrap.private", "wrap.public", "details.key", "bus/login.seed", "bus/verifier.seed", "bus/auditor.seed",
		"bus/console.seed", "bus/provisioner.seed", "postgres/login.url", "postgres/login-keys.url", "postgres/console.url"} {
		if err := os.Remove(filepath.Join(string(h.o.Keys), gone)); err != nil {
			t.Fatal(err)
		}
	}
	h.finds()
}

func TestClocksAreCompared(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for off, state := range map[time.Duration]State{0: OK, 900 * time.Millisecond: OK, -900 * time.Millisecond: OK, 5 * time.Second: Fault, -5 * time.Second: Fault} {
		f := &findings{check: "clock"}
		compare(f, "do", "it", now.Add(off), now, now, 0)
		if len(f.all) != 1 || f.all[0].State != state {
			t.Errorf("%s: %+v", off, f.all)
		}
	}
	f := &findings{}
	compare(f, "do", "a slow one", now.Add(3*time.Second), now, now.Add(4*time.Second), 0)
	if f.bad() {
		t.Errorf("one that answered late: %+v", f.all)
	}
}

// The header of a provider, or of a proxy before us, is a clock too.
func TestTheHeaderIsAClock(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
	}))
	defer s.Close()
	p := &patient{Options: Options{HTTP: s.Client()}}
	theirs, asked, answered, ok := p.date(t.Context(), s.URL)
	f := &findings{}
	compare(f, "do", "the provider", theirs, asked, answered, time.Second)
	if !ok || !f.bad() {
		t.Errorf("%v %+v", ok, f.all)
	}
}

func TestDisksAreJudged(t *testing.T) {
	t.Parallel()
	for percent, state := range map[int]State{0: OK, 69: OK, 70: Warning, 84: Warning, 85: Fault, 100: Fault} {
		f := &findings{}
		judgeDisk(f, "the data", "/data", percent)
		if len(f.all) != 1 || f.all[0].State != state {
			t.Errorf("%d %%: %+v", percent, f.all)
		}
	}
	if percent, device, err := used(t.TempDir()); err != nil || percent < 0 || percent > 100 || device == 0 {
		t.Errorf("%d %d %v", percent, device, err)
	}
}

// An address of ours that others come to is encrypted, and its certificate lives for a while.
func TestPublicAddressesAreEncrypted(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {}))
	s.StartTLS()
	defer s.Close()
	yes := func(answer) bool { return true }
	client := s.Client()
	client.Transport.(*http.Transport).TLSClientConfig.InsecureSkipVerify = true
	client.Transport.(*http.Transport).Proxy = nil
	p := &patient{Options: Options{HTTP: client}}
	f := &findings{}
	if p.public(t.Context(), f, "it", s.URL, "", yes); f.bad() {
		t.Errorf("a good certificate: %+v", f.all)
	}
	soon, err := shortLived()
	if err != nil {
		t.Fatal(err)
	}
	short := httptest.NewUnstartedServer(s.Config.Handler)
	short.TLS = &tls.Config{Certificates: []tls.Certificate{soon}}
	short.StartTLS()
	defer short.Close()
	f = &findings{}
	if p.public(t.Context(), f, "it", short.URL, "", yes); len(f.all) != 1 || f.all[0].State != Warning || !strings.Contains(f.all[0].Found, "ends on") {
		t.Errorf("a certificate that ends soon: %+v", f.all)
	}
	clear := httptest.NewServer(s.Config.Handler)
	defer clear.Close()
	client.Transport.(*http.Transport).DialContext = dialTo(clear.Listener.Addr().String())
	f = &findings{}
	if p.public(t.Context(), f, "it", "http://login.maple.example", "", yes); len(f.all) != 1 || f.all[0].State != Fault || !strings.Contains(f.all[0].Found, "not encrypted") {
		t.Errorf("in clear: %+v", f.all)
	}
}
