package console

import (
	"net/http"
	"strconv"

	"latchkey.dev/services/access"
	"latchkey.dev/services/internal/web"
)

// getOptions is GET /v1/options.
func (c *Console) getOptions(w http.ResponseWriter, r *http.Request, who person) error {
	return c.answerOptions(w, r, who.Actor)
}

// patchOptions is PATCH /v1/options.
func (c *Console) patchOptions(w http.ResponseWriter, r *http.Request, who person) error {
	if !who.In(access.ChangeOptions) {
		return errForbidden
	}
	version, err := ifMatch(r)
	if err != nil {
		return err
	}
	var in OptionsUpdate
	if err := web.ReadJSON(w, r, &in); err != nil {
		return err
	}
	if err := c.ChangeOptions(r.Context(), who.Actor, version, in); err != nil {
		return err
	}
	return c.answerOptions(w, r, who.Actor)
}

func (c *Console) answerOptions(w http.ResponseWriter, r *http.Request, by access.Actor) error {
	o, err := c.ReadOptions(r.Context(), by)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", strconv.Quote(strconv.Itoa(o.Version)))
	web.WriteJSON(w, http.StatusOK, o)
	return nil
}
