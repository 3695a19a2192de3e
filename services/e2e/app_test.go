package e2e

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/google/uuid"

	"latchkey.dev/services/app"
	"latchkey.dev/services/internal/dpop"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/up"
)

// One person registers the app and the web page separately, by one text each: the key of
// the one is nothing to the other, and neither takes the other's code.
func TestTheAppIsRegisteredBesideTheWebPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(*up.Options) {})
	w.exec("INSERT INTO software (id, kind, name) VALUES ('mobile', 'mobile', 'Maple')")
	const number, pass = "+16044410142", "correct horse battery"
	w.until("both softwares are known", func() bool {
		status, _ := w.call("PUT", "/v1/members/"+uuid.NewString(), map[string]any{"role": "provider", "user_id": "ada", "password": pass, "phone": number}, "Authorization", "Bearer "+w.apiKey)
		return status < 300 || status == http.StatusConflict
	})
	client := func(software string) *app.Client {
		return &app.Client{URL: w.url, Software: software, Key: must(dpop.NewKey())(t), HTTP: http.DefaultClient, Facets: app.Facets{App: "Maple", AppMajor: 7, OS: "Android", OSMajor: 16}}
	}
	in := func(c *app.Client) app.Answer {
		t.Helper()
		return must(c.SignIn(t.Context(), "ada", secret.New(pass)))(t)
	}
	web, mobile := client("web"), client("mobile")
	for n, c := range []*app.Client{web, mobile} {
		asked := in(c)
		if asked.Challenge == nil {
			t.Fatalf("%s: %+v, want a challenge", c.Software, asked)
		}
		typed := w.first.code(t, number, n+1)
		other := []*app.Client{mobile, web}[n]
		var p *app.Problem
		if _, err := other.Enter(t.Context(), asked.Challenge.ID, typed); !errors.As(err, &p) || p.Status != http.StatusNotFound {
			t.Errorf("a code of %s by the other's key: %v, want not found", c.Software, err)
		}
		if a := must(c.Enter(t.Context(), asked.Challenge.ID, typed))(t); a.Result != "registered" || a.Session == nil {
			t.Fatalf("%s: %+v", c.Software, a)
		}
		ended := ""
		if err := c.Follow(t.Context(), asked.Challenge.ID, func(now app.Challenge) { ended = now.Status }); err != nil && !errors.Is(err, context.Canceled) || ended != "registered" {
			t.Errorf("the stream of %s ends with %q, %v", c.Software, ended, err)
		}
		a := in(c)
		if a.Status != "registered" || a.Session == nil {
			t.Fatalf("%s afterwards: %+v, want no code", c.Software, a)
		}
		var s map[string]any
		if err := c.Call(t.Context(), "GET", "/v1/session", a.Session.Token, &s); err != nil || s["software"] != c.Software {
			t.Errorf("the session of %s: %v, %v", c.Software, s, err)
		}
	}
	if n := len(w.first.to(number)); n != 2 {
		t.Errorf("%d texts, want one each", n)
	}
	web.Software, mobile.Software = "mobile", "web"
	for _, c := range []*app.Client{web, mobile} {
		if a := in(c); a.Status != "challenge" {
			t.Errorf("the other's key for %s: %+v, want a challenge", c.Software, a)
		}
	}
}
