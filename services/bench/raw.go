package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/natsd"
	"latchkey.dev/services/internal/pgd"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/store"
)

// rawSize is the size in bytes of what is inserted and published: about an event's.
const rawSize = 512

// raw measures what the machine does at best at a level of load, in the same run: rows
// inserted one at a time, each in a commit of its own, into the very PostgreSQL that
// Latchkey uses, and publishes to a JetStream of the same settings, each waiting for its
// acknowledgement.
func (r *rig) raw(ctx context.Context, at int) (raw Raw, err error) {
	limit := r.o.Time / 3
	before, err := r.usage()
	if err != nil {
		return raw, err
	}
	if raw.Inserts, err = r.inserts(ctx, at, limit); err != nil {
		return raw, err
	}
	after, err := r.usage()
	if err != nil {
		return raw, err
	}
	raw.InsertPostgresMS = 1000 * over(after.cpu[ofPostgres]-before.cpu[ofPostgres], float64(raw.Inserts.N))
	raw.Publishes, err = r.publishes(ctx, at, limit)
	return raw, err
}

const rawDatabase = "latchkey_bench"

func (r *rig) inserts(ctx context.Context, at int, limit time.Duration) (out Rate, err error) {
	if _, err := r.admin.Exec(ctx, "DROP DATABASE IF EXISTS "+rawDatabase+" WITH (FORCE)"); err != nil {
		return out, err
	}
	if _, err := r.admin.Exec(ctx, "CREATE DATABASE "+rawDatabase); err != nil {
		return out, err
	}
	url, err := store.URLFor(r.mainURL, rawDatabase, pgd.Superuser, secret.String{})
	if err != nil {
		return out, err
	}
	conns := make([]*pgx.Conn, at)
	defer func() {
		for _, c := range conns {
			if c != nil {
				c.Close(context.WithoutCancel(ctx))
			}
		}
	}()
	for i := range conns {
		if conns[i], err = pgx.Connect(ctx, url.Reveal()); err != nil {
			return out, fmt.Errorf("connecting client %d: %w", i+1, err)
		}
	}
	if _, err := conns[0].Exec(ctx, "CREATE TABLE row (id uuid PRIMARY KEY, body bytea NOT NULL)"); err != nil {
		return out, err
	}
	body := make([]byte, rawSize)
	rand.Read(body)
	return repeat(at, limit, func(i int) error {
		id, err := uuid.NewV7()
		if err == nil {
			_, err = conns[i].Exec(ctx, "INSERT INTO row (id, body) VALUES ($1, $2)", id, body)
		}
		return err
	})
}

// publishes measures a bus server of the benchmark's own, on the same disk: into
// Latchkey's stream nobody but its services may speak.
func (r *rig) publishes(ctx context.Context, at int, limit time.Duration) (out Rate, err error) {
	seeds, users := map[string]secret.String{}, []natsd.User{}
	for _, s := range []string{bus.Provisioner, bus.Login} {
		seed, err := bus.NewSeed()
		if err != nil {
			return out, err
		}
		public, err := bus.PublicKey(seed)
		if err != nil {
			return out, err
		}
		seeds[s], users = seed, append(users, natsd.User{PublicKey: public, Rights: bus.Rights(s)})
	}
	dir := filepath.Join(r.dir, fmt.Sprintf("bus-%d", at))
	defer os.RemoveAll(dir)
	quiet := slog.New(slog.DiscardHandler)
	srv, err := natsd.Start(natsd.Options{Dir: dir, Port: -1, Users: users, Logger: quiet})
	if err != nil {
		return out, err
	}
	defer srv.Shutdown()
	connect := func(service string) (*bus.Conn, error) {
		return bus.Connect(ctx, bus.Options{URL: srv.ClientURL(), NKeySeed: seeds[service], Service: service, Logger: quiet})
	}
	provisioner, err := connect(bus.Provisioner)
	if err != nil {
		return out, err
	}
	defer provisioner.Close()
	if err := bus.Provision(ctx, provisioner, bus.Config{}); err != nil {
		return out, err
	}
	conn, err := connect(bus.Login)
	if err != nil {
		return out, err
	}
	defer conn.Close()
	publisher := bus.NewPublisher(conn, time.Now)
	body := make([]byte, rawSize)
	rand.Read(body)
	subject := "latchkey.login.succeeded." + uuid.NewString()
	return repeat(at, limit, func(int) error {
		return publisher.Publish(ctx, []bus.Message{{ID: uuid.New(), Subject: subject, Data: body}})
	})
}

// repeat does something again and again, at of them at a time, for limit.
func repeat(at int, limit time.Duration, do func(i int) error) (Rate, error) {
	counts, errs := make([]int, at), make([]error, at)
	var all sync.WaitGroup
	begun := time.Now()
	for i := range at {
		all.Go(func() {
			for time.Since(begun) < limit && errs[i] == nil {
				errs[i] = do(i)
				counts[i]++
			}
		})
	}
	all.Wait()
	elapsed, n := time.Since(begun).Seconds(), 0
	for _, c := range counts {
		n += c
	}
	return Rate{N: n, PerSecond: float64(n) / elapsed}, errors.Join(errs...)
}

// syncTime is how long it takes to write 8 KiB and sync the file, in milliseconds: what
// every commit waits for at least.
func syncTime(dir string) (Times, error) {
	f, err := os.CreateTemp(dir, "sync")
	if err != nil {
		return Times{}, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	page := make([]byte, 8<<10)
	took := make([]time.Duration, 0, 200)
	for range cap(took) {
		begun := time.Now()
		if _, err := f.WriteAt(page, 0); err != nil {
			return Times{}, err
		}
		if err := f.Sync(); err != nil {
			return Times{}, err
		}
		took = append(took, time.Since(begun))
	}
	return timesOf(took), nil
}
