package auditor

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Hurry makes every look come often, so that tests need not wait.
func (a *Auditor) Hurry(every time.Duration) {
	a.tempo = tempo{gain: every, keep: every, look: every, grace: every}
}

// Step and Sweep are what Run repeats.
func (d *Details) Step(ctx context.Context) (worked bool, err error) { return d.step(ctx) }
func (d *Details) Sweep(ctx context.Context) error                   { return d.sweep(ctx) }

// Age is the metric of the oldest job.
func (d *Details) Age() prometheus.Gauge { return d.age }

// Look bounds the events that one step of an export looks through.
func (d *Details) Look(events int32) { d.look = events }
