// Package web is what every HTTP surface of Latchkey shares: problem documents,
// bounded JSON, the sender's address, and a server that stops cleanly.
package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path"
	"runtime/debug"
	"strings"
	"time"
)

const (
	// MaxBody is the largest request body that ReadJSON reads, in bytes.
	MaxBody = 16 << 10
	// MaxHeader is how much of a request may come before its body, in bytes.
	MaxHeader = 32 << 10
)

// Problem is an RFC 9457 problem document, and an error.
type Problem struct {
	Type   string `json:"type"` // "/problems/<name>", stable: programs decide by it
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"` // a plain sentence for a person
	// RetryAfter is sent as a header too, in whole seconds.
	RetryAfter int     `json:"retry_after,omitempty"`
	Faults     []Fault `json:"faults,omitempty"` // of single fields
	// Case tells problems of one type apart, and Values are what Detail speaks of, as name and
	// value in turn: for saying the same in another language.
	Case   string `json:"-"`
	Values []any  `json:"-"`
}

// Fault says why one field of a request cannot be taken.
type Fault struct {
	Field  string `json:"field"`
	Code   string `json:"code"`   // stable: programs and translations decide by it
	Detail string `json:"detail"` // a plain sentence for a person
}

func (p *Problem) Error() string { return p.Title + ": " + p.Detail }

// NewProblem makes a problem; name is the last part of its type.
func NewProblem(status int, name, title, detail string) *Problem {
	return &Problem{Type: "/problems/" + name, Title: title, Status: status, Detail: detail}
}

// After returns the problem with a time to wait, rounded up to seconds.
func (p Problem) After(d time.Duration) *Problem {
	p.RetryAfter = max(1, int((d+time.Second-1)/time.Second))
	return &p
}

// In returns the problem as a case of its type, with what its detail speaks of.
func (p Problem) In(name string, values ...any) *Problem {
	p.Case, p.Values = name, values
	return &p
}

// Write answers with the problem.
func (p *Problem) Write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(p.RetryAfter))
	}
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p)
}

// Problems that any endpoint may answer.
var (
	BadRequest  = NewProblem(http.StatusBadRequest, "bad-request", "Bad request", "The request cannot be read.")
	NotFound    = NewProblem(http.StatusNotFound, "not-found", "Not found", "There is nothing at this address for you.")
	TooLarge    = NewProblem(http.StatusRequestEntityTooLarge, "too-large", "Too large", "The request is larger than 16 KiB.")
	Unsupported = NewProblem(http.StatusUnsupportedMediaType, "unsupported-media-type", "Unsupported media type", "Send application/json.")
	Unavailable = NewProblem(http.StatusServiceUnavailable, "unavailable", "Try again", "The service cannot answer just now. Nothing was lost; try again in a moment.").After(2 * time.Second)
	Failed      = NewProblem(http.StatusInternalServerError, "internal", "Internal error", "Something went wrong on our side.")
)

// ReadJSON decodes one JSON object of at most MaxBody bytes, strictly: see DecodeObject.
func ReadJSON(w http.ResponseWriter, r *http.Request, into any) error {
	if ct, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); !strings.EqualFold(strings.TrimSpace(ct), "application/json") {
		return Unsupported
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return TooLarge
	}
	if err != nil {
		return BadRequest // broken off, or too slow
	}
	if err := DecodeObject(body, into); err != nil {
		return NewProblem(http.StatusBadRequest, "bad-request", "Bad request", "The body is not the JSON object that this endpoint takes: "+jsonFault(err))
	}
	return nil
}

// jsonFault says what is wrong without repeating what was sent.
func jsonFault(err error) string {
	if e := new(json.UnmarshalTypeError); errors.As(err, &e) && e.Field != "" && len(e.Field) < 64 {
		return "a field has the wrong type."
	}
	if strings.HasPrefix(err.Error(), "json: unknown field") {
		return "it has a field that is not known here."
	}
	if errors.Is(err, errLax) {
		return err.Error() + "."
	}
	return "it is not well formed."
}

// WriteJSON answers with v. Nothing of Latchkey's API may be cached.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

// Handler is an HTTP handler that may fail with a *Problem; any other error is
// logged and answered 503.
type Handler struct {
	Logger *slog.Logger
	Serve  func(w http.ResponseWriter, r *http.Request) error
	// Refuse answers with a problem: as a problem document if nil, as a page where people look.
	Refuse func(w http.ResponseWriter, r *http.Request, p *Problem)
}

func (h Handler) refuse(w http.ResponseWriter, r *http.Request, p *Problem) {
	if h.Refuse == nil {
		p.Write(w)
		return
	}
	h.Refuse(w, r, p)
}

func (h Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			h.Logger.Error("handler panicked", "route", r.Pattern, "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			h.refuse(w, r, Failed)
		}
	}()
	err := h.Serve(w, r)
	if err == nil {
		return
	}
	if p := new(Problem); errors.As(err, &p) {
		h.refuse(w, r, p)
		return
	}
	if r.Context().Err() == nil { // else the client went away, and nobody is to be woken
		h.Logger.Error("request failed", "route", r.Pattern, "error", err)
	}
	h.refuse(w, r, Unavailable)
}

// Address returns the sender's address. A X-Forwarded-For header counts only where the
// peer is one of the trusted proxies; then its last entry that is not one of them.
func Address(r *http.Request, trusted []netip.Prefix) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := peer.Addr().Unmap()
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && contains(trusted, addr); i-- {
		next, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		addr = next.Unmap()
	}
	return addr
}

func contains(prefixes []netip.Prefix, a netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Exact finds nothing at addresses that a ServeMux would redirect to their clean form: an
// API has one address for one thing, and a proof is for that one.
func Exact(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := r.URL.Path
		if clean := path.Clean(p); p != clean && p != clean+"/" || p == "" || p[0] != '/' {
			NotFound.Write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Server serves handler, at Exact addresses, on a listener until its context ends, then
// lets the requests under way finish for at most ten seconds. A handler that streams
// watches the service's own context, not the request's.
type Server struct {
	Name     string
	Listener net.Listener
	Handler  http.Handler
	Logger   *slog.Logger
}

// Run serves. It returns nil when ctx ended it.
func (s *Server) Run(ctx context.Context) error {
	srv := &http.Server{
		Handler: Exact(s.Handler), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: MaxHeader, ErrorLog: slog.NewLogLogger(s.Logger.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(s.Listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving %s: %w", s.Name, err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := srv.Shutdown(stop); err != nil {
		srv.Close()
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving %s: %w", s.Name, err)
	}
	return nil
}
