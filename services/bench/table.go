package bench

import (
	"fmt"
	"io"
)

// head tells where and how it is measured.
func (r *Report) head(w io.Writer) {
	m, s := r.Machine, r.Settings
	fmt.Fprintf(w, "Latchkey with everything on one machine: %d cores (%s), Linux %s, data on %s\n", m.Cores, m.CPU, m.Kernel, m.FileSystem)
	fmt.Fprintf(w, "PostgreSQL %s: fsync %s, synchronous_commit %s, full_page_writes %s, wal_sync_method %s, data_checksums %s\n",
		s.PostgreSQL, s.Fsync, s.SynchronousCommit, s.FullPageWrites, s.WALSyncMethod, s.DataChecksums)
	fmt.Fprintf(w, "JetStream: storage %s, sync_interval %g s\n\n", s.JetStreamStorage, s.SyncIntervalS)
}

// table is rows of cells: the first to the left, the others to the right.
type table struct{ rows [][]string }

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) print(w io.Writer) {
	var wide []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(wide) {
				wide = append(wide, 0)
			}
			wide[i] = max(wide[i], len(cell))
		}
	}
	for _, row := range t.rows {
		fmt.Fprintf(w, "  %-*s", wide[0], row[0])
		for i, cell := range row[1:] {
			fmt.Fprintf(w, "  %*s", wide[i+1], cell)
		}
		fmt.Fprintln(w)
	}
}

// columns writes a row of one cell for each of all.
func columns[T any](t *table, name string, all []T, cell func(T) string) {
	cells := make([]string, len(all))
	for i, x := range all {
		cells[i] = cell(x)
	}
	t.row(append([]string{name}, cells...)...)
}

func number(format string, of func(Level) float64) func(Level) string {
	return func(l Level) string { return fmt.Sprintf(format, of(l)) }
}

func spread(of func(Steps) Times) func(Level) string {
	return func(l Level) string { t := of(l.Steps); return fmt.Sprintf("%.1f / %.1f", t.P50, t.P99) }
}

// tables prints the report for a person.
func (r *Report) tables(w io.Writer) {
	fmt.Fprintf(w, "\nWhole lives: device check answered with a challenge, text at the carrier, code entered, registered. A fresh person each.\n")
	t := new(table)
	all := append(append([]Level{}, r.Levels...), r.Open)
	columns(t, "", all, func(l Level) string {
		if l.Rate > 0 {
			return fmt.Sprintf("%d a second", l.Rate)
		}
		return fmt.Sprintf("%d at a time", l.AtATime)
	})
	columns(t, "lives", all, func(l Level) string { return fmt.Sprint(l.Lives) })
	columns(t, "failed", all, func(l Level) string { return fmt.Sprint(l.Failed) })
	columns(t, "lives a second", all, number("%.0f", func(l Level) float64 { return l.PerSecond }))
	columns(t, "check, ms p50 / p99", all, spread(func(s Steps) Times { return s.Check }))
	columns(t, "request to carrier, ms p50 / p99", all, spread(func(s Steps) Times { return s.Carrier }))
	columns(t, "answer to carrier, ms p50 / p99", all, spread(func(s Steps) Times { return s.Text }))
	columns(t, "code to registered, ms p50 / p99", all, spread(func(s Steps) Times { return s.Entry }))
	columns(t, "life, ms p50 / p99", all, spread(func(s Steps) Times { return s.Life }))
	for _, p := range processes {
		columns(t, "CPU a life, ms: "+p, all, number("%.2f", func(l Level) float64 { return l.CPUPerLifeMS[p] }))
	}
	columns(t, "lives a CPU-second of latchkey and postgres", all, number("%.0f", func(l Level) float64 { return l.PerCPUSecond }))
	columns(t, "cores busy, all together", all, number("%.2f", func(l Level) float64 {
		return l.Busy[ofLatchkey] + l.Busy[ofPostgres] + l.Busy[ofCarriers] + l.Busy[ofGenerator]
	}))
	for _, p := range processes {
		columns(t, "memory, MB: "+p, all, number("%.0f", func(l Level) float64 { return l.MemoryMB[p] }))
	}
	columns(t, "commits a life", all, number("%.2f", func(l Level) float64 { return l.PerLife.Commits }))
	columns(t, "rows inserted a life", all, number("%.1f", func(l Level) float64 { return l.PerLife.Rows }))
	columns(t, "WAL a life, KB", all, number("%.1f", func(l Level) float64 { return l.PerLife.WALBytes / 1024 }))
	columns(t, "WAL syncs a life", all, number("%.2f", func(l Level) float64 { return l.PerLife.WALSyncs }))
	columns(t, "messages published a life", all, number("%.1f", func(l Level) float64 { return l.PerLife.Messages }))
	columns(t, "receipts a life", all, number("%.2f", func(l Level) float64 { return l.PerLife.Receipts }))
	columns(t, "Go objects a life", all, number("%.0f", func(l Level) float64 { return l.PerLife.GoObjects }))
	columns(t, "Go memory a life, KB", all, number("%.0f", func(l Level) float64 { return l.PerLife.GoBytes / 1024 }))
	columns(t, "work from the stream, %", all, number("%.2f", func(l Level) float64 { return 100 * l.Work.StreamShare }))
	t.print(w)

	fmt.Fprintf(w, "\nThe raw parts on the same machine, and lives beside them. A sync of 8 KiB takes %.2f ms (p99 %.2f).\n", r.SyncMS.P50, r.SyncMS.P99)
	t = new(table)
	columns(t, "", r.Levels, func(l Level) string { return fmt.Sprintf("%d at a time", l.AtATime) })
	columns(t, "single-row inserts a second", r.Levels, number("%.0f", func(l Level) float64 { return l.Raw.Inserts.PerSecond }))
	columns(t, "publishes acknowledged a second", r.Levels, number("%.0f", func(l Level) float64 { return l.Raw.Publishes.PerSecond }))
	columns(t, "lives for each insert", r.Levels, number("%.3f", func(l Level) float64 { return l.Ratios.LivesPerInsert }))
	columns(t, "lives for each publish", r.Levels, number("%.4f", func(l Level) float64 { return l.Ratios.LivesPerPublish }))
	columns(t, "postgres CPU of a life, in inserts'", r.Levels, number("%.1f", func(l Level) float64 { return l.Ratios.InsertsPerLifeCPU }))
	t.print(w)

	fmt.Fprintf(w, "\nDevice checks of registered devices\n")
	t = new(table)
	columns(t, "", r.Checks, func(c Checks) string {
		if c.Rate > 0 {
			return fmt.Sprintf("%d a second", c.Rate)
		}
		return fmt.Sprintf("%d at a time", c.AtATime)
	})
	columns(t, "checks", r.Checks, func(c Checks) string { return fmt.Sprint(c.N) })
	columns(t, "checks a second", r.Checks, func(c Checks) string { return fmt.Sprintf("%.0f", c.PerSecond) })
	columns(t, "ms p50 / p99", r.Checks, func(c Checks) string { return fmt.Sprintf("%.1f / %.1f", c.Times.P50, c.Times.P99) })
	for _, p := range processes {
		columns(t, "CPU a check, ms: "+p, r.Checks, func(c Checks) string { return fmt.Sprintf("%.3f", c.CPUPerCheckMS[p]) })
	}
	t.print(w)

	fmt.Fprintln(w, "\nTargets")
	t = new(table)
	for _, g := range r.Targets {
		bound, met := "at least", "met"
		if g.Most {
			bound = "at most"
		}
		if !g.Met {
			met = "NOT met"
		}
		t.row(g.Name, fmt.Sprintf("%.4g", g.Got), fmt.Sprintf("%s %g", bound, g.Want), met)
	}
	t.print(w)
}
