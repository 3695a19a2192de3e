package main

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"latchkey.dev/services/access"
	"latchkey.dev/services/cmd/internal/serve"
	"latchkey.dev/services/console"
)

// operatorCommands are `latchkey operator …`.
type operatorCommands struct {
	Grant  operatorGrant  `cmd:"" help:"Let a person see and steer the providers by the console's API, in sessions with a second factor. Who looks after the person's number could take it over: give it to people of an account of your own."`
	Revoke operatorRevoke `cmd:"" help:"Take it away."`
	List   operatorList   `cmd:"" help:"List who has it."`
}

// onOperator are the flags of a command about one person's right.
type onOperator struct {
	serve.Common
	named
	Member uuid.UUID `arg:"" help:"The person's id."`
}

func (c onOperator) do(ctx context.Context, do func(*console.Console, access.Actor) error) error {
	by, err := c.by(access.Actor{Kind: access.Operator})
	if err != nil {
		return err
	}
	return withConsole(ctx, c.Common, func(o *operating) error {
		if err := do(o.console, by); err != nil {
			return fmt.Errorf("%s: %w", c.Member, err)
		}
		return nil
	})
}

type operatorGrant struct{ onOperator }

// Run gives the right.
func (c *operatorGrant) Run(ctx context.Context) error {
	return c.do(ctx, func(o *console.Console, by access.Actor) error { return o.GrantOperator(ctx, by, c.Member) })
}

type operatorRevoke struct{ onOperator }

// Run takes the right away.
func (c *operatorRevoke) Run(ctx context.Context) error {
	return c.do(ctx, func(o *console.Console, by access.Actor) error { return o.RevokeOperator(ctx, by, c.Member) })
}

type operatorList struct {
	serve.Common
	Listed
}

// Run prints who has the right.
func (c *operatorList) Run(ctx context.Context) error {
	return withConsole(ctx, c.Common, func(o *operating) error {
		all, err := o.console.Operators(ctx, access.Actor{Kind: access.Operator})
		if err != nil {
			return err
		}
		rows := make([]any, len(all))
		for i, r := range all {
			rows[i] = r
		}
		return c.print("MEMBER\tUSER ID\tROLE\tACCOUNT\tGRANTED\tBY", rows, func(r any) []string {
			o := r.(console.OperatorRight)
			return []string{o.Member.String(), safe(o.UserID), string(o.Role), safe(o.AccountName), stamp(o.GrantedAt), o.GrantedBy}
		})
	})
}
