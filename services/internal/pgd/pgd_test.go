package pgd_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"latchkey.dev/services/internal/pgd"
)

// childDir tells the test program that it is the child of TestEndsWithItsParent.
const childDir = "PGD_TEST_CHILD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		s, err := pgd.Start(context.Background(), pgd.Options{Dir: dir, Fast: true})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("started")
		<-s.Ended() // the parent kills this process long before
	}
	os.Exit(m.Run())
}

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
	conn, err := pgx.Connect(t.Context(), s.URL("postgres", pgd.Superuser).Reveal())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func exec1(t *testing.T, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
}

// folder is one that PostgreSQL's own user may pass through.
func folder(t *testing.T) string {
	t.Helper()
	top, err := os.MkdirTemp("", "latchkey-pgd-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(top) })
	if err := os.Chmod(top, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(top, "pg")
}

func TestDataOutliveACrash(t *testing.T) {
	t.Parallel()
	d := folder(t) + strings.Repeat("d", 90) // so long that the socket's path would not fit
	first := start(t, d)
	exec1(t, connect(t, first), "CREATE TABLE kept AS SELECT 7 AS n", "CHECKPOINT")
	if _, err := pgd.Start(t.Context(), pgd.Options{Dir: d, Fast: true}); err == nil || !strings.Contains(err.Error(), "in use by another Latchkey") {
		t.Errorf("a second one on the same data: %v", err)
	}
	first.Kill()
	select {
	case <-first.Ended():
	default:
		t.Error("Kill returned before the server had ended")
	}
	second := start(t, d)
	var n int
	if err := connect(t, second).QueryRow(t.Context(), "SELECT n FROM kept").Scan(&n); err != nil || n != 7 {
		t.Errorf("after a crash the table holds %d, %v; want 7", n, err)
	}
	second.Stop()
	second.Stop() // twice is once
	start(t, d)
}

func TestOnlyItsUserReachesTheSocket(t *testing.T) {
	t.Parallel()
	d := folder(t)
	conn := connect(t, start(t, d))
	info, err := os.Stat(d)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the socket's folder has mode %v, %v; want 0700", info.Mode(), err)
	}
	var addresses string
	if err := conn.QueryRow(t.Context(), "SHOW listen_addresses").Scan(&addresses); err != nil || addresses != "" {
		t.Errorf("it listens on %q, %v", addresses, err)
	}
}

// PostgreSQL's messages quote statements and rows, so they must not reach its log.
func TestTheLogHoldsNoValues(t *testing.T) {
	t.Parallel()
	d := folder(t)
	s := start(t, d)
	conn := connect(t, s)
	const canary = "+15550100123"
	exec1(t, conn, "CREATE TABLE phone (number text CONSTRAINT phone_key PRIMARY KEY)", "INSERT INTO phone VALUES ('"+canary+"')")
	for _, sql := range []string{"INSERT INTO phone VALUES ('" + canary + "')", "SELECT '" + canary + "'::uuid", "SELECT * FROM missing WHERE n = '" + canary + "'"} {
		if _, err := conn.Exec(t.Context(), sql); err == nil {
			t.Errorf("%s succeeded", sql)
		}
	}
	s.Stop()
	b, err := os.ReadFile(filepath.Join(d, "postgres.log"))
	if err != nil || len(b) == 0 {
		t.Fatalf("the log has %d bytes, %v", len(b), err)
	}
	if strings.Contains(string(b), canary) {
		t.Errorf("the log quotes a value:\n%s", b)
	}
}

func TestEndsWithItsParent(t *testing.T) {
	t.Parallel()
	d := folder(t)
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+d)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 256)
	n, err := out.Read(said)
	if err != nil || string(said[:n]) != "started\n" {
		t.Fatalf("the child said %q, %v", said[:n], err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	tick, limit := time.NewTicker(20*time.Millisecond), time.After(20*time.Second)
	defer tick.Stop()
	for {
		if _, err := os.Stat(filepath.Join(d, "data/postmaster.pid")); os.IsNotExist(err) {
			break // it ended in order
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("PostgreSQL outlives the process that started it")
		}
	}
	start(t, d)
}

func TestMissingProgramsAreNamed(t *testing.T) {
	t.Parallel()
	_, err := pgd.Start(t.Context(), pgd.Options{Dir: t.TempDir(), Bin: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "apt-get install postgresql") {
		t.Errorf("error %v does not say what to install", err)
	}
}

func TestDataOfAnotherVersionAreNamed(t *testing.T) {
	t.Parallel()
	d := folder(t)
	if err := os.MkdirAll(filepath.Join(d, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d, "data/PG_VERSION"), []byte("9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := pgd.Start(t.Context(), pgd.Options{Dir: d})
	if err == nil || !strings.Contains(err.Error(), "made by PostgreSQL 9") {
		t.Errorf("error %v does not say which version made the data", err)
	}
}

func TestAStartCutShortIsRepeated(t *testing.T) {
	t.Parallel()
	d := folder(t)
	if err := os.MkdirAll(filepath.Join(d, "data.new/base"), 0o700); err != nil {
		t.Fatal(err)
	}
	connect(t, start(t, d))
}
