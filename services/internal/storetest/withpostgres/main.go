// Command withpostgres runs a command with a PostgreSQL of its own, made for it and thrown
// away after it, named to the command by LATCHKEY_TEST_POSTGRES.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"latchkey.dev/services/internal/pgd"
	"latchkey.dev/services/internal/storetest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: withpostgres COMMAND [ARGUMENTS]")
		os.Exit(2)
	}
	os.Exit(run(ctx, os.Args[1:]))
}

func run(ctx context.Context, command []string) int {
	top, err := os.MkdirTemp("", "latchkey-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(top)
	if err := os.Chmod(top, 0o755); err != nil { // PostgreSQL's own user passes through
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	server, bin, err := start(ctx, filepath.Join(top, "pg"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer server.Stop()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Env = append(os.Environ(), storetest.Env+"="+server.URL("postgres", "postgres").Reveal())
	if bin != "" { // for tests that start a PostgreSQL of their own
		cmd.Env = append(cmd.Env, "LATCHKEY_POSTGRES_BIN="+bin)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = cmd.Run()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// start starts PostgreSQL, fetching its programs once into the user's cache where the
// machine has none and they may not be installed; bin is where those are.
func start(ctx context.Context, dir string) (server *pgd.Server, bin string, err error) {
	server, err = pgd.Start(ctx, pgd.Options{Dir: dir, Fast: true})
	if !errors.Is(err, pgd.ErrNoPostgres) {
		return server, "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, "", pgd.ErrNoPostgres
	}
	if bin, err = pgd.Fetched(ctx, filepath.Join(cache, "latchkey")); err != nil {
		return nil, "", err
	}
	server, err = pgd.Start(ctx, pgd.Options{Dir: dir, Bin: bin, Fast: true})
	return server, bin, err
}
