package dispatcher

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	queries "latchkey.dev/queries/dispatcher"
)

func TestEpochs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reads, rows := 0, []queries.EpochReadRow{{Epoch: 1, Key: []byte("one")}}
		e := newEpochs(func(context.Context) ([]queries.EpochReadRow, error) { reads++; return rows, nil })
		get := func(n int64, want string, wantReads int) {
			t.Helper()
			key, err := e.key(t.Context(), n)
			if (err == nil) != (want != "") || !bytes.Equal(key, []byte(want)) || reads != wantReads {
				t.Errorf("key %d = %q, %v after %d reads; want %q after %d", n, key, err, reads, want, wantReads)
			}
		}
		time.Sleep(time.Minute)
		get(1, "one", 1)
		get(1, "one", 1)
		get(2, "", 1) // read a moment ago: not again
		rows = []queries.EpochReadRow{{Epoch: 2, Key: []byte("two")}}
		time.Sleep(epochPause)
		get(2, "two", 2)
		time.Sleep(epochPause)
		get(1, "", 3) // destroyed there, forgotten here
	})
}

// While the key database does not answer, texts whose key is known go on.
func TestEpochsThatAreKnownDoNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		e := newEpochs(func(context.Context) ([]queries.EpochReadRow, error) {
			<-hang
			return nil, errors.New("the database is gone")
		})
		e.keys = map[int64][]byte{1: []byte("one")}
		ended := make(chan error, 2)
		go func() { _, err := e.key(t.Context(), 2); ended <- err }()
		synctest.Wait()
		if key, err := e.key(t.Context(), 1); err != nil || string(key) != "one" {
			t.Errorf("the known key: %q, %v", key, err)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := e.key(short, 2); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a second reader did not give up: %v", err)
		}
		close(hang)
		if err := <-ended; err == nil {
			t.Error("the failed read is not told")
		}
	})
}
