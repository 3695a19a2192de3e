package pgd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// acquire takes the directory for this process. The kernel lets go of the lock when the
// process ends, however it ends; PostgreSQL does not inherit it.
func (s *Server) acquire() error {
	lock, err := os.OpenFile(filepath.Join(s.o.Dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("locking %s: %w", s.o.Dir, err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return fmt.Errorf("the data in %s are in use by another Latchkey: stop it, or set LATCHKEY_DATA to another folder", s.o.Dir)
	}
	s.lock = lock
	return nil
}

// stopLeftBehind stops a PostgreSQL whose starter, the last holder of the lock, is gone. It
// asks, presses and then kills. The lock files of a dead one are removed, since PostgreSQL
// would refuse to start where another process now has the number they name.
func (s *Server) stopLeftBehind(ctx context.Context) error {
	file := filepath.Join(s.data(), "postmaster.pid")
	master, err := postmaster(file)
	if err != nil {
		return err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	patience := []time.Duration{10 * time.Second, 5 * time.Second, 5 * time.Second}
	for i, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL} {
		left := processes(s.data(), master)
		if len(left) == 0 {
			break
		}
		if sig == syscall.SIGINT {
			if !slices.Contains(left, master) {
				continue // only the postmaster ends for the polite one
			}
			left = []int{master} // it stops the others
		}
		s.o.Logger.Info("stopping a postgres that a dead process left running", "processes", len(left), "signal", sig.String())
		for _, pid := range left {
			if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
				return err
			}
		}
		limit := time.NewTimer(patience[i])
		for waiting := true; waiting && len(processes(s.data(), master)) > 0; {
			select {
			case <-tick.C:
			case <-limit.C:
				waiting = false
			case <-ctx.Done():
				limit.Stop()
				return ctx.Err()
			}
		}
		limit.Stop()
	}
	if left := processes(s.data(), master); len(left) > 0 {
		return fmt.Errorf("processes %v do not end", left)
	}
	for _, stale := range []string{file, filepath.Join(s.socket, ".s.PGSQL.5432.lock")} {
		if err := os.Remove(stale); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// postmaster returns the process number in a postmaster.pid, or 0 if there is none.
func postmaster(file string) (int, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 1 {
		return 0, nil // written halfway: no server got as far as running
	}
	return pid, nil
}
