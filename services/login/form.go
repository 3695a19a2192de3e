package login

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"latchkey.dev/services/internal/web"
)

// The cookies. None of them is read by the API, and none by a script.
const (
	sessionCookie = "__Host-latchkey"
	formCookie    = "__Host-latchkey-form"   // binds forms to the browser that got them
	checkCookie   = "__Host-latchkey-check"  // which challenges this browser may look at
	deviceCookie  = "__Host-latchkey-device" // the device, where the browser cannot keep a key
	knownCookie   = "__Host-latchkey-known"  // who registered here before, for a true reason when it is gone
)

// cookieLong is the longest that browsers keep a cookie.
const cookieLong = 400 * 24 * time.Hour

// setCookie sends a cookie, until the browser closes if life is zero, and away with it if
// value is "". Browsers take Secure cookies from http://127.0.0.1 and localhost too.
func (v *visit) setCookie(name, value string, life time.Duration) {
	c := &http.Cookie{Name: name, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(life / time.Second)}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(v.w, c)
}

// cookie returns the one value of a cookie, "" for none, several, or one that is too long to be ours.
func cookie(r *http.Request, name string) string {
	all := r.CookiesNamed(name)
	if len(all) != 1 || len(all[0].Value) > 2048 {
		return ""
	}
	return all[0].Value
}

// formLife is how long a page may stay open before its form is refused.
const formLife = 24 * time.Hour

var (
	errForeignForm = pageProblem(http.StatusForbidden, "foreign-form", "Not from here", "This was not sent by a page of ours. Open the sign-in page again.")
	errStaleForm   = pageProblem(http.StatusForbidden, "stale-form", "Please try again", "This page was open for too long, or your browser did not keep our cookies. Open the sign-in page again, and let it keep cookies for this site.")
)

// readForm reads the form of a POST. It must come from our own origin, and with a token
// that is bound to this browser and to its session.
func (v *visit) readForm() error {
	browser := cookie(v.r, formCookie)
	post := v.r.Method == http.MethodPost
	if browser == "" && !post {
		b := make([]byte, 32)
		rand.Read(b)
		browser = base64.RawURLEncoding.EncodeToString(b)
		v.setCookie(formCookie, browser, 0)
	}
	v.subject = sha256.Sum256([]byte(browser + "\x00" + cookie(v.r, sessionCookie)))
	if !post {
		return nil
	}
	if v.r.Header.Get("Origin") == "" && v.r.Header.Get("Sec-Fetch-Site") == "" || v.l.foreign.Check(v.r) != nil {
		return errForeignForm
	}
	if ct, _, _ := strings.Cut(v.r.Header.Get("Content-Type"), ";"); !strings.EqualFold(strings.TrimSpace(ct), "application/x-www-form-urlencoded") {
		return errForeignForm
	}
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, web.MaxBody)
	if err := v.r.ParseForm(); err != nil {
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			return web.TooLarge
		}
		return web.BadRequest
	}
	for _, values := range v.r.PostForm {
		for _, s := range values {
			if !utf8.ValidString(s) || strings.Contains(s, "\x00") {
				return web.BadRequest // no browser sends it, and no table can keep it
			}
		}
	}
	if _, ok := v.l.nonces.Check("form", v.subject[:], v.r.PostForm.Get("form"), formLife); browser == "" || !ok {
		return errStaleForm
	}
	return nil
}

func (v *visit) formToken() (string, error) {
	return v.l.nonces.Sign("form", v.subject[:], v.l.now())
}

// field returns a field of the form, without spaces around it.
func (v *visit) field(name string) string { return strings.TrimSpace(v.r.PostForm.Get(name)) }
