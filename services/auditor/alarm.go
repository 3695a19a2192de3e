package auditor

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	queries "latchkey.dev/queries/auditor"
)

// Alarm is a disagreement that was found.
type Alarm struct {
	ID       uuid.UUID
	Kind     Kind
	Event    uuid.UUID
	Detail   string
	RaisedAt time.Time
}

// Alarms returns alarms from the newest to the oldest, n at most (1 to 1,000). The first
// page has before uuid.Nil, the next one the last id of this one. The pool is
// latchkey_auditor's.
func Alarms(ctx context.Context, pool *pgxpool.Pool, before uuid.UUID, n int) ([]Alarm, error) {
	if before == uuid.Nil {
		before = uuid.Max
	}
	rows, err := queries.New(pool).AlarmPage(ctx, queries.AlarmPageParams{Before: before, Most: int32(min(max(n, 1), 1000))})
	if err != nil {
		return nil, fmt.Errorf("listing alarms: %w", err)
	}
	out := make([]Alarm, len(rows))
	for i, r := range rows {
		out[i] = Alarm{ID: r.ID, Kind: Kind(r.Kind), Detail: r.Detail, RaisedAt: r.RaisedAt}
		if r.EventID != nil {
			out[i].Event = *r.EventID
		}
	}
	return out, nil
}
