// Package contracttest holds an HTTP API to its OpenAPI document: what passes through it, its
// routes, the Go types of its bodies, and its problems. No binary links it.
package contracttest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"latchkey.dev/schema"
)

// document is an OpenAPI document, read and checked once.
type document struct {
	read func() (*openapi3.T, error)
}

var (
	documents   = map[string]document{}
	documentsMu sync.Mutex
)

// Describe returns the document in a file of schema/http, checked with its examples.
func Describe(t testing.TB, file string) *openapi3.T {
	t.Helper()
	documentsMu.Lock()
	d, ok := documents[file]
	if !ok {
		d = document{sync.OnceValues(func() (*openapi3.T, error) { return load(file) })}
		documents[file] = d
	}
	documentsMu.Unlock()
	doc, err := d.read()
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func load(file string) (*openapi3.T, error) {
	openapi3filter.RegisterBodyDecoder("text/event-stream", openapi3filter.PlainBodyDecoder)
	b, err := fs.ReadFile(schema.HTTP, file)
	if err != nil {
		return nil, err
	}
	doc, err := openapi3.NewLoader().LoadFromData(b)
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(context.Background(), openapi3.EnableSchemaFormatValidation(), openapi3.EnableExamplesValidation())
}

// Contract holds everything that passes through it to a document.
type Contract struct {
	t    testing.TB
	Doc  *openapi3.T
	next http.Handler

	mu       sync.Mutex
	answered map[string]bool // "POST /v1/sign-ins 202"
	problems map[string]bool // "/problems/not-found"
	checked  map[string]bool // both of them together
}

// New makes a Contract that stands before a handler.
func New(t testing.TB, file string, next http.Handler) *Contract {
	t.Helper()
	return &Contract{t: t, Doc: Describe(t, file), next: next, answered: map[string]bool{}, problems: map[string]bool{}, checked: map[string]bool{}}
}

// tee keeps what is answered, and lets streams flow.
type tee struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (w *tee) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *tee) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *tee) Write(b []byte) (int, error) {
	w.body.Write(b)
	return w.ResponseWriter.Write(b)
}

var (
	isID   = regexp.MustCompile(`^[0-9a-fA-F-]{36}$`)
	isName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)
)

// find returns the path of the document that an address is of, with the values of its
// parameters; "" where there is none. Parameters are ids, but of {provider}, which is a name.
func (c *Contract) find(u *url.URL) (path string, params map[string]string) {
	got := strings.Split(u.EscapedPath(), "/")
	for path := range c.Doc.Paths.Map() {
		if params := match(strings.Split(path, "/"), got); params != nil {
			return path, params
		}
	}
	return "", nil
}

func match(template, got []string) map[string]string {
	if len(template) != len(got) {
		return nil
	}
	params := map[string]string{}
	for i, part := range template {
		switch {
		case part == "{provider}" && isName.MatchString(got[i]), strings.HasPrefix(part, "{") && isID.MatchString(got[i]):
			params[strings.Trim(part, "{}")] = got[i]
		case part != got[i]:
			return nil
		}
	}
	return params
}

// ServeHTTP serves a request of the API and checks the answer; and the request too, if it was accepted.
func (c *Contract) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, params := c.find(r.URL)
	item := c.Doc.Paths.Value(path)
	if item == nil || item.GetOperation(r.Method) == nil {
		c.next.ServeHTTP(w, r)
		return
	}
	// The reader is told where its request ends, as the server tells the handler.
	var sent bytes.Buffer
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.TeeReader(r.Body, &sent), r.Body}
	out := &tee{ResponseWriter: w, status: http.StatusOK}
	c.next.ServeHTTP(out, r)

	what := fmt.Sprint(r.Method, " ", path, " ", out.status)
	if c.known(what, out) {
		return
	}
	options := &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}
	again := r.Clone(context.Background())
	again.Body = io.NopCloser(&sent)
	in := &openapi3filter.RequestValidationInput{Request: again, PathParams: params, Options: options,
		QueryParams: r.URL.Query(), Route: &routers.Route{Spec: c.Doc, Path: path, PathItem: item, Method: r.Method, Operation: item.GetOperation(r.Method)}}
	if out.status < 300 {
		if err := openapi3filter.ValidateRequest(again.Context(), in); err != nil {
			c.t.Errorf("%s: accepted a request that the document does not allow: %v", what, err)
		}
	}
	answer := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: out.status, Header: out.Header(), Options: options}
	answer.SetBodyBytes(out.body.Bytes())
	if err := openapi3filter.ValidateResponse(again.Context(), answer); err != nil {
		c.t.Errorf("%s: %v\n%s", what, err, out.body.Bytes())
	}
	if out.Header().Get("Content-Type") == "text/event-stream" {
		c.stream(what, out.body.String())
	}
}

// known notes what was answered, and reports whether it is a problem that was checked as
// an answer of the same route before: checking takes longer than answering.
func (c *Contract) known(what string, out *tee) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answered[what] = true
	if out.Header().Get("Content-Type") != "application/problem+json" {
		return false
	}
	var p struct{ Type string }
	if err := json.Unmarshal(out.body.Bytes(), &p); err != nil {
		c.t.Errorf("%s: %v", what, err)
	}
	c.problems[p.Type] = true
	before := c.checked[what+p.Type]
	c.checked[what+p.Type] = true
	return before
}

// stream holds each event of a stream to the schema of a challenge.
func (c *Contract) stream(what, body string) {
	for event := range strings.SplitSeq(strings.TrimSuffix(body, "\n\n"), "\n\n") {
		var v any
		data, ok := strings.CutPrefix(event, "data: ")
		if err := json.Unmarshal([]byte(data), &v); !ok || err != nil {
			c.t.Errorf("%s: %q is no event", what, event)
			continue
		}
		if err := c.Doc.Components.Schemas["Challenge"].Value.VisitJSON(v, openapi3.EnableJSONSchema2020()); err != nil {
			c.t.Errorf("%s: %v", what, err)
		}
	}
}

// Given fails the test for every answer and problem of the document that no request was
// given, but those named: faults of ours, races, and what other surfaces answer.
func (c *Contract) Given(answers, problems []string) {
	c.t.Helper()
	for path, item := range c.Doc.Paths.Map() {
		for method, op := range item.Operations() {
			for status := range op.Responses.Map() {
				code, err := strconv.Atoi(status)
				if err != nil {
					c.t.Errorf("%s %s answers %s, which is no status", method, path, status)
				}
				if what := method + " " + path + " " + status; code < 500 && !c.answered[what] && !slices.Contains(answers, what) {
					c.t.Errorf("nobody was answered %s", what)
				}
			}
		}
	}
	for typ := range described(c.t, c.Doc) {
		if !c.problems[typ] && !slices.Contains(problems, typ) {
			c.t.Errorf("nobody was answered %s", typ)
		}
	}
}

// Also counts what was answered under another contract.
func (c *Contract) Also(other *Contract) {
	maps.Copy(c.answered, other.answered)
	maps.Copy(c.problems, other.problems)
}
