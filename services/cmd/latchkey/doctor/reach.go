package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/mail"
)

// stream looks at the bus with every service's credential, and at what was provisioned there.
func (p *patient) stream(ctx context.Context, f *findings) {
	address, err := p.Keys.BusURL()
	if err != nil {
		f.fault("latchkey up writes it; where the bus is another one, write its address there yourself", "the address of the bus cannot be read")
		return
	}
	for _, s := range p.Services {
		seed, err := p.Keys.BusSeed(s)
		if err != nil {
			continue // told of among the keys
		}
		ctx, stop := context.WithTimeout(ctx, Timeout)
		err = bus.Probe(ctx, bus.Options{URL: address, Service: s, NKeySeed: seed})
		stop()
		if err != nil {
			f.fault("see that the bus runs there and knows the service's public key (latchkey up, or latchkey bus)", "the bus does not let %s in: %s", s, oneLine(err))
			continue
		}
		p.bus = true
	}
	if !p.bus {
		return
	}
	found, err := p.inspect(ctx)
	switch {
	case errors.Is(err, errNoProvisioner):
		f.ok("it lets %d services in; the provisioner's key is not here, so the stream was not looked at", len(p.Services))
		return
	case err != nil:
		f.fault("see that JetStream is on, and has room on its disk", "the stream cannot be looked at: %s", oneLine(err))
	}
	for _, d := range found.Differs {
		f.fault("latchkey provision", "%s", d)
	}
	if !f.bad() {
		f.ok("it lets %d services in; stream and consumers are as provisioned", len(p.Services))
	}
}

var errNoProvisioner = errors.New("the provisioner's key is not here")

func (p *patient) inspect(ctx context.Context) (bus.Found, error) {
	ctx, stop := context.WithTimeout(ctx, Timeout)
	defer stop()
	address, err := p.Keys.BusURL()
	if err != nil {
		return bus.Found{}, err
	}
	seed, err := p.Keys.BusSeed(bus.Provisioner)
	if err != nil {
		return bus.Found{}, errNoProvisioner
	}
	return bus.Inspect(ctx, bus.Options{URL: address, Service: bus.Provisioner, NKeySeed: seed})
}

// answer is what an address answered.
type answer struct {
	status  int
	header  http.Header
	problem string // its type, if it is a problem document
	expires time.Time
}

func (p *patient) get(ctx context.Context, method, address string) (a answer, err error) {
	r, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return a, err
	}
	resp, err := p.HTTP.Do(r)
	if err != nil {
		if failed := new(url.Error); errors.As(err, &failed) {
			err = failed.Err // the address is told already
		}
		return a, err
	}
	defer resp.Body.Close()
	a = answer{status: resp.StatusCode, header: resp.Header}
	if resp.TLS != nil && len(resp.TLS.PeerCertificates) > 0 {
		a.expires = resp.TLS.PeerCertificates[0].NotAfter
	}
	var doc struct{ Type string }
	if b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10)); err == nil && resp.Header.Get("Content-Type") == "application/problem+json" && json.Unmarshal(b, &doc) == nil {
		a.problem = doc.Type
	}
	return a, nil
}

// public looks at an address of ours that others come to, and tells what is wrong with it.
func (p *patient) public(ctx context.Context, f *findings, what, at, ask string, ours func(answer) bool) {
	a, err := p.get(ctx, http.MethodGet, at+ask)
	switch {
	case err != nil:
		f.fault("see that name, proxy and firewall lead there, also from this machine", "%s cannot be reached at %s: %s", what, at, oneLine(err))
		return
	case !ours(a):
		f.fault("have the proxy pass the path on as it is", "%s is not what answers at %s (status %d)", what, at, a.status)
		return
	}
	if left := time.Until(a.expires); !a.expires.IsZero() && left < 14*24*time.Hour {
		f.warning("renew it", "the certificate of %s ends on %s", at, a.expires.UTC().Format(time.DateOnly))
	}
	if u, err := url.Parse(at); err == nil && u.Scheme != "https" && !here(at) {
		f.fault("put a proxy that does TLS before it, and name it with https", "%s is not encrypted: anybody on the way reads it", at)
	}
	if !f.bad() {
		f.ok("%s answers at %s", what, at)
	}
}

func (p *patient) receipts(ctx context.Context, f *findings) {
	if p.conf.Receipts == "" {
		return // told of with the configuration
	}
	p.public(ctx, f, "the endpoint of delivery reports", p.conf.Receipts, "/latchkey-doctor", func(a answer) bool {
		return a.status == http.StatusNotFound && a.problem == "/problems/not-found"
	})
}

func (p *patient) signIn(ctx context.Context, f *findings) {
	if p.conf.Origin == "" {
		f.warning("set origin in the configuration", "how people reach the sign-in pages is not configured, so that was not tried")
		return
	}
	p.public(ctx, f, "the sign-in", p.conf.Origin, "/v1/nonce", func(a answer) bool { return a.status < 300 && a.header.Get("DPoP-Nonce") != "" })
}

func (p *patient) console(ctx context.Context, f *findings) {
	if p.Console == "" {
		return
	}
	p.public(ctx, f, "the console", p.Console, "/v1/me", func(a answer) bool { return a.status == http.StatusUnauthorized && a.problem == "/problems/no-session" })
}

// dated are the addresses of others that tell the time in a header, by whom they are of.
func (p *patient) dated() map[string]string {
	all := map[string]string{}
	for _, provider := range p.conf.Providers {
		if provider.BaseURL != "" && !here(provider.BaseURL) {
			all["provider "+provider.Name] = provider.BaseURL
		}
	}
	if p.conf.Origin != "" && !here(p.conf.Origin) {
		all[p.conf.Origin] = p.conf.Origin
	}
	return all
}

// date reads the clock of an address (RFC 9110 section 6.6.1).
func (p *patient) date(ctx context.Context, address string) (theirs, asked, answered time.Time, ok bool) {
	asked = time.Now()
	a, err := p.get(ctx, http.MethodHead, address)
	answered = time.Now()
	if err != nil {
		return theirs, asked, answered, false
	}
	theirs, err = http.ParseTime(a.header.Get("Date"))
	return theirs, asked, answered, err == nil
}

func (p *patient) mail(ctx context.Context, f *findings) {
	if p.conf.Mail == nil {
		f.ok("none is configured: people are told by text alone")
		return
	}
	s, err := mail.Configured(p.conf.Mail)
	if err != nil {
		f.fault("correct it in the configuration", "%s", oneLine(err))
		return
	}
	can, ok := s.(interface{ Check(context.Context) error })
	if !ok || !p.reachable(p.conf.Mail.Host) {
		return
	}
	ctx, stop := context.WithTimeout(ctx, Timeout)
	defer stop()
	if err := can.Check(ctx); err != nil {
		f.fault("see host, port, security and credentials of mail in the configuration", "%s: %s", p.conf.Mail.Host, oneLine(err))
		return
	}
	f.ok("%s takes us; no mail was sent", p.conf.Mail.Host)
}

// reachable reports whether something can be there: what is on this machine may be the
// installation's own simulator, which runs with it.
func (p *patient) reachable(host string) bool { return p.databases || p.bus || !mail.Loopback(host) }

func (p *patient) providers(ctx context.Context, f *findings) {
	var names []string
	for _, provider := range p.conf.Providers {
		if u, err := url.Parse(provider.BaseURL); provider.BaseURL == "" || err == nil && p.reachable(u.Hostname()) {
			names = append(names, provider.Name)
		}
	}
	for _, c := range CheckProviders(ctx, p.conf, p.Keys, names) {
		switch {
		case c.Result == Failed:
			f.fault("correct its credentials, or drain it: latchkey provider drain "+c.Provider, "%s: %s", c.Provider, c.Why)
		case c.Result == Unknown:
			f.ok("%s %s; latchkey provider test sends one", c.Provider, c.Why)
		case c.Account != "":
			f.ok("%s takes our credentials (%s)", c.Provider, c.Account)
		default:
			f.ok("%s takes our credentials", c.Provider)
		}
	}
}
