package seal_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/internal/seal"
)

// FuzzOpenEntry holds that whatever lies in an entry's row, only what was sealed for it opens.
func FuzzOpenEntry(f *testing.F) {
	key, err := seal.GenerateKey()
	if err != nil {
		f.Fatal(err)
	}
	bind := seal.EntryBinding{Challenge: uuid.New(), Member: uuid.New(), Entry: uuid.New(), Thumbprint: bytes.Repeat([]byte{1}, 32)}
	enc, sealed, err := seal.NewEntrySealer(key.Public(), 7, time.Now).Seal("012345", bind)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(int64(7), enc, sealed)
	f.Add(int64(7), enc, sealed[:5])
	f.Add(int64(7), []byte{}, []byte{})
	f.Add(int64(7), make([]byte, len(enc)), sealed) // a point of small order
	f.Add(int64(-1), enc, sealed)
	opener := seal.NewEntryOpener()
	opener.Add(7, key)
	f.Fuzz(func(t *testing.T, id int64, encapsulated, closed []byte) {
		typed, err := opener.Open(id, encapsulated, closed, bind)
		if err == nil && (id != 7 || !bytes.Equal(encapsulated, enc) || !bytes.Equal(closed, sealed) || typed != "012345") {
			t.Errorf("what was never sealed opened as %q", typed)
		}
		if err != nil && (!errors.Is(err, seal.ErrCannotOpen) || typed != "") {
			t.Errorf("Open = %q, %v", typed, err)
		}
	})
}
