package dispatcher

import (
	"context"
	"fmt"
	"sync"
	"time"

	queries "latchkey.dev/queries/dispatcher"
)

// epochs remembers the keys that codes are derived with, by hour of the challenge. A
// key is there before its hour begins, so the key database is asked about once an hour.
type epochs struct {
	read func(context.Context) ([]queries.EpochReadRow, error)
	turn chan struct{} // held by the one who reads

	mu   sync.Mutex
	keys map[int64][]byte
	last time.Time // when they were read
}

// epochPause is the shortest time between two reads: a challenge whose key is gone must
// not make a read of every look at it.
const epochPause = time.Second

func newEpochs(read func(context.Context) ([]queries.EpochReadRow, error)) *epochs {
	return &epochs{read: read, turn: make(chan struct{}, 1)}
}

// key returns the key of an hour. A read that is slow delays only those who need it.
func (e *epochs) key(ctx context.Context, epoch int64) ([]byte, error) {
	if key, _ := e.known(epoch); key != nil {
		return key, nil
	}
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	key, fresh := e.known(epoch) // another may have read it meanwhile
	if key == nil && !fresh {
		rows, err := e.read(ctx)
		if err != nil {
			return nil, fmt.Errorf("reading the epochs' keys: %w", err)
		}
		e.replace(rows)
		key, _ = e.known(epoch)
	}
	if key == nil {
		return nil, fmt.Errorf("the key of hour %d is not there: destroyed, or not made yet", epoch)
	}
	return key, nil
}

func (e *epochs) known(epoch int64) (key []byte, fresh bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.keys[epoch], time.Since(e.last) < epochPause
}

// replace forgets what was destroyed in the key database.
func (e *epochs) replace(rows []queries.EpochReadRow) {
	keys := make(map[int64][]byte, len(rows))
	for _, r := range rows {
		keys[r.Epoch] = r.Key
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.keys, e.last = keys, time.Now()
}
