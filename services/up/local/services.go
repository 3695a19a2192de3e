package local

import (
	"errors"

	"latchkey.dev/services/console"
	"latchkey.dev/services/dispatcher"
	"latchkey.dev/services/internal/config"
	"latchkey.dev/services/internal/install"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/login"
	"latchkey.dev/services/mail"
	"latchkey.dev/services/sms/configured"
	"latchkey.dev/services/up"
	"latchkey.dev/services/verifier"
)

// Origins are how browsers reach what they look at, as "https://login.example".
type Origins struct{ Login, Console string }

// Services returns the options of all services of an installation, from its key folder
// and its configuration. Listener, registry and logger are the caller's to set.
func Services(keys install.Folder, c config.File, at Origins, digits int) (up.Options, error) {
	var errs []error
	o := up.Options{
		Login:      login.Options{Origin: at.Login, Console: at.Console, Digits: digits, Limits: login.LimitsOf(c.Limits), Reach: c.Countries},
		Dispatcher: dispatcher.Options{Origin: at.Login, Digits: digits},
		Verifier:   verifier.Options{Digits: digits},
	}
	read := func(err error) { errs = append(errs, err) }
	url := func(of func(string) (secret.String, error)) func(string) secret.String {
		return func(service string) secret.String {
			u, err := of(service)
			if err != nil {
				read(err)
			}
			return u
		}
	}
	// Read now, so that everything that is missing is told at once.
	main, key, seed := map[string]secret.String{}, map[string]secret.String{}, map[string]secret.String{}
	for _, s := range up.Services {
		main[s], key[s], seed[s] = url(keys.MainURL)(s), url(keys.KeysURL)(s), url(keys.BusSeed)(s)
	}
	from := func(m map[string]secret.String) func(string) secret.String {
		return func(s string) secret.String { return m[s] }
	}
	o.MainURL, o.KeysURL, o.Seed = from(main), from(key), from(seed)
	var err error
	o.BusURL, err = keys.BusURL()
	read(err)
	o.Login.NonceMAC, err = keys.NonceMAC()
	read(err)
	o.Login.People, err = keys.People()
	read(err)
	o.Console.People = o.Login.People
	o.Console.Reach = c.Countries
	o.Console.Delivery = console.Delivery{Providers: c.Providers, Routes: c.Orders()}
	o.Console.Served = &console.Served{Origin: at.Console, Login: at.Login}
	o.Console.Served.FormMAC, err = keys.FormMAC()
	read(err)
	o.Auditor.WrapKey, err = keys.WrapKey()
	read(err)
	o.Auditor.DetailsKey, err = keys.DetailsKey()
	read(err)
	o.Dispatcher.NumberKey, err = keys.NumberKey()
	read(err)
	receiptKey, err := keys.ReceiptKey()
	read(err)
	o.Dispatcher.NoticeKey, err = keys.NoticeKey()
	read(err)
	o.Dispatcher.Mail, err = mail.Configured(c.Mail)
	read(err)
	o.Dispatcher.Routes, o.Dispatcher.Spend, o.Dispatcher.PrefixLimit = c.Orders(), dispatcher.SpendOf(c.Spend), c.Limits.InForce().Prefix
	o.Dispatcher.Providers, err = configured.Providers(c, receiptKey)
	read(err)
	return o, errors.Join(errs...)
}
