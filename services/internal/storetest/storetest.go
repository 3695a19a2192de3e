// Package storetest gives every test a real database pair of its own, with the roles of
// the services. No binary links it but withpostgres.
package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"latchkey.dev/schema"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/store"
	"latchkey.dev/services/internal/store/migrate"
)

// Env names the variable with an administrator's URL of the cluster that tests use;
// `make test` sets it through withpostgres.
const Env = "LATCHKEY_TEST_POSTGRES"

// DB is a test's own pair of databases.
type DB struct {
	admin secret.String
	names migrate.Databases
}

var (
	template = sync.OnceValues(makeTemplate)
	number   atomic.Int64
)

// New makes a migrated pair of databases, dropped when the test ends.
func New(t testing.TB) *DB {
	t.Helper()
	admin := os.Getenv(Env)
	if admin == "" {
		t.Fatalf("%s is not set: run the tests with `make test`, or one package with `go run ./internal/storetest/withpostgres go test ./PACKAGE` in services/", Env)
	}
	from, err := template()
	if err != nil {
		t.Fatal(err)
	}
	id := fmt.Sprintf("test_%d_%d", os.Getpid(), number.Add(1))
	db := &DB{admin: secret.New(admin), names: migrate.Databases{Main: id, Keys: id + "_keys"}}
	for name, source := range map[string]string{db.names.Main: from.Main, db.names.Keys: from.Keys} {
		t.Cleanup(func() {
			if err := db.exec(context.Background(), "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
				t.Errorf("dropping the test's database: %v", err)
			}
		})
		if err := db.exec(t.Context(), "CREATE DATABASE "+name+" TEMPLATE "+source+" OWNER latchkey_owner"); err != nil {
			t.Fatalf("making the test's database: %v", err)
		}
	}
	return db
}

func (db *DB) exec(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, db.admin.Reveal())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

// URL is how a role reaches the main database.
func (db *DB) URL(role string) secret.String { return with(db.admin, db.names.Main, role) }

// KeysURL is how a role reaches the key database.
func (db *DB) KeysURL(role string) secret.String { return with(db.admin, db.names.Keys, role) }

// Pool opens the main database for a service: "login" connects as latchkey_login.
func (db *DB) Pool(t testing.TB, service string) *pgxpool.Pool {
	t.Helper()
	return open(t, db.URL("latchkey_"+service), service)
}

// KeysPool opens the key database for a service.
func (db *DB) KeysPool(t testing.TB, service string) *pgxpool.Pool {
	t.Helper()
	return open(t, db.KeysURL("latchkey_"+service), service)
}

// Owner opens the main database as a superuser, to see what no service may.
func (db *DB) Owner(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return open(t, with(db.admin, db.names.Main, ""), "test")
}

// KeysOwner opens the key database as a superuser.
func (db *DB) KeysOwner(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return open(t, with(db.admin, db.names.Keys, ""), "test")
}

func open(t testing.TB, url secret.String, service string) *pgxpool.Pool {
	t.Helper()
	pool, err := store.Open(context.Background(), store.Options{URL: url, Service: service})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// with returns the URL for another database and, unless it is empty, another role.
func with(admin secret.String, database, role string) secret.String {
	cfg, err := pgconn.ParseConfig(admin.Reveal())
	if err != nil {
		panic("storetest: " + Env + " cannot be read")
	}
	if role == "" {
		role = cfg.User
	}
	quote := func(v string) string { return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v) + "'" }
	return secret.New(fmt.Sprintf("host=%s port=%d dbname=%s user=%s password=%s sslmode=disable",
		quote(cfg.Host), cfg.Port, quote(database), quote(role), quote(cfg.Password)))
}

// makeTemplate migrates one pair of databases per state of the schema, which every test copies.
func makeTemplate() (migrate.Databases, error) {
	sum := sha256.New()
	sum.Write([]byte(schema.Roles))
	if err := errors.Join(add(sum, schema.Main), add(sum, schema.Keys)); err != nil {
		return migrate.Databases{}, fmt.Errorf("reading the schema: %w", err)
	}
	name := fmt.Sprintf("latchkey_template_%x", sum.Sum(nil)[:6])
	names := migrate.Databases{Main: name, Keys: name + "_keys"}
	if err := migrate.Up(context.Background(), secret.New(os.Getenv(Env)), names); err != nil {
		return names, fmt.Errorf("making the template database: %w", err)
	}
	return names, nil
}

func add(sum hash.Hash, files fs.FS) error {
	entries, err := fs.ReadDir(files, ".")
	for _, e := range entries {
		b, err := fs.ReadFile(files, e.Name())
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%s %d\n", e.Name(), len(b))
		sum.Write(b)
	}
	return err
}
