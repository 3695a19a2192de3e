package login

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"latchkey.dev/schema"
	"latchkey.dev/services/internal/dpop"
	"latchkey.dev/services/internal/web"
)

// route is one endpoint of the public API.
type route struct {
	pattern string // "GET /v1/nonce"
	serve   func(http.ResponseWriter, *http.Request) error
}

// api is the whole public API: what schema/http/public.yaml describes.
func (l *Login) api() []route {
	return []route{
		{"GET /v1/openapi.yaml", getDescription},
		{"GET /v1/nonce", l.getNonce},
		{"POST /v1/sign-ins", l.postSignIn},
		{"POST /v1/device-checks", l.postDeviceCheck},
		{"GET /v1/challenges/{id}", l.getChallenge},
		{"POST /v1/challenges/{id}/texts", l.postText},
		{"POST /v1/challenges/{id}/entries", l.postEntry},
		{"POST /v1/challenges/{id}/tickets", l.postTicket},
		{"GET /v1/challenges/{id}/events", l.getEvents},
		{"GET /v1/session", l.getSession},
		{"DELETE /v1/session", l.deleteSession},
		{"PUT /v1/password", l.putPassword},
		{"GET /v1/devices", l.getDevices},
		{"PATCH /v1/devices/{id}", l.patchDevice},
		{"DELETE /v1/devices/{id}", l.deleteDevice},
		{"PUT /v1/members/{id}", l.putMember},
	}
}

func (l *Login) routes(mux *http.ServeMux) {
	handle := func(pattern string, serve func(http.ResponseWriter, *http.Request) error) {
		mux.Handle(pattern, web.Handler{Logger: l.o.Logger, Serve: serve})
	}
	for _, r := range l.api() {
		serve := r.serve
		if _, path, _ := strings.Cut(r.pattern, " "); path == "/v1/nonce" || strings.HasPrefix(path, "/v1/challenges/") {
			serve = l.shared(serve)
		}
		handle(r.pattern, serve)
	}
	handle("OPTIONS /v1/nonce", l.shared(preflight))
	handle("OPTIONS /v1/challenges/", l.shared(preflight))
	handle("/v1/", func(http.ResponseWriter, *http.Request) error { return web.NotFound })
}

// getDescription serves the OpenAPI document (RFC 9512).
func getDescription(w http.ResponseWriter, _ *http.Request) error {
	b, err := fs.ReadFile(schema.HTTP, "public.yaml")
	if err != nil {
		return fmt.Errorf("reading the API's description: %w", err)
	}
	w.Header().Set("Content-Type", "application/yaml")
	w.Header().Set("Cache-Control", "max-age=300")
	_, err = w.Write(b)
	return err
}

func (l *Login) getNonce(w http.ResponseWriter, r *http.Request) error {
	if err := l.freshNonce(r.Context(), w); err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (l *Login) freshNonce(ctx context.Context, w http.ResponseWriter) error {
	if err := l.timed(ctx); err != nil {
		return err
	}
	n, err := l.nonces.New()
	if err == nil {
		w.Header().Set("DPoP-Nonce", n)
	}
	return err
}

// prove verifies the request's DPoP proof for one of addresses, our own if none is
// given. A proof without a good nonce is answered with one (RFC 9449 section 8).
func (l *Login) prove(w http.ResponseWriter, r *http.Request, proof, method string, addresses ...string) (dpop.Proof, error) {
	if len(addresses) == 0 {
		addresses = []string{l.o.Origin + r.URL.EscapedPath()}
	}
	if err := l.timed(r.Context()); err != nil {
		return dpop.Proof{}, err
	}
	p, err := l.nonces.Verify(proof, method, addresses...)
	switch {
	case errors.Is(err, dpop.ErrUseNonce):
		if err := l.freshNonce(r.Context(), w); err != nil {
			return p, err
		}
		w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
		return p, web.NewProblem(http.StatusUnauthorized, "use-dpop-nonce", "A fresh nonce is needed", "Repeat the request with a proof that holds the nonce in the DPoP-Nonce header.")
	case err != nil:
		w.Header().Set("WWW-Authenticate", `DPoP error="invalid_dpop_proof"`)
		return p, web.NewProblem(http.StatusUnauthorized, "invalid-proof", "Invalid proof", err.Error())
	}
	return p, l.freshNonce(r.Context(), w)
}

// header returns the one value of a header, "" for none and for several.
func header(r *http.Request, name string) string {
	if v := r.Header.Values(name); len(v) == 1 {
		return v[0]
	}
	return ""
}

// software is an application of the installation that people sign in to.
type software struct {
	ID, Kind, Name string
	Addresses      []string
}

func (l *Login) loadSoftwares(ctx context.Context) (map[string]software, error) {
	rows, err := l.q.SoftwareRead(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the softwares: %w", err)
	}
	all := make(map[string]software, len(rows))
	for _, r := range rows {
		all[r.ID] = software{r.ID, r.Kind, r.Name, r.Addresses}
	}
	return all, nil
}

func (l *Login) software(ctx context.Context, id string) (software, error) {
	all, err := l.softwares.get(ctx)
	if err != nil {
		return software{}, err
	}
	s, ok := all[id]
	if !ok {
		return software{}, web.NewProblem(http.StatusBadRequest, "unknown-software", "Unknown software", "The software is not one of this installation's.")
	}
	return s, nil
}

// addresses are where a proof for s may be made: registered ones, and ours.
func (s software) addresses(ours string) []string { return append(slices.Clone(s.Addresses), ours) }

// apiKey is a product's right to act for one account.
type apiKey struct {
	id, account uuid.UUID
	until       time.Time
}

var errNoKey = web.NewProblem(http.StatusUnauthorized, "api-key", "API key needed", "Send a key of this installation as Authorization: Bearer.")

// apiKeyLife is how long a key is believed before it is looked up again.
const apiKeyLife = time.Second

func (l *Login) apiKey(r *http.Request) (apiKey, error) {
	token, ok := bearer(r)
	if !ok {
		return apiKey{}, errNoKey
	}
	digest := sha256.Sum256([]byte(token))
	if k, ok := l.apiKeys.Load(digest); ok && l.o.Now().Before(k.(apiKey).until) {
		return k.(apiKey), nil
	}
	row, err := l.q.APIKeyRead(r.Context(), digest[:])
	if errors.Is(err, pgx.ErrNoRows) {
		l.apiKeys.Delete(digest)
		return apiKey{}, errNoKey
	}
	if err != nil {
		return apiKey{}, fmt.Errorf("reading an API key: %w", err)
	}
	k := apiKey{row.ID, row.AccountID, l.o.Now().Add(apiKeyLife)}
	l.apiKeys.Store(digest, k)
	return k, nil
}

func bearer(r *http.Request) (string, bool) {
	kind, token, ok := strings.Cut(header(r, "Authorization"), " ")
	return token, ok && strings.EqualFold(kind, "Bearer") && token != "" && len(token) <= 256
}

// pathID reads the {id} of a route; what is no id is not found.
func pathID(r *http.Request) (uuid.UUID, error) {
	s := r.PathValue("id")
	id, err := uuid.Parse(s)
	if err != nil || len(s) != 36 {
		return uuid.Nil, web.NotFound
	}
	return id, nil
}
