// Package login is the command of the login service.
package login

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"time"

	"latchkey.dev/services/cmd/internal/serve"
	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/config"
	"latchkey.dev/services/internal/geo"
	"latchkey.dev/services/internal/host"
	"latchkey.dev/services/internal/install"
	"latchkey.dev/services/login"
)

// Command runs login.
type Command struct {
	serve.Common
	Config  string         `help:"File of softwares, providers and limits; that of the running installation if not given." env:"LATCHKEY_CONFIG" type:"path"`
	Listen  string         `help:"Address of the public API and pages." env:"LATCHKEY_LOGIN_LISTEN" default:"127.0.0.1:8080"`
	Origin  string         `help:"How browsers reach it, as https://login.example." env:"LATCHKEY_LOGIN_ORIGIN" required:""`
	Console string         `help:"How browsers reach the console, as https://console.example; none if not given." env:"LATCHKEY_CONSOLE_ORIGIN"`
	Metrics string         `name:"metrics-listen" help:"Address of metrics and health." env:"LATCHKEY_LOGIN_METRICS_LISTEN" default:"127.0.0.1:0"`
	Digits  int            `help:"Digits of a code, 6 to 8; the same for all services." env:"LATCHKEY_DIGITS" default:"6"`
	Proxies []netip.Prefix `help:"Networks of proxies whose X-Forwarded-For counts." env:"LATCHKEY_LOGIN_PROXIES"`
	GeoIP   string         `name:"geoip" help:"MaxMind DB file of countries, by which the console shows where a device was used from; not shown if not given." env:"LATCHKEY_GEOIP" type:"path"`
}

// Run runs it until ctx ends.
func (c *Command) Run(ctx context.Context) error {
	return c.Service(ctx, bus.Login, c.Listen, c.Metrics, func(h *host.Host, keys install.Folder) (serve.Opened, error) {
		nonces, err1 := keys.NonceMAC()
		people, err2 := keys.People()
		countries, err3 := geo.Open(c.GeoIP, time.Now)
		conf, err4 := config.Read(cmp.Or(c.Config, filepath.Join(c.Data, "running.yaml")))
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			return serve.Opened{}, err
		}
		l, err := login.Open(h, login.Options{Origin: c.Origin, Console: c.Console, NonceMAC: nonces, People: people, Digits: c.Digits, Proxies: c.Proxies, Countries: countries,
			Limits: login.LimitsOf(conf.Limits), Reach: conf.Countries})
		if err != nil {
			return serve.Opened{}, err
		}
		return serve.Opened{Ready: l.Ready, Handler: l.Handler()}, nil
	})
}
