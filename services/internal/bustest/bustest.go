// Package bustest gives each test a real bus server of its own, provisioned, with a
// credential for every service. No binary may link it.
package bustest

import (
	"log/slog"
	"net"
	"net/url"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/natsd"
	"latchkey.dev/services/internal/secret"
)

// admin is a user of tests alone: it may do in the account what no service may.
const admin = "admin"

// Bus is a running server with its store in the test's temporary folder.
type Bus struct {
	t     testing.TB
	dir   string
	seeds map[string]secret.String // by service
	users []natsd.User

	mu   sync.Mutex
	port int
	url  string
	srv  *natsd.Server // nil while stopped
}

// Start starts a server on a free port of 127.0.0.1, with stream and consumers made.
// It is stopped when the test ends.
func Start(t testing.TB) *Bus {
	t.Helper()
	b := &Bus{t: t, dir: t.TempDir(), port: -1, seeds: map[string]secret.String{}}
	for _, service := range append(bus.Services(), admin) {
		seed, err := bus.NewSeed()
		if err != nil {
			t.Fatal(err)
		}
		public, err := bus.PublicKey(seed)
		if err != nil {
			t.Fatal(err)
		}
		rights := bus.Rights(service)
		if service == admin {
			rights = bus.Permissions{Publish: []string{">"}, Subscribe: []string{">"}}
		}
		b.seeds[service] = seed
		b.users = append(b.users, natsd.User{PublicKey: public, Rights: rights})
	}
	b.Restart()
	t.Cleanup(b.Stop)
	b.Provision()
	return b
}

// URL is where clients connect; it stays the same through restarts.
func (b *Bus) URL() string { return b.url }

// Seed is the credential of a service.
func (b *Bus) Seed(service string) secret.String { return b.seeds[service] }

// InProcessConn makes a Bus what bus.Options.Within takes.
func (b *Bus) InProcessConn() (net.Conn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.srv == nil {
		return nil, bus.ErrDown
	}
	return b.srv.InProcessConn()
}

// Stop stops the server and keeps its store. Stopping twice is safe.
func (b *Bus) Stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.srv != nil {
		b.srv.Shutdown()
		b.srv = nil
	}
}

// Restart stops the server if it runs, and starts it with the same port and store.
func (b *Bus) Restart() {
	b.t.Helper()
	b.Stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	srv, err := natsd.Start(natsd.Options{Dir: b.dir, Port: b.port, Users: b.users, Logger: quiet()})
	if err != nil {
		b.t.Fatalf("starting a bus server: %v", err)
	}
	b.srv, b.url = srv, srv.ClientURL()
	u, err := url.Parse(b.url)
	if err != nil {
		b.t.Fatal(err)
	}
	if b.port, err = strconv.Atoi(u.Port()); err != nil {
		b.t.Fatal(err)
	}
}

// Wipe stops the server, removes its whole store and starts it again, empty: without
// stream and consumers until Provision.
func (b *Bus) Wipe() {
	b.t.Helper()
	b.Stop()
	if err := os.RemoveAll(natsd.StoreDir(b.dir)); err != nil {
		b.t.Fatalf("wiping the bus: %v", err)
	}
	b.Restart()
}

// Provision makes stream and consumers, as the provisioner.
func (b *Bus) Provision() {
	b.t.Helper()
	c := b.Connect(b.t, bus.Provisioner)
	defer c.Close()
	if err := bus.Provision(b.t.Context(), c, bus.Config{MaxBytes: 256 << 20}); err != nil {
		b.t.Fatal(err)
	}
}

// Connect connects as a service. The connection is closed when the test ends.
func (b *Bus) Connect(t testing.TB, service string) *bus.Conn {
	t.Helper()
	c, err := bus.Connect(t.Context(), bus.Options{URL: b.url, NKeySeed: b.seeds[service], Service: service, Logger: quiet()})
	if err != nil {
		t.Fatalf("connecting as %s: %v", service, err)
	}
	t.Cleanup(c.Close)
	return c
}

// Raw connects as a service with the plain client, whose permission errors onError gets.
func (b *Bus) Raw(t testing.TB, service string, onError func(error)) *nats.Conn {
	t.Helper()
	pair, err := nkeys.FromSeed([]byte(b.seeds[service].Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(b.url, nats.Nkey(public, pair.Sign), nats.CustomInboxPrefix(bus.InboxPrefix(service)),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if onError != nil {
				onError(err)
			}
		}))
	if err != nil {
		t.Fatalf("connecting as %s: %v", service, err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// Admin is JetStream with all rights in the account of the services: for tests that do
// what no service may.
func (b *Bus) Admin(t testing.TB) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(b.Raw(t, admin, nil))
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// quiet drops log lines: tests of faults would write thousands.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
