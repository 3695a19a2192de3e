package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/access"
	"latchkey.dev/services/cmd/latchkey/doctor"
	"latchkey.dev/services/console"
	"latchkey.dev/services/phone"
	"latchkey.dev/services/sms"
)

// testWords is what a test says: one segment of GSM-7, and nothing secret.
const testWords = "Latchkey test message, no code in it"

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
	by, err := doctor.Provider(conf, c.Folder(), c.Name)
	if err != nil {
		return err
	}
	return c.do(ctx, c.named, func(o *console.Console, actor access.Actor) error {
		begun := time.Now()
		out := sendOnce(ctx, by, sms.Message{AttemptID: uuid.New(), To: to, Country: to.Country(), Body: sms.NewBody(testWords)})
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

// connectTimeout is how long a provider that keeps a connection may take to open it.
const connectTimeout = 10 * time.Second

// sendOnce sends one text. Where the provider keeps a connection (SMPP) it is opened first, and
// no report is taken from it: those come again, to a dispatcher.
func sendOnce(ctx context.Context, by sms.Provider, m sms.Message) sms.Outcome {
	ctx, stop := context.WithTimeout(ctx, sms.MaxAttempt+connectTimeout)
	defer stop()
	if by.Source == nil {
		return attempt(ctx, by, m)
	}
	var connection sync.WaitGroup
	defer connection.Wait()
	defer stop()
	connection.Go(func() {
		_ = by.Source.Run(ctx, func(context.Context, sms.Receipt) error { return errors.New("this is a test: a dispatcher takes it") }) // what fails shows in the outcome
	})
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	until := time.Now().Add(connectTimeout)
	for {
		out := attempt(ctx, by, m)
		if out.Reason != sms.ReasonUnreachable || time.Now().After(until) { // unreachable: nothing was written
			return out
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return out
		}
	}
}

func attempt(ctx context.Context, by sms.Provider, m sms.Message) sms.Outcome {
	ctx, stop := context.WithTimeout(ctx, sms.MaxAttempt)
	defer stop()
	return by.Sender.Send(ctx, m)
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
	for _, r := range doctor.CheckProviders(ctx, conf, c.Folder(), names) {
		rows = append(rows, r)
		if r.Result == doctor.Failed {
			failed++
		}
	}
	err = c.print("PROVIDER\tRESULT\tACCOUNT\tWHY", rows, func(r any) []string {
		p := r.(doctor.Checked)
		return []string{p.Provider, p.Result, p.Account, p.Why}
	})
	if err == nil && failed > 0 {
		err = fmt.Errorf("%d of %d providers do not take our credentials, or do not answer", failed, len(rows))
	}
	return err
}
