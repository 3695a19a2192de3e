// Package page serves what people look at: headers that let a page load from its own site
// alone, cookies, forms that only our own pages may send, and embedded files.
package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"latchkey.dev/services/internal/dpop"
	"latchkey.dev/services/internal/web"
)

// policy lets a page load from its own site alone and send to it alone, and nothing inline.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"frame-ancestors 'none'; base-uri 'none'; form-action 'self'"

// Options configure a Site. All but Next are required.
type Options struct {
	Origin     string       // how browsers reach it: "https://login.example"
	FormCookie string       // name of the cookie that binds forms to the browser that got them
	Tokens     *dpop.Nonces // signs the tokens of forms
	Next       string       // origin of the other site that our forms may lead to; "" for none
}

// Site is what the pages of one service share.
type Site struct {
	o       Options
	foreign *http.CrossOriginProtection
}

// New makes a Site. An error means a wrong origin.
func New(o Options) (*Site, error) {
	s := &Site{o: o, foreign: http.NewCrossOriginProtection()}
	if err := s.foreign.AddTrustedOrigin(o.Origin); err != nil {
		return nil, fmt.Errorf("making pages: %w", err)
	}
	return s, nil
}

// Headers sets the headers of every answer that a browser shows.
func (s *Site) Headers(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Security-Policy", strings.TrimSpace(policy+" "+s.o.Next))
	h.Set("Permissions-Policy", "otp-credentials=(self), camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	h.Set("Referrer-Policy", "same-origin") // with no-referrer our own forms would come from the origin "null"
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if strings.HasPrefix(s.o.Origin, "https:") {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// base is the look of all pages: colours, type, fields, buttons.
//
//go:embed base.css
var base []byte

// icon is the site's mark.
//
//go:embed icon.svg
var icon []byte

// Common routes the files that all sites have: /base.css and /icon.svg.
func (s *Site) Common(mux *http.ServeMux) {
	mux.Handle("GET /base.css", s.serve("base.css", base, false))
	mux.Handle("GET /icon.svg", s.serve("icon.svg", icon, false))
}

// Asset serves an embedded file to our own pages. It panics where there is none, a mistake
// of the program.
func (s *Site) Asset(files fs.FS, path string) http.Handler {
	return s.serve(path[strings.LastIndexByte(path, '/')+1:], content(files, path), false)
}

// Module is Asset for a script that pages of other sites may import too.
func (s *Site) Module(files fs.FS, path string) http.Handler {
	return s.serve(path[strings.LastIndexByte(path, '/')+1:], content(files, path), true)
}

func content(files fs.FS, path string) []byte {
	b, err := fs.ReadFile(files, path)
	if err != nil {
		panic(fmt.Sprintf("page: %s is not embedded", path))
	}
	return b
}

// kinds are the media types of embedded files, by their endings.
var kinds = map[string]string{"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}

// serve serves content, revalidated at every use: its ETag is its version.
func (s *Site) serve(name string, content []byte, anywhere bool) http.Handler {
	sum := sha256.Sum256(content)
	etag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Headers(w)
		h := w.Header()
		h.Set("Content-Type", kinds[name[strings.LastIndexByte(name, '.')+1:]])
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", etag)
		if anywhere {
			h.Set("Access-Control-Allow-Origin", "*")
			h.Set("Cross-Origin-Resource-Policy", "cross-origin")
		}
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
	})
}

// Render writes a page, layout.html of t. Nothing is sent before it is complete.
func Render(w http.ResponseWriter, status int, t *template.Template, data any) error {
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "layout.html", data); err != nil {
		return fmt.Errorf("rendering a page: %w", err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if _, err := b.WriteTo(w); err != nil {
		return nil // the browser went away
	}
	return nil
}

// To sends the browser on, with GET. The address must be ours, never from the request.
func To(w http.ResponseWriter, path string) error {
	w.Header().Set("Location", path)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// Problem makes a problem that only pages have: no API's description lists it.
func Problem(status int, name, title, detail string) *web.Problem {
	return &web.Problem{Type: "/problems/" + name, Title: title, Status: status, Detail: detail}
}

// WantsPage reports whether a problem shall be told by a page: programs get the document.
func WantsPage(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

// badForm is what a form that cannot be read is answered with.
func badForm(err error) error {
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return web.TooLarge
	}
	return web.BadRequest
}
