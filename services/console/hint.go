package console

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	queries "latchkey.dev/queries/console"
	"latchkey.dev/services/internal/store"
)

// What the sweep of hints reads at a time, and how often in one round.
const (
	hintBatch   = 2000
	hintBatches = 50
	hintBack    = 5 * time.Minute // a registration's transaction ends sooner after its id was made
)

// clearHints takes back what member's hints say of people of whom it is not true any more.
// Wrong hints cost lists time, nothing else.
func (c *Console) clearHints(ctx context.Context) error {
	return errors.Join(c.clearLacking(ctx), c.clearCapped(ctx))
}

// clearLacking goes on through the registrations from where the last round ended, at first
// from the beginning.
func (c *Console) clearLacking(ctx context.Context) error {
	for range hintBatches {
		rows, err := c.q.DeviceAfter(ctx, queries.DeviceAfterParams{After: c.hintsTo, Most: hintBatch})
		if err != nil {
			return fmt.Errorf("reading registrations: %w", err)
		}
		if len(rows) == 0 {
			break
		}
		members := make([][16]byte, len(rows))
		for i, r := range rows {
			members[i] = r.MemberID
		}
		err = c.clear(ctx, func(db *queries.Queries) ([][16]byte, error) { return db.HintLackLock(ctx, members) }, (*queries.Queries).HintLackClear)
		if err != nil {
			return err
		}
		c.hintsTo = rows[len(rows)-1].ID
		if len(rows) < hintBatch {
			break
		}
	}
	c.hintsTo = earlier(c.hintsTo, hintBack)
	return nil
}

func (c *Console) clearCapped(ctx context.Context) error {
	return c.clear(ctx, func(db *queries.Queries) ([][16]byte, error) { return db.HintCappedLock(ctx) }, (*queries.Queries).HintCappedClear)
}

// clear looks at people anew once they are locked: what was true before may not be.
func (c *Console) clear(ctx context.Context, lock func(*queries.Queries) ([][16]byte, error), clear func(*queries.Queries, context.Context, [][16]byte) error) error {
	err := store.InTx(ctx, c.o.Pool, func(tx pgx.Tx) error {
		db := c.q.WithTx(tx)
		ids, err := lock(db)
		if err != nil || len(ids) == 0 {
			return err
		}
		return clear(db, ctx, ids)
	})
	if err != nil {
		return fmt.Errorf("clearing hints: %w", err)
	}
	return nil
}

// earlier returns an id of version 7 of which every one that was made after that time is greater.
func earlier(id uuid.UUID, by time.Duration) (at uuid.UUID) {
	ms := int64(id[0])<<40 | int64(id[1])<<32 | int64(id[2])<<24 | int64(id[3])<<16 | int64(id[4])<<8 | int64(id[5])
	ms = max(0, ms-by.Milliseconds())
	for i := range 6 {
		at[i] = byte(ms >> (40 - 8*i))
	}
	return at
}
