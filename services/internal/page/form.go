package page

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"latchkey.dev/services/internal/web"
)

// CookieLong is the longest that browsers keep a cookie.
const CookieLong = 400 * 24 * time.Hour

// SetCookie sends a cookie that no script reads, until the browser closes if life is zero,
// and away with it if value is "". Browsers take Secure cookies from http://127.0.0.1 and
// localhost too.
func SetCookie(w http.ResponseWriter, name, value string, life time.Duration) {
	c := &http.Cookie{Name: name, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(life / time.Second)}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// Cookie returns the one value of a cookie, "" for none, several, or one that is too long to be ours.
func Cookie(r *http.Request, name string) string {
	all := r.CookiesNamed(name)
	if len(all) != 1 || len(all[0].Value) > 2048 {
		return ""
	}
	return all[0].Value
}

// formLife is how long a page may stay open before its form is refused.
const formLife = 24 * time.Hour

// What a form is refused with that no page of ours sent, or one that has been open for too long.
var (
	ErrForeignForm = Problem(http.StatusForbidden, "foreign-form", "Not from here", "This was not sent by a page of ours. Open the sign-in page again.")
	ErrStaleForm   = Problem(http.StatusForbidden, "stale-form", "Please try again", "This page was open for too long, or your browser did not keep our cookies. Open the sign-in page again, and let it keep cookies for this site.")
)

// Form is what a visit's forms are bound to: its browser and its session.
type Form struct {
	site    *Site
	subject [32]byte
}

// Read reads the form of a POST. It must come from the site's own origin, with a token that
// is bound to this browser and to the session whose cookie is given. Other requests get the
// cookie that binds forms, if they have none.
func (s *Site) Read(w http.ResponseWriter, r *http.Request, session string) (Form, error) {
	return s.ReadUpload(w, r, session, 0)
}

// ReadUpload is Read of a form that may come as multipart/form-data, with files. upload is how
// much more than another form it may have, in bytes; all of it is held in memory.
func (s *Site) ReadUpload(w http.ResponseWriter, r *http.Request, session string, upload int64) (Form, error) {
	browser := Cookie(r, s.o.FormCookie)
	post := r.Method == http.MethodPost
	if browser == "" && !post {
		b := make([]byte, 32)
		rand.Read(b)
		browser = base64.RawURLEncoding.EncodeToString(b)
		SetCookie(w, s.o.FormCookie, browser, 0)
	}
	f := Form{s, sha256.Sum256([]byte(browser + "\x00" + session))}
	if !post {
		return f, nil
	}
	if r.Header.Get("Origin") == "" && r.Header.Get("Sec-Fetch-Site") == "" || s.foreign.Check(r) != nil {
		return f, ErrForeignForm
	}
	r.Body = http.MaxBytesReader(w, r.Body, web.MaxBody+upload)
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	var err error
	switch kind = strings.ToLower(strings.TrimSpace(kind)); {
	case kind == "application/x-www-form-urlencoded":
		err = r.ParseForm()
	case kind == "multipart/form-data" && upload > 0:
		err = r.ParseMultipartForm(web.MaxBody + upload) // all of it in memory: nothing is left on a disk
	default:
		return f, ErrForeignForm
	}
	if err != nil {
		return f, badForm(err)
	}
	for _, values := range r.PostForm {
		for _, v := range values {
			if !utf8.ValidString(v) || strings.Contains(v, "\x00") {
				return f, web.BadRequest // no browser sends it, and no table can keep it
			}
		}
	}
	if _, ok := s.o.Tokens.Check("form", f.subject[:], r.PostForm.Get("form"), formLife); browser == "" || !ok {
		return f, ErrStaleForm
	}
	return f, nil
}

// Token returns a token for forms made at a moment.
func (f Form) Token(at time.Time) (string, error) {
	return f.site.o.Tokens.Sign("form", f.subject[:], at)
}
