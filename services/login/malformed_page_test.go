package login_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// oddTexts are form values that no field expects, as they are sent.
var oddTexts = map[string]string{
	"nothing": "", "a space": "+", "NUL": "%00", "a NUL in the middle": "ada%00x", "no UTF-8": "%ff%fe", "half a character": "a%c3", "an encoded surrogate": "%ed%a0%80", "a line end": "a%0d%0aSet-Cookie:+a=b",
	"10,000 bytes": strings.Repeat("a", 10_000), "emoji": strings.Repeat(url.QueryEscape("🔑"), 1000), "SQL": url.QueryEscape("' OR 1=1; --"), "a tag": url.QueryEscape(`"><svg/odd>`),
	"a template": url.QueryEscape("{{.Token}}"), "another address": url.QueryEscape("//evil.example/"), "a right-to-left mark": "%e2%80%aegnp", "a number past 64 bits": "18446744073709551617", "a bad escape": "%zz", "a semicolon": "a;b=c",
}

// page fails the test unless an answer is a page or leads to one of ours.
func (b *browser) page(what string, status int, page string) {
	b.h.t.Helper()
	led := status == http.StatusSeeOther && b.at != ""
	if !led && (status >= 500 || status < 200 || !strings.Contains(page, "<h1>")) {
		b.h.t.Errorf("%s: %d to %q, want a page\n%.300s", what, status, b.at, page)
	}
	if strings.Contains(page, "<svg/odd") || b.header.Get("Set-Cookie") == "a=b" {
		b.h.t.Errorf("%s: what was sent came back as it was\n%s", what, page)
	}
}

// Every field of every form with every odd value, and bodies that are no forms.
func TestOddFormsAreRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	h.member(ada)
	b := h.browser()
	home := b.enter("ada", password)
	device := regexp.MustCompile(`/devices/([0-9a-f-]{36})/revoke`).FindStringSubmatch(home)[1]
	waiting := h.browser()
	waiting.signIn("ada", password)
	check := waiting.at
	waiting.open(check)
	plain := h.browser()
	plain.open("/sign-in")
	for _, f := range []struct {
		*browser
		path   string
		fields []string
	}{
		{plain, "/sign-in", []string{"user_id", "password", "software", "made", "proof", "form"}},
		{waiting, check, []string{"code", "proof", "form"}},
		{waiting, check + "/texts", []string{"proof", "form"}},
		{b, "/password", []string{"old_password", "new_password", "new_password_again", "form"}},
		{b, "/devices/" + device + "/name", []string{"name", "form"}},
	} {
		good := map[string]string{"form": url.QueryEscape(f.form), "user_id": "ada", "password": "wrong+password!", "software": "web", "code": "none",
			"old_password": "wrong+password!", "new_password": "staple+the+battery", "new_password_again": "staple+the+battery", "name": "Phone"}
		send := func(what, body string, headers ...string) {
			h.exec("DELETE FROM limit_counter")
			status, page := f.do("POST", f.path, body, headers...)
			f.page(f.path+" with "+what, status, page)
		}
		encode := func(odd, value string) string {
			var pairs []string
			for _, name := range append([]string{"form"}, f.fields...) {
				if name == odd {
					pairs = append(pairs, name+"="+value)
				} else if good[name] != "" {
					pairs = append(pairs, name+"="+good[name])
				}
			}
			return strings.Join(pairs, "&")
		}
		for _, field := range f.fields {
			for what, value := range oddTexts {
				send(what+" as "+field, encode(field, value))
			}
		}
		whole := encode("", "")
		for what, body := range map[string]string{"nothing": "", "JSON": `{"form":"x"}`, "noise": "\xff\x00=\xff&&&==", "17 KiB": whole + "&x=" + strings.Repeat("a", 17<<10), "1 MiB": strings.Repeat("a", 1<<20),
			"4,000 fields": whole + strings.Repeat("&a=b", 4000), "every field twice": whole + "&" + whole, "no name": "=x&" + whole} {
			send(what, body)
		}
		send("a type that is none", whole, "Content-Type", "application/x-www-form-urlencoded; boundary")
		send("another type", whole, "Content-Type", "multipart/form-data; boundary=x")
	}
	h.sound()
}

// Every page with odd queries, ids and cookies.
func TestOddPageAddressesAreRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	h.member(ada)
	in := h.browser()
	in.enter("ada", password)
	for _, path := range []string{"/", "/sign-in", "/signed-out", "/password", "/check/9b2d2c53-58c5-4e0c-a6f6-0d3a1a0f6f0e"} {
		for what, value := range oddTexts {
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
