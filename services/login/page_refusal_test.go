package login_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"latchkey.dev/services/login"
)

// Every page says in a plain sentence why it does not go on.
func TestRefusalsArePages(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	id := h.member(ada)
	b := h.browser()
	if status, page := b.do("GET", "/nothing/here", ""); status != http.StatusNotFound || !strings.Contains(page, "<h1>Not found</h1>") {
		t.Errorf("an address that is not there: %d\n%s", status, page)
	}
	if status, page := b.do("GET", "/nothing/here", "", "Accept", "application/json"); status != http.StatusNotFound || !strings.Contains(page, `"/problems/not-found"`) {
		t.Errorf("an address that is not there, to a program: %d\n%s", status, page)
	}
	// The user ID comes back as text.
	_, page := b.signIn(`"><script>alert(1)</script>`, password)
	reads(t, page, "&lt;script&gt;alert(1)")

	h.exec("INSERT INTO member_try (member_id, hour_started_at, hour_count, day_started_at, day_count, consecutive) VALUES ($1, now(), 10, now(), 10, 10)", id)
	status, page := b.signIn("ada", password)
	reads(t, page, "<h1>Too many wrong codes</h1>")
	if status != http.StatusTooManyRequests || b.header.Get("Retry-After") == "" {
		t.Errorf("locked: %d, Retry-After %q", status, b.header.Get("Retry-After"))
	}
	h.exec("DELETE FROM member_try")
	// Whom to ask, where a number is missing.
	h.exec("UPDATE account SET kind = 'standalone_mobile'")
	h.exec("UPDATE member SET phone_sealed = NULL, phone_details = NULL, phone_country = NULL, phone_last_two = NULL, phone_index = NULL")
	status, page = b.signIn("ada", password)
	reads(t, page, "<h1>No phone number</h1>", "Ask Ada to add one.")
	if status != http.StatusForbidden {
		t.Errorf("no number: %d", status)
	}
	for range 10 {
		b.signIn("ada", "wrong password!")
	}
	status, page = b.signIn("ada", password)
	reads(t, page, "Too many wrong passwords. Wait ten minutes")
	if status != http.StatusTooManyRequests {
		t.Errorf("throttled: %d", status)
	}
	h.exec("ALTER TABLE credential RENAME TO hidden")
	status, page = b.signIn("ada", password)
	reads(t, page, "The service cannot answer just now")
	if status != http.StatusServiceUnavailable || strings.Contains(page, "credential") {
		t.Errorf("a database that fails: %d\n%s", status, page)
	}
}

// A request that ended says how, and offers a new one.
func TestEndedRequestsSayHow(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	h.member(ada)
	b := h.browser()
	b.signIn("ada", password)
	check := b.at
	id := strings.TrimPrefix(check, "/check/")
	for reason, words := range map[string]string{"expired": "The time for this code is over.", "tries": "Five wrong codes", "locked": "Too many wrong codes", "registered": "Sign in once more"} {
		h.exec("UPDATE challenge SET closed_at = now(), end_reason = $2 WHERE id = $1", id, reason)
		page := b.open(check)
		reads(t, page, words, `href="/sign-in"`)
		if strings.Contains(page, "<input id=\"code\"") {
			t.Errorf("%s: the page still asks for a code", reason)
		}
		if b.do("GET", "/", ""); b.at != "/sign-in" {
			t.Errorf("%s: starting anew leads to %q", reason, b.at)
		}
	}
	b.open("/sign-in")
	if b.post(check, "code", "123456"); b.at != check {
		t.Errorf("a code for a request that ended leads to %q", b.at)
	}
	h.exec("UPDATE challenge SET closed_at = NULL, end_reason = NULL WHERE id = $1", id)
	h.exec(`INSERT INTO attempt (challenge_id, attempt_no, id, request_no, text_no, provider, finished_at, ending, reason)
		VALUES ($1, 1, gen_random_uuid(), 1, 1, 'first', now(), 'refused_never', 'landline')`, id)
	page := b.open(check)
	reads(t, page, "No text can be sent to this number", "Ask Ada to look at your phone number.")
	if strings.Contains(page, `id="help" hidden`) {
		t.Error("whom to ask is hidden")
	}
}

func TestPageHeaders(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	h.member(ada)
	b := h.browser()
	b.enter("ada", password)
	want := map[string]string{
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
		"X-Content-Type-Options":  "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
	}
	for _, path := range []string{"/", "/sign-in", "/password", "/signed-out", "/check/" + uuid.NewString(), "/nothing", "/latchkey.js", "/pages.js", "/base.css", "/icon.svg"} {
		b.do("GET", path, "")
		for name, value := range want {
			if got := b.header.Get(name); got != value {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		if !strings.Contains(b.header.Get("Permissions-Policy"), "otp-credentials=(self)") {
			t.Errorf("%s: Permissions-Policy is %q", path, b.header.Get("Permissions-Policy"))
		}
		if b.header.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s: HSTS over plain http", path)
		}
		if kept := b.header.Get("Cache-Control"); kept != "no-store" && !strings.Contains(path, ".") {
			t.Errorf("%s: Cache-Control is %q", path, kept)
		}
	}
	secure := h.another(0, func(o *login.Options) { o.Origin = "https://login.example" }).browser()
	secure.open("/sign-in")
	if got := secure.header.Get("Strict-Transport-Security"); got != "max-age=31536000" {
		t.Errorf("HSTS over https is %q", got)
	}
	b.do("GET", "/latchkey.js", "")
	etag := b.header.Get("ETag")
	if b.header.Get("Access-Control-Allow-Origin") != "*" || b.header.Get("Cache-Control") != "no-cache" || etag == "" {
		t.Errorf("the module: %v", b.header)
	}
	if status, body := b.do("GET", "/latchkey.js", "", "If-None-Match", etag); status != http.StatusNotModified || body != "" {
		t.Errorf("the module, known already: %d with %d bytes", status, len(body))
	}
}

// The API takes no cookie, and answers pages of other origins where a software is at home there.
func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	h.member(ada)
	b := h.browser()
	b.enter("ada", password)
	if status, _ := b.do("GET", "/v1/session", ""); status != http.StatusUnauthorized {
		t.Errorf("the API takes the page's cookie: %d", status)
	}
	check := "/v1/challenges/" + uuid.NewString()
	for _, origin := range []string{"https://shop.example", "https://evil.example", "https://shop.example.evil.example", "http://shop.example", "https://shop.example:8443", "null"} {
		allowed := origin == "https://shop.example"
		for _, path := range []string{"/v1/nonce", check, check + "/entries", check + "/texts", check + "/tickets", check + "/events", "/v1/session", "/v1/sign-ins", "/v1/devices"} {
			shared := strings.HasPrefix(path, "/v1/challenges/") || path == "/v1/nonce"
			status, _ := b.do("OPTIONS", path, "", "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "dpop,content-type")
			if got := b.header.Get("Access-Control-Allow-Origin"); (got == origin) != (allowed && shared) || (status == http.StatusNoContent) != (allowed && shared) {
				t.Errorf("preflight of %s from %s: %d, allowed %q", path, origin, status, got)
			}
			method := "GET"
			if slices.Contains([]string{"entries", "texts", "tickets", "sign-ins"}, path[strings.LastIndex(path, "/")+1:]) {
				method = "POST"
			}
			b.do(method, path, "", "Origin", origin)
			if got := b.header.Get("Access-Control-Allow-Origin"); (got == origin) != (allowed && shared) {
				t.Errorf("%s %s from %s: allowed %q", method, path, origin, got)
			}
			if b.header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s allows cookies from %s", path, origin)
			}
			if shared && !slices.Contains(b.header.Values("Vary"), "Origin") {
				t.Errorf("%s may be cached for another origin", path)
			}
		}
	}
}

// No part of a request says where a browser is sent.
func TestNoOpenRedirect(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	h.member(ada)
	b := h.browser()
	for _, bad := range []string{"https://evil.example", "//evil.example", `/\evil.example`, "javascript:alert(1)"} {
		q := url.QueryEscape(bad)
		for _, path := range []string{"/?told=" + q, "/sign-in?told=" + q + "&software=" + q + "&next=" + q + "&return_to=" + q, "/.well-known/change-password?to=" + q} {
			if status, page := b.do("GET", path, "", "X-Forwarded-Host", "evil.example", "Referer", bad); strings.Contains(page, "evil.example") || strings.Contains(b.at, "evil") || status >= 500 {
				t.Errorf("GET %s: %d to %q\n%s", path, status, b.at, page)
			}
		}
	}
	if status, page := b.do("GET", "/sign-in?told=registered", ""); status != http.StatusOK || !strings.Contains(page, "now registered") {
		t.Error(fmt.Sprint("a sentence of ours is not told: ", status))
	}
}
