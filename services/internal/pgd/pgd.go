// Package pgd runs a private PostgreSQL for `latchkey up` and for tests: found on the
// machine, on a socket that only its own directory reaches, as an unprivileged user.
package pgd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"latchkey.dev/services/internal/secret"
)

// Superuser is the role that owns the cluster. Whoever may enter the socket's directory
// (the user that PostgreSQL runs as, and root) is let in as any role without a password.
const Superuser = "postgres"

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
	socket string // folder of the socket
	as     *syscall.Credential
	cmd    *exec.Cmd
	ended  chan struct{} // closed when the process ended
	lock   *os.File      // held as long as the process runs
}

// Start starts the PostgreSQL of a directory, making its data if there are none, and
// returns when connections are taken. It is an error if the directory belongs to a living
// process; what a dead one left running is stopped first. The server ends with this
// process, however that ends. The programs must be of the version that made the data.
func Start(ctx context.Context, o Options) (_ *Server, err error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, fmt.Errorf("finding the folder of PostgreSQL: %w", err)
	}
	s := &Server{o: o, socket: socketIn(o.Dir), ended: make(chan struct{})}
	if s.bin, err = find(o); err != nil {
		return nil, err
	}
	if s.as, err = unprivileged(s.data()); err != nil {
		return nil, err
	}
	if err := s.mkdir(o.Dir); err != nil {
		return nil, fmt.Errorf("preparing PostgreSQL in %s: %w", o.Dir, err)
	}
	if err := s.acquire(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.lock.Close()
		}
	}()
	if err := s.stopLeftBehind(ctx); err != nil {
		return nil, fmt.Errorf("stopping the PostgreSQL that was left running in %s: %w", o.Dir, err)
	}
	if err := s.prepare(ctx); err != nil {
		return nil, fmt.Errorf("preparing PostgreSQL in %s: %w", o.Dir, err)
	}
	if err := s.run(ctx); err != nil {
		return nil, fmt.Errorf("starting PostgreSQL in %s: %w", o.Dir, err)
	}
	return s, nil
}

// settings are the same at each start. Commits are grouped by PostgreSQL itself: those that
// wait for one sync share the next, so commit_delay stays 0.
func (s *Server) settings() []string {
	set := []string{
		"listen_addresses=", "unix_socket_directories=" + s.socket, "unix_socket_permissions=0700",
		"max_connections=400", "shared_buffers=256MB", "jit=off",
		"fsync=on", "synchronous_commit=on", "wal_buffers=16MB", "wal_compression=on", "max_wal_size=2GB", "checkpoint_timeout=15min",
		// The name GMT, unlike UTC, needs no time zone files on the machine.
		"timezone=GMT", "log_timezone=GMT",
		// Its messages about statements quote them and the values of rows, so none is kept:
		// the services log their own errors, without arguments.
		"log_min_messages=log", "log_min_error_statement=panic", "log_error_verbosity=terse", "log_checkpoints=off",
		"log_statement=none", "log_parameter_max_length_on_error=0",
	}
	if s.o.Fast {
		set = append(set, "fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=64MB", "autovacuum_naptime=10min")
	}
	return set
}

func (s *Server) run(ctx context.Context) error {
	logged, err := s.openLog()
	if err != nil {
		return err
	}
	defer logged.Close()
	args := []string{"-D", s.data()}
	for _, set := range s.settings() {
		args = append(args, "-c", set)
	}
	s.cmd = s.command(context.WithoutCancel(ctx), "postgres", args...)
	s.cmd.Stdout, s.cmd.Stderr = logged, logged
	dieWithParent(s.cmd.SysProcAttr, syscall.SIGINT)
	if err := s.launch(); err != nil {
		return err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(2 * time.Minute) // the recovery after a crash may take a while
	defer limit.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.URL("postgres", Superuser).Reveal())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-tick.C:
		case <-s.ended:
			return fmt.Errorf("it ended at once: %s", s.lastWords())
		case <-limit.C:
			s.Stop()
			return fmt.Errorf("it takes no connections: %w", err)
		case <-ctx.Done():
			s.Stop()
			return ctx.Err()
		}
	}
}

// launch starts the process. The kernel tells a child of its parent's death when the
// thread ends that started it, so the thread is kept until the child has ended.
func (s *Server) launch() error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := s.cmd.Start()
		started <- err
		if err == nil {
			_ = s.cmd.Wait() // how it ended is in its log
		}
		if s.socket != s.o.Dir {
			_ = os.Remove(s.socket) // stays where a crash left the socket in it, for the next start
		}
		s.lock.Close()
		close(s.ended)
	}()
	return <-started
}

// URL is how a role reaches a database of the server.
func (s *Server) URL(database, role string) secret.String {
	v := url.Values{"host": {s.socket}, "port": {"5432"}, "user": {role}, "sslmode": {"disable"}}
	return secret.New("postgres:///" + url.PathEscape(database) + "?" + v.Encode())
}

// Stop stops the server, rolling back what is under way, and returns when it has ended:
// after 30 s at most, by force if need be. It may be called twice.
func (s *Server) Stop() { s.end(syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL) }

// Kill ends the server as a crash would, and returns when it has ended. Its data stay for
// the next Start.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

func (s *Server) end(signals ...syscall.Signal) {
	limit := 20 * time.Second
	for _, sig := range signals {
		_ = s.cmd.Process.Signal(sig) // fails only where it has ended
		t := time.NewTimer(limit)
		select {
		case <-s.ended:
			t.Stop()
			return
		case <-t.C:
		}
		limit = 5 * time.Second
	}
}

// Ended is closed when the server has ended, for whatever reason.
func (s *Server) Ended() <-chan struct{} { return s.ended }

// maxLog is the size in bytes from which a start sets the log aside.
const maxLog = 16 << 20

func (s *Server) logFile() string { return filepath.Join(s.o.Dir, "postgres.log") }

func (s *Server) openLog() (*os.File, error) {
	if info, err := os.Stat(s.logFile()); err == nil && info.Size() > maxLog {
		if err := os.Rename(s.logFile(), s.logFile()+".1"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// lastWords is why the server ended: what it logged last, and where there is more.
func (s *Server) lastWords() string {
	b, err := os.ReadFile(s.logFile())
	if errors.Is(err, os.ErrNotExist) || len(b) == 0 {
		return "it logged nothing"
	}
	for line := range strings.Lines(string(b[max(0, len(b)-4096):])) {
		if strings.Contains(line, "FATAL") || strings.Contains(line, "PANIC") {
			b = []byte(line)
		}
	}
	return fmt.Sprintf("%s (%s has more)", lastLine(string(b)), s.logFile())
}

func lastLine(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[len(lines)-1]
}
