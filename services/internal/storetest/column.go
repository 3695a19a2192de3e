package storetest

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Column is a column of a table, partitions being one with their table.
type Column struct{ Table, Name, Type string }

// Columns returns the columns of some types ("uuid", "bytea") of every table of a database.
func Columns(t testing.TB, pool *pgxpool.Pool, types ...string) []Column {
	t.Helper()
	rows, err := pool.Query(t.Context(), `SELECT c.oid::regclass::text, quote_ident(a.attname), format_type(a.atttypid, NULL)
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace AND format_type(a.atttypid, NULL) = ANY($1)
		ORDER BY 1, a.attnum`, types)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Column])
	if err != nil || len(all) == 0 {
		t.Fatalf("%d columns of %v: %v", len(all), types, err)
	}
	return all
}
