package login_test

import (
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"

	"latchkey.dev/services/internal/dpop"
)

// browser is one without script: it keeps cookies, sends forms, and follows nothing by itself.
type browser struct {
	h       *house
	cookies map[string]string
	key     *dpop.Key // set: its forms carry proofs, as with script
	form    string    // token of the last page's forms
	at      string    // where it was sent last
	agent   string    // its User-Agent
	header  http.Header
}

func (h *house) browser() *browser { return &browser{h: h, cookies: map[string]string{}} }

var (
	formToken = regexp.MustCompile(`name="form" value="([^"]*)"`)
	inline    = regexp.MustCompile(`(?i)<script(?:\s+type="module")?>|<script[^>]*>[^<]|<style|\sstyle=|\son[a-z]+=|javascript:`)
)

func (b *browser) do(method, path string, body string, headers ...string) (int, string) {
	t := b.h.t
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, b.h.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html,*/*")
	r.Header.Set("User-Agent", b.agent)
	if method == http.MethodPost {
		r.Header.Set("Origin", b.h.url)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
			continue
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	b.header, b.at = resp.Header, resp.Header.Get("Location")
	if b.at != "" && (b.at[0] != '/' || strings.HasPrefix(b.at, "//") || strings.HasPrefix(b.at, `/\`)) {
		t.Errorf("%s %s sends to %q, which is not ours", method, path, b.at)
	}
	for _, c := range resp.Cookies() {
		if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
			t.Errorf("a cookie as anybody can set or read it: %s", c.Raw)
		}
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
			continue
		}
		b.cookies[c.Name] = c.Value
	}
	if m := formToken.FindSubmatch(page); m != nil {
		b.form = html.UnescapeString(string(m[1]))
	}
	if bad := inline.FindString(string(page)); bad != "" && strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		t.Errorf("%s %s has %q inline", method, path, bad)
	}
	return resp.StatusCode, string(page)
}

// open gets a page that is there.
func (b *browser) open(path string) string {
	b.h.t.Helper()
	status, page := b.do("GET", path, "")
	if status != http.StatusOK {
		b.h.t.Fatalf("GET %s: %d to %q\n%s", path, status, b.at, page)
	}
	return page
}

// post sends a form of the page that was opened last, and reports where it leads.
func (b *browser) post(path string, fields ...string) (int, string) {
	b.h.t.Helper()
	form := url.Values{"form": {b.form}}
	if b.key != nil && !strings.HasPrefix(path, "/devices/") {
		challenge, _ := uuid.Parse(strings.Trim(strings.TrimSuffix(strings.TrimPrefix(path, "/check/"), "/texts"), "/"))
		form.Set("proof", b.h.proof(b.key, "POST", b.h.url+path, challenge))
	}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return b.do("POST", path, form.Encode())
}

// goes posts a form that must lead to an address that begins with want, and opens it.
func (b *browser) goes(want, path string, fields ...string) string {
	b.h.t.Helper()
	if status, page := b.post(path, fields...); status != http.StatusSeeOther || !strings.HasPrefix(b.at, want) {
		b.h.t.Fatalf("POST %s: %d to %q, want %q\n%s", path, status, b.at, want, page)
	}
	to := b.at
	status, page := b.do("GET", to, "")
	if status == http.StatusSeeOther {
		status, page = b.do("GET", b.at, "")
	}
	if status != http.StatusOK {
		b.h.t.Fatalf("GET %s: %d\n%s", to, status, page)
	}
	b.at = to
	return page
}

func (b *browser) signIn(user, pass string) (int, string) {
	b.h.t.Helper()
	b.open("/sign-in")
	return b.post("/sign-in", "user_id", user, "password", pass, "software", "web")
}

// enter signs in and types a code that is right, and returns the page after it.
func (b *browser) enter(user, pass string) string {
	b.h.t.Helper()
	defer b.h.judge("registered")()
	if status, page := b.signIn(user, pass); status != http.StatusSeeOther || !strings.HasPrefix(b.at, "/check/") {
		b.h.t.Fatalf("a first sign-in: %d to %q\n%s", status, b.at, page)
	}
	check := b.at
	b.open(check)
	return b.goes("/", check, "code", "123 456")
}

func reads(t *testing.T, page string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q:\n%s", want, page)
		}
	}
}
