package login

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	queries "latchkey.dev/queries/login"
	"latchkey.dev/services/internal/web"
)

// The pages and what they load. latchkey.js is the browser's module, for products too.
//
//go:embed pages
var pageFiles embed.FS

var pageTemplates = parsePages("sign-in", "check", "home", "password", "signed-out", "problem")

func parsePages(names ...string) map[string]*template.Template {
	all := make(map[string]*template.Template, len(names))
	for _, n := range names {
		all[n] = template.Must(template.ParseFS(pageFiles, "pages/layout.html", "pages/"+n+".html"))
	}
	return all
}

// pages routes what people look at.
func (l *Login) pages(mux *http.ServeMux) {
	page := func(pattern string, serve func(*visit) error) {
		mux.Handle(pattern, web.Handler{Logger: l.o.Logger, Refuse: l.problemPage, Serve: func(w http.ResponseWriter, r *http.Request) error {
			l.pageHeaders(w)
			v, err := l.visit(w, r)
			if err != nil {
				return err
			}
			return serve(v)
		}})
	}
	page("GET /{$}", l.signedIn(l.homePage))
	page("GET /sign-in", l.signInPage)
	page("POST /sign-in", l.signInForm)
	page("GET /check/{id}", l.checkPage)
	page("POST /check/{id}", l.codeForm)
	page("POST /check/{id}/texts", l.textForm)
	page("GET /password", l.signedIn(l.passwordPage))
	page("POST /password", l.signedIn(l.passwordForm))
	page("POST /devices/{id}/name", l.signedIn(l.nameForm))
	page("POST /devices/{id}/revoke", l.signedIn(l.revokeForm))
	page("POST /sign-out", l.signOutForm)
	page("GET /signed-out", l.signedOutPage)
	page("GET /.well-known/change-password", func(v *visit) error { return v.to("/password") }) // w3c.github.io/webappsec-change-password-url
	for _, a := range []struct{ path, kind string }{{"latchkey.js", "text/javascript; charset=utf-8"}, {"pages.js", "text/javascript; charset=utf-8"},
		{"pages.css", "text/css; charset=utf-8"}, {"icon.svg", "image/svg+xml"}} {
		mux.Handle("GET /"+a.path, l.asset(a.path, a.kind))
	}
	mux.Handle("/", web.Handler{Logger: l.o.Logger, Refuse: l.problemPage, Serve: func(w http.ResponseWriter, _ *http.Request) error {
		l.pageHeaders(w)
		return web.NotFound
	}})
}

// policy lets a page load from us alone and send to us alone, and nothing inline.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
	"frame-ancestors 'none'; base-uri 'none'"

func (l *Login) pageHeaders(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("Permissions-Policy", "otp-credentials=(self), camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	h.Set("Referrer-Policy", "same-origin") // with no-referrer our own forms would come from the origin "null"
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	h.Set("Accept-CH", "Sec-CH-UA-Platform-Version") // an operating system's major version, for package device
	if strings.HasPrefix(l.o.Origin, "https:") {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// asset serves an embedded file, revalidated at every use: its ETag is its version.
func (l *Login) asset(name, kind string) http.Handler {
	content, err := pageFiles.ReadFile("pages/" + name)
	if err != nil {
		panic(fmt.Sprintf("login: %s is not embedded", name))
	}
	sum := sha256.Sum256(content)
	etag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.pageHeaders(w)
		h := w.Header()
		h.Set("Content-Type", kind)
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", etag)
		if name == "latchkey.js" { // any page may import it; what it may ask is another matter (allowOrigin)
			h.Set("Access-Control-Allow-Origin", "*")
			h.Set("Cross-Origin-Resource-Policy", "cross-origin")
		}
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
	})
}

// visit is one request for a page, with who is signed in.
type visit struct {
	l       *Login
	w       http.ResponseWriter
	r       *http.Request
	token   string                  // of the session, "" where nobody is signed in
	session *queries.SessionReadRow // nil where nobody is signed in
	subject [32]byte                // what tokens of this visit's forms are bound to
}

// visit reads the cookies of a request and, of a POST, the form, which it refuses unless
// it comes from a page of ours that this browser got.
func (l *Login) visit(w http.ResponseWriter, r *http.Request) (*visit, error) {
	if err := l.timed(r.Context()); err != nil {
		return nil, err
	}
	v := &visit{l: l, w: w, r: r}
	if token := cookie(r, sessionCookie); token != "" {
		s, err := l.sessionOf(r.Context(), token)
		switch {
		case err == nil:
			v.token, v.session = token, &s
		case !errors.Is(err, errNoSession):
			return nil, err
		}
	}
	return v, v.readForm()
}

// to sends the browser on, with GET. Addresses are ours, never from the request.
func (v *visit) to(path string) error {
	v.w.Header().Set("Location", path)
	v.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// signedIn serves who is signed in. Others go to sign in, and who must change a generated
// password can do that and nothing else.
func (l *Login) signedIn(serve func(*visit) error) func(*visit) error {
	return func(v *visit) error {
		switch {
		case v.session == nil && v.r.URL.Path == "/" && cookie(v.r, sessionCookie) == "":
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
	Title   string
	Service string // the name of the software
	Form    string // token of the page's forms
	Signed  bool   // somebody is signed in
	Notice  string // what went well
	Alert   string // what did not
}

func (v *visit) view(title string) (view, error) {
	form, err := v.formToken()
	return view{Title: title, Service: v.l.service(v.r, "").Name, Form: form, Signed: v.session != nil}, err
}

// render writes a page. Nothing is sent before it is complete.
func render(w http.ResponseWriter, status int, name string, data any) error {
	var b bytes.Buffer
	if err := pageTemplates[name].ExecuteTemplate(&b, "layout.html", data); err != nil {
		return fmt.Errorf("rendering %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if _, err := b.WriteTo(w); err != nil {
		return nil // the browser went away
	}
	return nil
}

// pageProblem makes a problem that only pages have: the API's description does not list it.
func pageProblem(status int, name, title, detail string) *web.Problem {
	return &web.Problem{Type: "/problems/" + name, Title: title, Status: status, Detail: detail}
}

// problemPage answers with a plain sentence, to programs with the problem document.
func (l *Login) problemPage(w http.ResponseWriter, r *http.Request, p *web.Problem) {
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		p.Write(w)
		return
	}
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(p.RetryAfter))
	}
	data := struct {
		view
		Detail string
	}{view{Title: p.Title, Service: l.service(r, "").Name}, p.Detail}
	if err := render(w, p.Status, "problem", data); err != nil {
		l.o.Logger.Error("page was not rendered", "error", err)
		p.Write(w)
	}
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
