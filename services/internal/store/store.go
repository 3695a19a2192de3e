// Package store opens a service's connections to Postgres, under the service's own role.
package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"latchkey.dev/services/internal/secret"
)

// Options configure a pool. URL and Service are required.
type Options struct {
	URL        secret.String // a postgres:// URL or a keyword string; holds the password
	Service    string        // shown in pg_stat_activity as latchkey-<service>
	Database   string        // label of the metrics: "main" or "keys"; "main" if empty
	MaxConns   int32         // 8 if zero
	Registerer prometheus.Registerer
}

// Open makes a pool. It connects lazily: a service may start while Postgres is down.
// The URL's password shows in no error.
func Open(ctx context.Context, o Options) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(o.URL.Reveal())
	if err != nil {
		return nil, errors.New("opening the database: its URL cannot be read")
	}
	if o.MaxConns == 0 {
		o.MaxConns = 8
	}
	if o.Database == "" {
		o.Database = "main"
	}
	cfg.MaxConns = o.MaxConns
	cfg.MaxConnIdleTime = 5 * time.Minute
	cfg.HealthCheckPeriod = 15 * time.Second
	cfg.ConnConfig.ConnectTimeout = 3 * time.Second
	p := cfg.ConnConfig.RuntimeParams
	p["application_name"] = "latchkey-" + o.Service
	p["statement_timeout"] = "5s"
	p["lock_timeout"] = "3s"
	p["idle_in_transaction_session_timeout"] = "10s"
	p["timezone"] = "UTC"
	// Every query is one of a few, by keys, over tables with an index for it. A plan made
	// once, by index, serves all of them: without this PostgreSQL plans the larger ones anew
	// at each call, which takes longer than running them, and what it planned while a table
	// was empty goes on to read all of it when it is not.
	p["plan_cache_mode"] = "force_generic_plan"
	p["enable_seqscan"], p["enable_hashjoin"], p["enable_mergejoin"] = "off", "off", "off"
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	if o.Registerer != nil {
		if err := register(o, pool); err != nil {
			pool.Close()
			return nil, err
		}
	}
	return pool, nil
}

func register(o Options, pool *pgxpool.Pool) error {
	labels := prometheus.Labels{"database": o.Database}
	gauge := func(name, help string, value func(*pgxpool.Stat) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "latchkey_store_" + name, Help: help, ConstLabels: labels},
			func() float64 { return value(pool.Stat()) })
	}
	for _, c := range []prometheus.Collector{
		gauge("connections_used", "Connections in use. At the limit for long, requests wait.", func(s *pgxpool.Stat) float64 { return float64(s.AcquiredConns()) }),
		gauge("connections_open", "Connections open, used or idle.", func(s *pgxpool.Stat) float64 { return float64(s.TotalConns()) }),
		gauge("connections_limit", "Most connections that the pool opens.", func(s *pgxpool.Stat) float64 { return float64(s.MaxConns()) }),
	} {
		if err := o.Registerer.Register(c); err != nil {
			return fmt.Errorf("registering the store's metrics: %w", err)
		}
	}
	return nil
}

// maxTries bounds how often InTx repeats a transaction that the database broke off.
const maxTries = 4

// InTx runs do in a transaction and commits it. A transaction that the database broke
// off to resolve a deadlock or a conflict is repeated, so do must be repeatable. An
// error from the commit itself leaves open whether it happened.
func InTx(ctx context.Context, pool *pgxpool.Pool, do func(pgx.Tx) error) error {
	for try := 1; ; try++ {
		err := pgx.BeginFunc(ctx, pool, do)
		if !brokenOff(err) || try == maxTries {
			return err
		}
		wait := time.NewTimer(time.Duration(rand.Int64N(int64(10*time.Millisecond) << try)))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return ctx.Err()
		}
	}
}

// brokenOff reports a serialization failure or a deadlock (SQLSTATE class 40).
func brokenOff(err error) bool {
	pgErr := new(pgconn.PgError)
	return errors.As(err, &pgErr) && (pgErr.Code == "40001" || pgErr.Code == "40P01")
}
