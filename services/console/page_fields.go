package console

import (
	"errors"
	"net/http"
	"slices"
	"strconv"

	"latchkey.dev/services/access"
	"latchkey.dev/services/device"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/phone"
	"latchkey.dev/services/words"
)

// fieldsView is a form about a person, with what was typed and what is wrong with it.
type fieldsView struct {
	view
	Action, Back, Once                        string
	Member                                    Member // as it is; the zero one is somebody new
	Role, UserIDField, Phone, Email, Language string
	Roles, Languages                          []choice // no roles: a client, who keeps both role and user ID
	TakesPhone                                bool
	Faults                                    map[string]string
}

// typed reads the fields of a form about a person back.
func (v *visit) typed(f *fieldsView) {
	f.Once, f.Role, f.UserIDField = v.field("once"), v.field("role"), v.field("user_id")
	f.Phone, f.Email, f.Language = v.field("phone"), v.field("email"), v.field("language")
}

// mayGive are the roles of staff that who visits may give.
func (v *visit) mayGive(action access.Action) (roles []device.Role) {
	for _, r := range staffRoles {
		if v.who.To(action, access.Target{Role: r}) {
			roles = append(roles, r)
		}
	}
	return roles
}

// again shows a form again with what is wrong; other errors are returned.
func (v *visit) again(name string, f fieldsView, err error) error {
	p := new(web.Problem)
	if !errors.As(err, &p) {
		return err
	}
	said := refusalWords[p.Type]
	switch {
	case len(p.Faults) > 0:
		f.Alert, f.Faults = v.lang().Say("people:form.wrong"), faultsIn(v.lang(), p)
	case said != "":
		f.Alert = v.lang().Say(said)
	default:
		return err
	}
	return render(v.w, p.Status, name, f)
}

// newPage shows the form that adds staff or a client.
func (c *Console) newPage(at string) func(*visit) error {
	return func(v *visit) error {
		f, err := v.newFields(at)
		if err != nil {
			return err
		}
		f.Once, _ = secret.NewToken() // names the request, so that a form sent twice makes one person
		f.Role = string(device.Provider)
		return render(v.w, http.StatusOK, "new", f)
	}
}

func (v *visit) newFields(at string) (f fieldsView, err error) {
	title := "people:new.client"
	f.Action, f.Back = "/"+at+"/new", "/"+at
	role := device.Client
	if at == "staff" {
		title, role = "people:new.staff", device.Provider
		f.Roles = roleChoices(v.lang(), v.mayGive(access.Create))
	}
	if !v.who.To(access.Create, access.Target{Role: role}) {
		return f, errForbidden
	}
	r, err := v.c.rules(v.r.Context(), v.who.Account)
	if err != nil {
		return f, err
	}
	f.TakesPhone, f.Languages = r.takesNumber(role), languageChoices()
	f.view, err = v.view(v.lang().Say(title), at)
	return f, err
}

// newForm adds staff or a client, after the number that was read was said to be right.
func (c *Console) newForm(at string) func(*visit) error {
	return func(v *visit) error {
		f, err := v.newFields(at)
		if err != nil {
			return err
		}
		v.typed(&f)
		in := NewMember{Role: device.Client, Phone: f.Phone, Email: f.Email, Language: f.Language}
		if at == "staff" {
			in.Role, in.UserID = device.Role(f.Role), f.UserIDField
		}
		if v.r.PostForm.Has("again") {
			return render(v.w, http.StatusOK, "new", f)
		}
		r, err := c.rules(v.r.Context(), v.who.Account)
		if err != nil {
			return err
		}
		number, _, err := in.check(r)
		if err != nil {
			return v.again("new", f, err)
		}
		if !number.IsZero() && v.field("confirmed") != number.E164() {
			return v.confirm(f, number, false)
		}
		made, err := c.CreateMember(v.r.Context(), v.who.Actor, in, f.Once)
		if err != nil {
			return v.again("new", f, err)
		}
		if made.Password.Empty() && !made.Repeated {
			return v.to("/people/" + made.ID.String() + "?done=saved")
		}
		return v.handOut(made, f.Language, at)
	}
}

type confirmView struct {
	view
	Action, Number, Country, Doubt string
	Registered                     bool     // registrations end with the change
	Fields                         []choice // what was typed
}

// confirm reads a number back before it is saved.
func (v *visit) confirm(f fieldsView, n phone.Number, registered bool) error {
	lang := v.lang()
	data := confirmView{view: f.view, Action: f.Action, Number: n.E164(), Country: n.Country(), Registered: registered}
	data.Title = lang.Say("people:confirm.title")
	if key, ok := doubtWords[n.Doubt()]; ok {
		data.Doubt = lang.Say(key)
	}
	for _, name := range []string{"once", "version", "role", "user_id", "phone", "email", "email_remove", "language"} {
		if v.r.PostForm.Has(name) {
			data.Fields = append(data.Fields, choice{name, v.field(name)})
		}
	}
	return render(v.w, http.StatusOK, "confirm", data)
}

type handoutView struct {
	view
	ID               string
	Handed, Password string
	Login            string
	Sheet            handedOut
}

// handedOut is what is printed and given away: in the language of the person whom it is for, else of
// the account, whatever the maker of it reads.
type handedOut struct {
	Lang                                            words.Language
	Title, Address, UserID, Password, CodeAndChange string
}

func sheetIn(l words.Language) handedOut {
	return handedOut{l, l.Say("people:handout.title"), l.Say("people:handout.address"), l.Say("people:field.user_id"), l.Say("people:handout.password"),
		l.Say("people:handout.code") + " " + l.Say("people:handout.change")}
}

// handOut shows what is shown once, fit to be printed. language is what the person chose, "" for none.
func (v *visit) handOut(made Created, language, at string) error {
	base, err := v.view(v.lang().Say("people:handout.title"), at)
	if err != nil {
		return err
	}
	data := handoutView{base, made.ID.String(), made.UserID, made.Password.Reveal(), v.c.o.Served.Login, sheetIn(words.Match(&language, "", v.who.AccountLanguage))}
	if made.Repeated {
		data.Notice = v.lang().Say("people:new.repeated")
	}
	return render(v.w, http.StatusOK, "handout", data)
}

// editFields is the form that changes a person, as the person is.
func (v *visit) editFields() (m member, f fieldsView, err error) {
	id, err := pathID(v.r, "id")
	if err != nil {
		return m, f, err
	}
	if m, err = v.c.readMember(v.r.Context(), v.who.Actor, id, access.Update); err != nil {
		return m, f, err
	}
	f.Member, f.Role, f.UserIDField, f.Language = m.shown(), m.Role, text(m.UserID), text(m.Language)
	f.Back = "/people/" + id.String()
	f.Action = f.Back + "/edit"
	f.TakesPhone, f.Languages = m.rules(nil).takesNumber(device.Role(m.Role)), languageChoices()
	if m.Role != string(device.Client) {
		f.Roles = roleChoices(v.lang(), v.mayGive(access.Update))
	}
	f.view, err = v.view(v.lang().Say("people:edit.title", "Who", v.called(f.Member)), at(m))
	return m, f, err
}

// called is what a page calls a person.
func (v *visit) called(m Member) string {
	if m.UserID != "" {
		return m.UserID
	}
	return v.lang().Say("people:list.nameless")
}

// at is the list that a person is in.
func at(m member) string {
	if m.Role == string(device.Client) {
		return "clients"
	}
	return "staff"
}

func (c *Console) editPage(v *visit) error {
	_, f, err := v.editFields()
	if err != nil {
		return err
	}
	return render(v.w, http.StatusOK, "edit", f)
}

// editForm changes a person, after a new number that was read was said to be right.
func (c *Console) editForm(v *visit) error {
	m, now, err := v.editFields()
	if err != nil {
		return err
	}
	f := now
	v.typed(&f)
	version, err := strconv.Atoi(v.field("version"))
	if err != nil || version < 1 {
		return web.BadRequest
	}
	f.Member.Version = version
	if v.r.PostForm.Has("again") {
		return render(v.w, http.StatusOK, "edit", f)
	}
	in := v.update(m, f)
	u, err := c.judge(m, in)
	if err != nil {
		return v.again("edit", f, err)
	}
	if u.number != nil && !u.number.IsZero() && v.field("confirmed") != u.number.E164() {
		return v.confirm(f, *u.number, m.hasNumber())
	}
	err = c.UpdateMember(v.r.Context(), v.who.Actor, m.ID, version, in)
	if p := new(web.Problem); errors.As(err, &p) && p.Type == errChanged.Type {
		now.Alert = v.lang().Say("people:edit.changed")
		return render(v.w, p.Status, "edit", now)
	}
	if err != nil {
		return v.again("edit", f, err)
	}
	return v.to(f.Back + "?done=saved")
}

// update is what a form asks to change. An empty number or address stays, since a form
// cannot show the one that is there; a box removes it. A field that was not sent stays too.
func (v *visit) update(m member, f fieldsView) MemberUpdate {
	var in MemberUpdate
	sent := v.r.PostForm.Has
	if sent("language") {
		in.Language = &f.Language
	}
	if len(f.Roles) > 0 && sent("role") {
		role := device.Role(f.Role)
		in.Role = &role
	}
	if len(f.Roles) > 0 && sent("user_id") && f.UserIDField != text(m.UserID) {
		in.UserID = &f.UserIDField
	}
	none := ""
	switch {
	case sent("phone_remove"):
		in.Phone = &none
	case f.Phone != "":
		in.Phone = &f.Phone
	}
	switch {
	case sent("email_remove"):
		in.Email = &none
	case f.Email != "":
		in.Email = &f.Email
	}
	return in
}

// peoplePages are the pages about people.
func (c *Console) peoplePages() []pageRoute {
	var all []pageRoute
	for _, at := range []string{"staff", "clients"} {
		all = append(all, pageRoute{"GET /" + at, c.listPage(at)}, pageRoute{"GET /" + at + "/new", c.newPage(at)}, pageRoute{"POST /" + at + "/new", c.newForm(at)},
			pageRoute{"POST /" + at + "/export", c.listExport(at)})
	}
	return slices.Concat(all, []pageRoute{
		{"GET /people/{id}", c.personPage},
		{"GET /people/{id}/edit", c.editPage},
		{"POST /people/{id}/edit", c.editForm},
		{"POST /people/{id}/deactivate", c.personForm("deactivate", c.Deactivate)},
		{"POST /people/{id}/reactivate", c.personForm("reactivate", c.Reactivate)},
		{"POST /people/{id}/unlock", c.personForm("unlock", c.Unlock)},
		{"POST /people/{id}/password", c.resetForm},
		{"POST /people/{id}/password-link", c.linkForm},
		{"POST /people/{id}/revoke", c.revokeForm},
		{"POST /people/{id}/assign", c.assignForm},
		{"POST /people/{id}/unassign", c.unassignForm},
	})
}
