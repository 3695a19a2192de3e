package pgd

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// maxSocketPath is how long the path of a socket may be: sun_path without its final zero,
// less the file's own name.
const maxSocketPath = 107 - len("/.s.PGSQL.5432")

// unprivileged returns the user that PostgreSQL runs as where we are root, which it
// refuses to be: the owner of the data, or one that every system has.
func unprivileged(data string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	if info, err := os.Stat(data); err == nil {
		if owner, ok := info.Sys().(*syscall.Stat_t); ok && owner.Uid != 0 {
			return &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}, nil
		}
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

// mkdir makes a directory that only PostgreSQL's user, and root, may enter.
func (s *Server) mkdir(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir) // not through a link: in a shared folder anyone may have made it
	if err != nil {
		return err
	}
	is, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() {
		return fmt.Errorf("%s is not a folder", dir)
	}
	if s.as != nil && is.Uid == 0 {
		if err := os.Lchown(dir, int(s.as.Uid), int(s.as.Gid)); err != nil {
			return err
		}
	} else if want := s.uid(); is.Uid != want {
		return fmt.Errorf("%s belongs to another user (id %d, not %d)", dir, is.Uid, want)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return err
	}
	return s.mayEnter(filepath.Dir(dir))
}

// mayEnter reports as an error a folder above ours that PostgreSQL's user cannot pass
// through, such as root's home.
func (s *Server) mayEnter(dir string) error {
	if s.as == nil {
		return nil
	}
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		is, ok := info.Sys().(*syscall.Stat_t)
		if ok && info.Mode()&0o001 == 0 && is.Uid != s.as.Uid && (is.Gid != s.as.Gid || info.Mode()&0o010 == 0) {
			return fmt.Errorf("the user that PostgreSQL runs as where we are root (id %d) may not enter %s: choose another folder, such as /var/lib/latchkey", s.as.Uid, dir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

// uid is the user that PostgreSQL runs as.
func (s *Server) uid() uint32 {
	if s.as != nil {
		return s.as.Uid
	}
	return uint32(os.Geteuid())
}

// socketIn returns the folder of the socket for a directory: itself, or one with a short
// name where the socket's path would not fit.
func socketIn(dir string) string {
	if len(dir) <= maxSocketPath {
		return dir
	}
	sum := sha256.Sum256([]byte(dir))
	return filepath.Join(os.TempDir(), fmt.Sprintf("latchkey-%x", sum[:6]))
}

// prepare makes the socket's folder, and the data if there are none.
func (s *Server) prepare(ctx context.Context) error {
	if err := s.mkdir(s.socket); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(s.data(), "PG_VERSION")); err == nil {
		return s.give(s.data())
	}
	// Made beside and moved when whole, so that a start cut short leaves nothing half made.
	fresh := s.data() + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	args := []string{"-D", fresh, "-U", Superuser, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions"}
	if s.o.Fast {
		args = append(args, "--no-sync")
	} else {
		args = append(args, "--data-checksums")
	}
	if out, err := s.command(ctx, "initdb", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, lastLine(string(out)))
	}
	return os.Rename(fresh, s.data())
}

// give gives data that root copied here to PostgreSQL's user, who must own them.
func (s *Server) give(data string) error {
	info, err := os.Stat(data)
	if err != nil {
		return err
	}
	if is, ok := info.Sys().(*syscall.Stat_t); s.as == nil || !ok || is.Uid == s.as.Uid {
		return nil
	}
	return filepath.WalkDir(data, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(s.as.Uid), int(s.as.Gid))
	})
}

// command runs a program as PostgreSQL's user, in a process group of its own so that
// Ctrl-C does not reach it, and without our environment, which holds secrets.
func (s *Server) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, program), args...)
	cmd.Dir = s.o.Dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "TZ=GMT"}
	if l := libraries(s.bin); l != "" {
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+l)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Setpgid: true}
	return cmd
}
