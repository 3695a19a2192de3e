// Package migrate brings the databases to the schema that this version speaks.
package migrate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/tern/v2/migrate"

	"latchkey.dev/schema"
	"latchkey.dev/services/internal/secret"
)

// Services are the roles that log in, without their prefix "latchkey_".
var Services = []string{"login", "dispatcher", "verifier", "auditor", "console", "reader"}

// Databases are the names of the two databases.
type Databases struct{ Main, Keys string }

// Default are the names in an installation.
var Default = Databases{Main: "latchkey", Keys: "latchkey_keys"}

// lockID is the advisory lock under which roles and databases are made, in the
// maintenance database, since roles belong to the whole cluster.
const lockID = 0x6c6174636b6579

// Up makes what is missing: roles, databases, and the tables of every migration. admin
// is a URL of the cluster whose user may create roles and databases; its database is
// where the lock is taken. Running it twice, or from two places at once, is safe.
func Up(ctx context.Context, admin secret.String, db Databases) error {
	cfg, err := pgx.ParseConfig(admin.Reveal())
	if err != nil {
		return errors.New("migrating: the database's URL cannot be read")
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("migrating: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", lockID); err != nil {
		return fmt.Errorf("migrating: waiting for another migration: %w", err)
	}
	// Closing the connection lets the lock go.
	if _, err := conn.Exec(ctx, schema.Roles); err != nil {
		return fmt.Errorf("migrating: making the roles: %w", err)
	}
	for _, d := range []struct {
		name  string
		files fs.FS
	}{{db.Main, schema.Main}, {db.Keys, schema.Keys}} {
		if err := create(ctx, conn, d.name); err != nil {
			return fmt.Errorf("migrating: making database %s: %w", d.name, err)
		}
		own := cfg.Copy()
		own.Database = d.name
		if err := upOne(ctx, own, d.files); err != nil {
			return fmt.Errorf("migrating database %s: %w", d.name, err)
		}
	}
	return nil
}

func create(ctx context.Context, conn *pgx.Conn, name string) error {
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&exists); err != nil {
		return err
	}
	quoted := pgx.Identifier{name}.Sanitize()
	if !exists {
		if _, err := conn.Exec(ctx, "CREATE DATABASE "+quoted+" OWNER latchkey_owner"); err != nil {
			return err
		}
	}
	if _, err := conn.Exec(ctx, "REVOKE ALL ON DATABASE "+quoted+" FROM PUBLIC"); err != nil {
		return err
	}
	for _, s := range Services {
		if _, err := conn.Exec(ctx, "GRANT CONNECT ON DATABASE "+quoted+" TO latchkey_"+s); err != nil {
			return err
		}
	}
	return nil
}

func upOne(ctx context.Context, cfg *pgx.ConnConfig, files fs.FS) error {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	m, err := migrate.NewMigrator(ctx, conn, "public.schema_version")
	if err != nil {
		return err
	}
	if err := m.LoadMigrations(files); err != nil {
		return err
	}
	if err := m.Migrate(ctx); err != nil {
		return err
	}
	// Services ask whether the schema is the one they speak.
	_, err = conn.Exec(ctx, "GRANT SELECT ON public.schema_version TO PUBLIC")
	return err
}

// Check reports whether the main database is at least at the schema that this version
// speaks. A newer one is fine: migrations keep the version before them working.
func Check(ctx context.Context, db querier) error {
	return behind(ctx, db, schema.Main)
}

// CheckKeys is Check of the key database.
func CheckKeys(ctx context.Context, db querier) error { return behind(ctx, db, schema.Keys) }

type querier interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}

func behind(ctx context.Context, db querier, files fs.FS) error {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	var version int
	if err := db.QueryRow(ctx, "SELECT version FROM public.schema_version").Scan(&version); err != nil {
		return fmt.Errorf("reading the schema's version: %w", err)
	}
	if version < len(entries) {
		return fmt.Errorf("the database is at schema %d and this version needs %d: run `latchkey migrate`", version, len(entries))
	}
	return nil
}
