package console_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"latchkey.dev/services/console"
	"latchkey.dev/services/device"
	"latchkey.dev/services/internal/contracttest"
	"latchkey.dev/services/internal/web"
)

// description is the document that the API is held to.
const description = "console.yaml"

func TestEveryRouteIsDescribedAndTheReverse(t *testing.T) {
	t.Parallel()
	contracttest.Routes(t, description, new(console.Console).Routes())
}

func TestBodiesAreTheGoTypes(t *testing.T) {
	t.Parallel()
	answers := maps.Clone(console.Answers)
	answers["Facets"], answers["Fault"] = device.Facets{}, web.Fault{}
	contracttest.Bodies(t, description, console.Requests, answers)
}

func TestEveryProblemIsDescribedAndTheReverse(t *testing.T) {
	t.Parallel()
	contracttest.Problems(t, description, ".", "../internal/web", "../internal/password")
}

// served is a clinic whose console is reached over HTTP.
type served struct {
	*clinic
	url      string
	contract *contracttest.Contract
}

func serve(t *testing.T, a console.Account) *served {
	t.Helper()
	s := &served{clinic: newClinic(t, a)}
	server := httptest.NewUnstartedServer(nil)
	s.url = "http://" + server.Listener.Addr().String()
	o := s.options
	o.Registerer, o.Served = nil, &console.Served{Origin: s.url, Login: "http://login.example", FormMAC: newMAC(t)}
	var err error
	if s.Console, err = console.New(o); err != nil {
		t.Fatal(err)
	}
	s.contract = contracttest.New(t, description, web.Exact(s.Handler()))
	server.Config.Handler = s.contract
	server.Start()
	t.Cleanup(server.Close)
	return s
}

// answer is what the API answered.
type answer struct {
	status int
	header http.Header
	body   map[string]any
}

func (a answer) problem() string {
	typ, _ := a.body["type"].(string)
	return strings.TrimPrefix(typ, "/problems/")
}

// call makes a request with a bearer token; body may be nil, text as it is, or what is to be JSON.
func (s *served) call(token, method, path string, body any, headers ...string) answer {
	s.t.Helper()
	var b []byte
	switch v := body.(type) {
	case nil:
	case string:
		b = []byte(v)
	default:
		var err error
		if b, err = json.Marshal(v); err != nil {
			s.t.Fatal(err)
		}
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, bytes.NewReader(b))
	if err != nil {
		s.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if b != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	out := answer{status: resp.StatusCode, header: resp.Header}
	text, err := io.ReadAll(resp.Body)
	if err == nil && len(text) > 0 && !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/csv") {
		err = json.Unmarshal(text, &out.body)
	}
	if err != nil {
		s.t.Fatalf("%s %s answers %q: %v", method, path, text, err)
	}
	return out
}

// wants fails the test unless an answer has a status and, if it is a problem, a type.
func (s *served) wants(what string, a answer, status int, problem string) answer {
	s.t.Helper()
	if a.status != status || a.problem() != problem {
		s.t.Errorf("%s: %d %v, want %d %s", what, a.status, a.body, status, problem)
	}
	return a
}
