package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

// Report is everything that was measured. Rates are a second, and times in milliseconds,
// where the name does not say otherwise.
type Report struct {
	At       time.Time `json:"at"`
	Machine  Machine   `json:"machine"`
	Settings Settings  `json:"settings"`
	SyncMS   Times     `json:"sync"` // of 8 KiB to the disk
	Levels   []Level   `json:"levels"`
	Open     Level     `json:"open_loop"`
	Checks   []Checks  `json:"registered_device_checks"`
	Work     Work      `json:"work"`
	Targets  []Target  `json:"targets"`
}

// Level is what lives did at one level of load: AtATime of them, the next when one ends, or
// Rate begun each second.
type Level struct {
	AtATime      int     `json:"at_a_time,omitempty"`
	Rate         int     `json:"rate,omitempty"`
	Lives        int     `json:"lives"`
	Failed       int     `json:"failed"`
	FirstFailure string  `json:"first_failure,omitempty"`
	Seconds      float64 `json:"seconds"`
	PerSecond    float64 `json:"per_second"`
	Steps        Steps   `json:"steps"`
	// CPU is in seconds, with what follows a life: receipts, the order of events.
	CPU          map[string]float64 `json:"cpu_seconds"`
	CPUPerLifeMS map[string]float64 `json:"cpu_per_life_ms"`
	// Busy is how many cores were used while lives were under way.
	Busy map[string]float64 `json:"cores_busy"`
	// PerCPUSecond is lives for each second of CPU of Latchkey and PostgreSQL together.
	PerCPUSecond float64            `json:"lives_per_cpu_second"`
	MemoryMB     map[string]float64 `json:"memory_mb"`
	PerLife      PerLife            `json:"per_life"`
	Work         Work               `json:"work"`
	Raw          *Raw               `json:"raw,omitempty"`
	Ratios       *Ratios            `json:"ratios,omitempty"`
}

// Steps are those of a life. Check is from the device check to its answer, Carrier from the
// device check to the carrier's taking the text, Text from the answer to that (0 where it
// came before the answer), Entry from the typed code to "registered".
type Steps struct {
	Check   Times `json:"check"`
	Carrier Times `json:"carrier"`
	Text    Times `json:"text"`
	Entry   Times `json:"entry"`
	Life    Times `json:"life"`
}

// PerLife is what one life takes.
type PerLife struct {
	Commits   float64 `json:"commits"`
	Rows      float64 `json:"rows_inserted"`
	WALBytes  float64 `json:"wal_bytes"`
	WALSyncs  float64 `json:"wal_syncs"`
	Messages  float64 `json:"messages"`
	Receipts  float64 `json:"receipts"`
	GoObjects float64 `json:"go_objects"`
	GoBytes   float64 `json:"go_bytes"`
}

// Rate is a number of things done, and how many a second.
type Rate struct {
	N         int     `json:"n"`
	PerSecond float64 `json:"per_second"`
}

// Raw is what the machine does at best.
type Raw struct {
	Inserts          Rate    `json:"single_row_inserts"`
	InsertPostgresMS float64 `json:"insert_postgres_cpu_ms"`
	Publishes        Rate    `json:"publishes"`
}

// Ratios compare lives with the raw parts at the same level.
type Ratios struct {
	LivesPerInsert  float64 `json:"lives_per_insert"`
	LivesPerPublish float64 `json:"lives_per_publish"`
	// InsertsPerLifeCPU is PostgreSQL's CPU for a life, counted in that for single inserts.
	InsertsPerLifeCPU float64 `json:"postgres_cpu_of_a_life_in_inserts"`
}

// compare adds the raw parts to a level.
func (l *Level) compare(raw Raw) {
	l.Raw = &raw
	l.Ratios = &Ratios{LivesPerInsert: over(l.PerSecond, raw.Inserts.PerSecond), LivesPerPublish: over(l.PerSecond, raw.Publishes.PerSecond),
		InsertsPerLifeCPU: over(l.CPUPerLifeMS[ofPostgres], raw.InsertPostgresMS)}
}

// Checks are device checks of registered devices.
type Checks struct {
	AtATime       int                `json:"at_a_time,omitempty"`
	Rate          int                `json:"rate,omitempty"`
	N             int                `json:"n"`
	PerSecond     float64            `json:"per_second"`
	Times         Times              `json:"times"`
	CPUPerCheckMS map[string]float64 `json:"cpu_per_check_ms"`
}

// Work is where work came from.
type Work struct {
	Stream      float64 `json:"stream"`
	Sweep       float64 `json:"sweep"`
	StreamShare float64 `json:"stream_share"`
}

// Target is what was to be reached.
type Target struct {
	Name string  `json:"name"`
	Got  float64 `json:"got"`
	Want float64 `json:"want"`
	Most bool    `json:"at_most"` // Want is an upper bound, not a lower one
	Met  bool    `json:"met"`
}

const minStreamShare = 0.99

// judge holds what was measured against the targets.
func (r *Report) judge() {
	least := func(name string, got, want float64) {
		r.Targets = append(r.Targets, Target{Name: name, Got: got, Want: want, Met: got >= want})
	}
	most := func(name string, got, want float64) {
		r.Targets = append(r.Targets, Target{Name: name, Got: got, Want: want, Most: true, Met: got <= want})
	}
	for _, l := range r.Levels {
		if l.AtATime == 64 {
			least("lives a second, 64 at a time", l.PerSecond, 1000)
		}
	}
	best := Checks{}
	for _, c := range r.Checks {
		if c.PerSecond > best.PerSecond && c.Rate == 0 {
			best = c
		}
		if c.Rate == checkRate {
			most(fmt.Sprintf("registered-device check, ms p99 at %d a second", checkRate), c.Times.P99, 20)
		}
	}
	least("registered-device checks a second", best.PerSecond, checkRate)
	most(fmt.Sprintf("request to carrier, ms p99 at %d a second", openRate), r.Open.Steps.Carrier.P99, 50)
	least("share of the work that the stream brought", r.Work.StreamShare, minStreamShare)
}

// ErrSweep says that too much of the work was found by the sweeps of the database: what was
// measured is a Latchkey whose bus does not keep up.
var ErrSweep = errors.New("too little work came over the bus")

// fault is what makes a run no measurement: lives that failed, or work that the stream did
// not bring. A target that was missed is none.
func (r *Report) fault() error {
	var errs []error
	for _, l := range append(r.Levels, r.Open) {
		if l.Failed > 0 {
			errs = append(errs, fmt.Errorf("%d of %d lives failed, the first: %s", l.Failed, l.Lives, l.FirstFailure))
		}
	}
	if r.Work.StreamShare < minStreamShare {
		errs = append(errs, fmt.Errorf("%w: the stream brought %.2f %% of the work, less than %.0f %%", ErrSweep, 100*r.Work.StreamShare, 100*minStreamShare))
	}
	return errors.Join(errs...)
}

// write writes the report as JSON.
func (r *Report) write(file string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if err := os.WriteFile(file, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}
