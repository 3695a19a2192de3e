package console

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/google/uuid"

	"latchkey.dev/services/access"
	"latchkey.dev/services/device"
)

// staffRoles are all roles but the client's.
var staffRoles = []device.Role{device.Owner, device.Administrator, device.Supervisor, device.Provider}

// listed is a row of a list.
type listed struct {
	Listed
	RoleWord string
}

type listView struct {
	view
	Path    string // "/staff", "/clients"
	Staff   bool
	Search  Search
	Role    string // "" for all
	Roles   []choice
	People  []listed
	More    string // address of the next page; "" on the last one
	CanMake bool
	Asked   []choice // what the list was asked for
}

// listPage lists staff or clients.
func (c *Console) listPage(at string) func(*visit) error {
	return func(v *visit) error {
		q, lang := v.r.URL.Query(), v.lang()
		s, role := listSearch(at, q)
		data := listView{Path: "/" + at, Staff: at == "staff", CanMake: v.who.To(access.Create, access.Target{Role: device.Client})}
		title := lang.Say("console:nav.clients")
		if data.Staff {
			title = lang.Say("console:nav.staff")
			data.Roles, data.Role = roleChoices(lang, staffRoles), string(role)
		}
		people, more, err := c.List(v.r.Context(), v.who.Actor, s)
		if err != nil {
			return err
		}
		if data.view, err = v.view(title, at); err != nil {
			return err
		}
		data.Search = s
		for name, values := range known(q) {
			if name != "after" && name != "after_id" {
				data.Asked = append(data.Asked, choice{name, values[0]})
			}
		}
		for _, p := range people {
			data.People = append(data.People, listed{p, roleWord(lang, p.Role)})
		}
		if more {
			last := people[len(people)-1]
			q.Set("after", last.UserID)
			q.Set("after_id", last.ID.String())
			data.More = data.Path + "?" + known(q).Encode()
		}
		return render(v.w, http.StatusOK, "list", data)
	}
}

// listSearch reads what a page of staff or clients is asked for, and the one role that is, if any.
func listSearch(at string, q url.Values) (s Search, role device.Role) {
	after, _ := uuid.Parse(q.Get("after_id")) // the first page where it is no id
	s = Search{Roles: []device.Role{device.Client}, Text: q.Get("search"), NoNumber: q.Has("no_number"), NoDevice: q.Has("no_device"),
		Locked: q.Has("locked"), Deactivated: q.Has("deactivated"), After: Place{q.Get("after"), after}}
	if at == "staff" {
		s.Roles = staffRoles
		if one := device.Role(q.Get("role")); slices.Contains(staffRoles, one) {
			s.Roles, role = []device.Role{one}, one
		}
	}
	return s, role
}

// known leaves out of an address what no list asks for.
func known(q url.Values) url.Values {
	all := url.Values{}
	for _, name := range []string{"search", "role", "no_number", "no_device", "locked", "deactivated", "after", "after_id"} {
		if q.Has(name) {
			all.Set(name, q.Get(name))
		}
	}
	return all
}
