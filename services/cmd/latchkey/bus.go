package main

import (
	"context"
	"fmt"
	"os"

	"latchkey.dev/services/cmd/internal/serve"
	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/install"
	"latchkey.dev/services/up/local"
)

// busCommand is `latchkey bus`: the embedded bus server in a process of its own, for
// `latchkey up --without bus` beside it.
type busCommand struct {
	serve.Common
	Listen string `help:"Address of the bus." env:"LATCHKEY_BUS_LISTEN" default:"127.0.0.1:4222"`
}

// Run runs it until ctx ends.
func (c *busCommand) Run(ctx context.Context) error {
	// PostgreSQL's own user passes through the folder where we are root.
	if err := os.MkdirAll(c.Data, 0o711); err != nil {
		return fmt.Errorf("making the data folder: %w", err)
	}
	keys, err := install.Make(string(c.Folder()), bus.Services(), bus.NewSeed, bus.PublicKey)
	if err != nil {
		return err
	}
	srv, err := local.StartBus(ctx, keys, c.Data, c.Listen, c.Logger())
	if err != nil {
		return err
	}
	defer srv.Shutdown()
	fmt.Printf("bus: %s\n", srv.ClientURL())
	<-ctx.Done()
	return nil
}
