package bus_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/bustest"
)

// nowhere is an address that nobody listens on.
const nowhere = "nats://127.0.0.1:1"

func TestAServerWithinTheProcessIsReachedWithoutANetwork(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	c := connectWithin(t, server, bus.Login, bus.Login)
	p := bus.NewPublisher(c, time.Now)
	sent := messages(3, "latchkey.code.requested.a1")
	if err := p.Publish(t.Context(), sent); err != nil {
		t.Fatal(err)
	}
	server.Restart()
	eventually(t, "the connection is back", c.Connected)
	if err := p.Publish(t.Context(), messages(1, "latchkey.code.requested.a1")); err != nil {
		t.Errorf("publishing after a restart of the server: %v", err)
	}
}

func TestAServerWithinTheProcessGrantsNoMoreThanOverTheNetwork(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	c := connectWithin(t, server, bus.Login, bus.Login)
	foreign := bus.Message{ID: uuid.New(), Subject: "latchkey.device.registered.a1", Data: []byte("{}")}
	if err := bus.NewPublisher(c, time.Now).Publish(t.Context(), []bus.Message{foreign}); err == nil {
		t.Error("login published what the verifier alone may say")
	}
	if c := connectWithin(t, server, "nobody", bus.Login); c.Connected() {
		t.Error("a key that is no service's was let in")
	}
}

// connectWithin connects with the key of a service, or with one that nobody knows.
func connectWithin(t *testing.T, server *bustest.Bus, key, service string) *bus.Conn {
	t.Helper()
	seed := server.Seed(key)
	if seed.Empty() {
		var err error
		if seed, err = bus.NewSeed(); err != nil {
			t.Fatal(err)
		}
	}
	c, err := bus.Connect(t.Context(), bus.Options{URL: nowhere, Within: server, NKeySeed: seed, Service: service, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}
