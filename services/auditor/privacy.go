package auditor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	queries "latchkey.dev/queries/auditor"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/run"
	"latchkey.dev/services/internal/store"
)

const (
	// forgetSpan is of how much time one step of an erasure empties the challenges.
	forgetSpan = 24 * time.Hour
	// pauseAfterFailure is how long a job waits that failed.
	pauseAfterFailure = 10 * time.Second
	// turnSteps bounds the steps of one turn.
	turnSteps = 200
)

// Run works on exports and erasures until ctx ends. Any number of instances may.
func (d *Details) Run(ctx context.Context) error {
	var swept time.Time
	return run.NewLoop(run.LoopOptions{Name: "exports and erasures", Every: time.Second, Jitter: 200 * time.Millisecond, Timeout: time.Minute, Log: d.o.Logger, RunOnce: func(ctx context.Context) error {
		if d.o.Now().Sub(swept) > time.Minute {
			swept = d.o.Now()
			if err := d.sweep(ctx); err != nil {
				return err
			}
		}
		for range turnSteps {
			if worked, err := d.step(ctx); err != nil || !worked {
				return err
			}
		}
		return nil
	}}).Run(ctx)
}

// sweep deletes exports whose time is over, and looks how old jobs are.
func (d *Details) sweep(ctx context.Context) error {
	if err := d.q.ExportSweep(ctx); err != nil {
		return fmt.Errorf("sweeping exports: %w", err)
	}
	seconds, err := d.q.JobOldest(ctx)
	if err != nil {
		return fmt.Errorf("looking at jobs: %w", err)
	}
	d.age.Set(seconds)
	return nil
}

// step does the next part of the job that has waited longest, in one transaction, so that a
// process that dies in it leaves the job where it was. A job that fails waits a moment, and
// the others go on.
func (d *Details) step(ctx context.Context) (worked bool, err error) {
	var job queries.JobClaimRow
	var told []event.Event
	err = store.InTx(ctx, d.o.Pool, func(tx pgx.Tx) (err error) {
		worked, told = false, nil
		db := d.q.WithTx(tx)
		if job, err = db.JobClaim(ctx, d.o.Settle.Seconds()); errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("claiming: %w", err)
		}
		worked = true
		if job.Kind == "export" {
			return d.find(ctx, db, job)
		}
		told, err = d.erase(ctx, db, job)
		return err
	})
	if err != nil && worked {
		err = errors.Join(err, d.q.JobPause(context.WithoutCancel(ctx), queries.JobPauseParams{ID: job.ID, Seconds: pauseAfterFailure.Seconds()}))
	}
	if err != nil {
		return worked, fmt.Errorf("working on an export or an erasure: %w", err)
	}
	for _, e := range told {
		d.o.Bus.Publish(e)
	}
	return worked, nil
}

// find looks for a person's events in the next page of all.
func (d *Details) find(ctx context.Context, db *queries.Queries, job queries.JobClaimRow) error {
	seen, err := db.JobFind(ctx, queries.JobFindParams{After: job.Reached, Before: job.Until, Most: d.look, AccountID: job.AccountID, MemberID: job.MemberID, JobID: job.ID})
	if err != nil {
		return fmt.Errorf("looking for events: %w", err)
	}
	return d.reach(ctx, db, job, seen.Reached, seen.Found, seen.Looked < d.look)
}

// erase destroys a person's keys, and then removes the challenges and notices of a day. The
// keys come first in every step: they are in another database, and destroying what is gone
// changes nothing. The last day waits until nothing can come any more; then it is told that
// the key is gone.
func (d *Details) erase(ctx context.Context, db *queries.Queries, job queries.JobClaimRow) ([]event.Event, error) {
	if err := queries.New(d.o.KeysPool).MemberKeyDestroy(ctx, job.MemberID); err != nil {
		return nil, fmt.Errorf("destroying a member's keys: %w", err)
	}
	next := floor(timeOf(job.Reached).Add(forgetSpan))
	last := !timeOf(next).Before(timeOf(job.Until))
	if last && !job.Settled {
		return nil, db.JobPause(ctx, queries.JobPauseParams{ID: job.ID, Seconds: min(time.Second, d.o.Settle).Seconds()})
	}
	if err := db.ChallengesForget(ctx, queries.ChallengesForgetParams{MemberID: job.MemberID, Since: job.Reached, Before: next}); err != nil {
		return nil, fmt.Errorf("removing challenges: %w", err)
	}
	if err := d.reach(ctx, db, job, next, 0, last); err != nil || !last {
		return nil, err
	}
	e, err := d.keep(ctx, db, job.AccountID, event.KeyDestroyed{Member: job.MemberID, Job: job.ID})
	return []event.Event{e}, err
}

// reach notes how far a job is.
func (d *Details) reach(ctx context.Context, db *queries.Queries, job queries.JobClaimRow, reached [16]byte, found int32, done bool) error {
	percent := 100
	if whole := timeOf(job.Until).Sub(timeOf(job.Since)); !done && whole > 0 {
		percent = int(min(99, max(0, 100*timeOf(reached).Sub(timeOf(job.Since))/whole)))
	}
	err := db.JobStep(ctx, queries.JobStepParams{ID: job.ID, Reached: &reached, Progress: int16(percent), Found: found, Done: done})
	if err != nil {
		return fmt.Errorf("noting how far a job is: %w", err)
	}
	return nil
}
