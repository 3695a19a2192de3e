// Package console is the command that runs the console service.
package console

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"path/filepath"

	"latchkey.dev/services/cmd/internal/serve"
	"latchkey.dev/services/console"
	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/config"
	"latchkey.dev/services/internal/details"
	"latchkey.dev/services/internal/host"
	"latchkey.dev/services/internal/install"
)

// Command runs the console service.
type Command struct {
	serve.Common
	Listen  string         `help:"Address of the pages and the API." env:"LATCHKEY_CONSOLE_LISTEN" default:"127.0.0.1:8081"`
	Origin  string         `help:"How browsers reach it, as https://console.example." env:"LATCHKEY_CONSOLE_ORIGIN" required:""`
	Login   string         `help:"How browsers reach login, as https://login.example." env:"LATCHKEY_LOGIN_ORIGIN" required:""`
	Config  string         `help:"File of softwares and providers; that of the running installation if not given." env:"LATCHKEY_CONFIG" type:"path"`
	Auditor string         `help:"Where the auditor opens people's details." env:"LATCHKEY_AUDITOR_URL" default:"http://127.0.0.1:8084"`
	Metrics string         `name:"metrics-listen" help:"Address of metrics and health." env:"LATCHKEY_CONSOLE_METRICS_LISTEN" default:"127.0.0.1:0"`
	Proxies []netip.Prefix `help:"Networks of proxies whose X-Forwarded-For counts." env:"LATCHKEY_CONSOLE_PROXIES"`
}

// Run runs it until ctx ends.
func (c *Command) Run(ctx context.Context) error {
	return c.Service(ctx, bus.Console, c.Listen, c.Metrics, func(h *host.Host, keys install.Folder) (serve.Opened, error) {
		people, err1 := keys.People()
		forms, err2 := keys.FormMAC()
		key, err3 := keys.DetailsKey()
		conf, err4 := config.Read(cmp.Or(c.Config, filepath.Join(c.Data, "running.yaml")))
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			return serve.Opened{}, err
		}
		opener, err := details.NewClient(c.Auditor, key)
		if err != nil {
			return serve.Opened{}, err
		}
		served, err := console.Open(h, console.Options{People: people, Details: opener, Reach: conf.Countries, Delivery: console.Delivery{Providers: conf.Providers, Routes: conf.Orders()}, Served: &console.Served{Origin: c.Origin, Login: c.Login, FormMAC: forms, Proxies: c.Proxies}})
		if err != nil {
			return serve.Opened{}, err
		}
		return serve.Opened{Ready: served.Ready, Handler: served.Handler()}, nil
	})
}
