package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"latchkey.dev/services/auditor"
	"latchkey.dev/services/cmd/internal/serve"
	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/store"
)

// auditCommands are `latchkey audit …`.
type auditCommands struct {
	Replay auditReplay `cmd:"" help:"Print events in their order. Nothing is sent and nothing changes."`
	Alarms auditAlarms `cmd:"" help:"List where tables, stream and order disagreed, the newest first."`
}

// withAudit opens the main database as the auditor.
func withAudit(ctx context.Context, c serve.Common, do func(*pgxpool.Pool) error) error {
	url, err := c.Folder().MainURL(bus.Auditor)
	if err != nil {
		return fmt.Errorf("no installation is in %s: start one with `latchkey up`, or name its folder by LATCHKEY_DATA (%w)", c.Data, err)
	}
	pool, err := store.Open(ctx, store.Options{URL: url, Service: "audit"})
	if err != nil {
		return err
	}
	defer pool.Close()
	return do(pool)
}

// moment is a time, or how long ago it was: 2026-11-25T07:00:00Z, 90m, 36h.
type moment struct{ time.Time }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *moment) UnmarshalText(b []byte) error {
	if ago, err := time.ParseDuration(string(b)); err == nil && ago >= 0 {
		m.Time = time.Now().Add(-ago)
		return nil
	}
	at, err := time.Parse(time.RFC3339, string(b))
	if err != nil {
		return errors.New("not a time as 2026-11-25T07:00:00Z, nor a while ago as 90m or 36h")
	}
	m.Time = at
	return nil
}

type auditReplay struct {
	serve.Common
	Since     moment         `help:"From this time on: 2026-11-25T07:00:00Z, or a while ago, as 36h." placeholder:"TIME"`
	Until     moment         `help:"Before this time." placeholder:"TIME"`
	Type      string         `help:"Only events of a type, as latchkey.code.requested."`
	Account   uuid.UUID      `help:"Only events of an account."`
	Member    uuid.UUID      `help:"Only events about a person."`
	Challenge uuid.UUID      `help:"Only events about a challenge."`
	Format    auditor.Format `help:"How: ${enum}." enum:"jsonl,cloudevents,table" default:"jsonl"`
}

// Run prints the events; the count and the faults go to the standard error.
func (c *auditReplay) Run(ctx context.Context) error {
	return withAudit(ctx, c.Common, func(pool *pgxpool.Pool) error {
		out := bufio.NewWriter(os.Stdout)
		seen, err := auditor.Replay(ctx, pool, auditor.ReplayOptions{Since: c.Since.Time, Until: c.Until.Time, Type: c.Type, Account: c.Account,
			Member: c.Member, Challenge: c.Challenge, Format: c.Format}, out)
		if err := errors.Join(err, out.Flush()); err != nil {
			for _, f := range seen.Faults {
				fmt.Fprintf(os.Stderr, "place %d: %s\n", f.Index, f.What)
			}
			return err
		}
		fmt.Fprintf(os.Stderr, "%d of %d events; every body is as it was hashed\n", seen.Printed, seen.Looked)
		return nil
	})
}

type auditAlarms struct {
	serve.Common
	Listed
}

type alarmRow struct {
	ID       uuid.UUID    `json:"id"`
	RaisedAt time.Time    `json:"raised_at"`
	Kind     auditor.Kind `json:"kind"`
	Event    uuid.UUID    `json:"event"`
	Detail   string       `json:"detail"`
}

// Run prints the newest 1,000 alarms.
func (c *auditAlarms) Run(ctx context.Context) error {
	return withAudit(ctx, c.Common, func(pool *pgxpool.Pool) error {
		alarms, err := auditor.Alarms(ctx, pool, uuid.Nil, 1000)
		if err != nil {
			return err
		}
		rows := make([]any, len(alarms))
		for i, a := range alarms {
			rows[i] = alarmRow{a.ID, a.RaisedAt, a.Kind, a.Event, a.Detail}
		}
		return c.print("RAISED\tKIND\tEVENT\tDETAIL", rows, func(r any) []string {
			a := r.(alarmRow)
			return []string{a.RaisedAt.UTC().Format(time.RFC3339), string(a.Kind), a.Event.String(), a.Detail}
		})
	})
}
