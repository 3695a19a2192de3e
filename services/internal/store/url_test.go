package store_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/store"
)

// Whatever form the administrator's URL has, the service's reaches the same server as
// another role, and keeps how TLS is done.
func TestURLForAnotherRole(t *testing.T) {
	t.Parallel()
	for _, admin := range []string{
		"postgres://root:top%20secret@db.example:5433/postgres?sslmode=verify-full&user=root",
		"host=db.example port=5433 dbname=postgres user=root password='top secret' sslmode=verify-full",
	} {
		u, err := store.URLFor(secret.New(admin), "latchkey", "latchkey_login", secret.New(`it's "own"\ %41`))
		if err != nil {
			t.Fatal(err)
		}
		cfg, err := pgconn.ParseConfig(u.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		if cfg.Host != "db.example" || cfg.Port != 5433 || cfg.Database != "latchkey" || cfg.User != "latchkey_login" || cfg.Password != `it's "own"\ %41` ||
			cfg.TLSConfig == nil || cfg.TLSConfig.ServerName != "db.example" {
			t.Errorf("from %.20s…: host %s port %d database %s user %s, TLS %v", admin, cfg.Host, cfg.Port, cfg.Database, cfg.User, cfg.TLSConfig != nil)
		}
	}
	u, err := store.URLFor(secret.New("postgres:///postgres?host=/run/pg&port=5432&user=postgres&sslmode=disable"), "latchkey_keys", "latchkey_auditor", secret.String{})
	if err != nil {
		t.Fatal(err)
	}
	if cfg, err := pgconn.ParseConfig(u.Reveal()); err != nil || cfg.Host != "/run/pg" || cfg.User != "latchkey_auditor" || cfg.Database != "latchkey_keys" {
		t.Errorf("over a socket: %+v, %v", cfg, err)
	}
}
