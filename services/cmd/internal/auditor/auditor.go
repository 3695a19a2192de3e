// Package auditor is the command of the auditor service.
package auditor

import (
	"context"
	"errors"

	"latchkey.dev/services/auditor"
	"latchkey.dev/services/cmd/internal/serve"
	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/host"
	"latchkey.dev/services/internal/install"
)

// Command runs the auditor.
type Command struct {
	serve.Common
	Listen  string `help:"Address of the API that opens people's details, for the console alone." env:"LATCHKEY_AUDITOR_LISTEN" default:"127.0.0.1:8084"`
	Metrics string `name:"metrics-listen" help:"Address of metrics and health." env:"LATCHKEY_AUDITOR_METRICS_LISTEN" default:"127.0.0.1:0"`
}

// Run runs it until ctx ends.
func (c *Command) Run(ctx context.Context) error {
	return c.Service(ctx, bus.Auditor, c.Listen, c.Metrics, func(h *host.Host, keys install.Folder) (serve.Opened, error) {
		wrap, err1 := keys.WrapKey()
		console, err2 := keys.DetailsKey()
		if err := errors.Join(err1, err2); err != nil {
			return serve.Opened{}, err
		}
		a, err := auditor.Open(h, auditor.Options{WrapKey: wrap, DetailsKey: console})
		if err != nil {
			return serve.Opened{}, err
		}
		return serve.Opened{Ready: a.Ready, Handler: a.Handler()}, nil
	})
}
