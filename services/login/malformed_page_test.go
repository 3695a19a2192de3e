package login_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"latchkey.dev/services/internal/page/pagetest"
)

// oddQueries are values that no address expects, as they are sent.
func oddQueries() map[string]string {
	all := map[string]string{"a bad escape": "%zz", "a semicolon": "a;b=c"}
	for what, text := range pagetest.Texts {
		all[what] = url.QueryEscape(text)
	}
	return all
}

// page fails the test unless an answer is a page or leads to one of ours.
func (b *browser) page(what string, status int, page string) {
	b.h.t.Helper()
	led := status == http.StatusSeeOther && b.at != ""
	if !led && (status >= 500 || status < 200 || !strings.Contains(page, "<h1>")) {
		b.h.t.Errorf("%s: %d to %q, want a page\n%.300s", what, status, b.at, page)
	}
	if strings.Contains(page, "<svg/odd") || strings.Contains(page, "<script>odd") || b.header.Get("Set-Cookie") == "a=b" {
		b.h.t.Errorf("%s: what was sent came back as it was\n%s", what, page)
	}
}

// Every page with odd queries, ids and cookies.
func TestOddPageAddressesAreRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	h.member(ada)
	in := h.browser()
	in.enter("ada", password)
	for _, path := range []string{"/", "/sign-in", "/signed-out", "/password", "/check/9b2d2c53-58c5-4e0c-a6f6-0d3a1a0f6f0e"} {
		for what, value := range oddQueries() {
			for _, b := range []*browser{in, h.browser()} {
				status, page := b.do("GET", path+"?told="+value+"&software="+value, "")
				b.page(path+" asked with "+what, status, page)
			}
		}
		for _, name := range []string{"__Host-latchkey", "__Host-latchkey-form", "__Host-latchkey-check", "__Host-latchkey-device", "__Host-latchkey-known"} {
			for what, value := range map[string]string{"nothing": "", "a dot": ".", "dots": "...:..:.", "a long text": strings.Repeat("a", 2049), "colons": strings.Repeat(":", 500), "no UTF-8": "\xff\xfe", "an escape": "%00", "quotes": `"a b"`,
				"half an entry": "9b2d2c53-58c5-4e0c-a6f6-0d3a1a0f6f0e.cleared.AAAA"} {
				b := h.browser()
				status, page := b.do("GET", path, "", "Cookie", name+"="+value)
				b.page(path+" with "+what+" as "+name, status, page)
			}
		}
	}
	for _, id := range []string{"0", "%00", "%ff", "urn:uuid:9b2d2c53-58c5-4e0c-a6f6-0d3a1a0f6f0e", strings.Repeat("9", 5000)} {
		status, page := in.do("GET", "/check/"+id, "")
		in.page("/check/"+id[:min(len(id), 40)], status, page)
	}
	h.sound()
}
