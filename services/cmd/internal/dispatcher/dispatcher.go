// Package dispatcher is the command of the dispatcher service.
package dispatcher

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"

	"latchkey.dev/services/cmd/internal/serve"
	"latchkey.dev/services/dispatcher"
	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/config"
	"latchkey.dev/services/internal/host"
	"latchkey.dev/services/internal/install"
	"latchkey.dev/services/mail"
	"latchkey.dev/services/sms/configured"
)

// Command runs the dispatcher.
type Command struct {
	serve.Common
	Listen  string `help:"Address that providers report to, under /receipts/." env:"LATCHKEY_DISPATCHER_LISTEN" default:"127.0.0.1:0"`
	Config  string `help:"File of softwares and providers; that of the running installation if not given." env:"LATCHKEY_CONFIG" type:"path"`
	Origin  string `help:"How browsers reach the sign-in pages, as https://login.example; as the file says if not given." env:"LATCHKEY_LOGIN_ORIGIN"`
	Metrics string `name:"metrics-listen" help:"Address of metrics and health." env:"LATCHKEY_DISPATCHER_METRICS_LISTEN" default:"127.0.0.1:0"`
	Digits  int    `help:"Digits of a code, 6 to 8; the same for all services." env:"LATCHKEY_DIGITS" default:"6"`
}

// Run runs it until ctx ends.
func (c *Command) Run(ctx context.Context) error {
	return c.Service(ctx, bus.Dispatcher, c.Listen, c.Metrics, func(h *host.Host, keys install.Folder) (serve.Opened, error) {
		file := c.Config
		if file == "" {
			file = filepath.Join(c.Data, "running.yaml")
		}
		conf, err1 := config.Read(file)
		numbers, err2 := keys.NumberKey()
		receipts, err3 := keys.ReceiptKey()
		links, err4 := keys.NoticeKey()
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			return serve.Opened{}, err
		}
		providers, err := configured.Providers(conf, receipts)
		if err != nil {
			return serve.Opened{}, err
		}
		server, err := mail.Configured(conf.Mail)
		if err != nil {
			return serve.Opened{}, err
		}
		d, err := dispatcher.Open(h, dispatcher.Options{NumberKey: numbers, Providers: providers, Routes: conf.Orders(), Spend: dispatcher.SpendOf(conf.Spend), PrefixLimit: conf.Limits.InForce().Prefix, Origin: cmp.Or(c.Origin, conf.Origin), NoticeKey: links,
			Mail: server, Digits: c.Digits})
		if err != nil {
			return serve.Opened{}, err
		}
		return serve.Opened{Ready: d.Ready, Handler: d.Handler()}, nil
	})
}
