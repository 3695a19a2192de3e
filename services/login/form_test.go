package login_test

import (
	"crypto/rand"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"

	"latchkey.dev/services/internal/page/pagetest"
	"latchkey.dev/services/login"
)

// forms is a house with every form of the pages, and somebody before it.
type forms struct {
	*house
	in, waiting *browser
	bob         uuid.UUID
	device      string // of ada, in her browser
	check       string // the page of a code that bob waits for
}

func newForms(t *testing.T) (*forms, pagetest.Site) {
	f := &forms{house: newHouse(t, "pro", true)}
	f.member(ada)
	f.bob = f.member(map[string]any{"role": "provider", "user_id": "bob", "password": password, "phone": "604 441 0143"})
	f.in, f.waiting = f.browser(), f.browser()
	f.waiting.enter("bob", password)
	return f, pagetest.Site{
		Patterns: new(login.Login).Pages(), Session: "__Host-latchkey",
		State:  func() int { return f.count("SELECT (SELECT count(*) FROM login_event) + (SELECT count(*) FROM entry)") },
		Before: func() { f.exec("DELETE FROM limit_counter") },
		Stranger: func(t *testing.T) (pagetest.Browser, string) {
			b := f.browser()
			b.enter("bob", password)
			return f.tried(b), b.form
		},
		Forms: map[string]func(*testing.T) (pagetest.Browser, pagetest.Form){
			"POST /language": f.signedIn("/", "/language"),
			"POST /sign-out": f.signedIn("/", "/sign-out"),
			"POST /password": f.signedIn("/password", "/password"),
			"POST /number": func(t *testing.T) (pagetest.Browser, pagetest.Form) {
				f.exec("UPDATE account SET kind = 'standalone_mobile'")
				b, form := f.signedIn("/number", "/number")(t)
				form.Names = append(form.Names, "confirmed", "password")
				return b, form
			},
			"POST /prove-number": func(t *testing.T) (pagetest.Browser, pagetest.Form) {
				f.exec("UPDATE challenge SET closed_at = now(), end_reason = 'expired' WHERE purpose = 'prove_number' AND closed_at IS NULL")
				return f.signedIn("/prove-number", "/prove-number")(t)
			},
			"POST /devices/{id}/name":   f.signedIn("/", "/devices/{id}/name"),
			"POST /devices/{id}/revoke": f.signedIn("/", "/devices/{id}/revoke"),
			"POST /sign-in": func(t *testing.T) (pagetest.Browser, pagetest.Form) {
				b := f.tried(f.browser())
				form := b.Open(t, "/sign-in", "/sign-in")
				form.Fields.Set("user_id", "ada")
				form.Fields.Set("password", "wrong password!")
				return b, form
			},
			"POST /check/{id}":       f.waits(""),
			"POST /check/{id}/texts": f.waits("/texts"),
			"POST /choose-password/{token}": func(t *testing.T) (pagetest.Browser, pagetest.Form) {
				link, b := f.chooses(f.bob, rand.Text()), f.tried(f.browser())
				return b, b.Open(t, link, link)
			},
			"POST /not-me/{token}": func(t *testing.T) (pagetest.Browser, pagetest.Form) {
				f.exec("UPDATE device SET registered_at = now() + interval '1 hour' WHERE member_id = $1", f.bob) // of the newest the link tells
				link, b := f.link(rand.Text()+strings.Repeat("A", 17)), f.tried(f.browser())
				return b, b.Open(t, link, link)
			},
		},
	}
}

func (f *forms) tried(b *browser) pagetest.Browser {
	return pagetest.Browser{Origin: f.url, Cookies: b.cookies}
}

var revokes = regexp.MustCompile(`/devices/([0-9a-f-]{36})/revoke`)

// signedIn brings ada before a form of a page, signed in again where the last try ended that.
func (f *forms) signedIn(path, action string) func(*testing.T) (pagetest.Browser, pagetest.Form) {
	return func(t *testing.T) (pagetest.Browser, pagetest.Form) {
		b := f.tried(f.in)
		if a := b.Ask(t, "GET", "/", ""); a.Status != http.StatusOK {
			f.in = f.browser()
			f.device = revokes.FindStringSubmatch(f.in.enter("ada", password))[1]
			b = f.tried(f.in)
		}
		return b, b.Open(t, path, strings.Replace(action, "{id}", f.device, 1))
	}
}

// waits brings bob before a form of the page that asks for a code.
func (f *forms) waits(action string) func(*testing.T) (pagetest.Browser, pagetest.Form) {
	return func(t *testing.T) (pagetest.Browser, pagetest.Form) {
		if f.check == "" {
			f.waiting = f.browser()
			f.waiting.signIn("bob", password)
			f.check = f.waiting.at
		}
		b := f.tried(f.waiting)
		return b, b.Open(t, f.check, f.check+action)
	}
}

// F25: no form does anything without a token of this browser's page and an origin of ours.
func TestForeignFormsAreRefused(t *testing.T) {
	t.Parallel()
	f, site := newForms(t)
	site.RefusesForeign(t)
	f.sound()
}

func TestWhatFormsAreSentIsText(t *testing.T) {
	t.Parallel()
	f, site := newForms(t)
	site.TakesTextAsText(t)
	f.sound()
}
