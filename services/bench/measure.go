package bench

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"latchkey.dev/services/internal/store/migrate"
)

// metrics are Latchkey's own, as its /metrics shows them: values by name and labels.
type metrics map[string]float64

func (r *rig) metrics(ctx context.Context) (metrics, error) {
	b, err := get(ctx, r.metricsURL+"/metrics")
	if err != nil {
		return nil, fmt.Errorf("reading the metrics: %w", err)
	}
	return parseMetrics(string(b)), nil
}

// parseMetrics reads the text format of Prometheus, as far as it is needed here.
func parseMetrics(text string) metrics {
	m := metrics{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		if v, err := strconv.ParseFloat(line[at+1:], 64); err == nil && !math.IsNaN(v) {
			m[line[:at]] = v
		}
	}
	return m
}

// sum adds up the series of a name whose labels include all of those given, as `source="stream"`.
func (m metrics) sum(name string, labels ...string) (total float64) {
series:
	for series, v := range m {
		rest, ok := strings.CutPrefix(series, name)
		if !ok || rest != "" && rest[0] != '{' {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(rest, l) {
				continue series
			}
		}
		total += v
	}
	return total
}

func get(ctx context.Context, url string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", url, resp.Status)
	}
	return io.ReadAll(resp.Body)
}

// database is what PostgreSQL counts of itself.
type database struct{ commits, rows, walBytes, walSyncs float64 }

func (r *rig) database(ctx context.Context) (d database, err error) {
	err = r.admin.QueryRow(ctx, `SELECT sum(xact_commit), sum(tup_inserted), pg_current_wal_lsn() - '0/0'::pg_lsn,
			coalesce((SELECT (to_jsonb(w)->>'wal_sync')::float8 FROM pg_stat_wal w), 0)
		FROM pg_stat_database WHERE datname IN ($1, $2)`, migrate.Default.Main, migrate.Default.Keys).Scan(&d.commits, &d.rows, &d.walBytes, &d.walSyncs)
	if err != nil {
		return d, fmt.Errorf("reading PostgreSQL's counters: %w", err)
	}
	return d, nil
}

// mark is everything that is counted, at one moment.
type mark struct {
	usage    usage
	metrics  metrics
	database database
}

func (r *rig) mark(ctx context.Context) (m mark, err error) {
	// PostgreSQL's processes tell their counts once a second at most.
	if err := wait(ctx, 1100*time.Millisecond); err != nil {
		return m, err
	}
	if m.database, err = r.database(ctx); err != nil {
		return m, err
	}
	if m.metrics, err = r.metrics(ctx); err != nil {
		return m, err
	}
	m.usage, err = r.usage()
	return m, err
}

// count runs lives and tells what they took. The clock stops when the last is registered;
// what it counts besides goes on until the last receipt is stored and the last event has
// its place in the order, for that is work of these lives too.
func (r *rig) count(ctx context.Context, run func() lives) (Level, error) {
	before, err := r.mark(ctx)
	if err != nil {
		return Level{}, err
	}
	l := run()
	done, err := r.usage()
	if err != nil {
		return Level{}, err
	}
	if err := r.settle(ctx, before.metrics, len(l.all)-l.failed); err != nil {
		return Level{}, err
	}
	after, err := r.mark(ctx)
	if err != nil {
		return Level{}, err
	}
	n := float64(len(l.all) - l.failed)
	out := Level{Lives: len(l.all), Failed: l.failed, Seconds: l.elapsed.Seconds(), PerSecond: over(n, l.elapsed.Seconds()), Steps: l.steps(),
		CPU: after.usage.since(before.usage), MemoryMB: map[string]float64{}, CPUPerLifeMS: map[string]float64{}, Busy: map[string]float64{}}
	for p, used := range done.since(before.usage) {
		out.Busy[p] = used / l.elapsed.Seconds()
	}
	for _, p := range processes {
		out.MemoryMB[p] = done.memory[p] / (1 << 20)
		out.CPUPerLifeMS[p] = 1000 * over(out.CPU[p], n)
	}
	out.PerCPUSecond = over(n, out.CPU[ofLatchkey]+out.CPU[ofPostgres])
	grew := func(name string, labels ...string) float64 {
		return after.metrics.sum(name, labels...) - before.metrics.sum(name, labels...)
	}
	out.PerLife = PerLife{
		Commits:   over(after.database.commits-before.database.commits, n),
		Rows:      over(after.database.rows-before.database.rows, n),
		WALBytes:  over(after.database.walBytes-before.database.walBytes, n),
		WALSyncs:  over(after.database.walSyncs-before.database.walSyncs, n),
		Messages:  over(grew("latchkey_bus_published_total", `outcome="stored"`), n),
		Receipts:  over(grew("latchkey_receipts_total"), n),
		GoObjects: over(grew("go_memstats_mallocs_total"), n),
		GoBytes:   over(grew("go_memstats_alloc_bytes_total"), n),
	}
	out.Work = work(before.metrics, after.metrics)
	if l.first != nil {
		out.FirstFailure = l.first.Error()
	}
	return out, nil
}

// settleTime bounds how long the last receipts and the order of events are waited for.
const settleTime = 30 * time.Second

// settle waits for what follows lives: a receipt of each text, and where an auditor runs a
// place for each event.
func (r *rig) settle(ctx context.Context, before metrics, n int) error {
	limit := time.Now().Add(settleTime)
	for time.Now().Before(limit) {
		now, err := r.metrics(ctx)
		if err != nil {
			return err
		}
		if now.sum("latchkey_receipts_total")-before.sum("latchkey_receipts_total") >= float64(n) {
			ordered, err := r.ordered(ctx, now)
			if err != nil || ordered {
				return err
			}
		}
		if err := wait(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return nil // the report shows what is missing
}

func (r *rig) ordered(ctx context.Context, m metrics) (done bool, err error) {
	if m.sum("latchkey_bus_consumer_healthy", `service="auditor"`) == 0 {
		return true, nil // there is no auditor
	}
	err = r.admin.QueryRow(ctx, `SELECT (SELECT count(*) FROM event) = (SELECT count(*) FROM leaf)`).Scan(&done)
	return done, err
}

// work tells where work came from between two moments.
func work(before, after metrics) Work {
	w := Work{
		Stream: after.sum("latchkey_work_total", `source="stream"`) - before.sum("latchkey_work_total", `source="stream"`),
		Sweep:  after.sum("latchkey_work_total", `source="sweep"`) - before.sum("latchkey_work_total", `source="sweep"`),
	}
	w.StreamShare = over(w.Stream, w.Stream+w.Sweep)
	return w
}
