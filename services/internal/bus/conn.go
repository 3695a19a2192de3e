// Package bus is how services speak to each other: NATS JetStream, with rights,
// publishing, consuming and provisioning, and no word of the business.
//
// The bus may be down, lose the tail of its stream or all of it: nothing here blocks
// or ends a service for that. What must not be lost is in Postgres, and the callers
// publish it again; consumers must bear any message twice, and a replay of all.
package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"latchkey.dev/services/internal/secret"
)

// ErrDown says that there is no connection to the bus, so nothing was sent.
var ErrDown = errors.New("bus: not connected")

// Options configure a connection. URL, NKeySeed and Service are required.
type Options struct {
	URL      string        // nats://host:port, several with commas
	NKeySeed secret.String // of the service
	Service  string        // one of Services
	// Within is the server where it runs in this process: then no byte goes through the
	// kernel. nil: the server is at URL.
	Within Embedded
	Logger *slog.Logger // slog.Default() if nil
	// Registerer takes the metrics, of one connection a service; none are kept if nil.
	Registerer prometheus.Registerer
}

// Embedded is a bus server in this process. It knows its clients by their keys, and gives
// them their rights, as over the network.
type Embedded interface {
	InProcessConn() (net.Conn, error)
}

// Conn is a service's connection to the bus. It is safe for concurrent use.
type Conn struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	service string
	log     *slog.Logger
	reg     prometheus.Registerer // never nil
	metrics *connMetrics
	flights flights
}

// Connect opens a connection, and succeeds also while the bus is down or refuses the
// credential: then it goes on trying for ever, in the background, with jitter. It waits
// 2 s at most. An error means a wrong option.
func Connect(ctx context.Context, o Options) (*Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	public, err := PublicKey(o.NKeySeed)
	if err != nil {
		return nil, err
	}
	if o.Service == "" || o.URL == "" {
		return nil, errors.New("connecting to the bus: Service and URL are required")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	c := &Conn{service: o.Service, log: o.Logger, reg: o.Registerer}
	c.metrics = newConnMetrics(c.reg)
	c.flights.init()

	c.nc, err = nats.Connect(o.URL,
		nats.InProcessServer(o.Within), // nil is none
		nats.Name("latchkey-"+o.Service),
		nats.Nkey(public, func(nonce []byte) ([]byte, error) { return sign(o.NKeySeed, nonce) }),
		nats.CustomInboxPrefix(InboxPrefix(o.Service)),
		nats.Timeout(2*time.Second),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(),
		nats.CustomReconnectDelay(func(int) time.Duration { return 100*time.Millisecond + rand.N(900*time.Millisecond) }),
		nats.ReconnectBufSize(-1), // while down a publish fails at once; Postgres is the buffer
		nats.PingInterval(5*time.Second), nats.MaxPingsOutstanding(2),
		// A server that hangs blocks a publish for a second, once; after that we are down.
		nats.FlusherTimeout(time.Second), nats.ReconnectOnFlusherError(),
		nats.ConnectHandler(func(*nats.Conn) { c.up() }),
		nats.ReconnectHandler(func(*nats.Conn) { c.up() }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { c.down(err) }),
		nats.ErrorHandler(c.failed),
	)
	if err != nil {
		return nil, fmt.Errorf("connecting to the bus: %w", err)
	}
	c.js, err = jetstream.New(c.nc,
		jetstream.WithDefaultTimeout(2*time.Second),
		jetstream.WithPublishAsyncMaxPending(maxInFlight),
		jetstream.WithPublishAsyncTimeout(ackTimeout),
		jetstream.WithPublishAsyncAckHandler(c.acked),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, m *nats.Msg, err error) { c.land(m, false, err) }))
	if err != nil {
		c.nc.Close()
		return nil, fmt.Errorf("connecting to the bus: %w", err)
	}
	if !c.nc.IsConnected() {
		c.log.WarnContext(ctx, "bus is not reachable yet")
	}
	return c, nil
}

// Connected reports whether the connection is up now.
func (c *Conn) Connected() bool { return c.nc.IsConnected() }

// Drain waits until every message on its way was acknowledged or has failed, limit at most.
func (c *Conn) Drain(ctx context.Context, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case <-c.js.PublishAsyncComplete():
	case <-ctx.Done():
	}
}

// Close ends the connection. What was not acknowledged by then fails with an error.
func (c *Conn) Close() {
	c.nc.Close()
	c.flights.failAll(ErrDown)
	c.metrics.up.Set(0)
}

// Notify sends data to a subject without any promise that it arrives: a wake-up.
func (c *Conn) Notify(subject string, data []byte) error {
	if !c.nc.IsConnected() {
		return ErrDown
	}
	if err := c.nc.Publish(subject, data); err != nil {
		return fmt.Errorf("sending a wake-up: %w", err)
	}
	return nil
}

func (c *Conn) up() {
	c.metrics.up.Set(1)
	c.log.Info("bus connected")
}

func (c *Conn) down(err error) {
	c.metrics.up.Set(0)
	c.metrics.disconnects.Inc()
	if err != nil {
		c.log.Warn("bus connection lost", "error", err)
	}
}

func (c *Conn) failed(_ *nats.Conn, _ *nats.Subscription, err error) {
	kind, level := "other", slog.LevelError
	var lost net.Error
	switch {
	case errors.Is(err, nats.ErrPermissionViolation):
		kind = "permission"
	case errors.Is(err, nats.ErrSlowConsumer):
		kind = "slow_consumer"
	case errors.As(err, &lost):
		// A write that met the end of the connection: an outage, of which down tells.
		kind, level = "connection", slog.LevelWarn
	}
	c.metrics.errors.WithLabelValues(kind).Inc()
	c.log.Log(context.Background(), level, "bus reported an error", "kind", kind, "error", err)
}
