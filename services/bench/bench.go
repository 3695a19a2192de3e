// Package bench measures a whole Latchkey on this machine, with nothing left out: lives
// from a device check to a registration at several levels of load, checks of registered
// devices, and in the same run what the machine does at best, single-row inserts and
// publishes.
//
// `latchkey up` and `latchkey carriers` run as processes of their own, driven over HTTP, so
// that the CPU of the service, of its PostgreSQL, of the phones and of the load generator
// (this process) are told apart.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Options say what is measured. Binary, Dir and Out are required.
type Options struct {
	Binary  string        // latchkey itself
	Dir     string        // where a folder for the data is made, on the disk to be measured
	Keep    bool          // the folder stays
	Levels  []int         // how many lives at a time: 1, 16, 64, 256 if empty
	Lives   int           // at the levels from 64 on, fewer below: 6000 if zero
	Time    time.Duration // of each measurement that has no number of lives: 10 s if zero
	Profile string        // file for a CPU profile of Latchkey at 64 lives, and <file>.checks at 64 checks; none if empty
	JSON    string        // file for the report; none if empty
	Out     io.Writer
}

func (o *Options) validate() error {
	var errs []error
	if o.Binary == "" || o.Dir == "" || o.Out == nil {
		errs = append(errs, errors.New("the binary, a folder and an output are required"))
	}
	if len(o.Levels) == 0 {
		o.Levels = []int{1, 16, 64, 256}
	}
	for _, n := range o.Levels {
		if n < 1 || n > maxAtATime {
			errs = append(errs, fmt.Errorf("%d lives at a time: must be 1 to %d", n, maxAtATime))
		}
	}
	if o.Lives == 0 {
		o.Lives = 6000
	}
	if o.Lives < 20 || o.Lives > 50_000 {
		errs = append(errs, errors.New("the lives of a level must be 20 to 50000"))
	}
	if o.Time == 0 {
		o.Time = 10 * time.Second
	}
	return errors.Join(errs...)
}

const (
	// maxAtATime leaves PostgreSQL connections for the services beside as many clients.
	maxAtATime = 300
	// openRate is the rate of the open loop, in lives a second.
	openRate = 200
	// checkRate is that of the open loop of registered devices.
	checkRate = 4000
)

// lives is how many lives a level has: enough for its p99 to mean something, and no more
// where each waits for the one before.
func (o Options) lives(at int) int {
	switch {
	case at >= 64:
		return o.Lives
	case at >= 8:
		return o.Lives / 2
	}
	return max(10, o.Lives/20)
}

// Run measures, prints the tables and writes the report. Unsafe settings are an error
// before anything is measured; so are a life that failed, and work that the stream did not
// bring, after it.
func Run(ctx context.Context, o Options) (err error) {
	if err := o.validate(); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	dir, err := os.MkdirTemp(o.Dir, "latchkey-bench-")
	if err != nil {
		return fmt.Errorf("making a folder for the data: %w", err)
	}
	if !o.Keep {
		defer os.RemoveAll(dir)
	}
	// PostgreSQL's own user passes through it where we are root.
	if err := os.Chmod(dir, 0o711); err != nil {
		return fmt.Errorf("making a folder for the data: %w", err)
	}
	r, err := start(ctx, o, dir)
	if err != nil {
		return err
	}
	defer r.stop()
	report := Report{At: time.Now().UTC(), Machine: machine(dir)}
	if report.Settings, err = r.settings(ctx); err != nil {
		return err
	}
	report.head(o.Out)
	if err := errors.Join(report.Machine.unsafe(), report.Settings.unsafe()); err != nil {
		return fmt.Errorf("what this would measure is not safe: %w", err)
	}
	if err := r.measure(ctx, &report); err != nil {
		return fmt.Errorf("%w (logs: %s)", err, filepath.Join(dir, "*.log"))
	}
	report.tables(o.Out)
	if o.JSON != "" {
		if err := report.write(o.JSON); err != nil {
			return err
		}
		fmt.Fprintf(o.Out, "the whole report: %s\n", o.JSON)
	}
	return report.fault()
}

// measure does all measurements, one after the other.
func (r *rig) measure(ctx context.Context, report *Report) (err error) {
	before, err := r.metrics(ctx)
	if err != nil {
		return err
	}
	if err := r.warmUp(ctx); err != nil {
		return fmt.Errorf("warming up: %w", err)
	}
	if report.SyncMS, err = syncTime(r.dir); err != nil {
		return err
	}
	for _, at := range r.o.Levels {
		raw, err := r.raw(ctx, at)
		if err != nil {
			return fmt.Errorf("the raw parts, %d at a time: %w", at, err)
		}
		l, err := r.level(ctx, at)
		if err != nil {
			return fmt.Errorf("%d lives at a time: %w", at, err)
		}
		l.compare(raw)
		report.Levels = append(report.Levels, l)
		r.say("%4d at a time: %.0f lives a second", at, l.PerSecond)
	}
	if report.Open, err = r.openLoop(ctx, openRate); err != nil {
		return fmt.Errorf("%d lives a second: %w", openRate, err)
	}
	if report.Checks, err = r.checks(ctx); err != nil {
		return fmt.Errorf("checks of registered devices: %w", err)
	}
	after, err := r.metrics(ctx)
	if err != nil {
		return err
	}
	report.Work = work(before, after)
	report.judge()
	return nil
}

// say tells how far it is.
func (r *rig) say(format string, args ...any) { fmt.Fprintf(r.o.Out, "  "+format+"\n", args...) }
