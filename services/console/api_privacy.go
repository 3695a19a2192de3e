package console

import (
	"fmt"
	"io"
	"net/http"

	"github.com/google/uuid"

	"latchkey.dev/services/access"
	"latchkey.dev/services/internal/details"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/words"
)

// eraseRequest confirms an erasure.
type eraseRequest struct {
	Confirm string `json:"confirm"` // the person's user ID, or the id of somebody who has none
}

// privacy are the routes about what is held of a person.
func (c *Console) privacy() []route {
	return []route{
		{"POST /v1/members/{id}/number", c.postNumber},
		{"POST /v1/members/{id}/export", c.postExport},
		{"POST /v1/members/{id}/erase", c.postErase},
		{"GET /v1/jobs/{job}", c.getJob},
		{"GET /v1/jobs/{job}/export", c.getExport},
	}
}

func (c *Console) postNumber(w http.ResponseWriter, r *http.Request, who person) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	shown, err := c.ShowNumber(r.Context(), who.Actor, id)
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, shown)
	return nil
}

func (c *Console) postExport(w http.ResponseWriter, r *http.Request, who person) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	job, err := c.RequestExport(r.Context(), who.Actor, id)
	return c.accepted(w, r, who, job, err)
}

func (c *Console) postErase(w http.ResponseWriter, r *http.Request, who person) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	if _, err := c.readMember(r.Context(), who.Actor, id, access.Erase); err != nil {
		if _, before := c.erasure(r.Context(), who.Actor, id); before != nil {
			return err // before anything is said about what was sent
		}
	}
	var in eraseRequest
	if err := web.ReadJSON(w, r, &in); err != nil {
		return err
	}
	job, err := c.RequestErase(r.Context(), who.Actor, id, in.Confirm)
	return c.accepted(w, r, who, job, err)
}

// accepted answers with a job that was asked for.
func (c *Console) accepted(w http.ResponseWriter, r *http.Request, who person, id uuid.UUID, err error) error {
	if err != nil {
		return err
	}
	j, err := c.PrivacyJob(r.Context(), who.Actor, id)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/v1/jobs/"+id.String())
	web.WriteJSON(w, http.StatusAccepted, j)
	return nil
}

func (c *Console) getJob(w http.ResponseWriter, r *http.Request, who person) error {
	id, err := pathID(r, "job")
	if err != nil {
		return err
	}
	j, err := c.PrivacyJob(r.Context(), who.Actor, id)
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, j)
	return nil
}

func (c *Console) getExport(w http.ResponseWriter, r *http.Request, who person) error {
	id, err := pathID(r, "job")
	if err != nil {
		return err
	}
	q := r.URL.Query()
	for name, values := range q {
		if len(values) != 1 || name != "format" && name != "language" {
			return errBadQuery
		}
	}
	format := details.Format(q.Get("format"))
	if !q.Has("format") {
		format = details.JSON
	}
	lang, known := words.Parse(q.Get("language"))
	if format != details.JSON && format != details.HTML || q.Has("language") && !known {
		return errBadQuery
	}
	return c.download(w, r, who.Actor, id, format, lang)
}

// download sends an export as a file. One that breaks off is seen to be broken.
func (c *Console) download(w http.ResponseWriter, r *http.Request, by access.Actor, job uuid.UUID, format details.Format, lang words.Language) error {
	body, err := c.OpenExport(r.Context(), by, job, format, lang)
	if err != nil {
		return err
	}
	defer body.Close()
	h := w.Header()
	h.Set("Content-Type", format.ContentType())
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="export-%s.%s"`, job, format))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if _, err := io.Copy(w, body); err != nil {
		if r.Context().Err() == nil {
			c.o.Logger.ErrorContext(r.Context(), "an export broke off", "job", job, "error", err)
		}
		panic(http.ErrAbortHandler)
	}
	return nil
}
