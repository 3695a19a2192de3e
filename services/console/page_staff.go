package console

import (
	"net/http"

	"github.com/google/uuid"

	"latchkey.dev/services/device"
)

type listView struct {
	view
	Search string
	People []Listed
	More   *Place // where the next page begins after; nil on the last one
}

// staffRoles are all roles but the client's.
var staffRoles = []device.Role{device.Owner, device.Administrator, device.Supervisor, device.Provider}

// staffPage lists the staff of the account.
func (c *Console) staffPage(v *visit) error {
	q := v.r.URL.Query()
	after, _ := uuid.Parse(q.Get("after_id")) // the first page where it is no id
	people, more, err := c.List(v.r.Context(), v.who.Actor, Search{Roles: staffRoles, Prefix: q.Get("search"), After: Place{q.Get("after"), after}})
	if err != nil {
		return err
	}
	base, err := v.view("Staff", "staff")
	if err != nil {
		return err
	}
	data := listView{view: base, Search: q.Get("search"), People: people}
	if more {
		last := people[len(people)-1]
		data.More = &Place{last.UserID, last.ID}
	}
	return render(v.w, http.StatusOK, "staff", data)
}
