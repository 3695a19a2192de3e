package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"os"
	"slices"
	"time"

	"latchkey.dev/services/cmd/internal/serve"
	"latchkey.dev/services/internal/run"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/sms/carriers"
	"latchkey.dev/services/up/local"
)

// upCommand is `latchkey up`.
type upCommand struct {
	serve.Common
	Database
	Listen        string         `help:"Address of the sign-in pages and the public API." env:"LATCHKEY_LISTEN" default:"127.0.0.1:8080"`
	Console       string         `name:"console-listen" help:"Address of the console." env:"LATCHKEY_CONSOLE_LISTEN" default:"127.0.0.1:8081"`
	Phones        string         `name:"phones-listen" help:"Address of the phone page and the simulated carriers." env:"LATCHKEY_PHONES_LISTEN" default:"127.0.0.1:8082"`
	Metrics       string         `name:"metrics-listen" help:"Address of metrics and health." env:"LATCHKEY_METRICS_LISTEN" default:"127.0.0.1:8083"`
	Auditor       string         `name:"auditor-listen" help:"Address at which the auditor opens people's details for the console, or where it does so in a process of its own." env:"LATCHKEY_AUDITOR_LISTEN" default:"127.0.0.1:8084"`
	Origin        string         `help:"How browsers reach the sign-in pages, if not by the address itself." env:"LATCHKEY_ORIGIN"`
	ConsoleOrigin string         `help:"How browsers reach the console, if not by the address itself." env:"LATCHKEY_CONSOLE_ORIGIN"`
	Proxies       []netip.Prefix `help:"Networks of the proxies before it, whose X-Forwarded-For says who asks." env:"LATCHKEY_PROXIES"`
	GeoIP         string         `name:"geoip" help:"MaxMind DB file of countries, by which the console shows where a device was used from; not shown if not given." env:"LATCHKEY_GEOIP" type:"path"`
	Config        string         `help:"File of softwares and providers; latchkey.yaml in the data folder if not given." env:"LATCHKEY_CONFIG" type:"path"`
	Digits        int            `help:"Digits of a code, 6 to 8." env:"LATCHKEY_DIGITS" default:"6"`
	Profile       string         `name:"profile-listen" help:"Address of Go's profiles, which tell where time and memory go; none if not given." env:"LATCHKEY_PROFILE_LISTEN"`

	Without []string `help:"What runs in a process of its own beside this one: ${enum}." env:"LATCHKEY_WITHOUT" enum:"bus,dispatcher,verifier,auditor"`
}

// Run runs it until ctx ends.
func (c *upCommand) Run(ctx context.Context) error {
	log := c.Logger()
	slog.SetDefault(log)
	collectSeldom()
	admin, err := c.admin()
	if err != nil {
		return err
	}
	parts := []run.Component{{Name: "latchkey", Run: func(ctx context.Context) error {
		return local.Run(ctx, local.Options{Data: c.Data, DatabaseURL: admin, Config: c.Config, Public: c.Listen, Console: c.Console, Phones: c.Phones, Metrics: c.Metrics, Auditor: c.Auditor,
			Origin: c.Origin, ConsoleOrigin: c.ConsoleOrigin, Proxies: c.Proxies, GeoIP: c.GeoIP, Digits: c.Digits, Without: c.Without, Out: os.Stdout, Logger: log})
	}}}
	if c.Profile != "" {
		l, err := net.Listen("tcp", c.Profile)
		if err != nil {
			return fmt.Errorf("the profiles cannot be listened on: %w", err)
		}
		parts = append(parts, profiles(l))
	}
	return run.All(ctx, parts...)
}

// profiles serves Go's own profiles (runtime/pprof). They show functions and no values, but
// taking one costs time, so only operators may reach the address.
func profiles(l net.Listener) run.Component {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	return run.Component{Name: "profiles", Run: func(ctx context.Context) error {
		s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
		stop := context.AfterFunc(ctx, func() { s.Close() })
		defer stop()
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}}
}

// Database names a PostgreSQL that runs, by an administrator's URL.
type Database struct {
	URL     string `name:"database-url" help:"Administrator's URL of a PostgreSQL that runs, where it holds no password." env:"LATCHKEY_DATABASE_URL"`
	URLFile string `name:"database-url-file" help:"File that holds it." env:"LATCHKEY_DATABASE_URL_FILE" type:"path"`
}

func (d Database) admin() (secret.String, error) {
	if d.URLFile != "" {
		return secret.FromFile(d.URLFile)
	}
	return secret.New(d.URL), nil
}

// carriersCommand is `latchkey carriers`.
type carriersCommand struct {
	serve.Common
	Which  []string `name:"carriers" help:"Which carriers run." env:"LATCHKEY_CARRIERS" default:"vonage,twilio"`
	Listen string   `help:"Address of the phone page and the carriers' APIs." env:"LATCHKEY_PHONES_LISTEN" default:"127.0.0.1:8082"`
	// On an address of its own a carrier that is down refuses connections, as a real one would.
	Vonage string            `name:"vonage-listen" help:"Address of Vonage's API alone." env:"LATCHKEY_VONAGE_LISTEN"`
	Twilio string            `name:"twilio-listen" help:"Address of Twilio's API alone." env:"LATCHKEY_TWILIO_LISTEN"`
	Own    map[string]string `name:"carrier-listen" help:"Address of another carrier's API alone, as webhook=127.0.0.1:8090."`
}

// Run runs them until ctx ends.
func (c *carriersCommand) Run(ctx context.Context) error {
	var which []carriers.Carrier
	for _, name := range c.Which {
		if !slices.Contains(carriers.Carriers, carriers.Carrier(name)) {
			return fmt.Errorf("there is no carrier %q: they are %v", name, carriers.Carriers)
		}
		which = append(which, carriers.Carrier(name))
	}
	s := carriers.New(carriers.Options{Carriers: which, Logger: c.Logger()})
	defer s.Close()
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("the carriers cannot listen: %w", err)
	}
	fmt.Printf("phones and carriers: http://%s/\n", l.Addr())
	own := map[string]string{string(carriers.Vonage): c.Vonage, string(carriers.Twilio): c.Twilio}
	maps.Copy(own, c.Own)
	for _, carrier := range slices.Sorted(maps.Keys(own)) {
		if own[carrier] == "" {
			continue
		}
		at, err := s.Listen(carriers.Carrier(carrier), own[carrier])
		if err != nil {
			return err
		}
		fmt.Printf("%s alone: %s\n", carrier, at)
	}
	return run.All(ctx, run.Component{Name: "phones", Run: s.Run}, run.Component{Name: "carriers", Run: (&web.Server{Name: "carriers", Listener: l, Handler: s.Handler(), Logger: c.Logger()}).Run})
}
