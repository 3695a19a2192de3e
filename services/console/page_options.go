package console

import (
	"errors"
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

var optionsTold = map[string]string{"saved": "options:saved", "same": "options:same"}

func (c *Console) optionsPage(v *visit) error {
	o, err := c.ReadOptions(v.r.Context(), v.who.Actor)
	if err != nil {
		return err
	}
	data := optionsView{O: o}
	if key, ok := optionsTold[v.r.URL.Query().Get("told")]; ok {
		data.Notice = v.lang().Say(key)
	}
	return v.options(http.StatusOK, "options", data)
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
		if says := warnings(v.lang(), from, to); len(says) > 0 && v.field("confirmed") == "" {
			return v.options(http.StatusOK, "options-confirm", optionsView{O: to, Sentences: says})
		}
		err = c.ChangeOptions(ctx, v.who.Actor, version, in)
	}
	if p := new(web.Problem); errors.As(err, &p) && p != errForbidden {
		data := optionsView{O: to}
		if data.Alert = v.optionsRefusal(p); data.Alert == "" {
			return err
		}
		data.O.Report = from.Report
		if p == errNotProved {
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

// optionsRefusal is what the page says of a problem; "" where it has no sentence for it.
func (v *visit) optionsRefusal(p *web.Problem) string {
	if key, ok := optionsRefused[p.Type]; ok {
		return v.lang().Say(key)
	}
	var all []string
	for _, f := range p.Faults {
		if key, ok := optionsFaults[f.Code]; ok {
			all = append(all, v.lang().Say(key))
		}
	}
	return strings.Join(all, " ")
}

// warnings say whom a change reaches; none where nobody will notice it.
func warnings(lang words.Language, from, to AccountOptions) (all []string) {
	r := to.Report
	lost := r.Protected(from.Kind, from.TwoFactor, from.Demographics) - r.Protected(to.Kind, to.TwoFactor, to.Demographics)
	say := func(key string, values ...any) { all = append(all, lang.Say(key, values...)) }
	clients := func() {
		switch {
		case r.ClientsWithoutNumber > 0:
			say("options:warn.clients_without", "Count", r.ClientsWithoutNumber, "All", r.Clients)
		case r.Clients > 0:
			say("options:warn.clients_all", "Count", r.Clients)
		}
	}
	switch {
	case to.TwoFactor && !from.TwoFactor:
		if r.StaffWithoutNumber > 0 {
			say("options:warn.staff_without", "Count", r.StaffWithoutNumber, "All", r.Staff)
		} else {
			say("options:warn.staff_all", "Count", r.Staff)
		}
		if to.Demographics {
			clients()
		} else if r.Clients > 0 {
			say("options:warn.clients_off")
		}
	case lost > 0 || from.TwoFactor && !to.TwoFactor:
		say("options:warn.lose", "Count", lost)
		say("options:warn.kept")
	case to.TwoFactor && to.Demographics && !from.Demographics:
		clients()
	}
	if to.UpgradePolicy == device.Strict && from.UpgradePolicy != device.Strict {
		say("options:warn.strict", "Count", r.Devices, "Texts", r.StrictTexts)
	}
	if len(to.Countries) > 0 && strings.Join(to.Countries, ",") != strings.Join(from.Countries, ",") && r.Elsewhere > 0 {
		say("options:warn.elsewhere", "Count", r.Elsewhere)
	}
	if to.BearerRefused && !from.BearerRefused {
		say("options:warn.bearer")
	}
	return all
}
