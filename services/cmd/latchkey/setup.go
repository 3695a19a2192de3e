package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"latchkey.dev/services/cmd/internal/serve"
	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/config"
	"latchkey.dev/services/internal/install"
	"latchkey.dev/services/internal/store/migrate"
	"latchkey.dev/services/up/local"
)

// keysCommand is `latchkey keys`.
type keysCommand struct{ serve.Place }

// Run makes the key files that are missing.
func (c *keysCommand) Run() error {
	folder := string(c.Folder())
	if _, err := install.Make(folder, bus.Services(), bus.NewSeed, bus.PublicKey); err != nil {
		return err
	}
	fmt.Printf("every key file is in %s; give each service its own alone\n", folder)
	return nil
}

// migrateCommand is `latchkey migrate`.
type migrateCommand struct {
	serve.Place
	Database
}

// Run migrates, and writes down how each service reaches the databases.
func (c *migrateCommand) Run(ctx context.Context) error {
	admin, err := c.admin()
	if err != nil {
		return err
	}
	if admin.Empty() {
		return errors.New("set LATCHKEY_DATABASE_URL_FILE to a file with the administrator's URL (the PostgreSQL of `latchkey up` is migrated at each start)")
	}
	if err := migrate.Up(ctx, admin, migrate.Default); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(string(c.Folder()), "postgres"), 0o700); err != nil {
		return err
	}
	if err := local.Reach(ctx, c.Folder(), admin, true); err != nil {
		return err
	}
	fmt.Println("the databases are at this version's schema; each service's URL is in the key folder")
	return nil
}

// provisionCommand is `latchkey provision`.
type provisionCommand struct {
	serve.Common
	Config   string `help:"File of softwares and providers; that of the running installation if not given." env:"LATCHKEY_CONFIG" type:"path"`
	Replicas int    `help:"Copies of the stream: 1 on one machine, 3 in a cluster." env:"LATCHKEY_BUS_REPLICAS" default:"1"`
	MaxBytes int64  `help:"Most bytes of the stream on disk." env:"LATCHKEY_BUS_MAX_BYTES" default:"1073741824"`
}

// Run makes the stream and its consumers, and writes down the softwares.
func (c *provisionCommand) Run(ctx context.Context) error {
	keys := c.Folder()
	url, err1 := keys.BusURL()
	seed, err2 := keys.BusSeed(bus.Provisioner)
	if c.Config == "" {
		c.Config = local.RunningConfig(c.Data)
	}
	conf, err3 := config.Read(c.Config)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	conn, err := bus.Connect(ctx, bus.Options{URL: url, NKeySeed: seed, Service: bus.Provisioner, Logger: c.Logger()})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := bus.Provision(ctx, conn, bus.Config{Replicas: c.Replicas, MaxBytes: c.MaxBytes}); err != nil {
		return err
	}
	return withConsole(ctx, c.Common, func(o *operating) error {
		if err := o.console.SetSoftwares(ctx, conf.Softwares); err != nil {
			return err
		}
		fmt.Printf("stream, consumers and %d softwares are in place\n", len(conf.Softwares))
		return nil
	})
}
