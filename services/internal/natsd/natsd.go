// Package natsd embeds a NATS server with JetStream on disk, for one machine and for
// tests. A cluster runs the stock server with the same accounts and rights.
package natsd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"latchkey.dev/services/internal/bus"
)

// Accounts of the server. Services live in AccountLatchkey; AccountSystem has the
// server's own events and no user.
const (
	AccountLatchkey = "LATCHKEY"
	AccountSystem   = "SYS"
)

// User is a credential that may connect, to AccountLatchkey.
type User struct {
	PublicKey string // nkey, "U…"; its seed stays with the service
	Rights    bus.Permissions
}

// Options configure a Server. Dir and Users are required.
type Options struct {
	// Dir holds the JetStream store. One server at a time may use it.
	Dir string
	// Host to listen on, 127.0.0.1 if empty.
	Host string
	// Port to listen on, -1 for a free one, 4222 if zero.
	Port int
	// StoreMaxBytes bounds the store on disk, 2 GiB if zero. It must hold the stream.
	StoreMaxBytes int64
	// SyncInterval is how often the store is synced to disk, 1 s if zero: after a power
	// failure at most so much of the stream's tail is missing.
	SyncInterval time.Duration
	Users        []User
	Logger       *slog.Logger // slog.Default() if nil
}

func (o *Options) validate() error {
	var errs []error
	if o.Dir == "" {
		errs = append(errs, errors.New("option Dir is missing"))
	}
	if o.Port < -1 || o.Port > 65535 {
		errs = append(errs, fmt.Errorf("option Port is %d, which is none", o.Port))
	}
	if o.StoreMaxBytes < 0 || o.SyncInterval < 0 {
		errs = append(errs, errors.New("options StoreMaxBytes and SyncInterval must not be negative"))
	}
	for _, u := range o.Users {
		if !nkeys.IsValidPublicUserKey(u.PublicKey) {
			errs = append(errs, errors.New("a user's PublicKey is not the public nkey of a user"))
		}
	}
	return errors.Join(errs...)
}

// Server is a running server.
type Server struct{ srv *server.Server }

// Start starts a server and returns when it takes connections, 10 s at most.
func Start(o Options) (*Server, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("starting the bus server: %w", err)
	}
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	if o.Port == 0 {
		o.Port = server.DEFAULT_PORT
	}
	if o.StoreMaxBytes == 0 {
		o.StoreMaxBytes = 2 << 30
	}
	if o.SyncInterval == 0 {
		o.SyncInterval = time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("starting the bus server: %w", err)
	}
	conf, err := config(o)
	if err != nil {
		return nil, fmt.Errorf("starting the bus server: %w", err)
	}
	opts := &server.Options{NoSigs: true}
	if err := opts.ProcessConfigString(string(conf)); err != nil {
		return nil, fmt.Errorf("starting the bus server: %w", err)
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("starting the bus server: %w", err)
	}
	log := logger{o.Logger, make(chan string, 1)}
	srv.SetLoggerV2(log, false, false, false)
	srv.Start()
	if err := ready(srv, log.fatal); err != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
		return nil, fmt.Errorf("starting the bus server: %w", err)
	}
	return &Server{srv}, nil
}

// ready waits until the server takes connections, or says that it never will.
func ready(srv *server.Server, fatal <-chan string) error {
	for range 100 {
		if srv.ReadyForConnections(100 * time.Millisecond) {
			return nil
		}
		select {
		case text := <-fatal:
			return errors.New(text)
		default:
		}
	}
	return errors.New("it takes no connections after 10 s")
}

// ClientURL is where clients connect, with the port that was chosen.
func (s *Server) ClientURL() string { return s.srv.ClientURL() }

// InProcessConn is a connection from within this process, for bus.Options.Within. Who uses
// it proves the own key as over the network.
func (s *Server) InProcessConn() (net.Conn, error) { return s.srv.InProcessConn() }

// SyncInterval is how often the store is synced to disk: what a power failure may take
// of the stream's tail.
func (s *Server) SyncInterval() time.Duration {
	if c := s.srv.JetStreamConfig(); c != nil {
		return c.SyncInterval
	}
	return 0
}

// Shutdown stops the server, writes the store out and returns when that is done.
// Stopping twice is safe.
func (s *Server) Shutdown() {
	s.srv.Shutdown()
	s.srv.WaitForShutdown()
}

// StoreDir is where the server keeps JetStream's files, inside Options.Dir.
func StoreDir(dir string) string { return filepath.Join(dir, "jetstream") }

// config writes the server's configuration; its format is a superset of JSON.
func config(o Options) ([]byte, error) {
	users := []map[string]any{}
	for _, u := range o.Users {
		users = append(users, map[string]any{"nkey": u.PublicKey, "permissions": permissions(u.Rights)})
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // ">" is a wildcard, and the server does not read \u003e
	err := enc.Encode(map[string]any{
		"server_name": "latchkey",
		"host":        o.Host,
		"port":        o.Port,
		"max_payload": 1 << 20,
		"jetstream": map[string]any{
			"store_dir":     o.Dir,
			"max_file":      o.StoreMaxBytes,
			"max_mem":       64 << 20,
			"sync_interval": o.SyncInterval.String(),
		},
		"accounts": map[string]any{
			AccountLatchkey: map[string]any{"jetstream": "enabled", "users": users},
			AccountSystem:   map[string]any{"users": []any{}},
		},
		"system_account": AccountSystem,
	})
	return b.Bytes(), err
}

// permissions are never empty lists, which the server takes for "everything".
func permissions(p bus.Permissions) map[string]any {
	rule := func(allow, deny []string) map[string]any {
		r := map[string]any{}
		if len(allow) > 0 {
			r["allow"] = allow
		} else {
			deny = []string{">"}
		}
		if len(deny) > 0 {
			r["deny"] = deny
		}
		return r
	}
	return map[string]any{"publish": rule(p.Publish, p.DenyPublish), "subscribe": rule(p.Subscribe, nil)}
}

// logger hands the server's lines to slog, and keeps the first fatal one: an embedded
// server does not end the process. Its notices are of no use day to day.
type logger struct {
	log   *slog.Logger
	fatal chan string
}

var _ server.Logger = logger{}

func (l logger) Noticef(f string, v ...any) { l.log.Debug("bus server", "text", fmt.Sprintf(f, v...)) }
func (l logger) Debugf(f string, v ...any)  { l.log.Debug("bus server", "text", fmt.Sprintf(f, v...)) }
func (l logger) Tracef(f string, v ...any)  { l.log.Debug("bus server", "text", fmt.Sprintf(f, v...)) }
func (l logger) Warnf(f string, v ...any)   { l.log.Warn("bus server", "text", fmt.Sprintf(f, v...)) }
func (l logger) Errorf(f string, v ...any)  { l.log.Error("bus server", "text", fmt.Sprintf(f, v...)) }

func (l logger) Fatalf(f string, v ...any) {
	text := fmt.Sprintf(f, v...)
	l.log.Error("bus server", "text", text)
	select {
	case l.fatal <- text:
	default:
	}
}
