package bench_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchkey.dev/services/bench"
)

// A small run, with everything real, measures every part.
func TestRunMeasuresEverything(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "latchkey")
	if out, err := exec.Command("go", "build", "-o", binary, "../cmd/latchkey").CombinedOutput(); err != nil {
		t.Fatalf("building latchkey: %v: %s", err, out)
	}
	dir, err := os.MkdirTemp("/var/tmp", "latchkey-test-") // PostgreSQL's user may not enter a test's own folder
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "report.json")
	var out bytes.Buffer
	err = bench.Run(t.Context(), bench.Options{Binary: binary, Dir: dir, Levels: []int{4}, Lives: 20, Time: time.Second / 2, JSON: file, Out: &out})
	if err != nil && !errors.Is(err, bench.ErrSweep) { // other tests leave the stream little time
		t.Fatalf("%v\n%s", err, out.String())
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r bench.Report
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Levels) != 1 || r.Levels[0].AtATime != 4 {
		t.Fatalf("levels: %+v, want 4 at a time", r.Levels)
	}
	for _, l := range append(r.Levels, r.Open) {
		if l.Lives == 0 || l.Failed > 0 || l.PerSecond <= 0 || l.PerCPUSecond <= 0 {
			t.Errorf("lives: %+v", l)
		}
		for name, s := range map[string]bench.Times{"check": l.Steps.Check, "carrier": l.Steps.Carrier, "entry": l.Steps.Entry, "life": l.Steps.Life} {
			if s.N != l.Lives || s.P50 <= 0 || s.P99 < s.P50 || s.Max < s.P99 {
				t.Errorf("%s: %+v of %d lives", name, s, l.Lives)
			}
		}
		for _, p := range []string{"latchkey", "postgres", "carriers", "generator"} {
			if l.MemoryMB[p] <= 0 {
				t.Errorf("memory of %s: %v", p, l.MemoryMB[p])
			}
		}
		if l.PerLife.Commits <= 0 || l.PerLife.WALBytes <= 0 || l.PerLife.Messages < 5 || l.PerLife.Receipts != 2 || l.PerLife.Rows < 10 {
			t.Errorf("a life takes %+v", l.PerLife)
		}
	}
	for _, l := range r.Levels {
		if l.Raw.Inserts.PerSecond <= 0 || l.Raw.Publishes.PerSecond <= 0 || l.Ratios.LivesPerInsert <= 0 {
			t.Errorf("raw: %+v, ratios: %+v", l.Raw, l.Ratios)
		}
	}
	for _, c := range r.Checks {
		if c.N == 0 || c.PerSecond <= 0 || c.Times.P99 <= 0 {
			t.Errorf("checks: %+v", c)
		}
	}
	if r.Work.Stream == 0 {
		t.Errorf("work: %+v", r.Work)
	}
	if s := r.Settings; s.Fsync != "on" || s.SynchronousCommit != "on" || s.FullPageWrites != "on" || s.JetStreamStorage != "file" || s.SyncIntervalS != 1 {
		t.Errorf("settings: %+v", s)
	}
	for _, said := range []string{"fsync on", "sync_interval 1 s", "lives a second", "single-row inserts a second", "Targets"} {
		if !strings.Contains(out.String(), said) {
			t.Errorf("the output does not say %q", said)
		}
	}
	if left, _ := filepath.Glob(dir + "/*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
