// Package verifier is the command of the verifier service.
package verifier

import (
	"context"

	"latchkey.dev/services/cmd/internal/serve"
	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/host"
	"latchkey.dev/services/internal/install"
	"latchkey.dev/services/verifier"
)

// Command runs the verifier.
type Command struct {
	serve.Common
	Metrics string `name:"metrics-listen" help:"Address of metrics and health." env:"LATCHKEY_VERIFIER_METRICS_LISTEN" default:"127.0.0.1:0"`
	Digits  int    `help:"Digits of a code, 6 to 8; the same for all services." env:"LATCHKEY_DIGITS" default:"6"`
}

// Run runs it until ctx ends.
func (c *Command) Run(ctx context.Context) error {
	return c.Service(ctx, bus.Verifier, "", c.Metrics, func(h *host.Host, _ install.Folder) (serve.Opened, error) {
		v, err := verifier.Open(h, verifier.Options{Digits: c.Digits})
		if err != nil {
			return serve.Opened{}, err
		}
		return serve.Opened{Ready: v.Ready}, nil
	})
}
