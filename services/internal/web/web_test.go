package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"latchkey.dev/services/internal/web"
)

func TestReadJSONRefusesWithAProblem(t *testing.T) {
	t.Parallel()
	h := web.Handler{Logger: slog.New(slog.DiscardHandler), Serve: func(w http.ResponseWriter, r *http.Request) error {
		var body struct {
			Code string `json:"code"`
		}
		if err := web.ReadJSON(w, r, &body); err != nil {
			return err
		}
		web.WriteJSON(w, http.StatusOK, body)
		return nil
	}}
	for name, tc := range map[string]struct {
		contentType, body string
		status            int
	}{
		"good":          {"application/json; charset=utf-8", `{"code":"1"}`, 200},
		"not JSON":      {"application/json", `code=1`, 400},
		"wrong type":    {"application/json", `{"code":1}`, 400},
		"unknown field": {"application/json", `{"code":"1","canary-field":2}`, 400},
		"two values":    {"application/json", `{"code":"1"}{}`, 400},
		"empty":         {"application/json", ``, 400},
		"a form":        {"application/x-www-form-urlencoded", `code=1`, 415},
		"twenty kibi":   {"application/json", `{"code":"` + strings.Repeat("1", 20<<10) + `"}`, 413},
		"deeply nested": {"application/json", strings.Repeat("[", 8000), 400},
		"a list":        {"application/json", `["1"]`, 400},
		"null":          {"application/json", `null`, 400},
		"a null field":  {"application/json", `{"code":null}`, 400},
		"a field twice": {"application/json", `{"code":"1","code":"2"}`, 400},
		"twice by case": {"application/json", `{"code":"1","CODE":"2"}`, 400},
		"NUL":           {"application/json", "{\"code\":\"1\\u0000\"}", 400},
		"a raw NUL":     {"application/json", "{\"code\":\"1\x00\"}", 400},
		"no UTF-8":      {"application/json", "{\"code\":\"1\xff\"}", 400},
		"u0000 as text": {"application/json", `{"code":"\\u0000"}`, 200},
	} {
		r := httptest.NewRequest("POST", "/", strings.NewReader(tc.body))
		r.Header.Set("Content-Type", tc.contentType)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tc.status {
			t.Errorf("%s: status %d, want %d", name, w.Code, tc.status)
		}
		if tc.status == 200 {
			continue
		}
		var p web.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != tc.status || p.Title == "" || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: not a problem document: %s", name, w.Body)
		}
		if strings.Contains(w.Body.String(), "canary") {
			t.Errorf("%s: the answer repeats what was sent: %s", name, w.Body)
		}
	}
}

func TestExactTakesCleanAddressesAlone(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("/a/", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) {})
	for path, status := range map[string]int{"/": 200, "/a": 307, "/a/": 200, "/a/b": 200, "/a//b": 404, "//a": 404, "//evil.example/..": 404, "/a/../b": 404, "/./a": 404, "/a/.": 404} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.Path = path
		if web.Exact(mux).ServeHTTP(w, r); w.Code != status && !(status == 307 && w.Code == 301) {
			t.Errorf("%s: %d, want %d", path, w.Code, status)
		}
	}
}

func TestHandlerHidesWhatFailed(t *testing.T) {
	t.Parallel()
	for name, serve := range map[string]func(http.ResponseWriter, *http.Request) error{
		"an error": func(http.ResponseWriter, *http.Request) error { return errors.New("canary") },
		"a panic":  func(http.ResponseWriter, *http.Request) error { panic("canary") },
	} {
		var log bytes.Buffer
		w := httptest.NewRecorder()
		web.Handler{Logger: slog.New(slog.NewJSONHandler(&log, nil)), Serve: serve}.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Code < 500 || strings.Contains(w.Body.String(), "canary") || log.Len() == 0 {
			t.Errorf("%s: status %d, body %s, log %s", name, w.Code, w.Body, log.String())
		}
	}
}

func TestAddressTrustsOnlyTheProxies(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for _, tc := range []struct{ peer, forwarded, want string }{
		{"192.0.2.7:1234", "", "192.0.2.7"},
		{"192.0.2.7:1234", "203.0.113.9", "192.0.2.7"},
		{"10.0.0.1:1234", "203.0.113.9", "203.0.113.9"},
		{"10.0.0.1:1234", "198.51.100.1, 203.0.113.9, 10.0.0.2", "203.0.113.9"},
		{"10.0.0.1:1234", "garbage", "10.0.0.1"},
		{"[::ffff:192.0.2.7]:1", "", "192.0.2.7"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = tc.peer
		r.Header.Set("X-Forwarded-For", tc.forwarded)
		if got := web.Address(r, trusted); got.String() != tc.want {
			t.Errorf("peer %s, forwarded %q: %s, want %s", tc.peer, tc.forwarded, got, tc.want)
		}
	}
}

func TestServerFinishesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &web.Server{Name: "test", Listener: l, Logger: slog.New(slog.DiscardHandler), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stop() // the server is told to stop in the middle of this request
		if r.Context().Err() != nil {
			return
		}
		io.WriteString(w, "done")
	})}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	resp, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); string(b) != "done" {
		t.Errorf("body %q, want done", b)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
