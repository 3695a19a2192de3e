package faults

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "latchkey.dev/services/up/local" // all services: see build
)

// build builds the command that people run; for a long run of tests with the race detector,
// with that detector too. (In a short one it would take longer than all the rest.)
func build(to string) error {
	// `go test` repeats a result of its cache unless what a test looked at has changed: the
	// services are imported for that, and the command's own files are looked at.
	for _, pattern := range []string{"../../cmd/*/*.go", "../../cmd/internal/*/*.go"} {
		files, err := filepath.Glob(pattern)
		for _, f := range files {
			_, looked := os.Stat(f)
			err = errors.Join(err, looked)
		}
		if err != nil {
			return err
		}
	}
	args := []string{"build", "-o", to}
	if info, ok := debug.ReadBuildInfo(); ok && *chaos {
		for _, s := range info.Settings {
			if s.Key == "-race" && s.Value == "true" {
				args = append(args, "-race")
			}
		}
	}
	cmd := exec.Command("go", append(args, "latchkey.dev/services/cmd/latchkey")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the command: %w\n%s", err, out)
	}
	return nil
}

// process is one command of the binary, running.
type process struct {
	name  string
	log   string // file of what it wrote
	cmd   *exec.Cmd
	ended chan struct{} // closed when it ended and was waited for
}

var started atomic.Int64

// start starts a command. It dies with the test process, however that ends.
func start(t testing.TB, binary, logs, name string, env []string, args ...string) *process {
	t.Helper()
	p := &process{name: name, log: filepath.Join(logs, fmt.Sprintf("%04d-%s.log", started.Add(1), name)), ended: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command(binary, append([]string{name}, args...)...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = diesWithUs()
	begun := make(chan error, 1)
	go func() {
		// The kernel tells a child of its parent's death when the thread ends that started it.
		runtime.LockOSThread()
		err := p.cmd.Start()
		begun <- err
		if err == nil {
			_ = p.cmd.Wait() // how it ended is in its log
		}
		out.Close()
		close(p.ended)
	}()
	if err := <-begun; err != nil {
		t.Fatalf("starting %s: %v", name, err)
	}
	return p
}

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) } // fails only where it has ended

// kill ends the process as a crash would, and returns when it is gone.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// stop ends it as an operator would, and fails the test if it does not end well.
func (p *process) stop(t testing.TB) {
	t.Helper()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second):
		p.kill()
		t.Errorf("%s did not stop within 30 s", p.name)
		return
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("%s ended with %d when it was stopped; the last that it wrote: %s", p.name, code, p.tail())
	}
}

// freeze and thaw stop a process without its knowing, and let it go on.
func (p *process) freeze() { p.signal(syscall.SIGSTOP) }
func (p *process) thaw()   { p.signal(syscall.SIGCONT) }

func (p *process) runs() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// tail is the last that a process wrote.
func (p *process) tail() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-2000):])
}

// wrong is what no process may write, whatever befalls it.
var wrong = []string{"panic:", "WARNING: DATA RACE", "fatal error:", "level\":\"ERROR"}

// complaints returns the lines of a log, from a place on, that say that something is broken
// in the program itself, and how far it read.
func complaints(file string, from int64) (lines []string, to int64, err error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, from, err
	}
	for line := range bytes.Lines(b[from:]) {
		for _, w := range wrong {
			if bytes.Contains(line, []byte(w)) {
				lines = append(lines, filepath.Base(file)+": "+strings.TrimSpace(string(line)))
			}
		}
	}
	return lines, int64(len(b)), nil
}

// freeAddress returns an address on which nothing listens now. Its port is below those that
// systems give to outgoing connections, so that it stays free until its part listens.
func freeAddress() (address string, err error) {
	for range 100 {
		address = fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(22_000))
		var l net.Listener
		if l, err = net.Listen("tcp", address); err == nil {
			return address, l.Close()
		}
	}
	return "", fmt.Errorf("no port is free: %w", err)
}

// running returns the processes that run in a folder or below it.
func running(folder string) (all []string, err error) {
	found, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	for _, p := range found {
		// One that ended meanwhile is nowhere.
		if cwd, err := os.Readlink(filepath.Join(p, "cwd")); err == nil && (cwd == folder || strings.HasPrefix(cwd, folder+"/")) {
			all = append(all, filepath.Base(p))
		}
	}
	return all, nil
}
