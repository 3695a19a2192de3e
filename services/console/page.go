package console

import (
	"embed"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/access"
	"latchkey.dev/services/device"
	"latchkey.dev/services/internal/page"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/words"
)

// The cookies of the console, of its own names: a port does not part cookies.
const (
	sessionCookie = "__Host-latchkey-console"
	formCookie    = "__Host-latchkey-console-form"
	enterCookie   = "__Host-latchkey-console-enter" // binds a sign-in on its way to the browser that began it
)

// The pages and what they load.
//
//go:embed pages
var pageFiles embed.FS

var pageTemplates = parsePages("list", "new", "edit", "confirm", "handout", "link", "code", "approvals", "person", "options", "options-confirm", "options-on", "number", "erase", "job", "import", "self", "problem")

// parsePages parses each page once a language.
func parsePages(names ...string) map[words.Language]map[string]*template.Template {
	all := map[words.Language]map[string]*template.Template{}
	for _, l := range words.Languages {
		all[l] = make(map[string]*template.Template, len(names))
		for _, n := range names {
			all[l][n] = template.Must(template.New("layout.html").Funcs(l.Funcs()).ParseFS(pageFiles, "pages/layout.html", "pages/fields.html", "pages/"+n+".html"))
		}
	}
	return all
}

// visit is one request for a page, with who is signed in.
type visit struct {
	c     *Console
	w     http.ResponseWriter
	r     *http.Request
	token string // of the session
	who   person
	form  page.Form
}

// pages routes what people look at.
func (c *Console) pages(mux *http.ServeMux) {
	serve := func(pattern string, serve func(*visit) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			c.site.Headers(w)
			v := &visit{c: c, w: w, r: r, token: page.Cookie(r, sessionCookie)}
			web.Handler{Logger: c.o.Logger, Refuse: v.problemPage, Serve: func(http.ResponseWriter, *http.Request) error { return serve(v) }}.ServeHTTP(w, r)
		})
	}
	for _, p := range c.signedIn() {
		serve(p.pattern, func(v *visit) error {
			err := v.read(uploads[p.pattern])
			if errors.Is(err, errNoSession) && v.r.Method == http.MethodGet {
				return c.begin(v.w)
			}
			if err != nil {
				return err
			}
			return p.serve(v)
		})
	}
	serve("GET /enter", func(v *visit) error { return c.enter(v.w, v.r) })
	c.site.Common(mux)
	mux.Handle("GET /console.css", c.site.Asset(pageFiles, "pages/console.css"))
	serve("/", func(v *visit) error {
		if who, err := c.byCookie(v.r.Context(), v.token); err == nil {
			v.who = who // for the language
		}
		return web.NotFound
	})
}

// pageRoute is a page, or a form of one, for who is signed in.
type pageRoute struct {
	pattern string
	serve   func(*visit) error
}

// signedIn lists the pages.
func (c *Console) signedIn() []pageRoute {
	return slices.Concat([]pageRoute{
		{"GET /{$}", c.homePage},
		{"GET /options", c.optionsPage},
		{"POST /options", c.optionsForm},
		{"POST /sign-out", c.signOutForm},
	}, c.peoplePages(), c.importPages(), c.registrationPages(), c.privacyPages())
}

// read reads who visits, and the form of a POST.
func (v *visit) read(upload int64) (err error) {
	if v.token == "" {
		return errNoSession
	}
	if v.who, err = v.c.byCookie(v.r.Context(), v.token); err != nil {
		return err
	}
	if upload > 0 {
		if err := unhurried(v.w); err != nil {
			return err
		}
	}
	v.form, err = v.c.site.ReadUpload(v.w, v.r, v.token, upload)
	if errors.Is(err, web.TooLarge) && upload > 0 {
		err = errFileTooLarge
	}
	return err
}

func (v *visit) to(path string) error { return page.To(v.w, path) }

// field returns a field of the form, without spaces around it.
func (v *visit) field(name string) string { return strings.TrimSpace(v.r.PostForm.Get(name)) }

// view is what every page shows.
type view struct {
	Lang    words.Language
	Title   string
	Account string
	UserID  string // of who is signed in; "" where nobody is
	Manages bool   // lists of people are theirs to see
	Options bool   // and the account's options
	At      string // which entry of the navigation this is
	Form    string // token of the page's forms
	Notice  string // what went well
	Alert   string // what did not
}

// lang is the language of who visits.
func (v *visit) lang() words.Language {
	return words.Match(&v.who.Language, v.r.Header.Get("Accept-Language"), v.who.AccountLanguage)
}

// spoken says which language a page is in: every view does.
func (v view) spoken() words.Language { return v.Lang }

func (v *visit) view(title, at string) (view, error) {
	token, err := v.form.Token(v.c.o.Now())
	return view{Lang: v.lang(), Title: title, Account: v.who.AccountName, UserID: v.who.UserID, Manages: v.who.In(access.List), Options: v.who.In(access.SeeOptions), At: at, Form: token}, err
}

// render writes a page in the language of its view.
func render(w http.ResponseWriter, status int, name string, data interface{ spoken() words.Language }) error {
	return page.Render(w, status, pageTemplates[data.spoken()][name], data)
}

// homePage is where somebody comes in: at the people they look after, else at themselves.
func (c *Console) homePage(v *visit) error {
	if v.who.In(access.List) {
		return v.to("/staff")
	}
	return v.selfPage()
}

type selfView struct {
	view
	Member  Member
	Role    string
	Login   string
	Staff   bool
	Clients []Listed // who are assigned to the person
	More    string   // address of the next page of them; "" on the last one
}

// selfPage shows a person what the account holds of them, and staff their clients. Devices and
// password are at login.
func (v *visit) selfPage() error {
	m, err := v.c.readMember(v.r.Context(), v.who.Actor, v.who.ID, access.See)
	if err != nil {
		return err
	}
	lang := v.lang()
	base, err := v.view(lang.Say("console:self.title"), "")
	if err != nil {
		return err
	}
	data := selfView{view: base, Member: m.shown(), Role: roleWord(lang, device.Role(m.Role)), Login: v.c.o.Served.Login, Staff: v.who.In(access.ListOwn)}
	if data.Staff {
		q := v.r.URL.Query()
		after, _ := uuid.Parse(q.Get("after_id")) // the first page where it is no id
		var more bool
		if data.Clients, more, err = v.c.OwnClients(v.r.Context(), v.who.Actor, Place{q.Get("after"), after}, 0); err != nil {
			return err
		}
		if more {
			last := data.Clients[len(data.Clients)-1]
			data.More = "/?" + url.Values{"after": {last.UserID}, "after_id": {last.ID.String()}}.Encode()
		}
	}
	return render(v.w, http.StatusOK, "self", data)
}

// enterLife is how long a sign-in may take on its way here.
const enterLife = 10 * time.Minute
