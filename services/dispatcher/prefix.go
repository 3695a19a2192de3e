package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	queries "latchkey.dev/queries/dispatcher"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/store"
)

const (
	// prefixEvery is how often it is counted how many texts went to each prefix, and
	// conversionEvery how often it is looked at how many of them were typed in.
	prefixEvery     = 5 * time.Second
	conversionEvery = time.Minute
	// conversionLeast texts say something (REQUIREMENTS A5).
	conversionLeast = 20
	// prefixFull is the reason for abandoning a text of whose prefix too many went.
	prefixFull = "prefix_full"
)

// errPrefixFull says that so many texts went to numbers like this one that none goes for now.
var errPrefixFull = errors.New("the limit of the number's prefix is reached")

// prefixes counts which prefixes are full, and raises the alarm of those of which hardly
// any code is typed in. It is part of the guard's loop.
func (g *guard) prefixes(ctx context.Context) error {
	if most := g.d.o.PrefixLimit; most > 0 && time.Since(g.counted) >= prefixEvery {
		full, err := g.d.q.PrefixFull(ctx, int32(most))
		if err != nil {
			return fmt.Errorf("counting texts by prefix: %w", err)
		}
		now := map[string]bool{}
		for _, p := range full {
			if now[p] = true; !(*g.full.Load())[p] {
				g.d.o.Logger.Warn("so many texts went to a prefix that none goes for now", "prefix", p)
			}
		}
		g.full.Store(&now)
		g.counted = time.Now()
	}
	if time.Since(g.looked) < conversionEvery {
		return nil
	}
	g.looked = time.Now()
	return g.conversion(ctx)
}

func (g *guard) conversion(ctx context.Context) error {
	var told []event.Event
	err := store.InTx(ctx, g.d.o.Pool, func(tx pgx.Tx) error {
		q := g.d.q.WithTx(tx)
		fallen, err := q.ConversionFallen(ctx, conversionLeast)
		if err != nil || len(fallen) == 0 {
			return err
		}
		var events queries.EventInsertParams
		for _, f := range fallen {
			e, err := event.New("dispatcher", uuid.Nil, time.Now(), event.ConversionFallen{Country: f.Country, Prefix: f.Prefix,
				Accepted: min(int(f.Accepted), 99999), Typed: min(int(f.Typed), 99999)})
			if err != nil {
				return err
			}
			told = append(told, e)
			events.Ids, events.Types = append(events.Ids, e.ID), append(events.Types, e.Type)
			events.AccountIds, events.Bodies = append(events.AccountIds, e.Account), append(events.Bodies, e.Body)
			g.d.o.Logger.Warn("hardly any code to a prefix is typed in: perhaps somebody makes texts for money", "country", f.Country, "prefix", f.Prefix,
				"accepted", f.Accepted, "typed", f.Typed)
		}
		return q.EventInsert(ctx, events)
	})
	if err != nil {
		return fmt.Errorf("looking for prefixes whose codes are not typed in: %w", err)
	}
	for _, e := range told {
		g.d.metrics.fallen.Inc()
		g.d.o.Bus.Publish(e)
	}
	return nil
}
