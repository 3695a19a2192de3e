package install_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/install"
	"latchkey.dev/services/internal/seal"
	"latchkey.dev/services/phone"
)

func make(t *testing.T, dir string) install.Folder {
	t.Helper()
	f, err := install.Make(dir, bus.Services(), bus.NewSeed, bus.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// What a start made, the next one finds: numbers sealed before can be opened after.
func TestKeysStayAsTheyWereMade(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	first := make(t, dir)
	people, err := first.People()
	if err != nil {
		t.Fatal(err)
	}
	number, err := phone.Parse("+16045550101", "")
	if err != nil {
		t.Fatal(err)
	}
	member := uuid.New()
	sealed, err := seal.SealNumber(people.Dispatcher, number, member, 1)
	if err != nil {
		t.Fatal(err)
	}
	nonces, err := first.NonceMAC()
	if err != nil {
		t.Fatal(err)
	}
	tag, err := nonces.ComputeMAC([]byte("a nonce"))
	if err != nil {
		t.Fatal(err)
	}

	second := make(t, dir)
	private, err := second.NumberKey()
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := seal.OpenNumber(private, sealed, member, 1); err != nil || opened.E164() != number.E164() {
		t.Errorf("a number sealed before opens to %v, %v", opened, err)
	}
	again, err := second.NonceMAC()
	if err != nil || again.VerifyMAC(tag, []byte("a nonce")) != nil {
		t.Errorf("a nonce made before is not known any more: %v", err)
	}
	for _, service := range bus.Services() {
		seed, err := second.BusSeed(service)
		if err != nil {
			t.Fatal(err)
		}
		want, err := bus.PublicKey(seed)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := second.BusPublicKey(service); err != nil || got != want {
			t.Errorf("the server knows %s as %q, %v; its seed is of %q", service, got, err, want)
		}
	}
}

// Processes that start at once agree on one set of keys.
func TestKeysMadeAtOnceAgree(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	var wg sync.WaitGroup
	seen := [8]string{}
	for i := range seen {
		wg.Go(func() {
			f, err := install.Make(dir, bus.Services(), bus.NewSeed, bus.PublicKey)
			if err != nil {
				t.Error(err)
				return
			}
			people, err := f.People()
			if err != nil {
				t.Error(err)
				return
			}
			seen[i] = string(people.Dispatcher.Bytes())
		})
	}
	wg.Wait()
	for _, k := range seen[1:] {
		if k != seen[0] {
			t.Fatal("two processes hold different keys")
		}
	}
}

// Only the owner may read any of it, and a file that is broken is named without its content.
func TestKeysAreTheOwnersAlone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	f := make(t, dir)
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "nonce-mac.json"), []byte(`{"broken": "topsecret"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.NonceMAC(); err == nil || strings.Contains(err.Error(), "topsecret") || !strings.Contains(err.Error(), "nonce-mac.json") {
		t.Errorf("a broken keyset: %v, want its file named and not its content", err)
	}
}
