package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"latchkey.dev/services/cmd/internal/serve"
	"latchkey.dev/services/cmd/latchkey/doctor"
)

// doctorCommand is `latchkey doctor`.
type doctorCommand struct {
	serve.Place
	Config  string   `help:"File of softwares and providers; that of the running installation if not given." env:"LATCHKEY_CONFIG" type:"path"`
	Console string   `name:"console-origin" help:"How browsers reach the console, to see whether it answers there." env:"LATCHKEY_CONSOLE_ORIGIN"`
	Service []string `help:"What runs on this machine, where not all does: ${enum}." enum:"login,dispatcher,verifier,auditor,console"`
	JSON    bool     `help:"Print JSON, a line each."`
}

// Run looks at the installation and prints a line for each thing it saw.
func (c *doctorCommand) Run(ctx context.Context) error {
	found := doctor.Look(ctx, doctor.Options{Data: c.Data, Keys: c.Folder(), Config: c.Config, Services: c.Service, Console: c.Console})
	if err := tellFindings(os.Stdout, found, c.JSON); err != nil {
		return err
	}
	faults := 0
	for _, f := range found {
		if f.State == doctor.Fault {
			faults++
		}
	}
	switch faults {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("one fault")
	}
	return fmt.Errorf("%d faults", faults)
}

func tellFindings(w io.Writer, all []doctor.Finding, inJSON bool) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, f := range all {
		var err error
		if inJSON {
			err = enc.Encode(f)
		} else {
			line := fmt.Sprintf("%-8s %-14s %s", f.State, f.Check, f.Found)
			if f.Do != "" {
				line += ". Next: " + f.Do
			}
			_, err = fmt.Fprintln(w, line)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
