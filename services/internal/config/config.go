// Package config reads the one file that describes an installation: the softwares that
// people sign in to, and the providers that carry its texts. Secrets are never in it,
// only the names of the files that hold them.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"latchkey.dev/services/code"
	"latchkey.dev/services/email"
	"latchkey.dev/services/phone"
)

// MaxSize is the largest file that is read, in bytes.
const MaxSize = 1 << 20

// File is the whole of it.
type File struct {
	Softwares []Software `yaml:"softwares"`
	Providers []Provider `yaml:"providers"`        // in order of preference
	Routes    []Route    `yaml:"routes,omitempty"` // for countries with an order of their own
	// Receipts is the public address under which providers reach the dispatcher's receipt
	// endpoint, as https://login.example/receipts; empty asks for no receipts.
	Receipts string `yaml:"receipts"`
	// Origin is how browsers reach the sign-in pages, as https://login.example: links in
	// notices begin with it. Empty where the program is told otherwise.
	Origin string `yaml:"origin,omitempty"`
	// Countries are those that codes go to, ISO 3166-1 alpha-2, whatever an account's own list
	// says; anywhere if not given.
	Countries []string `yaml:"countries,omitempty"`
	// Limits bound how many texts may be asked for.
	Limits Limits `yaml:"limits,omitempty"`
	// Spend bounds what texts may cost.
	Spend Spend `yaml:"spend,omitempty"`
	// Mail is the server that takes notices by e-mail; without it none go so.
	Mail *Mail `yaml:"mail,omitempty"`
}

// Mail is a mail server.
type Mail struct {
	Host string `yaml:"host"`
	Port int    `yaml:"port,omitempty"` // 587 with starttls, 465 with tls, 25 with none, if not given
	// Security is starttls (if not given), tls, or none, which only a server on this machine may have.
	Security     string `yaml:"security,omitempty"`
	Username     string `yaml:"username,omitempty"`
	PasswordFile string `yaml:"password_file,omitempty"`
	From         string `yaml:"from"`           // the address that notices come from
	Name         string `yaml:"name,omitempty"` // and the name with it
}

// Software is an application of the installation that people sign in to.
type Software struct {
	ID   string `yaml:"id"`
	Kind string `yaml:"kind"` // web, mobile
	Name string `yaml:"name"` // what the text calls the service
	// AutofillHost is the host that a browser fills the code in for (web);
	// AppHash the 11 characters by which Android knows the app (mobile).
	AutofillHost string `yaml:"autofill_host"`
	AppHash      string `yaml:"app_hash"`
	// Addresses are where a product's own pages may make proofs, besides ours.
	Addresses []string `yaml:"addresses"`
}

// Route is the order of providers for some countries. One that is not named carries nothing there.
type Route struct {
	Countries []string `yaml:"countries"` // ISO 3166-1 alpha-2
	Providers []string `yaml:"providers"` // by their names, the first is tried first
}

// Read reads and judges a file. The error names everything that is wrong at once.
func Read(path string) (File, error) {
	f, err := os.Open(path)
	if err != nil {
		return File{}, fmt.Errorf("reading the configuration: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return File{}, fmt.Errorf("reading the configuration: %w", err)
	}
	if len(b) > MaxSize {
		return File{}, fmt.Errorf("%s is larger than 1 MiB", path)
	}
	c, err := Parse(b)
	if err != nil {
		return File{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// Parse is Read for text that is there already.
func Parse(text []byte) (File, error) {
	var c File
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil && err != io.EOF {
		return File{}, err
	}
	if err := c.validate(); err != nil {
		return File{}, err
	}
	return c, nil
}

var (
	softwareID   = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)
	providerName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)
	host         = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,98}[a-z0-9])?$`)
	countryCode  = regexp.MustCompile(`^[A-Z]{2}$`)
	appHash      = regexp.MustCompile(`^[A-Za-z0-9+/]{11}$`)
)

func (c File) validate() error {
	var errs []error
	ids := map[string]bool{}
	for i, s := range c.Softwares {
		for _, wrong := range s.faults() {
			errs = append(errs, fmt.Errorf("softwares[%d].%s", i, wrong))
		}
		if ids[s.ID] {
			errs = append(errs, fmt.Errorf("softwares[%d].id: %q is there twice", i, s.ID))
		}
		ids[s.ID] = true
	}
	names := map[string]bool{}
	for i, p := range c.Providers {
		for _, wrong := range p.faults() {
			errs = append(errs, fmt.Errorf("providers[%d].%s", i, wrong))
		}
		if names[p.Name] {
			errs = append(errs, fmt.Errorf("providers[%d].name: %q is there twice", i, p.Name))
		}
		names[p.Name] = true
	}
	errs = append(errs, c.routeFaults(names)...)
	for i, country := range c.Countries {
		if !phone.Country(country) {
			errs = append(errs, fmt.Errorf("countries[%d]: %q is no country with phone numbers, in two capital letters", i, country))
		}
	}
	for _, wrong := range append(c.Limits.faults(), c.Spend.faults()...) {
		errs = append(errs, errors.New(wrong))
	}
	if c.Receipts != "" {
		u, err := url.Parse(c.Receipts)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || !strings.HasSuffix(u.Path, "/receipts") {
			errs = append(errs, errors.New("receipts: must be an http or https address that ends in /receipts"))
		}
	}
	if c.Origin != "" {
		if u, err := url.Parse(c.Origin); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Path != "" || u.RawQuery != "" {
			errs = append(errs, errors.New("origin: must be as https://login.example, without a path"))
		}
	}
	if c.Mail != nil {
		for _, wrong := range c.Mail.faults() {
			errs = append(errs, fmt.Errorf("mail.%s", wrong))
		}
	}
	return errors.Join(errs...)
}

// Orders are the orders of providers of the countries that have one of their own.
func (c File) Orders() map[string][]string {
	orders := map[string][]string{}
	for _, r := range c.Routes {
		for _, country := range r.Countries {
			orders[country] = r.Providers
		}
	}
	return orders
}

func (c File) routeFaults(providers map[string]bool) (errs []error) {
	wrong := func(is bool, format string, args ...any) {
		if is {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	countries := map[string]bool{}
	for i, r := range c.Routes {
		wrong(len(r.Countries) == 0, "routes[%d].countries: name one at least", i)
		wrong(len(r.Providers) == 0, "routes[%d].providers: name one at least", i)
		for _, country := range r.Countries {
			wrong(!countryCode.MatchString(country), "routes[%d].countries: %q is no country's two capital letters", i, country)
			wrong(countries[country], "routes[%d].countries: %s has a route already", i, country)
			countries[country] = true
		}
		seen := map[string]bool{}
		for _, p := range r.Providers {
			wrong(!providers[p], "routes[%d].providers: there is no provider %q", i, p)
			wrong(seen[p], "routes[%d].providers: %q is there twice", i, p)
			seen[p] = true
		}
	}
	return errs
}

// faults finds what a file alone can be wrong in; package mail judges the rest.
func (m Mail) faults() (all []string) {
	if m.Host == "" {
		all = append(all, "host: is missing")
	}
	if m.Port < 0 || m.Port > 65535 {
		all = append(all, "port: must be 1 to 65535")
	}
	if !slices.Contains([]string{"", "starttls", "tls", "none"}, m.Security) {
		all = append(all, "security: must be starttls, tls or none")
	}
	if _, err := email.Parse(m.From); err != nil {
		all = append(all, "from: "+err.Error())
	}
	if (m.Username == "") != (m.PasswordFile == "") {
		all = append(all, "username: needs a password_file, and a password_file it")
	}
	return all
}

func (s Software) faults() (all []string) {
	wrong := func(is bool, what string) {
		if is {
			all = append(all, what)
		}
	}
	wrong(!softwareID.MatchString(s.ID), "id: must be 1 to 32 small letters, digits and hyphens, a letter first")
	wrong(!slices.Contains([]string{"web", "mobile"}, s.Kind), "kind: must be web or mobile")
	n, gsm := code.Septets(s.Name)
	wrong(s.Name == "" || !gsm || n > 30, "name: must be 1 to 30 characters that a text can carry (GSM-7)")
	wrong(s.Name != "" && gsm && n <= 30 && code.Fits(s.Name, code.Autofill{Host: s.AutofillHost, AppHash: s.AppHash}) != nil,
		"autofill_host: must be shorter, or the name: together they do not fit into one text")
	wrong(s.AutofillHost != "" && !host.MatchString(s.AutofillHost), "autofill_host: must be a host without port")
	wrong(s.AppHash != "" && !appHash.MatchString(s.AppHash), "app_hash: must be the 11 characters of Android's SMS Retriever")
	wrong(s.AutofillHost != "" && s.AppHash != "", "autofill_host: only one of it and app_hash may be set")
	wrong(len(s.Addresses) > 50, "addresses: 50 are the most")
	for i, a := range s.Addresses {
		u, err := url.Parse(a)
		wrong(err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || len(a) > 512,
			fmt.Sprintf("addresses[%d]: must be an http or https address without a query", i))
	}
	return all
}
