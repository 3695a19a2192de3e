package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	queries "latchkey.dev/queries/console"
	"latchkey.dev/services/access"
	"latchkey.dev/services/device"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/phone"
)

// AccountOptions are what an owner decides for an account.
type AccountOptions struct {
	Account uuid.UUID          `json:"account"`
	Name    string             `json:"name"`
	Kind    device.AccountKind `json:"kind"`

	TwoFactor     bool          `json:"two_factor"`     // "Enable Two Factor Authentication"; on for every Standalone Mobile account
	Demographics  bool          `json:"demographics"`   // "Demographics": clients have a phone number field
	UpgradePolicy device.Policy `json:"upgrade_policy"` // when a major upgrade asks for a code again
	UpgradeJump   int           `json:"upgrade_jump"`   // evergreen: more browser majors at once than these ask again, 1 to 100
	BearerRefused bool          `json:"bearer_refused"` // a browser must prove a key
	Countries     []string      `json:"countries"`      // of numbers that codes go to, ISO 3166-1 alpha-2; anywhere if empty
	Language      string        `json:"language"`       // of people who have chosen none
	CooldownHours int           `json:"number_cooldown_hours"`
	Contact       string        `json:"contact"` // whom a person who cannot sign in is told to ask

	Version int           `json:"-"`
	Report  OptionsReport `json:"report"`
}

// OptionsReport says whom the options reach: active people alone.
type OptionsReport struct {
	Staff                int `json:"staff"`
	StaffWithoutNumber   int `json:"staff_without_number"`
	Clients              int `json:"clients"`
	ClientsWithoutNumber int `json:"clients_without_number"`
	Elsewhere            int `json:"numbers_in_other_countries"` // that get no codes
	PeopleRegistered     int `json:"people_registered"`
	Devices              int `json:"devices"`             // registrations
	StrictTexts          int `json:"strict_texts_a_year"` // what the strict policy costs, estimated from the registrations there are
}

// How often a new major comes a year, which the strict policy asks a code for: that of the
// operating system, and that of the browser. Safari's comes with the system's; the others have
// one every four weeks.
const (
	systemMajors = 1
	steadyMajors = 13
	safariMajors = 1
)

// strictTexts is a text for each registration and major of a year.
func strictTexts(devices, safari int) int {
	return safari*max(systemMajors, safariMajors) + (devices-safari)*(systemMajors+steadyMajors)
}

// Protected is how many people are asked for a code while the check boxes are so.
func (r OptionsReport) Protected(kind device.AccountKind, twoFactor, demographics bool) int {
	n, boxes := 0, device.Options{TwoFactor: twoFactor, Demographics: demographics}
	if device.Required(kind, boxes, device.Provider, true) == device.Registration {
		n += r.Staff - r.StaffWithoutNumber
	}
	if device.Required(kind, boxes, device.Client, true) == device.Registration {
		n += r.Clients - r.ClientsWithoutNumber
	}
	return n
}

var (
	errNotProved   = web.NewProblem(http.StatusConflict, "number-not-proved", "Prove your own number first", "Before everybody is asked for codes, show that a text reaches you: prove your own phone number on the page /prove-number of the sign-in, and come back within an hour.")
	errOwnerNumber = web.NewProblem(http.StatusConflict, "own-number-missing", "Your own number is missing", "Before everybody is asked for codes, add your own phone number, and prove it.")
)

// ReadOptions returns an account's options, with whom they reach.
func (c *Console) ReadOptions(ctx context.Context, by access.Actor) (AccountOptions, error) {
	if !by.In(access.SeeOptions) {
		return AccountOptions{}, errForbidden
	}
	o, err := readOptions(ctx, c.q, by.Account)
	if err != nil {
		return o, err
	}
	o.Report, err = c.report(ctx, o)
	return o, err
}

func readOptions(ctx context.Context, db *queries.Queries, account uuid.UUID) (AccountOptions, error) {
	r, err := db.OptionsRead(ctx, account)
	if errors.Is(err, pgx.ErrNoRows) {
		return AccountOptions{}, web.NotFound
	}
	if err != nil {
		return AccountOptions{}, fmt.Errorf("reading options: %w", err)
	}
	kind := device.AccountKind(r.Kind)
	return AccountOptions{Account: r.ID, Name: r.Name, Kind: kind, TwoFactor: r.TwoFactor || kind == device.StandaloneMobile, Demographics: r.Demographics,
		UpgradePolicy: device.Policy(r.UpgradePolicy), UpgradeJump: int(r.UpgradeJump), BearerRefused: r.BearerRefused, Countries: r.Countries,
		Language: r.Language, CooldownHours: int(r.NumberCooldownHours), Contact: r.Contact, Version: int(r.Version)}, nil
}

// report counts whom options reach that may not be saved yet.
func (c *Console) report(ctx context.Context, o AccountOptions) (OptionsReport, error) {
	r, err := c.q.OptionsReport(ctx, queries.OptionsReportParams{ID: o.Account, Countries: o.Countries})
	if err != nil {
		return OptionsReport{}, fmt.Errorf("counting whom options reach: %w", err)
	}
	return OptionsReport{int(r.Staff), int(r.StaffWithoutNumber), int(r.Clients), int(r.ClientsWithoutNumber), int(r.Elsewhere),
		int(r.PeopleRegistered), int(r.Devices), strictTexts(int(r.Devices), int(r.YearlyDevices))}, nil
}

// OptionsUpdate is what shall be changed; nil stays as it is.
type OptionsUpdate struct {
	TwoFactor     *bool          `json:"two_factor,omitempty"`
	Demographics  *bool          `json:"demographics,omitempty"`
	UpgradePolicy *device.Policy `json:"upgrade_policy,omitempty"`
	UpgradeJump   *int           `json:"upgrade_jump,omitempty"`
	BearerRefused *bool          `json:"bearer_refused,omitempty"`
	Countries     *[]string      `json:"countries,omitempty"`
	Language      *string        `json:"language,omitempty"`
	CooldownHours *int           `json:"number_cooldown_hours,omitempty"`
	Contact       *string        `json:"contact,omitempty"`
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// of returns the options as they shall be.
func (in OptionsUpdate) of(o AccountOptions) (AccountOptions, error) {
	set(&o.TwoFactor, in.TwoFactor)
	set(&o.Demographics, in.Demographics)
	set(&o.UpgradePolicy, in.UpgradePolicy)
	set(&o.UpgradeJump, in.UpgradeJump)
	set(&o.BearerRefused, in.BearerRefused)
	set(&o.Language, in.Language)
	set(&o.CooldownHours, in.CooldownHours)
	set(&o.Contact, in.Contact)
	var f faults
	if in.Countries != nil {
		o.Countries = countries(*in.Countries, &f)
	}
	if o.Kind == device.StandaloneMobile && !o.TwoFactor {
		f.add("two_factor", "always_on", "In a Standalone Mobile account Two Factor Authentication is always on.")
	}
	if !slices.Contains([]device.Policy{device.Evergreen, device.Strict, device.Off}, o.UpgradePolicy) {
		f.add("upgrade_policy", "bad_policy", "The policy is evergreen, strict or off.")
	}
	if o.UpgradeJump < 1 || o.UpgradeJump > 100 {
		f.add("upgrade_jump", "bad_jump", "The number of majors is 1 to 100.")
	}
	checkLanguage(o.Language, &f)
	if o.Language == "" {
		f.add("language", "bad_language", "An account has a language.")
	}
	if o.CooldownHours < 0 || o.CooldownHours > 7*24 {
		f.add("number_cooldown_hours", "bad_cooldown", "The cool-down is 0 to 168 hours.")
	}
	if !line(o.Contact, 0, 100) {
		f.add("contact", "bad_contact", "The contact has at most 100 characters, on one line.")
	}
	return o, f.optionsProblem()
}

// maxCountries is how many there may be in a list.
const maxCountries = 250

// countries sorts a list and leaves out what comes twice.
func countries(all []string, f *faults) []string {
	out := []string{}
	for _, code := range all[:min(len(all), maxCountries+1)] {
		code = strings.ToUpper(strings.TrimSpace(code))
		if !phone.Country(code) {
			f.add("countries", "bad_country", "Countries are written as two letters, as CA, of a country that has phone numbers.")
			return nil
		}
		out = append(out, code)
	}
	if len(out) > maxCountries {
		f.add("countries", "too_many", "There are no more than 250 countries.")
		return nil
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// words are the options that can change, as events tell of them. Of the contact, which may
// name a person, events tell only whether there is one.
func (o AccountOptions) words() [][2]string {
	where, contact := "any", "none"
	if len(o.Countries) > 0 {
		where = strings.Join(o.Countries, ",")
	}
	if o.Contact != "" {
		contact = "given"
	}
	return [][2]string{{"two_factor", strconv.FormatBool(o.TwoFactor)}, {"demographics", strconv.FormatBool(o.Demographics)},
		{"upgrade_policy", string(o.UpgradePolicy)}, {"upgrade_jump", strconv.Itoa(o.UpgradeJump)}, {"bearer_refused", strconv.FormatBool(o.BearerRefused)},
		{"countries", where}, {"language", o.Language}, {"number_cooldown_hours", strconv.Itoa(o.CooldownHours)}, {"contact", contact}}
}

// changes are the events from one state of the options to another, one for each option.
func changes(from, to AccountOptions, by string) (told []event.Data) {
	before := from.words()
	for i, after := range to.words() {
		if before[i] != after || after[0] == "contact" && from.Contact != to.Contact {
			told = append(told, event.OptionChanged{Account: to.Account, Option: after[0], Before: before[i][1], After: after[1], By: by})
		}
	}
	return told
}

// ChangeOptions changes the options whose version the actor has seen; 0 stands for any.
// Registrations stay as they are, whatever is switched. An owner who switches Two Factor
// Authentication on must have proved the own number.
func (c *Console) ChangeOptions(ctx context.Context, by access.Actor, version int, in OptionsUpdate) error {
	if !by.In(access.ChangeOptions) {
		return errForbidden
	}
	return c.changeAndTell(ctx, by.Account, func(db *queries.Queries) ([]event.Data, error) {
		from, err := readOptions(ctx, db, by.Account)
		if err != nil {
			return nil, err
		}
		if version != 0 && version != from.Version {
			return nil, errChanged
		}
		to, err := in.of(from)
		if err != nil {
			return nil, err
		}
		if err := mayChange(ctx, db, by, from, to); err != nil {
			return nil, err
		}
		told := changes(from, to, by.By())
		if len(told) == 0 {
			return nil, nil
		}
		rows, err := db.OptionsWrite(ctx, queries.OptionsWriteParams{ID: by.Account, Version: int32(from.Version), Contact: to.Contact,
			TwoFactor: to.TwoFactor && to.Kind != device.StandaloneMobile, Demographics: to.Demographics,
			UpgradePolicy: string(to.UpgradePolicy), UpgradeJump: int16(to.UpgradeJump), BearerRefused: to.BearerRefused, Countries: to.Countries,
			Language: to.Language, NumberCooldownHours: int32(to.CooldownHours)})
		if err == nil && rows == 0 {
			err = errChanged
		}
		return told, err
	})
}

// mayChange keeps an owner from the own lock-out.
func mayChange(ctx context.Context, db *queries.Queries, by access.Actor, from, to AccountOptions) error {
	on, moved := to.TwoFactor && !from.TwoFactor, !slices.Equal(to.Countries, from.Countries) && len(to.Countries) > 0
	if by.Kind != access.Member || !on && !moved {
		return nil
	}
	own, err := db.OwnNumber(ctx, queries.OwnNumberParams{ID: by.ID, AccountID: by.Account})
	if err != nil {
		return fmt.Errorf("reading an owner's number: %w", err)
	}
	switch {
	case own.HasNumber && !slices.Contains(to.Countries, own.PhoneCountry) && len(to.Countries) > 0:
		return faults{{Field: "countries", Code: "own_country", Detail: "Your own number is in none of these countries: you could not sign in on another device."}}.optionsProblem()
	case on && !own.HasNumber:
		return errOwnerNumber
	case on && !own.Proved:
		return errNotProved
	}
	return nil
}
