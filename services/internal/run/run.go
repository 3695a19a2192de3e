// Package run starts the parts of a process together, ends them together, and has
// the one shape of loop that they use.
package run

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Component is a part of a process that runs until its context ends.
type Component struct {
	Name string
	// Run returns when its goroutines have ended. A nil error before the context
	// ended means that its work was finite and is done.
	Run func(ctx context.Context) error
}

// All runs the components together and returns when every one has ended. The first
// that fails ends the context of the others. The error joins all failures, each with
// its component's name; what a component says about the end of ctx is no failure.
func All(ctx context.Context, components ...Component) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(components))
	var wg sync.WaitGroup
	for i, c := range components {
		wg.Go(func() {
			err := c.Run(ctx)
			if err == nil || ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx))) {
				return
			}
			errs[i] = fmt.Errorf("%s: %w", c.Name, err)
			cancel()
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
