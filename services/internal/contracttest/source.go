package contracttest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// Routes fails the test unless the document has exactly these routes: "GET /v1/session".
func Routes(t testing.TB, file string, routes []string) {
	t.Helper()
	var described []string
	for path, item := range Describe(t, file).Paths.Map() {
		for method := range item.Operations() {
			described = append(described, method+" "+path)
		}
	}
	slices.Sort(described)
	slices.Sort(routes)
	if !slices.Equal(routes, described) {
		t.Errorf("the routes are %q\nthe document has %q", routes, described)
	}
}

// Bodies fails the test unless the schemas of these names have the fields of the Go types,
// require what is always written, and are closed where a request is read and open where an
// answer may get new fields.
func Bodies(t testing.TB, file string, requests, answers map[string]any) {
	t.Helper()
	doc := Describe(t, file)
	for _, set := range []map[string]any{requests, answers} {
		for name, v := range set {
			s := doc.Components.Schemas[name]
			if s == nil {
				t.Errorf("there is no schema %s", name)
				continue
			}
			all, always := Fields(v)
			if got := slices.Sorted(maps.Keys(s.Value.Properties)); !slices.Equal(got, all) {
				t.Errorf("%s has %q, the type %q", name, got, all)
			}
			if got := slices.Sorted(slices.Values(s.Value.Required)); !slices.Equal(got, always) {
				t.Errorf("%s requires %q, the type always has %q", name, got, always)
			}
			_, request := requests[name]
			if open := s.Value.AdditionalProperties.Has == nil; open == request {
				t.Errorf("%s takes unknown fields: %v", name, open)
			}
		}
	}
}

// Fields returns the JSON names of a type's fields, and those that are always written.
func Fields(v any) (all, always []string) {
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

// statuses are the names of net/http that problems are made with.
var statuses = map[string]int{"StatusBadRequest": 400, "StatusUnauthorized": 401, "StatusForbidden": 403, "StatusNotFound": 404, "StatusConflict": 409,
	"StatusRequestEntityTooLarge": 413, "StatusUnsupportedMediaType": 415, "StatusUnprocessableEntity": 422, "StatusTooManyRequests": 429,
	"StatusInternalServerError": 500, "StatusServiceUnavailable": 503, "StatusMethodNotAllowed": 405, "StatusGone": 410,
	"StatusPreconditionFailed": 412, "StatusPreconditionRequired": 428}

// problemsOf finds every problem that a package's source makes: its type and its status.
func problemsOf(t testing.TB, dirs ...string) map[string]int {
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

// described returns the type and status of each schema Problem….
func described(t testing.TB, doc *openapi3.T) map[string]int {
	t.Helper()
	t.Helper()
	out := map[string]int{}
	for name, s := range doc.Components.Schemas {
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

// Problems fails the test unless the document has exactly the problems that the source in
// dirs makes with NewProblem, each as an answer under its own status.
func Problems(t testing.TB, file string, dirs ...string) {
	t.Helper()
	doc := Describe(t, file)
	if got, want := described(t, doc), problemsOf(t, dirs...); !maps.Equal(got, want) {
		t.Errorf("the document has the problems %v\nthe source makes %v", got, want)
	}
	// Each is the answer of some operation, under its own status.
	answers := map[string]bool{}
	for path, item := range doc.Paths.Map() {
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
	for typ := range described(t, doc) {
		if !answers[typ] {
			t.Errorf("nothing answers %s", typ)
		}
	}
}
