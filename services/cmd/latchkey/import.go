package main

import (
	"context"
	"errors"

	"latchkey.dev/services/access"
	"latchkey.dev/services/console"
)

type memberImport struct {
	inAccount
	File   string `arg:"" help:"The file; - for the standard input. Its first line names its columns: id, role, user_id, phone, email, language. A line with the id, or a user ID, of somebody changes that person, and any other makes somebody, without a password. An empty cell leaves alone what is there, - removes it."`
	DryRun bool   `help:"Judge all lines, and save nothing."`
}

// Run imports the file and prints what was done, or what is wrong with it.
func (c *memberImport) Run(ctx context.Context) error {
	file, err := readInput(c.File, console.MaxImportBytes)
	if err != nil {
		return err
	}
	return c.do(ctx, func(o *console.Console, by access.Actor) error {
		do := o.Import
		if c.DryRun {
			do = o.CheckImport
		}
		report, err := do(ctx, by, file)
		if report.Rows > 0 || len(report.Faults) > 0 {
			if err := printJSON(report); err != nil {
				return err
			}
		}
		if err == nil && len(report.Faults) > 0 {
			err = errors.New("the file cannot be imported: see its faults")
		}
		return err
	})
}
