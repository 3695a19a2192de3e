package login

import (
	"embed"
	"errors"
	"html/template"
	"net/http"
	"strings"
	"time"

	queries "latchkey.dev/queries/login"
	"latchkey.dev/services/internal/page"
	"latchkey.dev/services/internal/password"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/notice"
	"latchkey.dev/services/words"
)

// The pages and what they load. latchkey.js is the browser's module, for products too.
//
//go:embed pages
var pageFiles embed.FS

var pageTemplates = parsePages("sign-in", "check", "prove", "home", "password", "number", "choose", "signed-out", "not-me", "problem")

// parsePages parses each page once a language.
func parsePages(names ...string) map[words.Language]map[string]*template.Template {
	all := make(map[words.Language]map[string]*template.Template, len(words.Languages))
	for _, l := range words.Languages {
		all[l] = make(map[string]*template.Template, len(names))
		for _, n := range names {
			all[l][n] = template.Must(template.New(n).Funcs(l.Funcs()).ParseFS(pageFiles, "pages/layout.html", "pages/"+n+".html"))
		}
	}
	return all
}

// pages routes what people look at.
func (l *Login) pages(mux *http.ServeMux) {
	serve := func(pattern string, serve func(*visit) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			v := l.stranger(w, r)
			web.Handler{Logger: l.o.Logger, Refuse: v.problemPage, Serve: func(http.ResponseWriter, *http.Request) error {
				if err := v.read(); err != nil {
					return err
				}
				return serve(v)
			}}.ServeHTTP(w, r)
		})
	}
	for _, p := range l.pageRoutes() {
		serve(p.pattern, p.serve)
	}
	l.site.Common(mux)
	mux.Handle("GET /pages.js", l.site.Asset(pageFiles, "pages/pages.js"))
	mux.Handle("GET /latchkey.js", l.site.Module(pageFiles, "pages/latchkey.js")) // what it may ask is another matter: allowOrigin
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		l.stranger(w, r).problemPage(w, r, web.NotFound)
	})
}

// pageRoute is a page, or a form of one.
type pageRoute struct {
	pattern string
	serve   func(*visit) error
}

// pageRoutes lists the pages.
func (l *Login) pageRoutes() []pageRoute {
	return []pageRoute{
		{"GET /{$}", l.signedIn(l.homePage)},
		{"GET /sign-in", l.signInPage},
		{"POST /sign-in", l.signInForm},
		{"GET /check/{id}", l.checkPage},
		{"POST /check/{id}", l.codeForm},
		{"POST /check/{id}/texts", l.textForm},
		{"GET /prove-number", l.signedIn(l.provePage)},
		{"POST /prove-number", l.signedIn(l.proveForm)},
		{"GET /password", l.signedIn(l.passwordPage)},
		{"POST /password", l.signedIn(l.passwordForm)},
		{"GET /number", l.signedIn(l.numberPage)},
		{"POST /number", l.signedIn(l.numberForm)},
		{"GET " + password.LinkPath + "{token}", l.choosePage},
		{"POST " + password.LinkPath + "{token}", l.chooseForm},
		{"POST /devices/{id}/name", l.signedIn(l.nameForm)},
		{"POST /devices/{id}/revoke", l.signedIn(l.revokeForm)},
		{"GET " + notice.Path + "{token}", l.notMePage},
		{"POST " + notice.Path + "{token}", l.notMeForm},
		{"GET /console", l.consolePage},
		{"POST /sign-out", l.signOutForm},
		{"GET /signed-out", l.signedOutPage},
		{"POST /language", l.languageForm},
		{"GET /.well-known/change-password", func(v *visit) error { return v.to("/password") }}, // w3c.github.io/webappsec-change-password-url
	}
}

func (l *Login) pageHeaders(w http.ResponseWriter) {
	l.site.Headers(w)
	w.Header().Set("Accept-CH", "Sec-CH-UA-Platform-Version") // an operating system's major version, for package device
	w.Header().Add("Vary", "Accept-Language")
}

// visit is one request for a page, with who is signed in.
type visit struct {
	l       *Login
	w       http.ResponseWriter
	r       *http.Request
	token   string                  // of the session, "" where nobody is signed in
	session *queries.SessionReadRow // nil where nobody is signed in
	form    *page.Form              // nil until it is read
	lang    words.Language
}

// stranger makes the visit of somebody of whom nothing is known yet.
func (l *Login) stranger(w http.ResponseWriter, r *http.Request) *visit {
	l.pageHeaders(w)
	return &visit{l: l, w: w, r: r, lang: languageOf(r, nil)}
}

// read reads the cookies of a request and, of a POST, the form, which it refuses unless
// it comes from a page of ours that this browser got.
func (v *visit) read() error {
	ctx := v.r.Context()
	if err := v.l.timed(ctx); err != nil {
		return err
	}
	cookie := page.Cookie(v.r, sessionCookie)
	if token := cookie; token != "" {
		s, err := v.l.sessionOf(ctx, token)
		switch {
		case err == nil:
			v.token, v.session, v.lang = token, &s, languageOf(v.r, &s)
		case !errors.Is(err, errNoSession):
			return err
		}
	}
	form, err := v.l.site.Read(v.w, v.r, cookie)
	v.form = &form
	return err
}

func (v *visit) setCookie(name, value string, life time.Duration) {
	page.SetCookie(v.w, name, value, life)
}

// field returns a field of the form, without spaces around it.
func (v *visit) field(name string) string { return strings.TrimSpace(v.r.PostForm.Get(name)) }

func (v *visit) to(path string) error { return page.To(v.w, path) }

// signedIn serves who is signed in. Others go to sign in, and who must change a generated
// password can do that and nothing else.
func (l *Login) signedIn(serve func(*visit) error) func(*visit) error {
	return func(v *visit) error {
		switch {
		case v.session == nil && v.r.URL.Path == "/" && page.Cookie(v.r, sessionCookie) == "":
			return v.to(l.begin(v))
		case v.session == nil:
			return v.to("/sign-in?told=ended")
		case mustChange(*v.session) && v.r.URL.Path != "/password":
			return v.to("/password")
		}
		return serve(v)
	}
}

// begin is where somebody starts who is not signed in: at the code that is on its way, else at the sign-in.
func (l *Login) begin(v *visit) string {
	if c, ok := l.openCheck(v.r); ok {
		return "/check/" + c.String()
	}
	return "/sign-in"
}

// view is what every page shows.
type view struct {
	Lang      words.Language
	Languages []words.Language // to choose from; none where no form can be sent
	At        string           // what is opened again after a choice, for backTo
	Title     string
	Service   string // the name of the software
	Form      string // token of the page's forms
	Signed    bool   // somebody is signed in
	Notice    string // what went well
	Alert     string // what did not
}

// view begins a page, by the key of its title.
func (v *visit) view(title string) (view, error) {
	form, err := v.form.Token(v.l.now())
	return view{Lang: v.lang, Languages: words.Languages, At: v.r.URL.Path, Title: v.lang.Say(title),
		Service: v.l.service(v.r, "").Name, Form: form, Signed: v.session != nil}, err
}

func (v *visit) render(status int, name string, data any) error {
	v.w.Header().Set("Content-Language", string(v.lang))
	return page.Render(v.w, status, pageTemplates[v.lang][name], data)
}

// service is the software that people sign in to here: the one they ask for, else the one
// called "web", else any for browsers. The zero software if there is none, or none can be read.
func (l *Login) service(r *http.Request, id string) software {
	all, err := l.softwares.get(r.Context())
	if err != nil {
		return software{}
	}
	if s, ok := all[id]; ok && s.Kind == "web" {
		return s
	}
	best := all["web"]
	for _, s := range all {
		if s.Kind == "web" && best.Kind != "web" {
			best = s
		}
	}
	return best
}
