package login_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"path/filepath"
	"reflect"
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
	"latchkey.dev/services/device"
	"latchkey.dev/services/login"
)

// description is the OpenAPI document, read and checked once, with its examples.
var description = sync.OnceValues(func() (*openapi3.T, error) {
	openapi3filter.RegisterBodyDecoder("text/event-stream", openapi3filter.PlainBodyDecoder)
	b, err := fs.ReadFile(schema.HTTP, "public.yaml")
	if err != nil {
		return nil, err
	}
	doc, err := openapi3.NewLoader().LoadFromData(b)
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(context.Background(), openapi3.EnableSchemaFormatValidation(), openapi3.EnableExamplesValidation())
})

func describe(t testing.TB) *openapi3.T {
	t.Helper()
	doc, err := description()
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// contract holds everything that passes through it to the document.
type contract struct {
	t    testing.TB
	doc  *openapi3.T
	next http.Handler

	mu       sync.Mutex
	answered map[string]bool // "POST /v1/sign-ins 202"
	problems map[string]bool // "/problems/not-found"
	checked  map[string]bool // both of them together
}

func underContract(t testing.TB, next http.Handler) *contract {
	t.Helper()
	return &contract{t: t, doc: describe(t), next: next, answered: map[string]bool{}, problems: map[string]bool{}, checked: map[string]bool{}}
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

var pathID = regexp.MustCompile(`[0-9a-fA-F-]{36}`)

// ServeHTTP serves a request of the API and checks the answer; and the request too, if it was accepted.
func (c *contract) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := pathID.ReplaceAllString(r.URL.EscapedPath(), "{id}")
	item := c.doc.Paths.Value(path)
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
	in := &openapi3filter.RequestValidationInput{Request: again, PathParams: map[string]string{"id": pathID.FindString(r.URL.Path)}, Options: options,
		QueryParams: r.URL.Query(), Route: &routers.Route{Spec: c.doc, Path: path, PathItem: item, Method: r.Method, Operation: item.GetOperation(r.Method)}}
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
func (c *contract) known(what string, out *tee) bool {
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
func (c *contract) stream(what, body string) {
	for event := range strings.SplitSeq(strings.TrimSuffix(body, "\n\n"), "\n\n") {
		var v any
		data, ok := strings.CutPrefix(event, "data: ")
		if err := json.Unmarshal([]byte(data), &v); !ok || err != nil {
			c.t.Errorf("%s: %q is no event", what, event)
			continue
		}
		if err := c.doc.Components.Schemas["Challenge"].Value.VisitJSON(v, openapi3.EnableJSONSchema2020()); err != nil {
			c.t.Errorf("%s: %v", what, err)
		}
	}
}

func TestEveryRouteIsDescribedAndTheReverse(t *testing.T) {
	t.Parallel()
	var described []string
	for path, item := range describe(t).Paths.Map() {
		for method := range item.Operations() {
			described = append(described, method+" "+path)
		}
	}
	routes := new(login.Login).Routes()
	slices.Sort(described)
	slices.Sort(routes)
	if !slices.Equal(routes, described) {
		t.Errorf("the routes are %q\nthe document has %q", routes, described)
	}
}

// fields returns the JSON names of a type's fields, and those that are always written.
func fields(v any) (all, always []string) {
	for _, f := range reflect.VisibleFields(reflect.TypeOf(v)) {
		name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		all = append(all, name)
		if !strings.Contains(rest, "omit") {
			always = append(always, name)
		}
	}
	slices.Sort(all)
	slices.Sort(always)
	return all, always
}

func TestBodiesAreTheGoTypes(t *testing.T) {
	t.Parallel()
	doc := describe(t)
	facets := map[string]any{"Facets": device.Facets{}}
	for _, set := range []map[string]any{login.Requests, login.Answers, facets} {
		for name, v := range set {
			s := doc.Components.Schemas[name]
			if s == nil {
				t.Errorf("there is no schema %s", name)
				continue
			}
			all, always := fields(v)
			if got := slices.Sorted(maps.Keys(s.Value.Properties)); !slices.Equal(got, all) {
				t.Errorf("%s has %q, the type %q", name, got, all)
			}
			if got := slices.Sorted(slices.Values(s.Value.Required)); !slices.Equal(got, always) {
				t.Errorf("%s requires %q, the type always has %q", name, got, always)
			}
			_, request := login.Requests[name]
			if open := s.Value.AdditionalProperties.Has == nil; open == request {
				t.Errorf("%s takes unknown fields: %v", name, open)
			}
		}
	}
	all, _ := fields(login.Standings)
	both := map[string]bool{}
	for _, name := range []string{"Standing", "Asked"} {
		for field := range doc.Components.Schemas[name].Value.Properties {
			both[field] = true
		}
	}
	if got := slices.Sorted(maps.Keys(both)); !slices.Equal(got, all) {
		t.Errorf("Standing and Asked have %q, the type %q", got, all)
	}
}

// statuses are the names of net/http that problems are made with.
var statuses = map[string]int{"StatusBadRequest": 400, "StatusUnauthorized": 401, "StatusForbidden": 403, "StatusNotFound": 404, "StatusConflict": 409,
	"StatusRequestEntityTooLarge": 413, "StatusUnsupportedMediaType": 415, "StatusUnprocessableEntity": 422, "StatusTooManyRequests": 429,
	"StatusInternalServerError": 500, "StatusServiceUnavailable": 503, "StatusMethodNotAllowed": 405, "StatusGone": 410}

// problemsOf finds every problem that a package's source makes: its type and its status.
func problemsOf(t *testing.T, dirs ...string) map[string]int {
	t.Helper()
	found := map[string]int{}
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || !strings.HasSuffix(reflectName(call.Fun), "NewProblem") || len(call.Args) != 4 {
					return true
				}
				status, known := statuses[reflectName(call.Args[0])]
				name, ok := call.Args[1].(*ast.BasicLit)
				if !known || !ok {
					t.Errorf("%s: a problem whose status and name are not written out", file)
					return true
				}
				text, err := strconv.Unquote(name.Value)
				if before, made := found["/problems/"+text]; err != nil || made && before != status {
					t.Errorf("%s: the problem %s has the statuses %d and %d: %v", file, text, before, status, err)
				}
				found["/problems/"+text] = status
				return true
			})
		}
	}
	return found
}

func reflectName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// describedProblems returns the type and status of each schema Problem….
func describedProblems(t *testing.T) map[string]int {
	t.Helper()
	out := map[string]int{}
	for name, s := range describe(t).Components.Schemas {
		if name == "Problem" || !strings.HasPrefix(name, "Problem") {
			continue
		}
		own := s.Value.AllOf[1].Value.Properties
		typ, _ := own["type"].Value.Const.(string)
		status, _ := own["status"].Value.Const.(float64)
		if s.Value.Description == "" || out[typ] != 0 {
			t.Errorf("%s is described twice, or not in words", typ)
		}
		out[typ] = int(status)
	}
	return out
}

func TestEveryProblemIsDescribedAndTheReverse(t *testing.T) {
	t.Parallel()
	if got, want := describedProblems(t), problemsOf(t, ".", "../internal/web", "../internal/password"); !maps.Equal(got, want) {
		t.Errorf("the document has the problems %v\nthe source makes %v", got, want)
	}
	// Each is the answer of some operation, under its own status.
	answers := map[string]bool{}
	for path, item := range describe(t).Paths.Map() {
		for method, op := range item.Operations() {
			for status, r := range op.Responses.Map() {
				m := r.Value.Content["application/problem+json"]
				if m == nil {
					continue
				}
				for _, s := range append(m.Schema.Value.OneOf, m.Schema) {
					if len(s.Value.AllOf) != 2 {
						continue
					}
					own := s.Value.AllOf[1].Value.Properties
					if want := fmt.Sprint(own["status"].Value.Const); want != status {
						t.Errorf("%s %s answers %v with %s", method, path, own["type"].Value.Const, status)
					}
					answers[own["type"].Value.Const.(string)] = true
				}
			}
		}
	}
	for typ := range describedProblems(t) {
		if !answers[typ] {
			t.Errorf("nothing answers %s", typ)
		}
	}
}
