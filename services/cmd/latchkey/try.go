package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/access"
	"latchkey.dev/services/console"
	"latchkey.dev/services/internal/config"
	"latchkey.dev/services/internal/install"
	"latchkey.dev/services/phone"
	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/configured"
)

// testWords is what a test says: one segment of GSM-7, and nothing secret.
const testWords = "Latchkey test message, no code in it"

// sender makes the sender of one configured provider, whose credentials are in order whatever
// those of the others are. It asks for no receipts: nobody waits for them.
func sender(conf config.File, keys install.Folder, name string) (sms.Sender, error) {
	one := config.File{}
	var names []string
	for _, p := range conf.Providers {
		if p.Name == name {
			one.Providers = []config.Provider{p}
		}
		names = append(names, p.Name)
	}
	if len(one.Providers) == 0 {
		return nil, fmt.Errorf("there is no provider %.40q; configured are: %s", name, strings.Join(names, ", "))
	}
	key, err := keys.ReceiptKey()
	if err != nil {
		return nil, err
	}
	made, err := configured.Providers(one, key)
	if err != nil {
		return nil, err
	}
	return made[0].Sender, nil
}

type providerTest struct {
	withProviders
	named
	Name string `arg:"" help:"The provider's name."`
	To   string `help:"A number of your own, as +16045550101; - reads it from the standard input. It is kept nowhere." required:""`
}

// Run sends one text and prints what became of it. That it was sent is an event, without the number.
func (c *providerTest) Run(ctx context.Context) error {
	to, err := c.number(os.Stdin)
	if err != nil {
		return err
	}
	conf, err := c.read()
	if err != nil {
		return err
	}
	by, err := sender(conf, c.Folder(), c.Name)
	if err != nil {
		return err
	}
	return c.do(ctx, c.named, func(o *console.Console, actor access.Actor) error {
		sending, stop := context.WithTimeout(ctx, sms.MaxAttempt)
		defer stop()
		begun := time.Now()
		out := by.Send(sending, sms.Message{AttemptID: uuid.New(), To: to, Body: sms.NewBody(testWords)})
		took := time.Since(begun).Round(time.Millisecond)
		told := o.ProviderTested(context.WithoutCancel(ctx), actor, c.Name, to, out.Ending)
		fmt.Printf("%s: %s (%s)", c.Name, out.Ending, out.Reason)
		if out.VendorCode != "" {
			fmt.Printf(", its code %s", out.VendorCode)
		}
		fmt.Printf(", after %s\n", took)
		if out.Ending != sms.Accepted {
			told = errors.Join(told, errors.New("the text was not taken"))
		}
		return told
	})
}

func (c *providerTest) number(in io.Reader) (phone.Number, error) {
	text := c.To
	if text == "-" {
		var err error
		if text, err = line(bufio.NewReader(io.LimitReader(in, 100))); err != nil {
			return phone.Number{}, err
		}
	}
	to, err := phone.Parse(text, "")
	if err != nil {
		return to, fmt.Errorf("--to: %w", err) // which does not quote it
	}
	return to, nil
}

type providerCheck struct {
	withProviders
	Listed
	Name string `arg:"" help:"The provider's name, or all."`
}

// checked is what a provider says of us.
type checked struct {
	Provider string `json:"provider"`
	Result   string `json:"result"` // ok, failed, unknown: it cannot be asked
	Account  string `json:"account,omitempty"`
	Why      string `json:"why,omitempty"`
}

const checkTimeout = 5 * time.Second

// Run asks the providers, all at once.
func (c *providerCheck) Run(ctx context.Context) error {
	conf, err := c.read()
	if err != nil {
		return err
	}
	names := []string{c.Name}
	if c.Name == "all" {
		names = nil
		for _, p := range conf.Providers {
			names = append(names, p.Name)
		}
	}
	rows, failed := []any{}, 0
	for _, r := range checkProviders(ctx, conf, c.Folder(), names) {
		rows = append(rows, r)
		if r.Result == "failed" {
			failed++
		}
	}
	err = c.print("PROVIDER\tRESULT\tACCOUNT\tWHY", rows, func(r any) []string {
		p := r.(checked)
		return []string{p.Provider, p.Result, p.Account, p.Why}
	})
	if err == nil && failed > 0 {
		err = fmt.Errorf("%d of %d providers do not take our credentials, or do not answer", failed, len(rows))
	}
	return err
}

// checkProviders asks providers whether they take our credentials, all at once, each for 5 s at most.
func checkProviders(ctx context.Context, conf config.File, keys install.Folder, names []string) []checked {
	out := make([]checked, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() { out[i] = checkProvider(ctx, conf, keys, name) })
	}
	all.Wait()
	return out
}

func checkProvider(ctx context.Context, conf config.File, keys install.Folder, name string) checked {
	s, err := sender(conf, keys, name)
	if err != nil {
		return checked{Provider: name, Result: "failed", Why: err.Error()}
	}
	can, ok := s.(sms.Checker)
	if !ok {
		return checked{Provider: name, Result: "unknown", Why: "it cannot be asked without sending a text"}
	}
	ctx, stop := context.WithTimeout(ctx, checkTimeout)
	defer stop()
	account, err := can.Check(ctx)
	if err != nil {
		return checked{Provider: name, Result: "failed", Why: err.Error()}
	}
	return checked{Provider: name, Result: "ok", Account: account}
}
