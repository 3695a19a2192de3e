package local

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"latchkey.dev/services/internal/install"
	"latchkey.dev/services/internal/pgd"
	"latchkey.dev/services/internal/run"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/store"
	"latchkey.dev/services/internal/store/migrate"
)

// startPostgres starts the private PostgreSQL, or takes the one that was named, and
// brings its databases to this version's schema.
func (l *Local) startPostgres(ctx context.Context) error {
	admin := l.o.DatabaseURL
	if admin.Empty() {
		server, err := l.private(ctx)
		if err != nil {
			return err
		}
		l.closers = append(l.closers, server.Stop)
		l.parts = append(l.parts, run.Component{Name: "PostgreSQL", Run: func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return nil
			case <-server.Ended():
				return errors.New("it ended; its log is in the data folder, postgres/postgres.log")
			}
		}})
		admin = server.URL("postgres", pgd.Superuser)
	}
	if err := migrate.Up(ctx, admin, migrate.Default); err != nil {
		return err
	}
	return Reach(ctx, l.keys, admin, !l.o.DatabaseURL.Empty())
}

// private starts the PostgreSQL of the data folder, fetching the programs where the
// machine has none.
func (l *Local) private(ctx context.Context) (*pgd.Server, error) {
	o := pgd.Options{Dir: filepath.Join(l.o.Data, "postgres"), Logger: l.o.Logger}
	server, err := pgd.Start(ctx, o)
	if !errors.Is(err, pgd.ErrNoPostgres) {
		return server, err
	}
	fmt.Fprintln(l.o.Out, "No PostgreSQL is on this machine: fetching its packages into the data folder.")
	if _, err := pgd.Fetch(ctx, o.Dir); err != nil {
		return nil, err
	}
	return pgd.Start(ctx, o)
}

// Reach writes into the key folder how each service reaches the databases of a cluster.
// With passwords, as any PostgreSQL but the private one needs them, each role gets its own;
// the private one lets in whoever may enter its folder.
func Reach(ctx context.Context, keys install.Folder, admin secret.String, passwords bool) error {
	for _, s := range migrate.Services {
		var password secret.String
		if passwords {
			var err error
			if password, err = keys.RolePassword(s); err != nil {
				return err
			}
			if err := migrate.SetPassword(ctx, admin, s, password); err != nil {
				return err
			}
		}
		main, err1 := store.URLFor(admin, migrate.Default.Main, "latchkey_"+s, password)
		key, err2 := store.URLFor(admin, migrate.Default.Keys, "latchkey_"+s, password)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		if err := keys.SetDatabase(s, main, key); err != nil {
			return err
		}
	}
	return nil
}
