package console

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	queries "latchkey.dev/queries/console"
	"latchkey.dev/services/access"
	"latchkey.dev/services/device"
	"latchkey.dev/services/event"
)

// exportGroup is how many people of a list are held at a time.
const exportGroup = 500

// ListExport is a list of people that is taken away as a file. That it is was told when it
// was made.
type ListExport struct {
	People int // how many there were then

	c  *Console
	by access.Actor
	s  Search
}

// ExportList counts the people whom a search finds and tells that they are taken away, all
// pages of them. Nothing is given out before that is on record.
func (c *Console) ExportList(ctx context.Context, by access.Actor, s Search) (*ListExport, error) {
	if !by.In(access.List) {
		return nil, errForbidden
	}
	s.After, s.Most = Place{}, exportGroup
	e := &ListExport{c: c, by: by, s: s}
	for more := s.possible(); more; {
		page, err := c.placed(ctx, by, s)
		if err != nil {
			return nil, fmt.Errorf("counting people: %w", err)
		}
		if more = len(page) > exportGroup; more {
			page = page[:exportGroup]
			last := page[exportGroup-1]
			s.After = Place{last.Name, last.ID}
		}
		e.People += len(page)
	}
	told := event.PeopleExported{Account: by.Account, People: min(e.People, 99_999), Roles: []string{}, Searched: s.Text != "",
		NoNumber: s.NoNumber, NoDevice: s.NoDevice, Locked: s.Locked, Deactivated: s.Deactivated, By: by.By()}
	for _, r := range device.Roles {
		if len(s.Roles) == 0 || slices.Contains(s.Roles, r) {
			told.Roles = append(told.Roles, string(r))
		}
	}
	return e, c.change(ctx, by.Account, []event.Data{told}, func(*queries.Queries) error { return nil })
}

// Write writes the list as CSV, as an import takes it. It has no whole number or address.
func (e *ListExport) Write(ctx context.Context, w io.Writer) error {
	var b bytes.Buffer
	b.WriteString("\ufeff") // without it spreadsheets take the text for another encoding
	b.WriteString(strings.Join(slices.Concat(readColumns, shownColumns), ",") + "\r\n")
	s := e.s
	for more := true; more; {
		var page []Listed
		var err error
		if page, more, err = e.c.List(ctx, e.by, s); err != nil {
			return err
		}
		for _, p := range page {
			p.write(&b)
			s.After = Place{p.UserID, p.ID}
		}
		if _, err := b.WriteTo(w); err != nil {
			return fmt.Errorf("writing a list: %w", err)
		}
	}
	return nil
}

// write adds a line about a person.
func (p Listed) write(b *bytes.Buffer) {
	yes := map[bool]string{true: "yes", false: "no"}
	number, address := "", ""
	if p.LastTwo != "" {
		number = p.Country + " " + onFile + " " + p.LastTwo
	}
	if p.HasEmail {
		address = onFile
	}
	for i, cell := range []string{p.ID.String(), string(p.Role), p.UserID, number, address, p.Language,
		yes[p.HasPassword], strconv.Itoa(p.Devices), yes[p.Locked], yes[p.Deactivated], p.CreatedAt.UTC().Format(time.RFC3339)} {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(inert(cell))
	}
	b.WriteString("\r\n")
}

// sendList answers with a list of people as a file. One that breaks off is seen to be broken.
func (c *Console) sendList(w http.ResponseWriter, r *http.Request, by access.Actor, name string, s Search) error {
	e, err := c.ExportList(r.Context(), by, s)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-%s.csv"`, name, c.o.Now().UTC().Format(time.DateOnly)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if err := e.Write(r.Context(), w); err != nil {
		if r.Context().Err() == nil {
			c.o.Logger.ErrorContext(r.Context(), "an export of a list broke off", "error", err)
		}
		panic(http.ErrAbortHandler)
	}
	return nil
}

// getMembersExport answers GET /v1/members/export.
func (c *Console) getMembersExport(w http.ResponseWriter, r *http.Request, who person) error {
	q := r.URL.Query()
	s, err := searchOf(q)
	if err != nil {
		return err
	}
	if q.Has("cursor") || q.Has("limit") {
		return errBadQuery
	}
	return c.sendList(w, r, who.Actor, "people", s)
}

// listExport sends a list as it was searched.
func (c *Console) listExport(at string) func(*visit) error {
	return func(v *visit) error {
		s, _ := listSearch(at, v.r.PostForm)
		s.After = Place{}
		return c.sendList(v.w, v.r, v.who.Actor, at, s)
	}
}
