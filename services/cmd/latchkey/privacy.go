package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/access"
	"latchkey.dev/services/console"
	"latchkey.dev/services/internal/details"
	"latchkey.dev/services/words"
)

// openingDetails are the flags of a command that has the auditor open what is held of a person.
type openingDetails struct {
	onMember
	Auditor string `help:"Where the auditor opens people's details." env:"LATCHKEY_AUDITOR_URL" default:"http://127.0.0.1:8084"`
}

// do opens the console, with the auditor behind it, for an operator who acts in the account.
func (c openingDetails) do(ctx context.Context, do func(*console.Console, access.Actor) error) error {
	key, err := c.Folder().DetailsKey()
	if err != nil {
		return fmt.Errorf("the key to the auditor cannot be read (%w)", err)
	}
	opener, err := details.NewClient(c.Auditor, key)
	if err != nil {
		return err
	}
	return withConsoleAnd(ctx, c.Common, console.Options{Details: opener}, func(o *operating) error {
		return do(o.console, access.Actor{Kind: access.Operator, Account: c.Account})
	})
}

type memberShowNumber struct{ openingDetails }

// Run prints a person's number and e-mail address.
func (c *memberShowNumber) Run(ctx context.Context) error {
	return c.do(ctx, func(o *console.Console, by access.Actor) error {
		shown, err := o.ShowNumber(ctx, by, c.ID)
		if err != nil {
			return err
		}
		return printJSON(shown)
	})
}

type memberExport struct {
	openingDetails
	Format   details.Format `help:"For programs, or for a person to read: ${enum}." enum:"json,html" default:"json"`
	Language words.Language `help:"Of the headings of an export to be read: ${enum}." enum:"en,fr,es,de" default:"en"`
}

// Run prepares an export and prints it. One that breaks off is an error, and not the whole of it.
func (c *memberExport) Run(ctx context.Context) error {
	return c.do(ctx, func(o *console.Console, by access.Actor) error {
		job, err := o.RequestExport(ctx, by, c.ID)
		if err != nil {
			return err
		}
		if _, err := awaitJob(ctx, o, by, job); err != nil {
			return err
		}
		body, err := o.OpenExport(ctx, by, job, c.Format, c.Language)
		if err != nil {
			return err
		}
		defer body.Close()
		if _, err := io.Copy(os.Stdout, body); err != nil {
			return fmt.Errorf("the export broke off: %w", err)
		}
		return nil
	})
}

type memberErase struct {
	onMember
	Confirm string `help:"The person's user ID, or the id of somebody who has none. An erasure cannot be taken back." required:""`
	Wait    bool   `help:"Wait until the key is destroyed and all is removed; otherwise that goes on by itself." default:"true" negatable:""`
}

// Run erases a person and prints the job.
func (c *memberErase) Run(ctx context.Context) error {
	return c.do(ctx, func(o *console.Console, by access.Actor) error {
		job, err := o.RequestErase(ctx, by, c.ID, c.Confirm)
		if err != nil {
			return err
		}
		j, err := o.PrivacyJob(ctx, by, job)
		if err == nil && c.Wait {
			j, err = awaitJob(ctx, o, by, job)
		}
		if err != nil {
			return err
		}
		return printJSON(j)
	})
}

// awaitJob waits until a job is done, and tells on the error output how far it is. Who stops
// waiting stops nothing else.
func awaitJob(ctx context.Context, o *console.Console, by access.Actor, id uuid.UUID) (console.PrivacyJob, error) {
	told := -1
	for {
		j, err := o.PrivacyJob(ctx, by, id)
		if err != nil || j.DoneAt != nil {
			return j, err
		}
		if j.Progress != told {
			told = j.Progress
			fmt.Fprintf(os.Stderr, "job %s: %d %%\n", id, told)
		}
		select {
		case <-ctx.Done():
			return j, ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}
