// Package auditor is the command of the auditor service.
package auditor

import (
	"context"

	"latchkey.dev/services/auditor"
	"latchkey.dev/services/cmd/internal/serve"
	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/host"
	"latchkey.dev/services/internal/install"
)

// Command runs the auditor.
type Command struct {
	serve.Common
	Metrics string `name:"metrics-listen" help:"Address of metrics and health." env:"LATCHKEY_AUDITOR_METRICS_LISTEN" default:"127.0.0.1:0"`
}

// Run runs it until ctx ends.
func (c *Command) Run(ctx context.Context) error {
	return c.Service(ctx, bus.Auditor, "", c.Metrics, func(h *host.Host, _ install.Folder) (serve.Opened, error) {
		a, err := auditor.Open(h, auditor.Options{})
		if err != nil {
			return serve.Opened{}, err
		}
		return serve.Opened{Ready: a.Ready}, nil
	})
}
