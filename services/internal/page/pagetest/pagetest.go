// Package pagetest tries the forms of a service as those do who attack them: from other
// sites, and with values that would be markup, headers or addresses. No binary links it.
package pagetest

import (
	"bytes"
	"context"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// Browser is somebody's: it keeps what cookies it is given, and follows nothing by itself.
type Browser struct {
	Origin  string // of the site, "http://127.0.0.1:4711"
	Cookies map[string]string
}

// Answer is what a site answered.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Form is a form as a browser has it before it.
type Form struct {
	Action string
	Fields url.Values // what is sent where nothing is typed, and the first button is pressed
	Names  []string   // of all that it can send
	Upload bool       // it takes files: what is in Fields["file"] is sent as one
}

// encode is the body of the form, and the headers that belong to it.
func (f Form) encode(t *testing.T) (body string, headers []string) {
	t.Helper()
	if !f.Upload {
		return f.Fields.Encode(), nil
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for name, values := range f.Fields {
		for _, v := range values {
			part, err := w.CreateFormField(name)
			if name == "file" {
				part, err = w.CreateFormFile(name, v[:min(len(v), 100)])
			}
			if err == nil {
				_, err = part.Write([]byte(v))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String(), []string{"Content-Type", w.FormDataContentType()}
}

// Ask sends a request of the browser; headers come as name and value in turn, "" for none.
func (b Browser) Ask(t *testing.T, method, path, body string, headers ...string) Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, b.Origin+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	if method == http.MethodPost {
		r.Header.Set("Origin", b.Origin)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
		}
	}
	for name, value := range b.Cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatalf("%s %.80s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range resp.Cookies() {
		if c.MaxAge < 0 {
			delete(b.Cookies, c.Name)
		} else {
			b.Cookies[c.Name] = c.Value
		}
	}
	return Answer{resp.StatusCode, resp.Header, string(text)}
}

// With returns the browser with a cookie in place of its own.
func (b Browser) With(name, value string) Browser {
	b.Cookies = maps.Clone(b.Cookies)
	b.Cookies[name] = value
	return b
}

// Open gets a page, which must be there, and returns its form with an action.
func (b Browser) Open(t *testing.T, path, action string) Form {
	t.Helper()
	a := b.Ask(t, http.MethodGet, path, "")
	if a.Status != http.StatusOK {
		t.Fatalf("GET %s: %d to %q", path, a.Status, a.Header.Get("Location"))
	}
	return a.Form(t, action)
}

// Form finds the form of a page that has an action.
func (a Answer) Form(t *testing.T, action string) Form {
	t.Helper()
	for n := range nodes(t, a.Body) {
		if n.Data == "form" && strings.EqualFold(attribute(n, "method"), "post") && attribute(n, "action") == action {
			return read(action, n)
		}
	}
	t.Fatalf("no form leads to %s:\n%s", action, a.Body)
	return Form{}
}

func read(action string, form *html.Node) Form {
	f := Form{Action: action, Fields: url.Values{}, Upload: attribute(form, "enctype") == "multipart/form-data"}
	pressed := false
	for n := range form.Descendants() {
		name, kind := attribute(n, "name"), attribute(n, "type")
		if name == "" || n.Type != html.ElementNode {
			continue
		}
		if !slices.Contains(f.Names, name) {
			f.Names = append(f.Names, name)
		}
		switch {
		case n.Data == "button" && pressed, (kind == "checkbox" || kind == "radio") && !has(n, "checked"):
		case n.Data == "select":
			f.Fields.Set(name, selected(n))
		default:
			f.Fields.Set(name, attribute(n, "value"))
			pressed = pressed || n.Data == "button"
		}
	}
	return f
}

// selected is the value of a select.
func selected(n *html.Node) (value string) {
	first := true
	for o := range n.Descendants() {
		if o.Data == "option" && (first || has(o, "selected")) {
			value, first = attribute(o, "value"), false
		}
	}
	return value
}

// forms are the patterns of forms, in order.
func forms(patterns []string) []string {
	all := slices.DeleteFunc(slices.Clone(patterns), func(p string) bool { return !strings.HasPrefix(p, http.MethodPost+" ") })
	slices.Sort(all)
	return all
}

func has(n *html.Node, name string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// nodes are the elements of a page.
func nodes(t *testing.T, page string) func(func(*html.Node) bool) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	return func(yield func(*html.Node) bool) {
		for n := range root.Descendants() {
			if n.Type == html.ElementNode && !yield(n) {
				return
			}
		}
	}
}
