package bench

import (
	"strings"
	"testing"
	"time"
)

// Whatever may lose what was committed is refused by its name.
func TestUnsafeSettingsAreRefused(t *testing.T) {
	t.Parallel()
	safe := Settings{Fsync: "on", SynchronousCommit: "on", FullPageWrites: "on", JetStreamStorage: "file", SyncIntervalS: 1}
	if err := safe.unsafe(); err != nil {
		t.Errorf("safe settings are refused: %v", err)
	}
	for name, change := range map[string]func(*Settings){
		"fsync":               func(s *Settings) { s.Fsync = "off" },
		"synchronous_commit":  func(s *Settings) { s.SynchronousCommit = "on / off" }, // one service's alone
		"full_page_writes":    func(s *Settings) { s.FullPageWrites = "off" },
		"JetStream's storage": func(s *Settings) { s.JetStreamStorage = "memory" },
		"sync_interval":       func(s *Settings) { s.SyncIntervalS = 120 },
		"unlogged":            func(s *Settings) { s.UnloggedTables = 1 },
	} {
		s := safe
		change(&s)
		if err := s.unsafe(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for dir, want := range map[string]string{"/var/tmp/x": "ext4", "/dev/shm/x": "tmpfs", "/dev/shmx": "devtmpfs", "/run": "tmpfs"} {
		mounts := "/dev/vda / ext4 rw 0 0\ndevtmpfs /dev devtmpfs rw 0 0\ntmpfs /dev/shm tmpfs rw 0 0\ntmpfs /run tmpfs rw 0 0\n"
		got := fileSystem(mounts, dir)
		if got != want || (Machine{FileSystem: got}.unsafe() != nil) != (want == "tmpfs") {
			t.Errorf("%s lies on %s, want %s", dir, got, want)
		}
	}
}

func TestPercentileIsTheNearestRank(t *testing.T) {
	t.Parallel()
	var all []time.Duration
	for i := 100; i > 0; i-- {
		all = append(all, time.Duration(i)*time.Millisecond)
	}
	if got := timesOf(all); got != (Times{N: 100, P50: 50, P99: 99, Max: 100}) {
		t.Errorf("of 1 to 100 ms: %+v", got)
	}
	if got := timesOf([]time.Duration{time.Millisecond}); got != (Times{N: 1, P50: 1, P99: 1, Max: 1}) {
		t.Errorf("of one: %+v", got)
	}
}

func TestProcStatIsReadPastAnyName(t *testing.T) {
	t.Parallel()
	s, err := parseStat([]byte("42 (post) (gres) S 7 42 42 0 -1 4194560 100 0 0 0 150 50 1000 200 20 0 1 0 12345 1 2\n"))
	if err != nil || s != (stat{parent: 7, own: 2, ended: 12}) {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := parseStat([]byte("1 (x) S")); err == nil {
		t.Error("a short line is read")
	}
}

func TestMetricsAreSummedByLabels(t *testing.T) {
	t.Parallel()
	m := parseMetrics("# HELP x y\nwork_total{service=\"a\",source=\"stream\"} 3\nwork_total{service=\"b\",source=\"stream\"} 4\n" +
		"work_total{service=\"b\",source=\"sweep\"} 5\nwork_total_more 9\nplain 1e+03\n")
	for _, tc := range []struct {
		got, want float64
	}{{m.sum("work_total"), 12}, {m.sum("work_total", `source="stream"`), 7}, {m.sum("work_total", `source="sweep"`, `service="a"`), 0}, {m.sum("plain"), 1000}} {
		if tc.got != tc.want {
			t.Errorf("sum is %v, want %v", tc.got, tc.want)
		}
	}
}
