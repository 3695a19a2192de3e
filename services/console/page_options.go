package console

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"latchkey.dev/services/device"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/words"
)

type optionsView struct {
	view
	O         AccountOptions
	Always    bool   // Two Factor Authentication is on and cannot be switched
	Steady    int    // majors a year of a browser of steady releases, with its system's
	Prove     string // where the own number is proved; "" where that is not what is missing
	Languages []words.Language
	Sentences []string // what a change that waits for its yes will do
}

var optionsTold = map[string]string{"saved": "The options are saved.", "same": "Nothing was changed."}

func (c *Console) optionsPage(v *visit) error {
	o, err := c.ReadOptions(v.r.Context(), v.who.Actor)
	if err != nil {
		return err
	}
	return v.options(http.StatusOK, "options", optionsView{view: view{Notice: optionsTold[v.r.URL.Query().Get("told")]}, O: o})
}

func (v *visit) options(status int, page string, data optionsView) error {
	base, err := v.view(v.lang().Say("options:title"), "options")
	if err != nil {
		return err
	}
	base.Notice, base.Alert = data.Notice, data.Alert
	data.view, data.Always, data.Steady, data.Languages = base, data.O.Kind == device.StandaloneMobile, systemMajors+steadyMajors, words.Languages
	return render(v.w, status, page, data)
}

// CountryList is the countries as the page's field has them.
func (o AccountOptions) CountryList() string { return strings.Join(o.Countries, ", ") }

// optionsForm changes the options. A change that people will notice is shown first with whom
// it reaches, and made when it comes once more with a yes.
func (c *Console) optionsForm(v *visit) error {
	ctx := v.r.Context()
	from, err := c.ReadOptions(ctx, v.who.Actor)
	if err != nil {
		return err
	}
	version, in := v.optionsAsked(from.Kind)
	to, err := in.of(from)
	if err == nil && version != from.Version {
		to, err = from, errChanged
	}
	if err == nil {
		err = mayChange(ctx, c.q, v.who.Actor, from, to)
	}
	if err == nil {
		if to.Report, err = c.report(ctx, to); err != nil {
			return err
		}
		if says := warnings(from, to); len(says) > 0 && v.field("confirmed") == "" {
			return v.options(http.StatusOK, "options-confirm", optionsView{O: to, Sentences: says})
		}
		err = c.ChangeOptions(ctx, v.who.Actor, version, in)
	}
	if p := new(web.Problem); errors.As(err, &p) && p != errForbidden {
		data := optionsView{view: view{Alert: p.Detail}, O: to}
		data.O.Report = from.Report
		if p == errNotProved {
			data.Alert = "Before everybody is asked for codes, show that a text reaches you: prove your own phone number, come back within an hour, and switch it on."
			data.Prove = c.o.Served.Login + "/prove-number"
		}
		return v.options(p.Status, "options", data)
	}
	switch {
	case err != nil:
		return err
	case to.TwoFactor && !from.TwoFactor:
		// Who is here without a second factor is let in nowhere from now on: say so at once.
		return v.options(http.StatusOK, "options-on", optionsView{O: to, Prove: c.o.Served.Login + "/"})
	case len(changes(from, to, "")) == 0:
		return v.to("/options?told=same")
	}
	return v.to("/options?told=saved")
}

// optionsAsked reads the form, all of it. What is no number becomes one that is refused.
func (v *visit) optionsAsked(kind device.AccountKind) (version int, in OptionsUpdate) {
	number := func(name string) *int {
		n, err := strconv.Atoi(v.field(name))
		if err != nil {
			n = -1
		}
		return &n
	}
	ticked := func(name string) *bool { on := v.field(name) != ""; return &on }
	policy, language, contact := device.Policy(v.field("upgrade_policy")), v.field("language"), v.field("contact")
	where := strings.FieldsFunc(v.field("countries"), func(r rune) bool { return r == ',' || r == ' ' || r == ';' })
	refused := v.field("bearer_allowed") == ""
	in = OptionsUpdate{TwoFactor: ticked("two_factor"), Demographics: ticked("demographics"), UpgradePolicy: &policy, UpgradeJump: number("upgrade_jump"),
		BearerRefused: &refused, Countries: &where, Language: &language, CooldownHours: number("number_cooldown_hours"), Contact: &contact}
	if kind == device.StandaloneMobile {
		in.TwoFactor = nil // a box that cannot be changed is not sent
	}
	return *number("version"), in
}

// warnings say whom a change reaches; none where nobody will notice it.
func warnings(from, to AccountOptions) (all []string) {
	r := to.Report
	lost := r.Protected(from.Kind, from.TwoFactor, from.Demographics) - r.Protected(to.Kind, to.TwoFactor, to.Demographics)
	switch {
	case to.TwoFactor && !from.TwoFactor:
		all = append(all, without(r.StaffWithoutNumber, r.Staff, "staff"))
		if to.Demographics {
			all = append(all, without(r.ClientsWithoutNumber, r.Clients, "clients"))
		} else if r.Clients > 0 {
			all = append(all, "Clients will not be asked for a code, since Demographics is off.")
		}
	case lost > 0 || from.TwoFactor && !to.TwoFactor:
		all = append(all, fmt.Sprintf("%d %s the second lock, and will sign in by password alone.", lost, plural(lost, "person loses", "people lose")),
			"Registrations are kept. When you switch it on again, who is registered is not asked for a code.")
	case to.TwoFactor && to.Demographics && !from.Demographics:
		all = append(all, without(r.ClientsWithoutNumber, r.Clients, "clients"))
	}
	if to.UpgradePolicy == device.Strict && from.UpgradePolicy != device.Strict {
		all = append(all, fmt.Sprintf("Every new major version of a browser or an operating system asks for a code: for the %d registrations of today about %d texts a year.", r.Devices, r.StrictTexts))
	}
	if len(to.Countries) > 0 && strings.Join(to.Countries, ",") != strings.Join(from.Countries, ",") && r.Elsewhere > 0 {
		all = append(all, fmt.Sprintf("%d %s a number in another country, gets no codes, and cannot sign in on a device that is not registered.", r.Elsewhere, plural(r.Elsewhere, "person has", "people have")))
	}
	if to.BearerRefused && !from.BearerRefused {
		all = append(all, "Browsers that cannot keep a key, as those with scripts switched off, will not be let in any more.")
	}
	return all
}

func without(none, all int, who string) string {
	if none == 0 {
		return fmt.Sprintf("All %d %s have a phone number and will be asked for a code.", all, who)
	}
	return fmt.Sprintf("%d of %d %s %s no phone number and will not be asked for a code.", none, all, who, plural(none, "has", "have"))
}

func plural(n int, one, more string) string {
	if n == 1 {
		return one
	}
	return more
}
