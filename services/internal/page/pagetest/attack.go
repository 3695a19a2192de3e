package pagetest

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// Texts are field values that no form expects.
var Texts = map[string]string{
	"a script": `<script>odd()</script>`, "the end of an attribute": `"><svg/odd onload=odd()>`, "the end of another": `' onfocus=odd() odd='`, "an attribute": `" onfocus="odd()" autofocus odd="`,
	"the end of a title": `</title></textarea></select><script>odd()</script>`, "an address that is a script": "javascript:odd()", "another address": "//odd.example/", "a template": "{{.Token}}<odd>{{odd}}",
	"a header": "a\r\nX-Odd: odd\r\n\r\n<script>odd()</script>", "a cookie after a line end": "a\nSet-Cookie: odd=odd", "a carriage return": "a\rX-Odd: odd",
	"nothing": "", "a space": " ", "NUL": "ada\x00x", "no UTF-8": "a\xff\xfe", "half a character": "a\xc3", "a surrogate": "\xed\xa0\x80", "a right-to-left mark": "\u202egnp",
	"10,000 bytes": strings.Repeat("a", 10_000), "emoji": strings.Repeat("🔑", 1000), "SQL": "' OR 1=1; --", "a number past 64 bits": "18446744073709551617",
}

// bodies are no forms, or not one that a page sends; whole is one.
func bodies(whole string) map[string]string {
	return map[string]string{"nothing": "", "JSON": `{"form":"x"}`, "noise": "\xff\x00=\xff&&&==", "a bad escape": whole + "&a=%zz", "a semicolon": whole + "&a=b;c=d",
		"17 KiB": whole + "&a=" + strings.Repeat("a", 17<<10), "1 MiB": strings.Repeat("a", 1<<20), "4,000 fields": whole + strings.Repeat("&a=b", 4000), "no name": "=x&" + whole}
}

// page fails the test unless an answer is a page in which nothing that was sent is more than
// text, or leads on within the site or to one of the others given.
func (a Answer) page(t *testing.T, what string, others ...string) {
	t.Helper()
	for name, values := range a.Header {
		if strings.EqualFold(name, "X-Odd") || strings.Contains(strings.Join(values, " "), "odd=odd") {
			t.Errorf("%s: the header %s is %q", what, name, values)
		}
	}
	if at := a.Header.Get("Location"); a.Status == http.StatusSeeOther {
		own := strings.HasPrefix(at, "/") && !strings.HasPrefix(at, "//") && !strings.HasPrefix(at, `/\`)
		for _, o := range others {
			own = own || strings.HasPrefix(at, o+"/")
		}
		if !own {
			t.Errorf("%s leads to %q", what, at)
		}
		return
	}
	if strings.HasPrefix(a.Header.Get("Content-Disposition"), "attachment;") && a.Header.Get("X-Content-Type-Options") == "nosniff" {
		return // a file to be kept, which is no page in any browser
	}
	if a.Status >= 500 || a.Status < 200 || !strings.Contains(a.Body, "<h1") {
		t.Errorf("%s: %d, want a page\n%.300s", what, a.Status, a.Body)
	}
	for n := range nodes(t, a.Body) {
		if markup(n) {
			t.Errorf("%s: what was sent is markup: <%s %v>", what, n.Data, n.Attr)
		}
	}
}

// markup reports whether an element is one that no page of ours has.
func markup(n *html.Node) bool {
	if n.Data == "svg" || n.Data == "odd" || n.Data == "script" && (n.FirstChild != nil || attribute(n, "src") == "") {
		return true
	}
	for _, a := range n.Attr {
		leads := a.Key == "href" || a.Key == "src" || a.Key == "action" || a.Key == "formaction"
		if strings.HasPrefix(a.Key, "on") || a.Key == "odd" || leads && (strings.HasPrefix(a.Val, "javascript:") || strings.HasPrefix(a.Val, "//")) {
			return true
		}
	}
	return false
}

// Site is a service whose forms are tried.
type Site struct {
	Patterns []string // of all its pages
	// Forms brings, by the pattern of each form, a browser before the form. It is asked for
	// every try: a form that works once needs a person of its own.
	Forms map[string]func(*testing.T) (Browser, Form)
	// Stranger is another browser before a page of its own, with the token of its forms.
	Stranger func(*testing.T) (Browser, string)
	Session  string     // the cookie of a session
	State    func() int // counts what a form could have done
	Others   []string   // origins that forms may lead to
	Before   func()     // before each try; nil for nothing
}

func (s Site) each(t *testing.T, try func(*testing.T, func(*testing.T) (Browser, Form))) {
	all := forms(s.Patterns)
	if len(all) < 5 {
		t.Fatalf("the site has the forms %v", all)
	}
	for _, pattern := range all {
		before, ok := s.Forms[pattern]
		if !ok {
			t.Errorf("nobody tries %s", pattern)
			continue
		}
		t.Run(strings.ReplaceAll(pattern, " /", "/"), func(t *testing.T) {
			try(t, func(t *testing.T) (Browser, Form) {
				if s.Before != nil {
					s.Before()
				}
				return before(t)
			})
		})
	}
	for pattern := range s.Forms {
		if !strings.Contains(strings.Join(all, "\n")+"\n", pattern+"\n") {
			t.Errorf("%s is no form of the site", pattern)
		}
	}
}

// RefusesForeign tries every form as another site could send it, and with tokens and cookies
// that do not belong together: each is refused, and nothing is done.
func (s Site) RefusesForeign(t *testing.T) {
	stranger, theirs := s.Stranger(t)
	s.each(t, func(t *testing.T, open func(*testing.T) (Browser, Form)) {
		b, f := open(t)
		good := f.Fields.Get("form")
		refused := func(what string, b Browser, token string, headers ...string) {
			t.Helper()
			form := f
			form.Fields = maps.Clone(f.Fields)
			if form.Fields.Set("form", token); token == "" {
				form.Fields.Del("form")
			}
			before := s.State()
			body, kind := form.encode(t)
			a := b.Ask(t, http.MethodPost, f.Action, body, append(kind, headers...)...)
			if a.Status != http.StatusForbidden || !strings.Contains(a.Body, "<h1>") {
				t.Errorf("%s: %d to %q, want a page with 403", what, a.Status, a.Header.Get("Location"))
			}
			if s.State() != before {
				t.Errorf("%s: something was done", what)
			}
		}
		refused("without a token", b, "")
		refused("with a made-up token", b, "AAABohGcuRUBd6zFSoAlN8joDmBPwHuzQALShzs")
		refused("with half a token", b, good[:len(good)/2])
		refused("with another browser's token", b, theirs)
		refused("with another session's cookie", b.With(s.Session, stranger.Cookies[s.Session]), good)
		refused("in another browser", stranger, good)
		for what, headers := range map[string][]string{
			"from another origin":               {"Origin", "https://evil.example"},
			"from the origin null":              {"Origin", "null"},
			"from another site":                 {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"},
			"from a neighbour":                  {"Sec-Fetch-Site", "same-site", "Origin", ""},
			"from another port":                 {"Origin", "http://127.0.0.1:1"},
			"without any origin":                {"Origin", ""},
			"as JSON, which needs no form":      {"Content-Type", "application/json"},
			"as plain text, which forms can do": {"Content-Type", "text/plain"},
			"as nothing":                        {"Content-Type", ""},
		} {
			refused(what, b, good, headers...)
		}
		if !f.Upload {
			refused("as an upload", b, good, "Content-Type", "multipart/form-data; boundary=x")
		}
		f.Fields["form"] = []string{theirs, good}
		if body, kind := f.encode(t); b.Ask(t, http.MethodPost, f.Action, body, kind...).Status != http.StatusForbidden {
			t.Error("with two tokens: not refused")
		}
	})
}

// TakesTextAsText tries every field of every form with every text, bodies that are no forms,
// and every field twice: each answer, and the page that it leads to, is a page of ours.
func (s Site) TakesTextAsText(t *testing.T) {
	s.each(t, func(t *testing.T, open func(*testing.T) (Browser, Form)) {
		send := func(what string, change func(*Form), whole func(string) string, headers ...string) {
			t.Helper()
			b, f := open(t)
			change(&f)
			body, kind := f.encode(t)
			a := b.Ask(t, http.MethodPost, f.Action, whole(body), append(kind, headers...)...)
			a.page(t, what, s.Others...)
			if at := a.Header.Get("Location"); a.Status == http.StatusSeeOther && strings.HasPrefix(at, "/") {
				b.Ask(t, http.MethodGet, at, "").page(t, what+": "+at, s.Others...)
			}
			if strings.HasSuffix(what, "iB") && !f.Upload && a.Status != http.StatusRequestEntityTooLarge {
				t.Errorf("%s: %d, want 413", what, a.Status)
			}
		}
		as := func(s string) string { return s }
		_, f := open(t)
		for _, name := range f.Names {
			for what, text := range Texts {
				send(what+" as "+name, func(f *Form) { f.Fields.Set(name, text) }, as)
			}
			send(name+" twice", func(f *Form) { f.Fields.Add(name, "odd") }, as)
		}
		for what := range bodies("") {
			send(what, func(*Form) {}, func(whole string) string { return bodies(whole)[what] })
		}
		send("a type with half a parameter", func(*Form) {}, as, "Content-Type", "application/x-www-form-urlencoded; boundary")
	})
}

// parameters are those that a page of ours takes in its address, and some that it does not.
var parameters = []string{"told", "done", "search", "role", "no_number", "after", "after_id", "software", "code", "challenge", "next"}

// Reads opens a page with a text in every parameter, and with one in the place of an id.
func (b Browser) Reads(t *testing.T, path, what, text string, others ...string) {
	t.Helper()
	q := url.Values{}
	for _, name := range parameters {
		q.Set(name, text)
	}
	b.Ask(t, http.MethodGet, path+"?"+q.Encode(), "").page(t, path+" asked with "+what, others...)
	if text == "" || len(text) > 1000 || strings.Contains(text, "//") { // an address that is not clean is none: web.Exact
		return
	}
	b.Ask(t, http.MethodGet, strings.TrimSuffix(path, "/")+"/"+url.PathEscape(text), "").page(t, path+" of "+what, others...)
}
