package local

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strconv"

	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/install"
	"latchkey.dev/services/internal/natsd"
)

// Bus is the embedded bus server's name among what a process can run without.
const Bus = "bus"

// startBus starts the embedded server, unless it runs in a process of its own.
func (l *Local) startBus(ctx context.Context) error {
	if slices.Contains(l.o.Without, Bus) {
		return nil
	}
	srv, err := StartBus(ctx, l.keys, l.o.Data, "127.0.0.1:-1", l.o.Logger)
	if err != nil {
		return err
	}
	l.bus = srv
	l.closers = append(l.closers, srv.Shutdown)
	return nil
}

// StartBus starts the embedded bus server of a data folder at an address (port -1 for any
// free one), makes the stream and its consumers, and writes down where services find it.
func StartBus(ctx context.Context, keys install.Folder, data, address string, log *slog.Logger) (*natsd.Server, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("the bus's address: %w", err)
	}
	port, err := strconv.Atoi(service)
	if err != nil {
		return nil, fmt.Errorf("the bus's port %q is no number", service)
	}
	var users []natsd.User
	for _, s := range bus.Services() {
		key, err := keys.BusPublicKey(s)
		if err != nil {
			return nil, err
		}
		users = append(users, natsd.User{PublicKey: key, Rights: bus.Rights(s)})
	}
	srv, err := natsd.Start(natsd.Options{Dir: filepath.Join(data, "bus"), Host: host, Port: port, Users: users, Logger: log})
	if err != nil {
		return nil, err
	}
	if err := announce(ctx, keys, srv.ClientURL(), log); err != nil {
		srv.Shutdown()
		return nil, err
	}
	return srv, nil
}

func announce(ctx context.Context, keys install.Folder, url string, log *slog.Logger) error {
	if err := keys.SetBusURL(url); err != nil {
		return err
	}
	seed, err := keys.BusSeed(bus.Provisioner)
	if err != nil {
		return err
	}
	conn, err := bus.Connect(ctx, bus.Options{URL: url, NKeySeed: seed, Service: bus.Provisioner, Logger: log})
	if err != nil {
		return err
	}
	defer conn.Close()
	return bus.Provision(ctx, conn, bus.Config{})
}
