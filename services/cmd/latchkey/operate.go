package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/cmd/internal/serve"
	"latchkey.dev/services/console"
	"latchkey.dev/services/device"
	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/host"
	"latchkey.dev/services/internal/secret"
)

// operating is what an operator's command works with.
type operating struct {
	console *console.Console
	host    *host.Host
}

// withConsole opens an installation as its console, and waits a moment for what was
// published. What does not get there is published by the console that runs.
func withConsole(ctx context.Context, c serve.Common, do func(*operating) error) error {
	return withConsoleAnd(ctx, c, console.Options{}, do)
}

// withConsoleAnd is withConsole with what a command has the console know besides.
func withConsoleAnd(ctx context.Context, c serve.Common, more console.Options, do func(*operating) error) error {
	keys := c.Folder()
	main, err1 := keys.MainURL(bus.Console)
	url, err2 := keys.BusURL()
	seed, err3 := keys.BusSeed(bus.Console)
	keysURL, err4 := keys.KeysURL(bus.Console)
	people, err5 := keys.People()
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return fmt.Errorf("no installation is in %s: start one with `latchkey up`, or name its folder by LATCHKEY_DATA (%w)", c.Data, err)
	}
	h, err := host.Open(ctx, host.Options{Service: bus.Console, MainURL: main, KeysURL: keysURL, BusURL: url, BusSeed: seed, Logger: c.Logger()})
	if err != nil {
		return err
	}
	defer h.Close()
	more.Pool, more.KeysPool, more.Bus, more.People = h.Main, h.Keys, h.Line, people
	console, err := console.New(more)
	if err != nil {
		return err
	}
	if err := do(&operating{console, h}); err != nil {
		return err
	}
	h.Line.Drain(ctx, 2*time.Second)
	return nil
}

// Listed are the flags of a command that prints a list.
type Listed struct {
	JSON bool `help:"Print JSON, a line each."`
}

// print writes rows as JSON lines or as a table with columns.
func (l Listed) print(columns string, rows []any, cells func(any) []string) error {
	if l.JSON {
		enc := json.NewEncoder(os.Stdout)
		for _, r := range rows {
			if err := enc.Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, columns)
	for _, r := range rows {
		fmt.Fprintln(w, strings.Join(cells(r), "\t"))
	}
	return w.Flush()
}

// accountCommands are `latchkey account …`.
type accountCommands struct {
	Create accountCreate `cmd:"" help:"Open an account."`
	List   accountList   `cmd:"" help:"List accounts by name."`
	Spend  accountSpend  `cmd:"" help:"Show what an account's texts cost by country, and which limit they reached."`

	Options struct {
		Show optionsShow `cmd:"" help:"Show the options of an account, and whom they reach, as JSON."`
		Set  optionsSet  `cmd:"" help:"Change options of an account. What is not named stays. Prints them as show does."`
	} `cmd:"" help:"See and change what an account's owner decides."`
}

type accountCreate struct {
	serve.Common
	Kind         device.AccountKind `help:"Kind: ${enum}." enum:"pro,standalone_mobile" default:"pro"`
	Name         string             `arg:"" help:"Its name."`
	Country      string             `help:"Country of numbers written nationally, as CA." required:""`
	Contact      string             `help:"Whom a person without a number is told to ask."`
	TwoFactor    bool               `help:"Switch the second factor on (pro)."`
	Demographics bool               `help:"Switch phone numbers of clients on (pro)."`
}

// Run opens an account and prints its id.
func (c *accountCreate) Run(ctx context.Context) error {
	return withConsole(ctx, c.Common, func(o *operating) error {
		id, err := o.console.CreateAccount(ctx, console.Account{Kind: c.Kind, Name: c.Name, Country: c.Country, Contact: c.Contact, TwoFactor: c.TwoFactor, Demographics: c.Demographics})
		if err == nil {
			fmt.Println(id)
		}
		return err
	})
}

type accountList struct {
	serve.Common
	Listed
}

type accountRow struct {
	ID           uuid.UUID `json:"id"`
	Kind         string    `json:"kind"`
	Name         string    `json:"name"`
	Country      string    `json:"country"`
	TwoFactor    bool      `json:"two_factor"`
	Demographics bool      `json:"demographics"`
	Members      int64     `json:"members"`
	CreatedAt    time.Time `json:"created_at"`
}

// Run prints the accounts.
func (c *accountList) Run(ctx context.Context) error {
	return withConsole(ctx, c.Common, func(o *operating) error {
		var rows []any
		for name, id := "", uuid.Nil; ; {
			page, err := o.console.Accounts(ctx, name, id)
			if err != nil {
				return err
			}
			if len(page) == 0 {
				break
			}
			for _, a := range page {
				rows = append(rows, accountRow{a.ID, a.Kind, a.Name, a.Country, a.TwoFactor, a.Demographics, a.Members, a.CreatedAt})
				name, id = a.Name, a.ID
			}
		}
		return c.print("ID\tKIND\tNAME\tCOUNTRY\tTWO FACTOR\tDEMOGRAPHICS\tMEMBERS", rows, func(r any) []string {
			a := r.(accountRow)
			return []string{a.ID.String(), a.Kind, a.Name, a.Country, fmt.Sprint(a.TwoFactor), fmt.Sprint(a.Demographics), fmt.Sprint(a.Members)}
		})
	})
}

// keyCommands are `latchkey key …`.
type keyCommands struct {
	Create keyCreate `cmd:"" help:"Give a product a key to act for an account. It is shown once."`
	List   keyList   `cmd:"" help:"List an account's keys."`
	Revoke keyRevoke `cmd:"" help:"End a key."`
}

type keyCreate struct {
	serve.Common
	Account uuid.UUID `arg:"" help:"The account's id."`
	Name    string    `arg:"" help:"What the key is for."`
}

// Run makes a key and prints it.
func (c *keyCreate) Run(ctx context.Context) error {
	return withConsole(ctx, c.Common, func(o *operating) error {
		id, key, err := o.console.CreateKey(ctx, c.Account, c.Name, secret.String{})
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "key %s, shown this once:\n", id)
		fmt.Println(key.Reveal())
		return nil
	})
}

type keyList struct {
	serve.Common
	Listed
	Account uuid.UUID `arg:"" help:"The account's id."`
}

type keyRow struct {
	ID        uuid.UUID  `json:"id"`
	Name      string     `json:"name"`
	CreatedAt time.Time  `json:"created_at"`
	RevokedAt *time.Time `json:"revoked_at,omitempty"`
}

// Run prints an account's keys.
func (c *keyList) Run(ctx context.Context) error {
	return withConsole(ctx, c.Common, func(o *operating) error {
		keys, err := o.console.Keys(ctx, c.Account)
		if err != nil {
			return err
		}
		rows := make([]any, len(keys))
		for i, k := range keys {
			rows[i] = keyRow{k.ID, k.Name, k.CreatedAt, k.RevokedAt}
		}
		return c.print("ID\tNAME\tCREATED\tREVOKED", rows, func(r any) []string {
			k := r.(keyRow)
			revoked := ""
			if k.RevokedAt != nil {
				revoked = k.RevokedAt.UTC().Format(time.RFC3339)
			}
			return []string{k.ID.String(), k.Name, k.CreatedAt.UTC().Format(time.RFC3339), revoked}
		})
	})
}

type keyRevoke struct {
	serve.Common
	Account uuid.UUID `arg:"" help:"The account's id."`
	Key     uuid.UUID `arg:"" help:"The key's id."`
}

// Run ends a key.
func (c *keyRevoke) Run(ctx context.Context) error {
	return withConsole(ctx, c.Common, func(o *operating) error { return o.console.RevokeKey(ctx, c.Account, c.Key) })
}

// softwareCommands are `latchkey software …`.
type softwareCommands struct {
	List softwareList `cmd:"" help:"List what people sign in to."`
}

type softwareList struct {
	serve.Common
	Listed
}

type softwareRow struct {
	ID        string   `json:"id"`
	Kind      string   `json:"kind"`
	Name      string   `json:"name"`
	Autofill  string   `json:"autofill,omitempty"` // a host, or an app's hash
	Addresses []string `json:"addresses"`
}

// Run prints the softwares.
func (c *softwareList) Run(ctx context.Context) error {
	return withConsole(ctx, c.Common, func(o *operating) error {
		all, err := o.console.Softwares(ctx)
		if err != nil {
			return err
		}
		rows := make([]any, len(all))
		for i, s := range all {
			rows[i] = softwareRow{s.ID, s.Kind, s.Name, s.AutofillHost + s.AppHash, s.Addresses}
		}
		return c.print("ID\tKIND\tNAME\tAUTOFILL\tADDRESSES", rows, func(r any) []string {
			s := r.(softwareRow)
			return []string{s.ID, s.Kind, s.Name, s.Autofill, strings.Join(s.Addresses, " ")}
		})
	})
}
