package deadletter

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"latchkey.dev/services/internal/bus"
)

const (
	longestPause = 15 * time.Second
	// refusals is how often the database must have refused a message's content. The
	// deliveries before it take about a minute and a half.
	refusals = 10
)

// Failed gives a message whose work failed another chance: after a second, then later and
// later, 15 s apart in the end. It is never given up for a database, a provider or a bus
// that is away: the message is in order, and its turn comes. Only what the database, being
// there, refuses ten times for its content is put aside, since it would take a place among
// the consumer's open messages for as long as the stream keeps it.
func Failed(ctx context.Context, m *bus.Msg, err error, log *slog.Logger) {
	log.WarnContext(ctx, "message was not handled", "message", m.ID, "deliveries", m.Delivered, "error", err)
	if m.Delivered < refusals || !refused(err) {
		m.Nak(pause(m.Delivered))
		return
	}
	if err := m.Bury(ctx, bus.Refused); err != nil {
		log.ErrorContext(ctx, "message was not put aside yet", "error", err)
	}
}

func pause(deliveries int) time.Duration {
	d := longestPause
	if deliveries < 5 {
		d = time.Second << max(0, deliveries-1)
	}
	return d*3/4 + rand.N(d/2)
}

// refused reports whether the database refused the content: a data exception or a violated
// constraint (SQLSTATE classes 22 and 23).
func refused(err error) bool {
	pgErr := new(pgconn.PgError)
	return errors.As(err, &pgErr) && (strings.HasPrefix(pgErr.Code, "22") || strings.HasPrefix(pgErr.Code, "23"))
}
