package login

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/device"
	"latchkey.dev/services/internal/page"
	"latchkey.dev/services/internal/password"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/words"
)

type homeView struct {
	view
	UserID     string
	Console    string // where the console is, "" for who has nothing to do there
	Registered bool   // this browser
	Bearer     bool   // and by its cookie alone
	Devices    []deviceView
	OwnNumber  bool // is the person's own to change
}

type deviceView struct {
	ID         uuid.UUID
	Name       string // the person's own, may be empty
	Looks      string // "Firefox 153 on Linux"
	Software   string
	Bearer     bool
	Current    bool
	Registered time.Time
	Seen       time.Time
}

// homePage tells who is in that they are, and shows their devices.
func (l *Login) homePage(v *visit) error {
	if challenge := page.Cookie(v.r, consoleCookie); challenge != "" {
		v.setCookie(consoleCookie, "", 0)
		return v.to("/console?challenge=" + url.QueryEscape(challenge))
	}
	devices, err := l.devices(v.r.Context(), *v.session)
	if err != nil {
		return err
	}
	softwares, err := l.softwares.get(v.r.Context())
	if err != nil {
		return err
	}
	base, err := v.view("login:home.title")
	if err != nil {
		return err
	}
	base.Service = cmp.Or(softwares[v.session.SoftwareID].Name, base.Service)
	base.Notice = v.told()
	data := homeView{view: base, UserID: v.session.UserID, Registered: v.session.DeviceID != nil, OwnNumber: ownsNumber(*v.session)}
	if device.Role(v.session.Role) != device.Client {
		data.Console = l.o.Console
	}
	for _, d := range devices {
		data.Bearer = data.Bearer || d.Current && d.Kind == "bearer"
		data.Devices = append(data.Devices, deviceView{ID: d.ID, Name: d.Name, Looks: looksOf(v.lang, d.Facets), Software: cmp.Or(softwares[d.Software].Name, d.Software),
			Bearer: d.Kind == "bearer", Current: d.Current, Registered: d.RegisteredAt.UTC(), Seen: d.SeenAt.UTC()})
	}
	return v.render(http.StatusOK, "home", data)
}

// looksOf says what a device looks like.
func looksOf(lang words.Language, f device.Facets) string {
	browser, system := f.Names()
	switch {
	case browser == "" && system == "":
		return lang.Say("login:home.unknown_device")
	case browser == "":
		return system
	case system == "":
		return browser
	}
	return lang.Say("login:home.browser_on", "Browser", browser, "System", system)
}

func (l *Login) nameForm(v *visit) error {
	id, err := pathID(v.r)
	if err != nil {
		return err
	}
	if err := l.nameDevice(v.r.Context(), *v.session, id, v.field("name")); err != nil {
		return err
	}
	return v.to("/?told=named")
}

func (l *Login) revokeForm(v *visit) error {
	id, err := pathID(v.r)
	if err != nil {
		return err
	}
	if err := l.revokeDevice(v.r.Context(), *v.session, id); err != nil {
		return err
	}
	if v.session.DeviceID != nil && *v.session.DeviceID == id {
		v.setCookie(sessionCookie, "", 0) // it ended with its device
		return v.to("/sign-in?told=revoked")
	}
	return v.to("/?told=gone")
}

type passwordView struct {
	view
	UserID string
	Must   bool
	Least  int // characters
}

func (l *Login) passwordPage(v *visit) error { return v.password(http.StatusOK, "") }

func (v *visit) password(status int, alert string) error {
	must, title := mustChange(*v.session), "login:password.title"
	if must {
		title = "login:password.title_must"
	}
	base, err := v.view(title)
	if err != nil {
		return err
	}
	base.Alert = alert
	return v.render(status, "password", passwordView{view: base, UserID: v.session.UserID, Must: must, Least: password.Min})
}

func (l *Login) passwordForm(v *visit) error {
	old, fresh := v.r.PostForm.Get("old_password"), v.r.PostForm.Get("new_password")
	if fresh != v.r.PostForm.Get("new_password_again") {
		return v.password(http.StatusUnprocessableEntity, v.lang.Say("login:password.differ"))
	}
	err := l.changePassword(v.r.Context(), *v.session, secret.New(old), secret.New(fresh))
	if p := new(web.Problem); errors.As(err, &p) {
		return v.password(p.Status, v.detail(p))
	}
	if err != nil {
		return err
	}
	return v.to("/?told=password")
}

// signOutForm ends the session. The registration stays.
func (l *Login) signOutForm(v *visit) error {
	if v.session != nil {
		if err := l.endSession(v.r.Context(), *v.session, v.token); err != nil && !errors.Is(err, web.NotFound) {
			return err
		}
	}
	v.setCookie(sessionCookie, "", 0)
	return v.to("/signed-out")
}

func (l *Login) signedOutPage(v *visit) error {
	base, err := v.view("login:signed_out.title")
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "signed-out", struct{ view }{base})
}
