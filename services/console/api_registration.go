package console

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/access"
	"latchkey.dev/services/internal/web"
)

// codeAnswer is a registration code as the API tells it.
type codeAnswer struct {
	ID        uuid.UUID `json:"id"`
	Code      string    `json:"code,omitempty"`
	ExpiresAt time.Time `json:"expires_at"`
}

// registrations are the routes of the API about codes for lost phones.
func (c *Console) registrations() []route {
	code := func(name string, status int, do func(context.Context, access.Actor, uuid.UUID) (RegistrationCode, error)) func(http.ResponseWriter, *http.Request, person) error {
		return func(w http.ResponseWriter, r *http.Request, who person) error {
			id, err := pathID(r, name)
			if err != nil {
				return err
			}
			made, err := do(r.Context(), who.Actor, id)
			if err != nil {
				return err
			}
			web.WriteJSON(w, status, codeAnswer{made.ID, made.Code.Reveal(), made.ExpiresAt})
			return nil
		}
	}
	return []route{
		{"POST /v1/members/{id}/registration-codes", code("id", http.StatusCreated, c.MakeRegistrationCode)},
		{"GET /v1/registration-codes", c.getPendingCodes},
		{"POST /v1/registration-codes/{code}/approve", code("code", http.StatusOK, c.ApproveRegistrationCode)},
	}
}

func (c *Console) getPendingCodes(w http.ResponseWriter, r *http.Request, who person) error {
	waiting, err := c.PendingCodes(r.Context(), who.Actor)
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, map[string]any{"registration_codes": waiting})
	return nil
}
