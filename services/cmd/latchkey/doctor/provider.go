package doctor

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"latchkey.dev/services/internal/config"
	"latchkey.dev/services/internal/install"
	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/configured"
)

// Provider makes one of the configured providers, whatever is wrong with the others. It asks
// for no receipts: nobody waits for them.
func Provider(conf config.File, keys install.Folder, name string) (sms.Provider, error) {
	one := config.File{}
	var names []string
	for _, p := range conf.Providers {
		if p.Name == name {
			one.Providers = []config.Provider{p}
		}
		names = append(names, p.Name)
	}
	if len(one.Providers) == 0 {
		return sms.Provider{}, fmt.Errorf("there is no provider %.40q; configured are: %s", name, strings.Join(names, ", "))
	}
	key, err := keys.ReceiptKey()
	if err != nil {
		return sms.Provider{}, err
	}
	made, err := configured.Providers(one, key)
	if err != nil {
		return sms.Provider{}, err
	}
	return made[0], nil
}

// The results of a check of a provider.
const (
	Taken   = "ok"
	Failed  = "failed"
	Unknown = "unknown" // it cannot be asked
)

// Checked is what a provider says of us.
type Checked struct {
	Provider string `json:"provider"`
	Result   string `json:"result"`
	Account  string `json:"account,omitempty"` // sms.Checker
	Why      string `json:"why,omitempty"`
}

// CheckProviders asks providers whether they take our credentials, all at once, each for
// Timeout at most.
func CheckProviders(ctx context.Context, conf config.File, keys install.Folder, names []string) []Checked {
	out := make([]Checked, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() { out[i] = checkProvider(ctx, conf, keys, name) })
	}
	all.Wait()
	return out
}

func checkProvider(ctx context.Context, conf config.File, keys install.Folder, name string) Checked {
	s, err := Provider(conf, keys, name)
	if err != nil {
		return Checked{Provider: name, Result: Failed, Why: strings.TrimPrefix(oneLine(err), "provider "+name+": ")}
	}
	can, ok := s.Sender.(sms.Checker)
	if !ok {
		return Checked{Provider: name, Result: Unknown, Why: "cannot be asked without sending a text"}
	}
	ctx, stop := context.WithTimeout(ctx, Timeout)
	defer stop()
	account, err := can.Check(ctx)
	if err != nil {
		return Checked{Provider: name, Result: Failed, Why: oneLine(err)}
	}
	return Checked{Provider: name, Result: Taken, Account: account}
}
