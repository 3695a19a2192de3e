package pgd_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"latchkey.dev/services/internal/pgd"
)

func start(t *testing.T, dir string) *pgd.Server {
	t.Helper()
	s, err := pgd.Start(t.Context(), pgd.Options{Dir: dir, Fast: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

func connect(t *testing.T, s *pgd.Server) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.URL("postgres", "postgres").Reveal())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// dir is so long that its socket's path would not fit. PostgreSQL's own user passes through.
func dir(t *testing.T) string {
	t.Helper()
	top, err := os.MkdirTemp("", "latchkey-pgd-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(top) })
	if err := os.Chmod(top, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(top, strings.Repeat("d", 90))
}

func TestRestartFindsTheData(t *testing.T) {
	t.Parallel()
	d := dir(t)
	first := start(t, d)
	conn := connect(t, first)
	for _, sql := range []string{"CREATE TABLE kept AS SELECT 7 AS n", "CHECKPOINT"} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := pgd.Start(t.Context(), pgd.Options{Dir: d, Fast: true}); err == nil || !strings.Contains(err.Error(), "in use by another Latchkey") {
		t.Errorf("a second one on the same data: %v", err)
	}
	first.Kill()
	<-first.Ended()
	var n int
	if err := connect(t, start(t, d)).QueryRow(t.Context(), "SELECT n FROM kept").Scan(&n); err != nil || n != 7 {
		t.Errorf("after a crash the table holds %d, %v; want 7", n, err)
	}
}

func TestMissingProgramsAreNamed(t *testing.T) {
	t.Parallel()
	_, err := pgd.Start(t.Context(), pgd.Options{Dir: t.TempDir(), Bin: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "apt-get install postgresql") {
		t.Errorf("error %v does not say what to install", err)
	}
}
