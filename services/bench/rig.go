package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"go.yaml.in/yaml/v3"

	"latchkey.dev/services/internal/config"
	"latchkey.dev/services/internal/install"
	"latchkey.dev/services/internal/pgd"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/store"
	"latchkey.dev/services/internal/store/migrate"
	"latchkey.dev/services/sms/carriers"
)

// rig is a Latchkey that is measured, and what drives it.
type rig struct {
	o    Options
	dir  string // of everything
	data string // of Latchkey
	keys install.Folder

	carriers, latchkey *process
	postmaster         int // pid
	admin              *pgx.Conn
	mainURL            secret.String // of the server, as its administrator
	api                *api
	phones             *phones
	metricsURL         string
	profileURL         string

	numbers int      // handed out so far
	people  []person // whose devices are registered
	closers []func()
}

// start starts the carriers, then Latchkey with them as its providers, and returns when it
// is ready for work.
func start(ctx context.Context, o Options, dir string) (_ *rig, err error) {
	r := &rig{o: o, dir: dir, data: filepath.Join(dir, "data")}
	r.keys = install.Folder(filepath.Join(r.data, "keys"))
	defer func() {
		if err != nil {
			r.stop()
		}
	}()
	addresses, err := freeAddresses(5)
	if err != nil {
		return nil, err
	}
	public, phonesAt, ownPhones, metrics, profile := addresses[0], addresses[1], addresses[2], addresses[3], addresses[4]
	r.metricsURL, r.profileURL = "http://"+metrics, "http://"+profile

	if r.carriers, err = launch(o.Binary, dir, ofCarriers, nil, "carriers", "--listen", phonesAt); err != nil {
		return nil, err
	}
	r.closers = append(r.closers, r.carriers.stop)
	if err := r.carriers.answers(ctx, "http://"+phonesAt+"/control/carriers", 20*time.Second); err != nil {
		return nil, err
	}
	file, err := r.configure("http://"+phonesAt, "http://"+public+"/receipts")
	if err != nil {
		return nil, err
	}
	if r.latchkey, err = launch(o.Binary, dir, ofLatchkey, nil, "up", "--data", r.data, "--config", file,
		"--listen", public, "--console-listen", "127.0.0.1:0", "--phones-listen", ownPhones, "--metrics-listen", metrics, "--auditor-listen", "127.0.0.1:0", "--profile-listen", profile); err != nil {
		return nil, err
	}
	r.closers = append(r.closers, r.latchkey.stop)
	if err := r.latchkey.answers(ctx, r.metricsURL+"/readyz", 2*time.Minute); err != nil {
		return nil, err
	}
	if err := r.open(ctx); err != nil {
		return nil, err
	}
	key, err := r.demoKey(ctx)
	if err != nil {
		return nil, err
	}
	r.api = newAPI("http://"+public, key)
	r.phones = newPhones("http://" + phonesAt)
	r.closers = append(r.closers, r.phones.follow())
	return r, r.api.freshNonce(ctx)
}

// wide is a limit that no run reaches.
var wide = config.Limit{TenMinutes: 5_000_000, Day: 5_000_000}

// configure writes the configuration: one web application, and both carriers.
func (r *rig) configure(carriersURL, receipts string) (file string, err error) {
	if err := os.MkdirAll(r.data, 0o711); err != nil {
		return "", err
	}
	place := func(name, content string) string {
		path := filepath.Join(r.dir, name)
		err = errors.Join(err, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	c := config.File{
		Softwares: []config.Software{{ID: software, Kind: "web", Name: "Latchkey", AutofillHost: "localhost"}},
		Receipts:  receipts,
		// All come from one address: the limits count as ever, and are never full.
		Limits: config.Limits{Member: wide, Number: wide, Address: wide, Network: wide, Account: wide, Prefix: wide.TenMinutes},
		Providers: []config.Provider{
			{Name: "vonage", Kind: "vonage", From: "Latchkey", Rate: 10_000, BaseURL: carriersURL, APIKey: carriers.DemoVonageKey,
				APISecretFile: place("vonage.secret", carriers.DemoVonageSecret)},
			{Name: "twilio", Kind: "twilio", From: "+15005550006", BaseURL: carriersURL, AccountSID: carriers.DemoTwilioSID,
				AuthTokenFile: place("twilio.token", carriers.DemoTwilioToken)},
		},
	}
	b, marshalErr := yaml.Marshal(c)
	if marshalErr != nil {
		return "", marshalErr
	}
	return place("latchkey.yaml", string(b)), err
}

// open connects to the private PostgreSQL as its administrator, and finds its process.
func (r *rig) open(ctx context.Context) error {
	service, err := r.keys.MainURL("login")
	if err != nil {
		return err
	}
	if r.mainURL, err = store.URLFor(service, migrate.Default.Main, pgd.Superuser, secret.String{}); err != nil {
		return err
	}
	if r.admin, err = pgx.Connect(ctx, r.mainURL.Reveal()); err != nil {
		return fmt.Errorf("connecting to PostgreSQL as its administrator: %w", err)
	}
	r.closers = append(r.closers, func() { r.admin.Close(context.Background()) })
	var dir string
	if err := r.admin.QueryRow(ctx, "SHOW data_directory").Scan(&dir); err != nil {
		return err
	}
	b, err := os.ReadFile(filepath.Join(dir, "postmaster.pid"))
	if err != nil {
		return fmt.Errorf("finding PostgreSQL's process: %w", err)
	}
	first, _, _ := strings.Cut(string(b), "\n")
	if r.postmaster, err = strconv.Atoi(first); err != nil {
		return fmt.Errorf("finding PostgreSQL's process: %w", err)
	}
	return nil
}

// demoKey is the API key of the demonstration account, as soon as that has been made.
func (r *rig) demoKey(ctx context.Context) (secret.String, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		if _, err := os.Stat(filepath.Join(r.data, "seeded")); err == nil {
			return r.keys.DemoKey()
		}
		select {
		case <-ctx.Done():
			return secret.String{}, r.latchkey.lastWords("it made no demonstration account")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stop ends everything, the last first.
func (r *rig) stop() {
	for i := len(r.closers) - 1; i >= 0; i-- {
		r.closers[i]()
	}
	r.closers = nil
	http.DefaultClient.CloseIdleConnections()
}
