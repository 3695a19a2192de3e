package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"latchkey.dev/services/device"
	"latchkey.dev/services/email"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/phone"
)

// rules are what an account's kind and options say about its people.
type rules struct {
	kind         device.AccountKind
	country      string   // of numbers written nationally
	countries    []string // where numbers may be; anywhere if empty
	reach        []string // the same of the installation
	demographics bool
}

func (c *Console) rules(ctx context.Context, account uuid.UUID) (rules, error) {
	row, err := c.q.AccountRules(ctx, account)
	if errors.Is(err, pgx.ErrNoRows) {
		return rules{}, web.NotFound
	}
	if err != nil {
		return rules{}, fmt.Errorf("reading an account: %w", err)
	}
	return rules{device.AccountKind(row.Kind), row.Country, row.Countries, c.o.Reach, row.Demographics}, nil
}

// takesNumber reports whether people of a role have a phone number field: clients of a Pro
// account have one while Demographics is on.
func (r rules) takesNumber(role device.Role) bool {
	return role != device.Client || r.kind == device.StandaloneMobile || r.demographics
}

// needsNumber reports whether nobody can be saved without a number.
func (r rules) needsNumber() bool { return r.kind == device.StandaloneMobile }

// faults collects what is wrong with single fields.
type faults []web.Fault

func (f *faults) add(field, code, detail string) {
	*f = append(*f, web.Fault{Field: field, Code: code, Detail: detail})
}

// problem is that of a person who cannot be saved; nil where nothing is wrong.
func (f faults) problem() error {
	return f.of(web.NewProblem(http.StatusUnprocessableEntity, "bad-member", "Cannot be saved", f.sentences()))
}

// optionsProblem is that of options that cannot be saved; nil where nothing is wrong.
func (f faults) optionsProblem() error {
	return f.of(web.NewProblem(http.StatusUnprocessableEntity, "bad-options", "Cannot be saved", f.sentences()))
}

func (f faults) of(p *web.Problem) error {
	if len(f) == 0 {
		return nil
	}
	p.Faults = f
	return p
}

func (f faults) sentences() string {
	all := make([]string, len(f))
	for i, one := range f {
		all[i] = one.Detail
	}
	return strings.Join(all, " ")
}

// number reads a number for somebody of a role; "" is none.
func (r rules) number(text string, role device.Role, f *faults) phone.Number {
	if text == "" {
		if r.needsNumber() {
			f.add("phone", "number_required", "In this account nobody can be saved without a phone number.")
		}
		return phone.Number{}
	}
	if !r.takesNumber(role) {
		f.add("phone", "demographics_off", "Clients of this account have no phone number while Demographics is off.")
		return phone.Number{}
	}
	n, err := phone.Parse(text, r.country)
	switch {
	case errors.Is(err, phone.ErrCannotReceive):
		f.add("phone", "cannot_receive", "This number cannot receive texts.")
	case err != nil:
		f.add("phone", "not_a_number", "This is not a valid phone number. Write it with its country code, as +15551234567.")
	case !phone.Allowed(n.Country(), r.countries, r.reach):
		f.add("phone", "country_not_allowed", "This account takes no phone numbers of this country.")
	}
	return n
}

// address reads an e-mail address; "" is none.
func address(text string, f *faults) email.Address {
	if text == "" {
		return email.Address{}
	}
	a, err := email.Parse(text)
	if err != nil {
		f.add("email", "not_an_address", "This is not a valid e-mail address. Write it as name@example.org.")
	}
	return a
}

func checkUserID(id string, f *faults) {
	if !line(id, 1, 128) || strings.TrimFunc(id, unicode.IsSpace) != id {
		f.add("user_id", "bad_user_id", "A user ID has 1 to 128 characters, on one line, and no space at its ends.")
	}
}

// languages are those that people may choose.
var languages = []string{"en", "fr", "es", "de"}

// checkLanguage takes "" for none chosen.
func checkLanguage(tag string, f *faults) {
	if tag != "" && !slices.Contains(languages, tag) {
		f.add("language", "bad_language", "The language is en, fr, es or de.")
	}
}
