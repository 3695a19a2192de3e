package console_test

import (
	"crypto/sha256"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"

	"latchkey.dev/services/console"
	"latchkey.dev/services/device"
)

// browser is somebody at the console.
type browser struct {
	*served
	token string // of the session; "" for nobody's
}

// at opens the console for somebody.
func (s *served) at(member uuid.UUID) browser {
	s.t.Helper()
	session, token := uuid.New(), uuid.NewString()
	login, own := sha256.Sum256(session[:]), sha256.Sum256([]byte(token))
	s.exec(`INSERT INTO session (token_digest, id, member_id, account_id, software_id, amr) SELECT $1, $2, id, account_id, 'web', '{pwd,swk,mfa}' FROM member WHERE id = $3`, login[:], session, member)
	s.exec(`INSERT INTO console_session (token_digest, id, session_id, member_id, account_id) SELECT $1, $2, $3, id, account_id FROM member WHERE id = $4`, own[:], uuid.New(), session, member)
	return browser{s, token}
}

// request asks for a page, or sends a form if there is one, and returns the status, where it
// leads and what it shows.
func (b browser) request(method, path string, form url.Values, headers ...string) (int, string, string) {
	b.t.Helper()
	return b.raw(method, path, form.Encode(), headers...)
}

// raw is request with a body of another kind.
func (b browser) raw(method, path, body string, headers ...string) (int, string, string) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Cookie", "__Host-latchkey-console="+b.token+"; __Host-latchkey-console-form=browser")
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", b.url)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Location"), string(text)
}

var formToken = regexp.MustCompile(`name="form" value="([^"]+)"`)

// fresh returns the token of a form of the own.
func (b browser) fresh() string {
	b.t.Helper()
	_, to, text := b.request("GET", "/", nil)
	if to != "" {
		_, _, text = b.request("GET", to, nil)
	}
	m := formToken.FindStringSubmatch(text)
	if m == nil {
		b.t.Fatalf("no form is at home: %s", text)
	}
	return m[1]
}

// Every page and form, by every role: shown or done for who may, and for nobody else.
func TestWhoMayOpenWhichPage(t *testing.T) {
	t.Parallel()
	s := serve(t, console.Account{})
	elsewhere := s.open(console.Account{})
	people := map[string]uuid.UUID{}
	for _, role := range device.Roles {
		n := console.NewMember{Role: role}
		if role != device.Client {
			n.UserID = "the-" + string(role)
		}
		people[string(role)] = s.person(n).ID
		s.exec("UPDATE credential SET must_change_since = NULL WHERE member_id = $1", people[string(role)])
	}
	foreign, staff := uuid.New(), people["provider"]
	s.exec("INSERT INTO member (id, account_id, role, user_id, public_key) SELECT $1, $2, 'owner', 'foreign', public_key FROM member LIMIT 1", foreign, elsewhere)
	people["foreign"] = foreign
	const manages = "owner administrator"
	tried := map[string]bool{}
	for _, p := range []struct {
		pattern, target string // whom it is about
		form            url.Values
		may             string
		ok              int
	}{
		{"GET /{$}", "", nil, manages + " foreign", 303},
		{"GET /{$}", "", nil, "supervisor provider client", 200},
		{"POST /sign-out", "", nil, manages + " supervisor provider client foreign", 303},
		{"GET /staff", "", nil, manages + " foreign", 200},
		{"GET /clients", "", nil, manages + " foreign", 200},
		{"GET /staff/new", "", nil, manages + " foreign", 200},
		{"GET /clients/new", "", nil, manages + " foreign", 200},
		{"POST /staff/new", "", url.Values{"role": {"provider"}}, manages + " foreign", 303},
		{"POST /staff/new", "", url.Values{"role": {"owner"}}, "owner foreign", 303},
		{"POST /clients/new", "", url.Values{}, manages + " foreign", 200},
		{"POST /staff/export", "", nil, manages + " foreign", 200},
		{"POST /clients/export", "", nil, manages + " foreign", 200},
		{"GET /import", "", nil, manages + " foreign", 200},
		{"POST /import", "", url.Values{"content": {"cm9sZQpjbGllbnQK"}}, manages + " foreign", 200},
		{"POST /import", "", url.Values{"content": {"cm9sZQpjbGllbnQK"}, "confirmed": {"yes"}}, manages + " foreign", 200},
		{"GET /people/{id}", "{staff}", nil, manages, 200},
		{"GET /people/{id}", "{owner}", nil, "owner", 200},
		{"GET /people/{id}/edit", "{staff}", nil, manages, 200},
		{"GET /people/{id}/edit", "{owner}", nil, "owner", 200},
		{"POST /people/{id}/edit", "{staff}", url.Values{"version": {"1"}, "role": {"supervisor"}}, manages, 303},
		{"POST /people/{id}/edit", "{owner}", url.Values{"version": {"1"}, "role": {"provider"}}, "owner", 303},
		{"POST /people/{id}/deactivate", "{staff}", nil, manages, 303},
		{"POST /people/{id}/deactivate", "{owner}", nil, "owner", 303},
		{"POST /people/{id}/reactivate", "{staff}", nil, manages, 303},
		{"POST /people/{id}/unlock", "{owner}", nil, "owner", 303},
		{"POST /people/{id}/unlock", "{staff}", nil, manages, 303},
		{"POST /people/{id}/password", "{client}", nil, manages, 200},
		{"POST /people/{id}/password", "{owner}", nil, "owner", 200},
		{"POST /people/{id}/password-link", "{client}", nil, manages, 200},
		{"POST /people/{id}/password-link", "{owner}", nil, "owner", 200},
		{"POST /people/{id}/revoke", "{staff}", url.Values{"device": {"all"}}, manages, 303},
		{"POST /people/{id}/assign", "{client}", url.Values{"staff": {"the-provider"}}, manages, 303},
		{"POST /people/{id}/unassign", "{assigned}", url.Values{"staff": {staff.String()}}, manages, 303},
		{"POST /people/{id}/registration-code", "{staff}", nil, manages, 200},
		{"POST /people/{id}/registration-code", "{owner}", nil, "owner", 200},
		{"GET /approvals", "", nil, manages + " foreign", 200},
		{"POST /approvals/{code}", "{waiting}", nil, manages, 200},
		{"POST /people/{id}/number", "{staff}", nil, manages, 200},
		{"POST /people/{id}/number", "{owner}", nil, "owner", 200},
		{"POST /people/{id}/export", "{client}", nil, manages, 303},
		{"POST /people/{id}/export", "{owner}", nil, "owner", 303},
		{"GET /people/{id}/erase", "{staff}", nil, manages, 200},
		{"GET /people/{id}/erase", "{owner}", nil, "owner", 200},
		{"POST /people/{id}/erase", "{staff}", url.Values{"confirm": {"the user ID"}}, manages, 303},
		{"POST /people/{id}/erase", "{owner}", url.Values{"confirm": {"the user ID"}}, "owner", 303},
	} {
		tried[p.pattern] = true
		for who, id := range people {
			b := s.at(id)
			form := url.Values{"form": {b.fresh()}}
			for name, v := range p.form {
				form[name] = v
			}
			method, path, _ := strings.Cut(p.pattern, " ")
			path = s.fill(strings.NewReplacer("{$}", "", "{id}", p.target, "{code}", p.target).Replace(path), staff.String())
			if form.Has("confirm") {
				form.Set("confirm", strings.Split(path, "/")[2]) // fill makes it the user ID too
			}
			got, _, text := b.request(method, path, form)
			switch {
			case strings.Contains(" "+p.may+" ", " "+who+" "):
				if got != p.ok {
					t.Errorf("%s: %s answers %d, want %d: %s", who, p.pattern, got, p.ok, text)
				}
			case p.pattern == "GET /{$}":
			case who == "foreign" && p.pattern != "POST /people/{id}/assign":
				if got != 404 {
					t.Errorf("another account's owner: %s answers %d, want 404", p.pattern, got)
				}
			case who != "foreign" && got != 403:
				t.Errorf("%s: %s answers %d, want 403", who, p.pattern, got)
			}
			if strings.HasPrefix(p.pattern, "POST") {
				if got, _, _ := s.at(id).request(method, path, form); got != 403 {
					t.Errorf("%s: %s takes a form of another session: %d", who, p.pattern, got)
				}
				// a session that was signed out is refused before its form is looked at
				if got, _, _ := b.request(method, path, form, "Origin", "https://evil.example"); got != 403 && p.pattern != "POST /sign-out" {
					t.Errorf("%s: %s takes a form of another site: %d", who, p.pattern, got)
				}
			}
		}
	}
	for _, pattern := range s.Pages() {
		if strings.Contains(pattern, "/people") || strings.Contains(pattern, "/import") || strings.Contains(pattern, "/approvals") || strings.Contains(pattern, "/staff") || strings.Contains(pattern, "/clients") {
			if !tried[pattern] {
				t.Errorf("nobody tried %s", pattern)
			}
		}
	}
}

func TestPagesSpeakTheLanguageOfWhoVisits(t *testing.T) {
	t.Parallel()
	s := serve(t, console.Account{})
	id, _ := s.signedIn(console.NewMember{Role: device.Owner, UserID: "ada"})
	b := s.at(id)
	for asked, want := range map[string]string{"": "Add a client", "fr-CA,en;q=0.5": "Ajouter un client", "de": "Klient hinzufügen", "es": "Añadir un cliente"} {
		if _, _, text := b.request("GET", "/clients/new", nil, "Accept-Language", asked); !strings.Contains(text, want) {
			t.Errorf("asked for %q, the page lacks %q", asked, want)
		}
	}
	s.exec("UPDATE member SET language = 'fr'")
	_, _, text := b.request("POST", "/clients/new", url.Values{"form": {b.fresh()}, "email": {`"><script>alert(1)</script>`}}, "Accept-Language", "de")
	if !strings.Contains(text, "Cette adresse e-mail n’est pas valide.") || strings.Contains(text, "<script>") {
		t.Errorf("a wrong address is answered %s", text)
	}
}

// The sheet that is handed out is for who gets it; what is said around it is for its maker.
func TestAHandOutSpeaksTheLanguageOfItsPerson(t *testing.T) {
	t.Parallel()
	s := serve(t, console.Account{})
	id, _ := s.signedIn(console.NewMember{Role: device.Owner, UserID: "ada", Language: "fr"})
	s.exec("UPDATE account SET language = 'es'")
	b := s.at(id)
	for language, sheet := range map[string]string{"de": "So melden Sie sich an", "": "Cómo iniciar sesión"} {
		_, _, text := b.request("POST", "/clients/new", url.Values{"form": {b.fresh()}, "language": {language}})
		if !strings.Contains(text, sheet) || !strings.Contains(text, "Ceci n’est affiché qu’une fois") {
			t.Errorf("the hand-out for somebody who chose %q is %s", language, text)
		}
	}
}
