// Command install fetches axe-core for the browser tests, as `make axe` does.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"latchkey.dev/services/internal/browsertest/axe"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := axe.Install(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
