package pgd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// stopped is a server that ran once and has ended, in a folder its user may pass through.
func stopped(t *testing.T) *Server {
	t.Helper()
	top, err := os.MkdirTemp("", "latchkey-pgd-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(top) })
	if err := os.Chmod(top, 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := Start(t.Context(), Options{Dir: filepath.Join(top, "pg"), Fast: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Stop()
	return s
}

func restart(t *testing.T, s *Server) {
	t.Helper()
	again, err := Start(t.Context(), s.o)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Stop()
	conn, err := pgx.Connect(t.Context(), again.URL("postgres", Superuser).Reveal())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close(context.Background())
}

func TestWhatADeadProcessLeftIsStopped(t *testing.T) {
	t.Parallel()
	s := stopped(t)
	// pg_ctl starts the server and goes: nobody is its parent.
	out, err := s.command(t.Context(), "pg_ctl", "-D", s.data(), "-w", "-l", filepath.Join(s.o.Dir, "orphan.log"), "-o", "-k "+s.socket+" -c listen_addresses=", "start").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	orphan, err := postmaster(filepath.Join(s.data(), "postmaster.pid"))
	if err != nil || orphan == 0 {
		t.Fatalf("the orphan's number is %d, %v", orphan, err)
	}
	restart(t, s)
	for _, pid := range processes(s.data(), orphan) {
		t.Errorf("process %d still runs", pid)
	}
}

// After a crash of the machine, the number in a lock file may be another process's.
func TestAReusedProcessNumberIsNoHindrance(t *testing.T) {
	t.Parallel()
	s := stopped(t)
	s.bin = "/bin"
	other := s.command(t.Context(), "sleep", "60")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Kill(other.Process.Pid, syscall.SIGKILL); err != nil {
			t.Errorf("the other process was ended: %v", err)
		}
		_ = other.Wait()
	}()
	name := filepath.Join(s.data(), "postmaster.pid")
	if err := os.WriteFile(name, fmt.Appendf(nil, "%d\n%s\n", other.Process.Pid, s.data()), 0o600); err != nil {
		t.Fatal(err)
	}
	if s.as != nil {
		if err := os.Chown(name, int(s.as.Uid), int(s.as.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	restart(t, s)
}

// In a shared folder anyone may make what we are about to make.
func TestAFolderMadeByAnotherIsRefused(t *testing.T) {
	t.Parallel()
	trap := filepath.Join(t.TempDir(), "trap")
	if err := os.Symlink(t.TempDir(), trap); err != nil {
		t.Fatal(err)
	}
	if err := (&Server{}).mkdir(trap); err == nil {
		t.Error("a link is taken for a folder of ours")
	}
	other := &Server{as: &syscall.Credential{Uid: 4242, Gid: 4242}}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := other.mayEnter(dir); err == nil || !strings.Contains(err.Error(), "/var/lib/latchkey") {
		t.Errorf("a folder that the user may not enter: %v", err)
	}
}
