package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/access"
	"latchkey.dev/services/cmd/internal/serve"
	"latchkey.dev/services/console"
	"latchkey.dev/services/device"
	"latchkey.dev/services/internal/web"
)

// memberCommands are `latchkey member …`. They print JSON.
type memberCommands struct {
	Put              memberPut                `cmd:"" help:"Create a person, or update one. What is to be saved is read as JSON, as the console's API takes it: numbers and addresses do not belong in arguments, which others see."`
	List             memberList               `cmd:"" help:"List the people of an account by user ID."`
	Import           memberImport             `cmd:"" help:"Create and update people from a CSV file, all or none of its lines. Sent again, it goes on where it stopped."`
	Show             memberShow               `cmd:"" help:"Show a person."`
	Deactivate       memberDeactivate         `cmd:"" help:"Let a person in no more: sessions and registrations end."`
	Reactivate       memberReactivate         `cmd:"" help:"Let a deactivated person in again."`
	Unlock           memberUnlock             `cmd:"" help:"Lift what holds a person back: a lock, wrong codes, wrong passwords."`
	ResetPassword    memberResetPassword      `cmd:"" help:"Give a person another password. It is shown once."`
	PasswordLink     memberPasswordLink       `cmd:"" help:"Make a link by which a person chooses a password, once and within a day. It is shown once."`
	RegistrationCode registrationCodeCommands `cmd:"" help:"Codes for lost phones."`
	ShowNumber       memberShowNumber         `cmd:"" help:"Show a person's number and e-mail address. That somebody looked is recorded."`
	Export           memberExport             `cmd:"" help:"Print all that is held of a person. Each time is recorded."`
	Erase            memberErase              `cmd:"" help:"Erase a person, for good: all but an internal id and the events that name it, in which nothing sealed can be read any more."`
}

// inAccount are the flags of a command that acts in one account.
type inAccount struct {
	serve.Common
	Account uuid.UUID `help:"The account's id." required:""`
}

// do opens the console for an operator who acts in the account.
func (c inAccount) do(ctx context.Context, do func(*console.Console, access.Actor) error) error {
	return withConsole(ctx, c.Common, func(o *operating) error {
		return do(o.console, access.Actor{Kind: access.Operator, Account: c.Account})
	})
}

// onMember are the flags of a command about one person.
type onMember struct {
	inAccount
	ID uuid.UUID `arg:"" help:"The person's id."`
}

func printJSON(v any) error {
	enc := json.NewEncoder(os.Stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// show prints a person.
func show(ctx context.Context, c *console.Console, by access.Actor, id uuid.UUID) error {
	m, err := c.Member(ctx, by, id)
	if err != nil {
		return err
	}
	return printJSON(m)
}

type memberPut struct {
	inAccount
	ID   uuid.UUID `help:"The id of the person to update; a new person if not given."`
	File string    `help:"File that holds the JSON; - for the standard input." default:"-"`
}

// made is a new person, with what is shown once.
type made struct {
	ID       uuid.UUID `json:"id"`
	UserID   string    `json:"user_id,omitempty"`
	Password string    `json:"password,omitempty"`
}

// Run saves a person.
func (c *memberPut) Run(ctx context.Context) error {
	var create console.NewMember
	var update console.MemberUpdate
	into := any(&create)
	if c.ID != uuid.Nil {
		into = &update
	}
	if err := readObject(c.File, into); err != nil {
		return err
	}
	return c.do(ctx, func(o *console.Console, by access.Actor) error {
		if c.ID != uuid.Nil {
			if err := o.UpdateMember(ctx, by, c.ID, 0, update); err != nil {
				return err
			}
			return show(ctx, o, by, c.ID)
		}
		m, err := o.CreateMember(ctx, by, create, "")
		if err != nil {
			return err
		}
		return printJSON(made{m.ID, m.UserID, m.Password.Reveal()})
	})
}

// readObject reads a JSON object from a file, "-" for the standard input.
func readObject(path string, into any) error {
	b, err := readInput(path, web.MaxBody)
	if err != nil {
		return err
	}
	if err := web.DecodeObject(b, into); err != nil {
		return fmt.Errorf("what to save is not the JSON object that is taken here: %w", err)
	}
	return nil
}

// readInput reads a file of at most some bytes, "-" for the standard input.
func readInput(path string, most int) ([]byte, error) {
	in := io.Reader(os.Stdin)
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, int64(most)+1))
	if err != nil {
		return nil, fmt.Errorf("reading what to save: %w", err)
	}
	if len(b) > most {
		return nil, fmt.Errorf("what to save is larger than %d bytes", most)
	}
	return b, nil
}

type memberList struct {
	inAccount
	Search      string        `help:"The beginning of a user ID."`
	Role        []device.Role `help:"Only these roles: ${enum}." enum:"owner,administrator,supervisor,provider,client"`
	NoNumber    bool          `help:"Only people without a phone number."`
	NoDevice    bool          `help:"Only people without a registration."`
	Locked      bool          `help:"Only people who are locked."`
	Deactivated bool          `help:"Only people who were deactivated."`
	CSV         bool          `help:"Print CSV as import takes it, in place of JSON. Each time is recorded."`
}

// Run prints the people, a line each.
func (c *memberList) Run(ctx context.Context) error {
	return c.do(ctx, func(o *console.Console, by access.Actor) error {
		s := console.Search{Roles: c.Role, Text: c.Search, NoNumber: c.NoNumber, NoDevice: c.NoDevice, Locked: c.Locked, Deactivated: c.Deactivated, Most: 500}
		if c.CSV {
			e, err := o.ExportList(ctx, by, s)
			if err != nil {
				return err
			}
			return e.Write(ctx, os.Stdout)
		}
		for {
			page, more, err := o.List(ctx, by, s)
			if err != nil {
				return err
			}
			for _, m := range page {
				if err := printJSON(m); err != nil {
					return err
				}
				s.After = console.Place{UserID: m.UserID, ID: m.ID}
			}
			if !more {
				return nil
			}
		}
	})
}

type memberShow struct{ onMember }

// Run prints a person.
func (c *memberShow) Run(ctx context.Context) error {
	return c.do(ctx, func(o *console.Console, by access.Actor) error { return show(ctx, o, by, c.ID) })
}

// change does one thing to a person, and prints the person.
func (c onMember) change(ctx context.Context, what func(*console.Console, context.Context, access.Actor, uuid.UUID) error) error {
	return c.do(ctx, func(o *console.Console, by access.Actor) error {
		if err := what(o, ctx, by, c.ID); err != nil {
			return err
		}
		return show(ctx, o, by, c.ID)
	})
}

type memberDeactivate struct{ onMember }

// Run deactivates a person.
func (c *memberDeactivate) Run(ctx context.Context) error {
	return c.change(ctx, (*console.Console).Deactivate)
}

type memberReactivate struct{ onMember }

// Run reactivates a person.
func (c *memberReactivate) Run(ctx context.Context) error {
	return c.change(ctx, (*console.Console).Reactivate)
}

type memberUnlock struct{ onMember }

// Run unlocks a person.
func (c *memberUnlock) Run(ctx context.Context) error {
	return c.change(ctx, (*console.Console).Unlock)
}

type memberResetPassword struct{ onMember }

// Run resets a password and prints it.
func (c *memberResetPassword) Run(ctx context.Context) error {
	return c.do(ctx, func(o *console.Console, by access.Actor) error {
		password, err := o.ResetPassword(ctx, by, c.ID)
		if err != nil {
			return err
		}
		return printJSON(map[string]string{"password": password.Reveal()})
	})
}

type memberPasswordLink struct {
	onMember
	Login string `help:"How browsers reach login, as https://login.example." env:"LATCHKEY_LOGIN_ORIGIN" default:"http://localhost:8080"`
}

// Run makes a link and prints it.
func (c *memberPasswordLink) Run(ctx context.Context) error {
	return c.do(ctx, func(o *console.Console, by access.Actor) error {
		made, err := o.MakePasswordLink(ctx, by, c.ID)
		if err != nil {
			return err
		}
		return printJSON(map[string]any{"address": c.Login + made.Address.Reveal(), "expires_at": made.ExpiresAt})
	})
}

// registrationCodeCommands are `latchkey member registration-code …`.
type registrationCodeCommands struct {
	Make    registrationCodeMake    `cmd:"" help:"Make a code by which a person whose phone is lost registers one device within 15 minutes. It is shown once; an owner's must be approved by somebody else first, and is shown to them."`
	Pending registrationCodePending `cmd:"" help:"List the codes of owners that wait for somebody to approve them."`
	Approve registrationCodeApprove `cmd:"" help:"Approve a code of an owner that somebody else asked for. It is shown once."`
}

// named are the flags of a command of which it is kept which operator gave it. Names are
// taken at their word: whoever reads the installation's keys could do worse than lie.
type named struct {
	Operator string `help:"Who you are: letters, digits and hyphens. Needed for an owner, where a second operator must not be the first one."`
}

func (n named) by(by access.Actor) (access.Actor, error) {
	if n.Operator != "" && !regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`).MatchString(n.Operator) {
		return by, errors.New("--operator: a name is up to 32 small letters, digits and hyphens")
	}
	by.Name = n.Operator
	return by, nil
}

// printCode prints a registration code, or that it waits.
func printCode(made console.RegistrationCode, err error) error {
	if err != nil {
		return err
	}
	return printJSON(struct {
		ID        uuid.UUID `json:"id"`
		Code      string    `json:"code,omitempty"`
		Waits     bool      `json:"waits_for_approval"`
		ExpiresAt time.Time `json:"expires_at"`
	}{made.ID, made.Code.Reveal(), made.Code.Empty(), made.ExpiresAt})
}

type registrationCodeMake struct {
	onMember
	named
}

// Run makes a code and prints it.
func (c *registrationCodeMake) Run(ctx context.Context) error {
	return c.do(ctx, func(o *console.Console, by access.Actor) error {
		by, err := c.by(by)
		if err != nil {
			return err
		}
		return printCode(o.MakeRegistrationCode(ctx, by, c.ID))
	})
}

type registrationCodePending struct{ inAccount }

// Run prints what waits, a line each.
func (c *registrationCodePending) Run(ctx context.Context) error {
	return c.do(ctx, func(o *console.Console, by access.Actor) error {
		all, err := o.PendingCodes(ctx, by)
		for _, w := range all {
			err = errors.Join(err, printJSON(w))
		}
		return err
	})
}

type registrationCodeApprove struct {
	inAccount
	named
	Code uuid.UUID `arg:"" help:"The code's id, as make and pending print it."`
}

// Run approves a code and prints it.
func (c *registrationCodeApprove) Run(ctx context.Context) error {
	return c.do(ctx, func(o *console.Console, by access.Actor) error {
		by, err := c.by(by)
		if err != nil {
			return err
		}
		return printCode(o.ApproveRegistrationCode(ctx, by, c.Code))
	})
}

// deviceCommands are `latchkey device …`. They print JSON.
type deviceCommands struct {
	List   deviceList   `cmd:"" help:"List a person's registrations."`
	Revoke deviceRevoke `cmd:"" help:"End a registration, or all of a person's."`
}

type deviceList struct{ onMember }

// Run prints the registrations, a line each.
func (c *deviceList) Run(ctx context.Context) error {
	return c.do(ctx, func(o *console.Console, by access.Actor) error {
		all, err := o.Devices(ctx, by, c.ID)
		if err != nil {
			return err
		}
		for _, d := range all {
			if err := printJSON(d); err != nil {
				return err
			}
		}
		return nil
	})
}

type deviceRevoke struct {
	onMember
	Device uuid.UUID `help:"Which one." xor:"which" required:""`
	All    bool      `help:"All of them." xor:"which" required:""`
}

// Run ends registrations.
func (c *deviceRevoke) Run(ctx context.Context) error {
	return c.do(ctx, func(o *console.Console, by access.Actor) error {
		if c.All {
			return o.RevokeAllDevices(ctx, by, c.ID)
		}
		return o.RevokeDevice(ctx, by, c.ID, c.Device)
	})
}
