package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/console"
	"latchkey.dev/services/device"
	"latchkey.dev/services/internal/config"
	"latchkey.dev/services/internal/secret"
)

// DemoPassword opens every demonstration sign-in.
const DemoPassword = "demonstration"

// The demonstration accounts.
var (
	DemoPro        = uuid.MustParse("00000000-0000-7000-8000-0000000000a1")
	demoStandalone = uuid.MustParse("00000000-0000-7000-8000-0000000000a2")
)

// Person is somebody of a demonstration account.
type Person struct {
	ID, Account uuid.UUID
	UserID      string
	Role        device.Role
	Phone       string
	Email       string
	MustChange  bool
	Shows       string // what a sign-in shows
}

// People are the demonstration sign-ins. Their numbers are reserved for fiction.
var People = []Person{
	{demoPerson(1), DemoPro, "olivia", device.Owner, "+16045550101", "olivia@example.com", false, "the owner: a code at the first sign-in of each browser"},
	{demoPerson(2), DemoPro, "priya", device.Provider, "+16045550102", "priya@example.com", false, "staff with a number: the same"},
	{demoPerson(3), DemoPro, "adam", device.Administrator, "", "adam@example.com", false, "staff without a number: signs in without a code"},
	{demoPerson(4), DemoPro, "chris", device.Client, "+16045550103", "chris@example.com", true, "a client with a generated password: a code, then a password of their own"},
	{demoPerson(5), demoStandalone, "sam", device.Provider, "+16045550104", "sam@example.com", false, "a Standalone Mobile account: always a code"},
}

func demoPerson(n int) uuid.UUID {
	return uuid.MustParse(fmt.Sprintf("00000000-0000-7000-8000-0000000000b%d", n))
}

// real reports whether a provider is one that reaches real phones. People with a published
// password have no place beside real ones.
func (l *Local) real() bool {
	return slices.ContainsFunc(l.config.Providers, func(p config.Provider) bool { return p.BaseURL == "" })
}

// seed makes the demonstration accounts and people, once for a data folder, and never
// where texts reach real phones.
func (l *Local) seed(ctx context.Context) error {
	if l.real() {
		return nil
	}
	done := filepath.Join(l.o.Data, "seeded")
	if _, err := os.Stat(done); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, a := range []console.Account{
		{ID: DemoPro, Kind: device.Pro, Name: "Maple Clinic", Country: "CA", Contact: "Olivia", TwoFactor: true, Demographics: true},
		{ID: demoStandalone, Kind: device.StandaloneMobile, Name: "Sam's practice", Country: "CA", Contact: "Sam", TwoFactor: true},
	} {
		if err := l.seedAccount(ctx, a); err != nil {
			return fmt.Errorf("making the demonstration account %s: %w", a.Name, err)
		}
	}
	if err := os.WriteFile(done, []byte(time.Now().UTC().Format(time.RFC3339)+"\n"), 0o600); err != nil {
		return fmt.Errorf("remembering that the demonstration was made: %w", err)
	}
	return nil
}

// seedAccount makes an account and its people. What an earlier start had made stays.
func (l *Local) seedAccount(ctx context.Context, a console.Account) error {
	c := l.k.Console
	exists, err := c.AccountExists(ctx, a.ID)
	if err != nil {
		return err
	}
	if !exists {
		if _, err := c.CreateAccount(ctx, a); err != nil {
			return err
		}
	}
	var demo secret.String // the Pro account's key stays, for the person to try the API with
	if a.ID == DemoPro {
		if demo, err = l.keys.DemoKey(); err != nil {
			return err
		}
	}
	id, key, err := c.CreateKey(ctx, a.ID, "demonstration", demo)
	if errors.Is(err, console.ErrKeyTaken) {
		key, err = demo, nil // of an earlier start that was cut short
	}
	if err != nil {
		return err
	}
	for _, p := range People {
		if p.Account != a.ID {
			continue
		}
		if err := l.seedPerson(ctx, p, key); err != nil {
			return fmt.Errorf("%s: %w", p.UserID, err)
		}
	}
	if demo.Empty() {
		return c.RevokeKey(ctx, a.ID, id)
	}
	return nil
}

// seedPerson makes a person through the API, as a product would.
func (l *Local) seedPerson(ctx context.Context, p Person, key secret.String) error {
	body := map[string]any{"role": p.Role, "user_id": p.UserID, "password": DemoPassword, "must_change_password": p.MustChange}
	if p.Phone != "" {
		body["phone"] = p.Phone
	}
	if p.Email != "" {
		body["email"] = p.Email
	}
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, l.url+"/v1/members/"+p.ID.String(), bytes.NewReader(b))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+key.Reveal())
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		why, _ := io.ReadAll(io.LimitReader(resp.Body, 1024))
		return fmt.Errorf("%s: %s", resp.Status, why)
	}
	return nil
}

// tell prints where everything is, for the person who started it.
func (l *Local) tell(took time.Duration) {
	w := l.o.Out
	fmt.Fprintf(w, "\nLatchkey runs (started in %.1f s). Ctrl-C stops it; what it keeps lies in %s.\n\n", took.Seconds(), l.o.Data)
	fmt.Fprintf(w, "  sign in      %s/\n", l.o.Origin)
	fmt.Fprintf(w, "  console      %s/   for owners and administrators: people, devices, options\n", l.o.ConsoleOrigin)
	fmt.Fprintf(w, "  phones       http://%s/   every text arrives here; the carriers are switched here\n", l.o.Phones)
	fmt.Fprintf(w, "  mail         http://%s/mail   and every e-mail here\n", l.o.Phones)
	fmt.Fprintf(w, "  metrics      http://%s/metrics\n\n", l.o.Metrics)
	if l.real() {
		fmt.Fprintf(w, "  Texts go to real phones. Open an account and add people with `latchkey account`, `key` and `member`.\n\n")
		return
	}
	fmt.Fprintf(w, "  Sign in as one of these, each with the password %q:\n", DemoPassword)
	for _, p := range People {
		fmt.Fprintf(w, "    %-8s %s\n", p.UserID, p.Shows)
	}
	fmt.Fprintf(w, "\n  API key of the demonstration account, for the commands in README: %s\n\n", l.keys.DemoKeyFile())
}
