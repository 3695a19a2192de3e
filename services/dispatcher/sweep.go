package dispatcher

import (
	"context"
	"fmt"
	"sync"
	"time"

	queries "latchkey.dev/queries/dispatcher"
	"latchkey.dev/services/code"
)

const (
	sweepLag     = time.Second      // how long the stream has before the sweep takes a text
	sweepOverlap = 10 * time.Second // looked at again, for rows that were committed late
	sweepStart   = 10 * time.Minute // how far back a sweep looks: as long as a code lives
	sweepMost    = 500              // of each kind in a turn, and twice that under way
)

// sweep sends what the stream did not bring, and follows up what is due. A turn starts
// texts and waits for none: a provider that hangs holds up its own texts only.
type sweep struct {
	d     *Dispatcher
	ctx   context.Context // of the texts, which outlive the turn that starts them
	texts sync.WaitGroup
	since time.Time // how far it has seen, by the database's clock

	mu     sync.Mutex
	under  map[Request]bool // under way
	failed int              // texts since the last turn
	err    error            // of the last of them
}

func (s *sweep) once(ctx context.Context) error {
	now, err := s.d.q.DatabaseTime(ctx)
	if err != nil {
		return fmt.Errorf("reading the time: %w", err)
	}
	if first := now.Add(-sweepStart); s.since.Before(first) {
		s.since = first
	}
	unclaimed, err := s.d.q.RequestUnclaimed(ctx, queries.RequestUnclaimedParams{Since: s.since, LagSeconds: sweepLag.Seconds(), Most: sweepMost})
	if err != nil {
		return fmt.Errorf("looking for requested texts: %w", err)
	}
	if err := s.d.q.AttemptSettleClosed(ctx, code.Margin.Seconds()); err != nil {
		return fmt.Errorf("settling texts of ended challenges: %w", err)
	}
	if s.d.sources { // they alone bring receipts that name no attempt
		if err := s.d.matchReceipts(ctx); err != nil {
			return err
		}
	}
	due, err := s.d.q.AttemptDue(ctx, sweepMost)
	if err != nil {
		return fmt.Errorf("looking for due texts: %w", err)
	}
	started := 0
	for _, r := range unclaimed {
		started += s.start(Request{r.ChallengeID, int(r.RequestNo)})
	}
	for _, r := range due {
		started += s.start(Request{r.ChallengeID, int(r.RequestNo)})
	}
	if started > 0 {
		s.d.o.Logger.Info("texts taken up by the sweep", "texts", started)
	}
	// What has no attempt yet is looked at again, however old it grows.
	s.since = now.Add(-sweepOverlap)
	if len(unclaimed) > 0 && unclaimed[0].RequestedAt.Before(s.since) {
		s.since = unclaimed[0].RequestedAt
	}
	return s.failures()
}

// start takes up a text that is not under way, and returns how many it started.
func (s *sweep) start(r Request) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.under[r] || len(s.under) >= 2*sweepMost {
		return 0
	}
	s.under[r] = true
	s.texts.Go(func() {
		_, err := s.d.Deliver(s.ctx, r, Sweep)
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.under, r)
		if err != nil {
			s.failed, s.err = s.failed+1, err
		}
	})
	return 1
}

// failures tells once of the texts that ended in an error since the last turn.
func (s *sweep) failures() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == 0 {
		return nil
	}
	err := fmt.Errorf("%d texts could not be taken forward, the last: %w", s.failed, s.err)
	s.failed, s.err = 0, nil
	return err
}
