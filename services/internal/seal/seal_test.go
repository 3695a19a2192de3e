package seal_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/internal/seal"
	"latchkey.dev/services/phone"
)

func newKey(t *testing.T) seal.PrivateKey {
	t.Helper()
	k, err := seal.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestNumberOpensOnlyForItsMemberAndVersion(t *testing.T) {
	t.Parallel()
	key, member := newKey(t), uuid.New()
	n, err := phone.Parse("+16044410142", "")
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := seal.SealNumber(key.Public(), n, member, 3)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := seal.OpenNumber(key, sealed, member, 3); err != nil || got.E164() != n.E164() {
		t.Errorf("OpenNumber = %q, %v", got.E164(), err)
	}
	if bytes.Contains(sealed, []byte("6044410142")) {
		t.Error("the number can be read in what was sealed")
	}
	for name, open := range map[string]func() error{
		"another key":     func() error { _, err := seal.OpenNumber(newKey(t), sealed, member, 3); return err },
		"another member":  func() error { _, err := seal.OpenNumber(key, sealed, uuid.New(), 3); return err },
		"another version": func() error { _, err := seal.OpenNumber(key, sealed, member, 4); return err },
		"cut short":       func() error { _, err := seal.OpenNumber(key, sealed[:20], member, 3); return err },
		"as details":      func() error { _, err := seal.OpenDetails(key, sealed, member); return err },
	} {
		if err := open(); !errors.Is(err, seal.ErrCannotOpen) {
			t.Errorf("%s: error %v, want ErrCannotOpen", name, err)
		}
	}
}

func TestMemberKeySurvivesWrapping(t *testing.T) {
	t.Parallel()
	auditor, own, member := newKey(t), newKey(t), uuid.New()
	wrapped, err := seal.WrapMemberKey(auditor.Public(), own, member)
	if err != nil {
		t.Fatal(err)
	}
	details, err := seal.Details(own.Public(), []byte("192.0.2.1"), member)
	if err != nil {
		t.Fatal(err)
	}
	got, err := seal.UnwrapMemberKey(auditor, wrapped, member)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := seal.OpenDetails(got, details, member); err != nil || string(plain) != "192.0.2.1" {
		t.Errorf("OpenDetails = %q, %v", plain, err)
	}
	if _, err := seal.UnwrapMemberKey(auditor, wrapped, uuid.New()); !errors.Is(err, seal.ErrCannotOpen) {
		t.Errorf("another member's key: %v, want ErrCannotOpen", err)
	}
}

// F24: an entry copied to another challenge, member, device or entry id does not open.
func TestEntryOpensOnlyWhereItWasTyped(t *testing.T) {
	t.Parallel()
	now := time.Now()
	key := newKey(t)
	sealer := seal.NewEntrySealer(key.Public(), 7, func() time.Time { return now })
	opener := seal.NewEntryOpener()
	opener.Add(7, key)
	var contexts [][]byte
	for minute := range 3 {
		now = now.Add(time.Duration(minute) * 61 * time.Second)
		for range 3 {
			b := seal.EntryBinding{Challenge: uuid.New(), Member: uuid.New(), Entry: uuid.New(), Thumbprint: bytes.Repeat([]byte{1}, 32)}
			enc, sealed, err := sealer.Seal("012345", b)
			if err != nil {
				t.Fatal(err)
			}
			contexts = append(contexts, enc)
			if got, err := opener.Open(7, enc, sealed, b); err != nil || got != "012345" {
				t.Fatalf("Open = %q, %v", got, err)
			}
			for name, other := range map[string]seal.EntryBinding{
				"challenge": {Challenge: uuid.New(), Member: b.Member, Entry: b.Entry, Thumbprint: b.Thumbprint},
				"member":    {Challenge: b.Challenge, Member: uuid.New(), Entry: b.Entry, Thumbprint: b.Thumbprint},
				"entry":     {Challenge: b.Challenge, Member: b.Member, Entry: uuid.New(), Thumbprint: b.Thumbprint},
				"device":    {Challenge: b.Challenge, Member: b.Member, Entry: b.Entry, Thumbprint: bytes.Repeat([]byte{2}, 32)},
			} {
				if got, err := opener.Open(7, enc, sealed, other); !errors.Is(err, seal.ErrCannotOpen) {
					t.Errorf("with another %s: %q, %v; want ErrCannotOpen", name, got, err)
				}
			}
			if _, err := opener.Open(8, enc, sealed, b); !errors.Is(err, seal.ErrCannotOpen) {
				t.Errorf("with an unknown key: %v, want ErrCannotOpen", err)
			}
		}
	}
	if !bytes.Equal(contexts[0], contexts[2]) || bytes.Equal(contexts[0], contexts[3]) || bytes.Equal(contexts[3], contexts[6]) {
		t.Error("a context lives a minute, not longer and not shorter")
	}
	opener.Remove(7)
	if opener.Has(7) {
		t.Error("a removed key is still known")
	}
}

func TestPrivateKeyIsNeverPrinted(t *testing.T) {
	t.Parallel()
	k := newKey(t)
	b, err := k.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if out := fmt.Sprintf("%v %+v %#v %s %x", k, k, k, k, k); bytes.Contains([]byte(out), []byte(fmt.Sprintf("%x", b[:8]))) {
		t.Errorf("the key shows in %s", out)
	}
}

func BenchmarkEntry(b *testing.B) {
	key, err := seal.GenerateKey()
	if err != nil {
		b.Fatal(err)
	}
	sealer := seal.NewEntrySealer(key.Public(), 1, time.Now)
	opener := seal.NewEntryOpener()
	opener.Add(1, key)
	bind := seal.EntryBinding{Thumbprint: make([]byte, 32)}
	for b.Loop() {
		bind.Entry = uuid.New()
		enc, sealed, err := sealer.Seal("012345", bind)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := opener.Open(1, enc, sealed, bind); err != nil {
			b.Fatal(err)
		}
	}
}
