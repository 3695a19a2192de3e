// Package serve is what the commands of all services share: where an installation's
// files are, logs, signals, and a service with its health on an address of its own.
package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"latchkey.dev/services/internal/host"
	"latchkey.dev/services/internal/install"
	"latchkey.dev/services/internal/obs"
	"latchkey.dev/services/internal/run"
	"latchkey.dev/services/internal/web"
)

// Place says where an installation's files are.
type Place struct {
	Data string `help:"Folder of the data." env:"LATCHKEY_DATA" default:"${data}" type:"path"`
	Keys string `help:"Folder of the key files; keys in the data folder if not given." env:"LATCHKEY_KEYS" type:"path"`
}

// Folder is the key folder.
func (p Place) Folder() install.Folder {
	if p.Keys != "" {
		return install.Folder(p.Keys)
	}
	return install.Folder(filepath.Join(p.Data, "keys"))
}

// Common are the flags of every command that runs.
type Common struct {
	Place
	LogLevel slog.Level `help:"Least level of the log lines." env:"LATCHKEY_LOG_LEVEL" default:"${loglevel}"`
}

// Logger writes JSON lines to the standard error.
func (c Common) Logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: c.LogLevel}))
}

// DataHome is where data lie by default: /var/lib/latchkey for root, whose home PostgreSQL's
// user may not enter, else a folder in the user's data home.
func DataHome() string {
	if os.Geteuid() == 0 {
		return "/var/lib/latchkey"
	}
	if home := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, "latchkey")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = os.TempDir()
	}
	return filepath.Join(home, ".local", "share", "latchkey")
}

// Main parses the command line into command, runs what was chosen until it ends or the
// process is told to, and ends the process. A second signal ends it at once.
func Main(name, description string, command any, loglevel string) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	parser := kong.Must(command, kong.Name(name), kong.Description(description), kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Vars{"data": DataHome(), "loglevel": loglevel}, kong.BindTo(ctx, (*context.Context)(nil)))
	chosen, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)
	if err := chosen.Run(); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %s\n", name, strings.TrimPrefix(err.Error(), name+": ")) // kong names some commands itself
		os.Exit(1)
	}
}

// Opened is what a service has opened on its host.
type Opened struct {
	Ready   func(context.Context) error
	Handler http.Handler // nil for a service without an API
}

// Service runs one service of an installation, alone in its process, until ctx ends.
// listen is the address of its API, metrics that of its metrics and health.
func (c Common) Service(ctx context.Context, name, listen, metrics string, open func(*host.Host, install.Folder) (Opened, error)) error {
	log := c.Logger()
	slog.SetDefault(log)
	keys := c.Folder()
	main, err1 := keys.MainURL(name)
	key, err2 := keys.KeysURL(name)
	busURL, err3 := keys.BusURL()
	seed, err4 := keys.BusSeed(name)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return fmt.Errorf("%s has not all of its key files (`latchkey keys` and `latchkey migrate` make them): %w", name, err)
	}
	registry := obs.NewRegistry()
	h, err := host.Open(ctx, host.Options{Service: name, MainURL: main, KeysURL: key, BusURL: busURL, BusSeed: seed, Registry: registry, Logger: log})
	if err != nil {
		return err
	}
	defer h.Close()
	opened, err := open(h, keys)
	if err != nil {
		return err
	}
	parts := []run.Component{{Name: name, Run: h.Run}}
	serve := func(what, address string, handler http.Handler) error {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("%s of %s cannot listen: %w", what, name, err)
		}
		log.Info("listening", "what", what, "address", l.Addr().String())
		parts = append(parts, run.Component{Name: what, Run: (&web.Server{Name: what, Listener: l, Handler: handler, Logger: log}).Run})
		return nil
	}
	err = serve("metrics", metrics, obs.Handler(registry, opened.Ready, log))
	if err == nil && opened.Handler != nil {
		err = serve("api", listen, opened.Handler)
	}
	if err != nil {
		return err
	}
	return run.All(ctx, parts...)
}
