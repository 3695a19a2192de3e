package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"latchkey.dev/services/access"
	"latchkey.dev/services/cmd/internal/serve"
	"latchkey.dev/services/console"
	"latchkey.dev/services/internal/config"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/routing"
	"latchkey.dev/services/up/local"
)

// providerCommands are `latchkey provider …`.
type providerCommands struct {
	List   providerList   `cmd:"" help:"Show who carries texts where, what was decided, and how each provider does."`
	Check  providerCheck  `cmd:"" help:"Ask providers whether they take our credentials, without sending a text."`
	Test   providerTest   `cmd:"" help:"Send one real text by a provider."`
	Pin    providerPin    `cmd:"" help:"Have a provider asked first, whatever its health. One can be pinned for a country."`
	Drain  providerDrain  `cmd:"" help:"Give a provider no new text."`
	Resume providerResume `cmd:"" help:"Take pin and drain of a provider away."`
	Order  providerOrder  `cmd:"" help:"Replace the order in which providers are asked. Who is not named carries nothing there."`
}

// withProviders are the flags of a command about the providers that are configured.
type withProviders struct {
	serve.Common
	Config string `help:"File of softwares and providers; that of the running installation if not given." env:"LATCHKEY_CONFIG" type:"path"`
}

// read returns the configuration that the services run with.
func (c withProviders) read() (config.File, error) {
	f, err := config.Read(cmp.Or(c.Config, local.RunningConfig(c.Data)))
	if errors.Is(err, fs.ErrNotExist) && c.Config == "" {
		return f, fmt.Errorf("no installation is in %s: start one with `latchkey up`, or name its configuration by LATCHKEY_CONFIG (%w)", c.Data, err)
	}
	return f, err
}

// do opens the console, which knows the providers, for an operator.
func (c withProviders) do(ctx context.Context, by named, do func(*console.Console, access.Actor) error) error {
	conf, err := c.read()
	if err != nil {
		return err
	}
	actor, err := by.by(access.Actor{Kind: access.Operator})
	if err != nil {
		return err
	}
	delivery := console.Delivery{Providers: conf.Providers, Routes: conf.Orders()}
	return withConsoleAnd(ctx, c.Common, console.Options{Delivery: delivery}, func(o *operating) error { return do(o.console, actor) })
}

type providerList struct {
	withProviders
	JSON bool `help:"Print JSON."`
}

// Run prints what is known of the providers.
func (c *providerList) Run(ctx context.Context) error {
	return c.do(ctx, named{}, func(o *console.Console, by access.Actor) error {
		all, err := o.Providers(ctx, by)
		if err != nil {
			return err
		}
		if !c.JSON {
			return tellProviders(os.Stdout, all, time.Now())
		}
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(all)
	})
}

// deciding are the flags of a command by which an operator decides for a country.
type deciding struct {
	withProviders
	named
	Country string `help:"For numbers of this country alone, as CA; everywhere if not given."`
}

// decide makes a decision about a provider and tells what is in force then.
func (c deciding) decide(ctx context.Context, name string, do func(*console.Console, access.Actor, string) error) error {
	country := strings.ToUpper(c.Country)
	return c.withProviders.do(ctx, c.named, func(o *console.Console, by access.Actor) error {
		if err := do(o, by, country); err != nil {
			return err
		}
		all, err := o.Providers(ctx, by)
		if err != nil {
			return err
		}
		return tellDecision(os.Stdout, all, name, country)
	})
}

type providerPin struct {
	deciding
	Name string `arg:"" help:"The provider's name."`
}

// Run pins a provider.
func (c *providerPin) Run(ctx context.Context) error {
	return c.decide(ctx, c.Name, func(o *console.Console, by access.Actor, country string) error {
		return o.PinProvider(ctx, by, c.Name, country)
	})
}

type providerDrain struct {
	deciding
	Name  string `arg:"" help:"The provider's name."`
	Force bool   `help:"Even where nobody would be left to carry texts."`
}

// Run drains a provider.
func (c *providerDrain) Run(ctx context.Context) error {
	return c.decide(ctx, c.Name, func(o *console.Console, by access.Actor, country string) error {
		return forcible(o.DrainProvider(ctx, by, c.Name, country, c.Force))
	})
}

type providerResume struct {
	deciding
	Name string `arg:"" help:"The provider's name."`
}

// Run takes pin and drain away.
func (c *providerResume) Run(ctx context.Context) error {
	return c.decide(ctx, c.Name, func(o *console.Console, by access.Actor, country string) error {
		return o.ResumeProvider(ctx, by, c.Name, country, routing.Pin, routing.Drain)
	})
}

type providerOrder struct {
	deciding
	Names []string `arg:"" optional:"" name:"name" help:"The providers' names, the first is asked first."`
	Reset bool     `help:"Back to the configured order."`
	Force bool     `help:"Even where nobody would be left to carry texts."`
}

// Run replaces an order.
func (c *providerOrder) Run(ctx context.Context) error {
	if (len(c.Names) > 0) == c.Reset {
		return errors.New("name the providers in their order, or say --reset")
	}
	return c.decide(ctx, "", func(o *console.Console, by access.Actor, country string) error {
		return forcible(o.OrderProviders(ctx, by, country, c.Names, c.Force))
	})
}

// forcible says how a decision that was refused is forced.
func forcible(err error) error {
	if p := new(web.Problem); errors.As(err, &p) && p.Type == "/problems/last-provider" {
		return fmt.Errorf("%w (--force)", err)
	}
	return err
}

// where names a scope for a sentence.
func where(country string) string {
	if country == "" {
		return "everywhere"
	}
	return "in " + country
}

// tellDecision says who carries the texts of a country now, and what else holds of a provider.
func tellDecision(w io.Writer, all console.Providers, name, country string) error {
	for _, r := range all.Routes {
		switch at := cmp.Or(r.Country, "everywhere else"); {
		case country != "" && r.Country != country:
		case len(r.Providers) == 0:
			fmt.Fprintf(w, "%s: nobody carries texts\n", at)
		default:
			fmt.Fprintf(w, "%s: %s\n", at, strings.Join(r.Providers, ", then "))
		}
	}
	if country != "" && !slices.ContainsFunc(all.Routes, func(r console.ProviderRoute) bool { return r.Country == country }) {
		fmt.Fprintf(w, "%s: as everywhere\n", country)
	}
	for _, p := range all.Providers {
		for _, r := range p.Rules {
			if p.Name == name {
				fmt.Fprintf(w, "in force: %s is %s\n", name, decided(r))
			}
		}
	}
	if all.Dispatchers == 0 {
		fmt.Fprintln(w, "no dispatcher runs: this holds from its start")
	}
	return nil
}

// decided says what an operator decided of a provider.
func decided(r console.ProviderRule) string {
	did := map[string]string{routing.Pin: "pinned", routing.Drain: "drained"}[r.Rule]
	return fmt.Sprintf("%s %s, by %s at %s", did, where(r.Country), r.SetBy, stamp(r.SetAt))
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// tellProviders prints three tables: the providers, the orders, and what was learnt.
func tellProviders(out io.Writer, all console.Providers, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "PROVIDER\tKIND\tRATE\tDECIDED")
	for _, p := range all.Providers {
		rate, kind := "usual", cmp.Or(p.Kind, "configured no more")
		if p.Rate > 0 {
			rate = fmt.Sprintf("%g/s", p.Rate)
		}
		line := fmt.Sprintf("%s\t%s\t%s", p.Name, kind, rate)
		for _, r := range p.Rules {
			fmt.Fprintf(w, "%s\t%s\n", line, decided(r))
			line = "\t\t"
		}
		if len(p.Rules) == 0 {
			fmt.Fprintf(w, "%s\t-\n", line)
		}
	}
	fmt.Fprintln(w, "\t\t\t\nCOUNTRY\tASKED, ONE AFTER THE OTHER\tORDER\t")
	for _, r := range all.Routes {
		order, by := strings.Join(r.Providers, ", "), "as configured"
		if r.SetAt != nil {
			by = fmt.Sprintf("by %s at %s", r.SetBy, stamp(*r.SetAt))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t\n", cmp.Or(r.Country, "any other"), cmp.Or(order, "nobody"), by)
	}
	if slices.ContainsFunc(all.Providers, func(p console.Provider) bool { return len(p.Health) > 0 }) {
		fmt.Fprintln(w, "\t\t\t\nPROVIDER\tCOUNTRY\tANSWERS\tSINCE\tTYPED\tPLACE\tRECEIPTS WITHIN")
	}
	for _, p := range all.Providers {
		for _, h := range p.Health {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", p.Name, cmp.Or(h.Country, "all"), answers(h), stamp(h.BreakerSince), typed(h), place(h, now), receipts(h))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if all.Dispatchers == 0 {
		_, err := fmt.Fprintln(out, "\nNo dispatcher runs: nothing is sent.")
		return err
	}
	return nil
}

func answers(h console.ProviderHealth) string {
	word := map[string]string{"closed": "yes", "open": "no", "half_open": "again"}[h.Breaker]
	if h.BreakerReason != "" && h.Breaker != "closed" {
		word += " (" + h.BreakerReason + ")"
	}
	return word
}

func typed(h console.ProviderHealth) string {
	if h.Accepted == 0 {
		return "-"
	}
	return fmt.Sprintf("%d of %d (%.0f %%)", h.Typed, h.Accepted, 100*float64(h.Typed)/float64(h.Accepted))
}

func place(h console.ProviderHealth, now time.Time) string {
	switch {
	case h.DemotedAt == nil:
		return "own"
	case h.DemotedUntil != nil && h.DemotedUntil.After(now):
		return fmt.Sprintf("lost at %s, until %s at least", stamp(*h.DemotedAt), stamp(*h.DemotedUntil))
	}
	return "lost at " + stamp(*h.DemotedAt)
}

func receipts(h console.ProviderHealth) string {
	if h.ReceiptSeconds == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f s", h.ReceiptSeconds)
}
