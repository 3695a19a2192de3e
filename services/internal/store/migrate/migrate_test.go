package migrate_test

import (
	"os"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/store/migrate"
	"latchkey.dev/services/internal/storetest"
)

func TestUpIsSafeToRepeatAndToRace(t *testing.T) {
	t.Parallel()
	db := storetest.New(t) // fails with what to do where there is no Postgres
	admin := secret.New(os.Getenv(storetest.Env))
	names := migrate.Databases{Main: "migrate_race", Keys: "migrate_race_keys"}
	owner := db.Owner(t)
	drop := func() {
		for _, n := range []string{names.Main, names.Keys} {
			if _, err := owner.Exec(t.Context(), "DROP DATABASE IF EXISTS "+n+" WITH (FORCE)"); err != nil {
				t.Fatal(err)
			}
		}
	}
	drop()
	defer drop()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := migrate.Up(t.Context(), admin, names); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := migrate.Check(t.Context(), owner); err != nil {
		t.Error(err)
	}
}

// No table belongs to a role that can log in, and no service may make one.
func TestServicesOwnNothing(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	rows, err := db.Owner(t).Query(t.Context(), `SELECT c.relname || ' of ' || r.rolname FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
		JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' AND r.rolcanlogin AND c.relname NOT LIKE 'schema_version%'`)
	if err != nil {
		t.Fatal(err)
	}
	owned, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(owned) > 0 {
		t.Errorf("%v belong to roles that log in, %v", owned, err)
	}
	for _, service := range migrate.Services {
		if _, err := db.Pool(t, service).Exec(t.Context(), "CREATE TABLE mine (n int)"); err == nil {
			t.Errorf("%s may make tables", service)
		}
	}
}
