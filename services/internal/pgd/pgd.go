// Package pgd runs a private PostgreSQL for `latchkey up` and for tests: found on the
// machine, on a socket that only its own directory reaches, as an unprivileged user.
package pgd

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"latchkey.dev/services/internal/secret"
)

// ErrNoPostgres says how to get a PostgreSQL.
var ErrNoPostgres = errors.New("no PostgreSQL found: install it (on Debian, `apt-get install postgresql`), or set LATCHKEY_POSTGRES_BIN to the folder of its programs, or LATCHKEY_DATABASE_URL to a running one")

// Options configure a private PostgreSQL. Dir is required.
type Options struct {
	Dir    string // holds the data, the socket and the log; made if missing
	Bin    string // folder of the programs; looked for if empty
	Fast   bool   // for tests: nothing is synced, a crash of the machine loses all
	Logger *slog.Logger
}

// Server is a running PostgreSQL.
type Server struct {
	o      Options
	bin    string
	socket string
	as     *syscall.Credential
	cmd    *exec.Cmd
	ended  chan struct{} // closed when the process ended
	lock   *os.File      // held as long as the data are ours
}

// Start starts the PostgreSQL of a directory, making its data if there are none. It
// returns when connections are taken. Another that runs on the directory is an error,
// unless the process that started it is gone: then it is stopped first.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	s := &Server{o: o}
	var err error
	if s.bin, err = find(o.Bin); err != nil {
		return nil, err
	}
	if s.as, err = unprivileged(); err != nil {
		return nil, err
	}
	if err := s.prepare(ctx); err != nil {
		return nil, fmt.Errorf("preparing PostgreSQL in %s: %w", o.Dir, err)
	}
	if err := s.takeOver(ctx); err != nil {
		return nil, err
	}
	if err := s.run(ctx); err != nil {
		s.lock.Close()
		return nil, fmt.Errorf("starting PostgreSQL in %s: %w", o.Dir, err)
	}
	return s, nil
}

// find returns the folder of the programs, the newest version first.
func find(bin string) (string, error) {
	if bin == "" {
		bin = os.Getenv("LATCHKEY_POSTGRES_BIN")
	}
	var folders []string
	if bin != "" {
		folders = []string{bin}
	} else {
		folders, _ = filepath.Glob("/usr/lib/postgresql/*/bin") // the pattern is well formed
		slices.SortFunc(folders, func(a, b string) int { return version(b) - version(a) })
		if p, err := exec.LookPath("postgres"); err == nil {
			if p, err = filepath.EvalSymlinks(p); err == nil {
				folders = append(folders, filepath.Dir(p))
			}
		}
	}
	for _, f := range folders {
		if _, err := os.Stat(filepath.Join(f, "initdb")); err == nil {
			return f, nil
		}
	}
	return "", ErrNoPostgres
}

func version(bin string) int {
	v, _ := strconv.Atoi(filepath.Base(filepath.Dir(bin))) // 0 where there is no number
	return v
}

// unprivileged returns the user that PostgreSQL runs as where we are root, which it refuses to be.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("finding an unprivileged user: %w", err)
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("finding an unprivileged user: %w", err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")
}

func (s *Server) data() string { return filepath.Join(s.o.Dir, "data") }

func (s *Server) prepare(ctx context.Context) error {
	if err := s.mkdir(s.o.Dir); err != nil {
		return err
	}
	s.socket = s.o.Dir
	if len(s.socket) > 80 { // a socket's path has 107 bytes at most
		sum := sha256.Sum256([]byte(s.o.Dir))
		s.socket = filepath.Join(os.TempDir(), fmt.Sprintf("latchkey-%x", sum[:6]))
		if err := s.mkdir(s.socket); err != nil {
			return err
		}
	}
	if _, err := os.Stat(filepath.Join(s.data(), "PG_VERSION")); err == nil {
		return nil
	}
	args := []string{"-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions"}
	if s.o.Fast {
		args = append(args, "--no-sync")
	}
	out, err := s.command(ctx, "initdb", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w: %s", err, lastLine(string(out)))
	}
	return nil
}

// mkdir makes a directory that only PostgreSQL's user, and root, may enter.
func (s *Server) mkdir(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if s.as == nil {
		return nil
	}
	return os.Chown(dir, int(s.as.Uid), int(s.as.Gid))
}

func (s *Server) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, program), args...)
	cmd.Dir = s.o.Dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Setpgid: true}
	return cmd
}

// takeOver locks the directory for this process, and stops a PostgreSQL that an earlier
// holder of the lock left behind when it was killed.
func (s *Server) takeOver(ctx context.Context) error {
	lock, err := os.OpenFile(filepath.Join(s.o.Dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("locking %s: %w", s.o.Dir, err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return fmt.Errorf("the data in %s are in use by another Latchkey: stop it, or set LATCHKEY_DATA to another folder", s.o.Dir)
	}
	s.lock = lock
	b, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for a running PostgreSQL: %w", err)
	}
	first, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 1 || syscall.Kill(pid, 0) != nil {
		return nil // a stale file: PostgreSQL itself knows what to do with it
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil || strings.TrimSpace(string(stat)) != "postgres" {
		return nil
	}
	s.o.Logger.Info("stopping a PostgreSQL that a killed process left behind", "pid", pid)
	out, err := s.command(ctx, "pg_ctl", "-D", s.data(), "-m", "fast", "-w", "stop").CombinedOutput()
	if err != nil {
		return fmt.Errorf("stopping a PostgreSQL that was left behind: %w: %s", err, lastLine(string(out)))
	}
	return nil
}

func (s *Server) settings() []string {
	set := []string{
		"listen_addresses=", "unix_socket_directories=" + s.socket, "unix_socket_permissions=0700", "max_connections=200",
		"shared_buffers=256MB", "max_wal_size=2GB", "wal_compression=on", "log_min_messages=warning", "log_timezone=UTC", "timezone=UTC",
		"synchronous_commit=on", "jit=off",
	}
	if s.o.Fast {
		set = append(set, "fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=64MB", "autovacuum_naptime=10min")
	}
	return set
}

func (s *Server) run(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(s.o.Dir, "postgres.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	args := []string{"-D", s.data()}
	for _, set := range s.settings() {
		args = append(args, "-c", set)
	}
	s.cmd = s.command(context.WithoutCancel(ctx), "postgres", args...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.ended = make(chan struct{})
	go func() {
		_ = s.cmd.Wait() // how it ended is in its log
		close(s.ended)
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.URL("postgres", "postgres").Reveal())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-tick.C:
		case <-s.ended:
			return fmt.Errorf("it ended at once; %s says why", filepath.Join(s.o.Dir, "postgres.log"))
		case <-limit.C:
			s.Stop()
			return fmt.Errorf("it takes no connections: %w", err)
		case <-ctx.Done():
			s.Stop()
			return ctx.Err()
		}
	}
}

// URL is how a role reaches a database of the server.
func (s *Server) URL(database, role string) secret.String {
	v := url.Values{"host": {s.socket}, "user": {role}, "sslmode": {"disable"}}
	return secret.New("postgres:///" + database + "?" + v.Encode())
}

// Stop stops the server, rolling back what is under way, and waits for at most 20 s.
func (s *Server) Stop() { s.stop(syscall.SIGINT) }

// Kill kills the server as a crash would. Its data stay for the next Start.
func (s *Server) Kill() { s.stop(syscall.SIGQUIT) }

func (s *Server) stop(sig syscall.Signal) {
	defer s.lock.Close()
	for _, sig := range []syscall.Signal{sig, syscall.SIGQUIT, syscall.SIGKILL} {
		_ = s.cmd.Process.Signal(sig) // fails only where it has ended
		t := time.NewTimer(20 * time.Second)
		select {
		case <-s.ended:
			t.Stop()
			return
		case <-t.C:
		}
	}
}

// Ended is closed when the server has ended, for whatever reason.
func (s *Server) Ended() <-chan struct{} { return s.ended }

func lastLine(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[len(lines)-1]
}
