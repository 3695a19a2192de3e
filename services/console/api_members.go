package console

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/access"
	"latchkey.dev/services/device"
	"latchkey.dev/services/internal/web"
)

var (
	errNoVersion = web.NewProblem(http.StatusPreconditionRequired, "precondition-required", "Say what you saw", "Send the ETag of what you saw as If-Match, or * to change whatever is there.")
	errBadQuery  = web.NewProblem(http.StatusBadRequest, "bad-query", "Cannot be searched for", "A parameter of the address is not one that this list takes.")
)

// membersAnswer is a page of people.
type membersAnswer struct {
	Members []Listed `json:"members"`
	Next    string   `json:"next,omitempty"` // cursor of the next page; absent on the last one
}

// madeAnswer is a person who was made, with what is shown once.
type madeAnswer struct {
	ID       uuid.UUID `json:"id"`
	UserID   string    `json:"user_id,omitempty"`
	Password string    `json:"password,omitempty"`
	Repeated bool      `json:"repeated"` // an earlier request with the same key made the person
}

type passwordAnswer struct {
	Password string `json:"password"`
}

type devicesAnswer struct {
	Devices []Device `json:"devices"`
}

type assignmentsAnswer struct {
	Staff []Assigned `json:"staff"`
}

func (c *Console) getMembers(w http.ResponseWriter, r *http.Request, who person) error {
	s, err := searchOf(r.URL.Query())
	if err != nil {
		return err
	}
	page, more, err := c.List(r.Context(), who.Actor, s)
	if err != nil {
		return err
	}
	writeMembers(w, page, more)
	return nil
}

// getOwnClients answers GET /v1/me/clients.
func (c *Console) getOwnClients(w http.ResponseWriter, r *http.Request, who person) error {
	q := r.URL.Query()
	for name := range q {
		if name != "cursor" && name != "limit" {
			return errBadQuery
		}
	}
	s, err := searchOf(q)
	if err != nil {
		return err
	}
	page, more, err := c.OwnClients(r.Context(), who.Actor, s.After, s.Most)
	if err != nil {
		return err
	}
	writeMembers(w, page, more)
	return nil
}

func writeMembers(w http.ResponseWriter, page []Listed, more bool) {
	out := membersAnswer{Members: page}
	if page == nil {
		out.Members = []Listed{}
	}
	if more {
		out.Next = cursor(page[len(page)-1])
	}
	web.WriteJSON(w, http.StatusOK, out)
}

// searchOf reads what a list is asked for. Every parameter may come once, but role.
func searchOf(q url.Values) (s Search, err error) {
	flags := map[string]*bool{"no_number": &s.NoNumber, "no_device": &s.NoDevice, "locked": &s.Locked, "deactivated": &s.Deactivated}
	for name, values := range q {
		if len(values) != 1 && name != "role" {
			return s, errBadQuery
		}
		switch v := values[0]; name {
		case "search":
			s.Text = v
		case "role":
			for _, one := range values {
				if !slices.Contains(device.Roles, device.Role(one)) {
					return s, errBadQuery
				}
				s.Roles = append(s.Roles, device.Role(one))
			}
		case "cursor":
			s.After, err = placeOf(v)
		case "limit":
			if s.Most, err = strconv.Atoi(v); err == nil && (s.Most < 1 || s.Most > 500) {
				err = errBadQuery
			}
		default:
			flag := flags[name]
			if flag == nil {
				return s, errBadQuery
			}
			*flag, err = strconv.ParseBool(v)
		}
		if err != nil {
			return s, errBadQuery
		}
	}
	return s, nil
}

// cursor names the place after somebody in a list. It holds nothing that the list does not show.
func cursor(last Listed) string {
	b, err := json.Marshal(Place{last.UserID, last.ID})
	if err != nil {
		panic(fmt.Sprintf("console: a cursor was not written: %v", err)) // it is text and an id
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func placeOf(cursor string) (p Place, err error) {
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		err = web.DecodeObject(b, &p)
	}
	return p, err
}

func (c *Console) postMembers(w http.ResponseWriter, r *http.Request, who person) error {
	var in NewMember
	if err := web.ReadJSON(w, r, &in); err != nil {
		return err
	}
	key, given := "", r.Header.Values("Idempotency-Key")
	if len(given) > 0 {
		if key = given[0]; len(given) > 1 || key == "" {
			return errBadOnce
		}
	}
	made, err := c.CreateMember(r.Context(), who.Actor, in, key)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/v1/members/"+made.ID.String())
	web.WriteJSON(w, http.StatusCreated, madeAnswer{made.ID, made.UserID, made.Password.Reveal(), made.Repeated})
	return nil
}

func (c *Console) patchMember(w http.ResponseWriter, r *http.Request, who person) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	if _, err := c.readMember(r.Context(), who.Actor, id, access.Update); err != nil {
		return err // before anything is said about what was sent
	}
	version, err := ifMatch(r)
	if err != nil {
		return err
	}
	var in MemberUpdate
	if err := web.ReadJSON(w, r, &in); err != nil {
		return err
	}
	if err := c.UpdateMember(r.Context(), who.Actor, id, version, in); err != nil {
		return err
	}
	return c.getMember(w, r, who)
}

// ifMatch reads the version that an update names; 0 for any (RFC 9110 section 13.1.1).
func ifMatch(r *http.Request) (int, error) {
	all := r.Header.Values("If-Match")
	if len(all) == 0 {
		return 0, errNoVersion
	}
	if len(all) == 1 && all[0] == "*" {
		return 0, nil
	}
	text, opened := strings.CutPrefix(all[0], `"`)
	text, closed := strings.CutSuffix(text, `"`)
	n, err := strconv.Atoi(text)
	if len(all) > 1 || !opened || !closed || err != nil || n < 1 {
		return 0, errChanged // no state has this name
	}
	return n, nil
}

// onMember serves a route that does one thing to a person and has nothing to say.
func onMember(do func(*http.Request, access.Actor, uuid.UUID) error) func(http.ResponseWriter, *http.Request, person) error {
	return func(w http.ResponseWriter, r *http.Request, who person) error {
		id, err := pathID(r, "id")
		if err != nil {
			return err
		}
		if err := do(r, who.Actor, id); err != nil {
			return err
		}
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

// onPart is onMember for something of a person: a device, a place among somebody's clients.
func onPart(name string, do func(*http.Request, access.Actor, uuid.UUID, uuid.UUID) error) func(http.ResponseWriter, *http.Request, person) error {
	return onMember(func(r *http.Request, by access.Actor, id uuid.UUID) error {
		part, err := pathID(r, name)
		if err != nil {
			return err
		}
		return do(r, by, id, part)
	})
}

func (c *Console) postPassword(w http.ResponseWriter, r *http.Request, who person) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	made, err := c.ResetPassword(r.Context(), who.Actor, id)
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, passwordAnswer{made.Reveal()})
	return nil
}

// linkAnswer is what POST /v1/members/{id}/password-link answers.
type linkAnswer struct {
	Address   string    `json:"address"`
	ExpiresAt time.Time `json:"expires_at"`
}

func (c *Console) postPasswordLink(w http.ResponseWriter, r *http.Request, who person) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	made, err := c.MakePasswordLink(r.Context(), who.Actor, id)
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, linkAnswer{made.Address.Reveal(), made.ExpiresAt})
	return nil
}

func (c *Console) getDevices(w http.ResponseWriter, r *http.Request, who person) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	all, err := c.Devices(r.Context(), who.Actor, id)
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, devicesAnswer{all})
	return nil
}

func (c *Console) getAssignments(w http.ResponseWriter, r *http.Request, who person) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	all, err := c.AssignedStaff(r.Context(), who.Actor, id)
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, assignmentsAnswer{all})
	return nil
}

// members are the routes about people.
func (c *Console) members() []route {
	return []route{
		{"GET /v1/me/clients", c.getOwnClients},
		{"GET /v1/members", c.getMembers},
		{"POST /v1/members", c.postMembers},
		{"POST /v1/members/import", c.postImport},
		{"GET /v1/members/export", c.getMembersExport},
		{"GET /v1/members/{id}", c.getMember},
		{"PATCH /v1/members/{id}", c.patchMember},
		{"POST /v1/members/{id}/deactivate", onMember(func(r *http.Request, by access.Actor, id uuid.UUID) error { return c.Deactivate(r.Context(), by, id) })},
		{"POST /v1/members/{id}/reactivate", onMember(func(r *http.Request, by access.Actor, id uuid.UUID) error { return c.Reactivate(r.Context(), by, id) })},
		{"POST /v1/members/{id}/unlock", onMember(func(r *http.Request, by access.Actor, id uuid.UUID) error { return c.Unlock(r.Context(), by, id) })},
		{"POST /v1/members/{id}/password", c.postPassword},
		{"POST /v1/members/{id}/password-link", c.postPasswordLink},
		{"GET /v1/members/{id}/assignments", c.getAssignments},
		{"PUT /v1/members/{id}/assignments/{staff}", onPart("staff", func(r *http.Request, by access.Actor, id, staff uuid.UUID) error {
			return c.Assign(r.Context(), by, id, staff)
		})},
		{"DELETE /v1/members/{id}/assignments/{staff}", onPart("staff", func(r *http.Request, by access.Actor, id, staff uuid.UUID) error {
			return c.Unassign(r.Context(), by, id, staff)
		})},
		{"GET /v1/members/{id}/devices", c.getDevices},
		{"DELETE /v1/members/{id}/devices", onMember(func(r *http.Request, by access.Actor, id uuid.UUID) error {
			return c.RevokeAllDevices(r.Context(), by, id)
		})},
		{"DELETE /v1/members/{id}/devices/{device}", onPart("device", func(r *http.Request, by access.Actor, id, registration uuid.UUID) error {
			return c.RevokeDevice(r.Context(), by, id, registration)
		})},
	}
}
