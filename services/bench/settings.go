package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"

	"github.com/jackc/pgx/v5"

	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/store"
)

// Settings are those that decide what a crash or a power failure may take. Each of
// PostgreSQL's is what the services' own connections have, "a / b" where they differ.
type Settings struct {
	PostgreSQL        string `json:"postgresql"`
	Fsync             string `json:"fsync"`
	SynchronousCommit string `json:"synchronous_commit"`
	FullPageWrites    string `json:"full_page_writes"`
	WALSyncMethod     string `json:"wal_sync_method"`
	DataChecksums     string `json:"data_checksums"`
	// UnloggedTables would be emptied by a crash.
	UnloggedTables   int     `json:"unlogged_tables"`
	JetStreamStorage string  `json:"jetstream_storage"`
	SyncIntervalS    float64 `json:"jetstream_sync_interval_seconds"`
}

// services are those whose connections are looked at.
var services = []string{bus.Login, bus.Dispatcher, bus.Verifier, bus.Auditor, bus.Console}

func (r *rig) settings(ctx context.Context) (s Settings, err error) {
	for name, into := range map[string]*string{"server_version": &s.PostgreSQL, "fsync": &s.Fsync, "synchronous_commit": &s.SynchronousCommit,
		"full_page_writes": &s.FullPageWrites, "wal_sync_method": &s.WALSyncMethod, "data_checksums": &s.DataChecksums} {
		if *into, err = r.setting(ctx, name); err != nil {
			return s, err
		}
	}
	if err := r.admin.QueryRow(ctx, "SELECT count(*) FROM pg_class WHERE relpersistence = 'u'").Scan(&s.UnloggedTables); err != nil {
		return s, err
	}
	m, err := r.metrics(ctx)
	if err != nil {
		return s, err
	}
	s.SyncIntervalS = m.sum("latchkey_bus_server_sync_interval_seconds")
	s.JetStreamStorage, err = r.storage(ctx)
	return s, err
}

// setting asks the connections of every service, opened as the service opens them.
func (r *rig) setting(ctx context.Context, name string) (string, error) {
	var seen []string
	for _, service := range services {
		url, err := r.keys.MainURL(service)
		if err != nil {
			return "", err
		}
		pool, err := store.Open(ctx, store.Options{URL: url, Service: service, MaxConns: 1})
		if err != nil {
			return "", err
		}
		var value string
		err = pool.QueryRow(ctx, "SHOW "+pgx.Identifier{name}.Sanitize()).Scan(&value)
		pool.Close()
		if err != nil {
			return "", fmt.Errorf("asking for %s: %w", name, err)
		}
		if len(seen) == 0 || seen[len(seen)-1] != value {
			seen = append(seen, value)
		}
	}
	return strings.Join(seen, " / "), nil
}

func (r *rig) storage(ctx context.Context) (string, error) {
	url, err1 := r.keys.BusURL()
	seed, err2 := r.keys.BusSeed(bus.Provisioner)
	if err := errors.Join(err1, err2); err != nil {
		return "", err
	}
	conn, err := bus.Connect(ctx, bus.Options{URL: url, NKeySeed: seed, Service: bus.Provisioner, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return bus.Storage(ctx, conn)
}

// maxSyncInterval is the longest that JetStream's tail may be unsynced, in seconds.
const maxSyncInterval = 1

// unsafe names every setting with which a crash or a power failure could take what was
// committed: numbers measured so would be worth nothing.
func (s Settings) unsafe() error {
	var errs []error
	want := func(name, value, safe string) {
		if value != safe {
			errs = append(errs, fmt.Errorf("%s is %s, not %s", name, value, safe))
		}
	}
	want("fsync", s.Fsync, "on")
	want("synchronous_commit", s.SynchronousCommit, "on")
	want("full_page_writes", s.FullPageWrites, "on")
	want("JetStream's storage", s.JetStreamStorage, "file")
	if s.UnloggedTables > 0 {
		errs = append(errs, fmt.Errorf("%d tables are unlogged", s.UnloggedTables))
	}
	if s.SyncIntervalS <= 0 || s.SyncIntervalS > maxSyncInterval {
		errs = append(errs, fmt.Errorf("JetStream's sync_interval is %v s, not %d at most", s.SyncIntervalS, maxSyncInterval))
	}
	return errors.Join(errs...)
}

// Machine is where it was measured.
type Machine struct {
	CPU        string `json:"cpu"`
	Cores      int    `json:"cores"`
	MemoryKB   string `json:"memory_kb"`
	Kernel     string `json:"kernel"`
	Go         string `json:"go"`
	FileSystem string `json:"file_system"` // of the data
}

func machine(dir string) Machine {
	field := func(file, name string) string {
		b, _ := os.ReadFile(file)
		for line := range strings.Lines(string(b)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
				return strings.TrimSpace(value)
			}
		}
		return ""
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	mounts, _ := os.ReadFile("/proc/self/mounts")
	return Machine{CPU: field("/proc/cpuinfo", "model name"), Cores: runtime.NumCPU(), MemoryKB: strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB"),
		Kernel: strings.TrimSpace(string(kernel)), Go: runtime.Version(), FileSystem: fileSystem(string(mounts), dir)}
}

// fileSystem is the type of the file system that a folder is on: of the mounts above it,
// the last of the longest.
func fileSystem(mounts, dir string) string {
	longest, kind := -1, ""
	for line := range strings.Lines(mounts) {
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		at := strings.TrimSuffix(f[1], "/")
		if (dir == at || strings.HasPrefix(dir, at+"/")) && len(at) >= longest {
			longest, kind = len(at), f[2]
		}
	}
	return kind
}

// unsafe refuses a disk that is none.
func (m Machine) unsafe() error {
	if m.FileSystem == "tmpfs" || m.FileSystem == "ramfs" {
		return fmt.Errorf("the data lie in memory (%s): choose a folder on a disk", m.FileSystem)
	}
	return nil
}
