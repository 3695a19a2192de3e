package local

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"go.yaml.in/yaml/v3"

	"latchkey.dev/services/internal/config"
	"latchkey.dev/services/mail/mailbox"
	"latchkey.dev/services/sms/carriers"
)

// running is the file that says what the running installation uses: the configuration
// with what was added to it. Other processes of the installation read it.
const running = "running.yaml"

// RunningConfig is that file, in a data folder.
func RunningConfig(data string) string { return filepath.Join(data, running) }

// demoSoftwares are what people sign in to where the configuration names nothing. The
// last is the example product's (services/example).
func (l *Local) demoSoftwares() []config.Software {
	return []config.Software{
		{ID: "web", Kind: "web", Name: "Latchkey", AutofillHost: host(l.o.Origin)},
		{ID: "mobile", Kind: "mobile", Name: "Latchkey", AppHash: "LatchkeyApp"},
		{ID: "example", Kind: "web", Name: "Example", AutofillHost: "localhost", Addresses: []string{"http://127.0.0.1:8090/sign-in", "http://localhost:8090/sign-in"}},
	}
}

// startCarriers reads the configuration, and where it names no provider starts the
// simulated carriers, each on an address of its own that refuses connections while it is down.
func (l *Local) startCarriers(ls listeners) error {
	file := l.o.Config
	if file == "" {
		file = filepath.Join(l.o.Data, "latchkey.yaml")
	}
	var err error
	if l.config, err = config.Read(file); err != nil && !(l.o.Config == "" && errors.Is(err, fs.ErrNotExist)) {
		return err
	}
	if len(l.config.Softwares) == 0 {
		l.config.Softwares = l.demoSoftwares()
	}
	l.config.Origin = l.o.Origin
	if l.mail, err = mailbox.Start(mailbox.Options{Logger: l.o.Logger}); err != nil {
		return err
	}
	l.closers = append(l.closers, l.mail.Close)
	l.phones = carriers.New(carriers.Options{SignIn: l.o.Origin + "/", Mail: l.mail.Routes, Logger: l.o.Logger})
	l.closers = append(l.closers, l.phones.Close)
	if len(l.config.Providers) == 0 {
		if err := l.simulate(ls); err != nil {
			return err
		}
	}
	if l.config.Mail == nil && !l.real() { // where texts reach real phones, mail goes by a real server or not at all
		host, port, err := net.SplitHostPort(l.mail.Address())
		if err != nil {
			return fmt.Errorf("the simulated mail server's address: %w", err)
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			return fmt.Errorf("the simulated mail server's port %q is no number", port)
		}
		l.config.Mail = &config.Mail{Host: host, Port: n, Security: "none", From: "latchkey@latchkey.example", Name: "Latchkey"}
	}
	b, err := yaml.Marshal(l.config)
	if err != nil {
		return fmt.Errorf("writing %s: %w", running, err)
	}
	if err := os.WriteFile(RunningConfig(l.o.Data), b, 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", running, err)
	}
	return nil
}

// simulatedRate is the pace of the simulated carriers, in texts a second: they take any.
const simulatedRate = 10_000

func (l *Local) simulate(ls listeners) error {
	if l.config.Receipts == "" {
		l.config.Receipts = "http://" + ls.public.Addr().String() + "/receipts"
	}
	file := func(name, content string) (string, error) {
		path := filepath.Join(l.o.Data, "keys", name)
		return path, os.WriteFile(path, []byte(content), 0o600)
	}
	vonageSecret, err1 := file("simulated-vonage.secret", carriers.DemoVonageSecret)
	twilioToken, err2 := file("simulated-twilio.token", carriers.DemoTwilioToken)
	vonageAt, err3 := l.phones.Listen(carriers.Vonage, "127.0.0.1:0")
	twilioAt, err4 := l.phones.Listen(carriers.Twilio, "127.0.0.1:0")
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return fmt.Errorf("starting the simulated carriers: %w", err)
	}
	l.config.Providers = []config.Provider{
		{Name: "vonage", Kind: "vonage", From: "Latchkey", BaseURL: "http://" + vonageAt, Rate: simulatedRate, APIKey: carriers.DemoVonageKey, APISecretFile: vonageSecret},
		{Name: "twilio", Kind: "twilio", From: "+15005550006", BaseURL: "http://" + twilioAt, AccountSID: carriers.DemoTwilioSID, AuthTokenFile: twilioToken},
	}
	return nil
}
