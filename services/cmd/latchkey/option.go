package main

import (
	"context"
	"encoding/json"
	"os"

	"github.com/google/uuid"

	"latchkey.dev/services/access"
	"latchkey.dev/services/cmd/internal/serve"
	"latchkey.dev/services/console"
	"latchkey.dev/services/device"
)

// optionsShow is `latchkey account options show`.
type optionsShow struct {
	serve.Common
	Account uuid.UUID `arg:"" help:"The account's id."`
}

// Run prints the options.
func (c *optionsShow) Run(ctx context.Context) error {
	return withConsole(ctx, c.Common, func(o *operating) error { return printOptions(ctx, o, c.Account) })
}

// optionsSet is `latchkey account options set`.
type optionsSet struct {
	serve.Common
	Account       uuid.UUID      `arg:"" help:"The account's id."`
	TwoFactor     *bool          `help:"Enable Two Factor Authentication (pro): true or false."`
	Demographics  *bool          `help:"Phone numbers of clients (pro): true or false."`
	UpgradePolicy *device.Policy `help:"When a major upgrade asks for a code again: evergreen, strict or off."`
	UpgradeJump   *int           `help:"Evergreen: how many browser majors at once ask again, 1 to 100."`
	BearerRefused *bool          `help:"Whether a browser must prove a key: true or false."`
	Countries     *[]string      `help:"Where numbers may be that codes go to, as CA,US; any for anywhere."`
	Language      *string        `help:"Of people who have chosen none: en, fr, es or de."`
	CooldownHours *int           `name:"number-cooldown-hours" help:"For how many hours no code goes to a number that somebody else changed, 0 to 168."`
	Contact       *string        `help:"Whom a person who cannot sign in is told to ask."`
}

// Run changes options and prints them.
func (c *optionsSet) Run(ctx context.Context) error {
	if c.Countries != nil && len(*c.Countries) == 1 && (*c.Countries)[0] == "any" {
		*c.Countries = nil
	}
	return withConsole(ctx, c.Common, func(o *operating) error {
		err := o.console.ChangeOptions(ctx, access.Actor{Kind: access.Operator, Account: c.Account}, 0, console.OptionsUpdate{TwoFactor: c.TwoFactor,
			Demographics: c.Demographics, UpgradePolicy: c.UpgradePolicy, UpgradeJump: c.UpgradeJump, BearerRefused: c.BearerRefused, Countries: c.Countries,
			Language: c.Language, CooldownHours: c.CooldownHours, Contact: c.Contact})
		if err != nil {
			return err
		}
		return printOptions(ctx, o, c.Account)
	})
}

func printOptions(ctx context.Context, o *operating, account uuid.UUID) error {
	options, err := o.console.ReadOptions(ctx, access.Actor{Kind: access.Operator, Account: account})
	if err != nil {
		return err
	}
	enc := json.NewEncoder(os.Stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(options)
}
