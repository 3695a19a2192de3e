package verifier

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	queries "latchkey.dev/queries/verifier"
	"latchkey.dev/services/code"
	"latchkey.dev/services/internal/seal"
)

// epochsAhead is how many hours' keys are made before they are needed.
const epochsAhead = 3

// epochLife and judgeKeyLife are how long keys are kept: longer than any code lives, and
// shorter than any backup is worth.
const (
	epochLife    = 25 // hours
	judgeKeyLife = 2  // days
)

// epochOf is the hour of a challenge's creation, by the database's clock.
func epochOf(t time.Time) int64 { return t.Unix() / 3600 }

func dayOf(t time.Time) int64 { return t.Unix() / 86400 }

// keyring makes, reads and destroys the keys that codes are derived and opened with.
type keyring struct {
	keys   *queries.Queries // key database
	main   *queries.Queries
	opener *seal.EntryOpener

	mu     sync.Mutex
	epochs map[int64][]byte
	judges map[int64]bool // whose private keys the opener holds
}

func newKeyring(keys, main *queries.Queries) *keyring {
	return &keyring{keys: keys, main: main, opener: seal.NewEntryOpener(), epochs: map[int64][]byte{}, judges: map[int64]bool{}}
}

// upkeep makes the keys of now and of the hours ahead, and destroys old ones. Of several
// verifiers that make one key, the first to commit wins, and all read it back.
func (k *keyring) upkeep(ctx context.Context) error {
	now, err := k.main.DatabaseTime(ctx)
	if err != nil {
		return fmt.Errorf("reading the time: %w", err)
	}
	for e := epochOf(now); e < epochOf(now)+epochsAhead; e++ {
		if k.knows(e) {
			continue
		}
		key := make([]byte, code.KeySize)
		rand.Read(key)
		if err := k.keys.EpochInsert(ctx, queries.EpochInsertParams{Epoch: e, Key: key}); err != nil {
			return fmt.Errorf("making an epoch's key: %w", err)
		}
	}
	if err := k.keys.EpochDestroy(ctx, epochOf(now)-epochLife); err != nil {
		return fmt.Errorf("destroying old epochs' keys: %w", err)
	}
	if err := k.readEpochs(ctx); err != nil {
		return err
	}
	return k.upkeepJudge(ctx, dayOf(now))
}

// upkeepJudge makes today's key pair: the private half first, so that nothing is ever
// sealed to a key that nobody holds.
func (k *keyring) upkeepJudge(ctx context.Context, today int64) error {
	if !k.opener.Has(today) {
		key, err := seal.GenerateKey()
		if err != nil {
			return err
		}
		private, err := key.Bytes()
		if err != nil {
			return fmt.Errorf("making a judge's key: %w", err)
		}
		if err := k.keys.JudgeKeyInsert(ctx, queries.JudgeKeyInsertParams{ID: today, PrivateKey: private, PublicKey: key.Public().Bytes()}); err != nil {
			return fmt.Errorf("making a judge's key: %w", err)
		}
	}
	if err := k.keys.JudgeKeyDestroy(ctx, today-judgeKeyLife); err != nil {
		return fmt.Errorf("destroying old judge's keys: %w", err)
	}
	rows, err := k.readJudges(ctx)
	if err != nil {
		return err
	}
	for _, r := range rows {
		// At each turn: the turn that made the key may have failed before this.
		if r.ID != today {
			continue
		}
		if err := k.main.JudgePublicKeyInsert(ctx, queries.JudgePublicKeyInsertParams{ID: r.ID, PublicKey: r.PublicKey}); err != nil {
			return fmt.Errorf("publishing the judge's key: %w", err)
		}
	}
	return nil
}

// readJudges makes the opener hold the private keys that the key database holds, and no
// other: what any verifier destroyed is forgotten by all.
func (k *keyring) readJudges(ctx context.Context) ([]queries.JudgeKeyReadRow, error) {
	rows, err := k.keys.JudgeKeyRead(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the judge's keys: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	kept := make(map[int64]bool, len(rows))
	for _, r := range rows {
		kept[r.ID] = true
		if k.judges[r.ID] {
			continue
		}
		key, err := seal.ParsePrivateKey(r.PrivateKey)
		if err != nil {
			return nil, fmt.Errorf("reading the judge's key %d: %w", r.ID, err)
		}
		k.opener.Add(r.ID, key)
		k.judges[r.ID] = true
	}
	for id := range k.judges {
		if !kept[id] {
			k.opener.Remove(id)
			delete(k.judges, id)
		}
	}
	return rows, nil
}

func (k *keyring) knows(epoch int64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.epochs[epoch] != nil
}

func (k *keyring) readEpochs(ctx context.Context) error {
	rows, err := k.keys.EpochRead(ctx)
	if err != nil {
		return fmt.Errorf("reading the epochs' keys: %w", err)
	}
	fresh := make(map[int64][]byte, len(rows))
	for _, r := range rows {
		fresh[r.Epoch] = r.Key
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.epochs = fresh
	return nil
}

var errNoKey = errors.New("the key of this hour is not there: it was destroyed, or not made yet")

// epoch returns the key of an hour, reading the database when it is new here.
func (k *keyring) epoch(ctx context.Context, epoch int64) ([]byte, error) {
	for try := range 2 {
		k.mu.Lock()
		key := k.epochs[epoch]
		k.mu.Unlock()
		if key != nil {
			return key, nil
		}
		if try == 0 {
			if err := k.readEpochs(ctx); err != nil {
				return nil, err
			}
		}
	}
	return nil, errNoKey
}

// judgeKey makes sure that a private key that another verifier made is known here too.
// A key that is not there opens nothing: the entry is unreadable.
func (k *keyring) judgeKey(ctx context.Context, id int64) error {
	if k.opener.Has(id) {
		return nil
	}
	_, err := k.readJudges(ctx)
	return err
}
