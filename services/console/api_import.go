package console

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"latchkey.dev/services/access"
	"latchkey.dev/services/internal/web"
)

var errNotCSV = web.NewProblem(http.StatusUnsupportedMediaType, "unsupported-media-type", "Unsupported media type", "Send text/csv in UTF-8.")

// postImport imports people from a file, or judges it.
func (c *Console) postImport(w http.ResponseWriter, r *http.Request, who person) error {
	if !who.In(access.Import) {
		return errForbidden // before anything is said about what was sent
	}
	do := c.Import
	for name, values := range r.URL.Query() {
		dry, err := strconv.ParseBool(values[0])
		if name != "dry_run" || len(values) != 1 || err != nil {
			return errBadQuery
		}
		if dry {
			do = c.CheckImport
		}
	}
	file, err := readCSV(w, r)
	if err != nil {
		return err
	}
	report, err := do(r.Context(), who.Actor, file)
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, report)
	return nil
}

// readCSV reads a file that is a request's body.
func readCSV(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if charset := params["charset"]; err != nil || kind != "text/csv" || charset != "" && charset != "utf-8" && charset != "UTF-8" {
		return nil, errNotCSV
	}
	if err := unhurried(w); err != nil {
		return nil, err
	}
	file, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxImportBytes))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return nil, errFileTooLarge
	}
	if err != nil {
		return nil, web.BadRequest // broken off, or too slow
	}
	return file, nil
}

// uploadTime is how long a file may take to come.
const uploadTime = 2 * time.Minute

// unhurried lets a file come more slowly than other requests.
func unhurried(w http.ResponseWriter) error {
	err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(uploadTime))
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}
