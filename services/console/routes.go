package console

import (
	"fmt"
	"io/fs"
	"net/http"
	"slices"

	"github.com/google/uuid"

	"latchkey.dev/schema"
	"latchkey.dev/services/access"
	"latchkey.dev/services/device"
	"latchkey.dev/services/internal/web"
)

// route is one endpoint of the console's API. It acts in the account of who asks.
type route struct {
	pattern string // "GET /v1/members/{id}"
	serve   func(http.ResponseWriter, *http.Request, person) error
}

// api is the whole API: what schema/http/console.yaml describes.
func (c *Console) api() []route {
	return slices.Concat([]route{{"GET /v1/me", c.getMe}, {"GET /v1/options", c.getOptions}, {"PATCH /v1/options", c.patchOptions}}, c.members(), c.registrations(), c.privacy(), c.steers())
}

func (c *Console) routes(mux *http.ServeMux) {
	handle := func(pattern string, serve func(http.ResponseWriter, *http.Request) error) {
		mux.Handle(pattern, web.Handler{Logger: c.o.Logger, Serve: serve})
	}
	handle("GET /v1/openapi.yaml", getDescription)
	for _, r := range c.api() {
		handle(r.pattern, func(w http.ResponseWriter, req *http.Request) error {
			who, err := c.byBearer(req)
			if err != nil {
				return err
			}
			return r.serve(w, req, who)
		})
	}
	handle("/v1/", func(http.ResponseWriter, *http.Request) error { return web.NotFound })
}

// getDescription serves the OpenAPI document (RFC 9512).
func getDescription(w http.ResponseWriter, _ *http.Request) error {
	b, err := fs.ReadFile(schema.HTTP, "console.yaml")
	if err != nil {
		return fmt.Errorf("reading the API's description: %w", err)
	}
	w.Header().Set("Content-Type", "application/yaml")
	w.Header().Set("Cache-Control", "max-age=300")
	_, err = w.Write(b)
	return err
}

// me is GET /v1/me: who asks.
type me struct {
	Kind    access.Kind `json:"kind"` // member, key
	ID      uuid.UUID   `json:"id"`
	Account uuid.UUID   `json:"account"`
	Role    device.Role `json:"role,omitempty"` // of a member

	Operator bool `json:"operator,omitempty"` // a member with the operator right, in a session where it counts
}

func (c *Console) getMe(w http.ResponseWriter, _ *http.Request, who person) error {
	web.WriteJSON(w, http.StatusOK, me{who.Kind, who.ID, who.Account, who.Role, who.Operates})
	return nil
}

func (c *Console) getMember(w http.ResponseWriter, r *http.Request, who person) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	m, err := c.Member(r.Context(), who.Actor, id)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", m.etag())
	web.WriteJSON(w, http.StatusOK, m)
	return nil
}

// etag names the state of a person that an update has seen (RFC 9110 section 8.8.3).
func (m Member) etag() string { return fmt.Sprintf(`"%d"`, m.Version) }

// text is what may be missing.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
