package console_test

import (
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"latchkey.dev/services/console"
	"latchkey.dev/services/device"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/config"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/storetest"
)

// told keeps what was published.
type told struct {
	mu     sync.Mutex
	events []event.Event
	then   func() // once after the next event
}

func (b *told) Publish(e event.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, e)
	if b.then != nil {
		b.then()
		b.then = nil
	}
}

// next has something happen after the next event.
func (b *told) next(then func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.then = then
}

func (b *told) types() (all []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		all = append(all, strings.TrimPrefix(e.Type, "latchkey."))
	}
	return all
}

// ids returns the ids of what was published.
func (b *told) ids() (all []uuid.UUID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		all = append(all, e.ID)
	}
	return all
}

func (b *told) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = nil
}

func open(t *testing.T, db *storetest.DB, bus console.Bus) *console.Console {
	t.Helper()
	c, err := console.New(console.Options{Pool: db.Pool(t, "console"), Bus: bus})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAnAccountAndItsKeys(t *testing.T) {
	t.Parallel()
	db, bus := storetest.New(t), &told{}
	c := open(t, db, bus)
	id, err := c.CreateAccount(t.Context(), console.Account{Kind: device.Pro, Name: "Maple", Country: "CA", TwoFactor: true})
	if err != nil {
		t.Fatal(err)
	}
	all, err := c.Accounts(t.Context(), "", uuid.Nil)
	if err != nil || len(all) != 1 || uuid.UUID(all[0].ID) != id || !all[0].TwoFactor || all[0].Demographics {
		t.Fatalf("accounts: %+v, %v", all, err)
	}
	key, shown, err := c.CreateKey(t.Context(), id, "backend", secret.String{})
	if err != nil {
		t.Fatal(err)
	}
	var digest []byte
	if err := db.Owner(t).QueryRow(t.Context(), "SELECT key_digest FROM api_key WHERE id = $1", key).Scan(&digest); err != nil {
		t.Fatal(err)
	}
	if want := sha256.Sum256([]byte(shown.Reveal())); !slices.Equal(digest, want[:]) || len(shown.Reveal()) < 43 {
		t.Error("the digest that is kept is not of the key that was shown, or the key is short")
	}
	if _, _, err := c.CreateKey(t.Context(), id, "again", shown); !errors.Is(err, console.ErrKeyTaken) {
		t.Errorf("the same key again: %v", err)
	}
	if _, _, err := c.CreateKey(t.Context(), uuid.New(), "nobody's", secret.String{}); !errors.Is(err, console.ErrNotFound) {
		t.Errorf("a key for an account that is not there: %v", err)
	}
	if err := c.RevokeKey(t.Context(), uuid.New(), key); !errors.Is(err, console.ErrNotFound) {
		t.Errorf("a key revoked under another account: %v", err)
	}
	if err := c.RevokeKey(t.Context(), id, key); err != nil {
		t.Error(err)
	}
	if err := c.RevokeKey(t.Context(), id, key); !errors.Is(err, console.ErrNotFound) {
		t.Errorf("a key revoked twice: %v", err)
	}
	if keys, err := c.Keys(t.Context(), id); err != nil || len(keys) != 1 || keys[0].RevokedAt == nil {
		t.Errorf("keys: %+v, %v", keys, err)
	}
	if got, want := bus.types(), []string{"account.created", "account.option_changed", "account.key_created", "account.key_revoked"}; !slices.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
	var written int
	if err := db.Owner(t).QueryRow(t.Context(), "SELECT count(*) FROM console_event").Scan(&written); err != nil || written != 4 {
		t.Errorf("%d events in the table, %v", written, err)
	}
}

// What cannot be saved says why, all of it at once, and leaves nothing behind.
func TestBadAccountsAreRefused(t *testing.T) {
	t.Parallel()
	db, bus := storetest.New(t), &told{}
	c := open(t, db, bus)
	for name, bad := range map[string]console.Account{
		"kind": {Kind: "trial", Name: "x", Country: "CA"}, "name": {Kind: device.Pro, Country: "CA"}, "country": {Kind: device.Pro, Name: "x", Country: "ca"},
		"contact": {Kind: device.Pro, Name: "x", Country: "CA", Contact: "a\nb"},
	} {
		if _, err := c.CreateAccount(t.Context(), bad); err == nil || !strings.Contains(err.Error(), name+":") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.CreateAccount(t.Context(), console.Account{Kind: device.Pro, Name: "a\x00b", Country: "CA"}); err == nil {
		t.Error("a name with a zero byte was saved")
	}
	if all, err := c.Accounts(t.Context(), "", uuid.Nil); err != nil || len(all) != 0 || len(bus.types()) != 0 {
		t.Errorf("left behind: %v, %v, %v", all, bus.types(), err)
	}
}

func TestSoftwaresFollowTheConfiguration(t *testing.T) {
	t.Parallel()
	c := open(t, storetest.New(t), &told{})
	set := func(all ...config.Software) {
		t.Helper()
		if err := c.SetSoftwares(t.Context(), all); err != nil {
			t.Fatal(err)
		}
	}
	set(config.Software{ID: "web", Kind: "web", Name: "Maple"}, config.Software{ID: "mobile", Kind: "mobile", Name: "Maple"})
	set(config.Software{ID: "web", Kind: "web", Name: "Oak", Addresses: []string{"https://oak.example/in"}})
	all, err := c.Softwares(t.Context())
	if err != nil || len(all) != 2 || all[0].ID != "mobile" || all[1].Name != "Oak" || len(all[1].Addresses) != 1 {
		t.Errorf("softwares: %+v, %v", all, err)
	}
}
