package console

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/access"
	"latchkey.dev/services/device"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/words"
)

// shownDevice is a registration as a page shows it.
type shownDevice struct {
	Device
	What string // browser and system
}

// may says which actions a page offers.
type may struct{ Update, Unlock, Reset, Revoke, Deactivate, Reactivate, Assign, ShowNumber, Export, Erase, Code bool }

type personView struct {
	view
	Member                 Member
	RoleWord, LanguageName string
	Client                 bool
	Devices                []shownDevice
	Assigned               []Assigned
	Export                 uuid.UUID // that the visitor asked for; Nil for none
	May                    may
}

// Exported reports whether the visitor has an export to go back to.
func (v personView) Exported() bool { return v.Export != uuid.Nil }

// personPage shows a person, the devices, and what can be done.
func (c *Console) personPage(v *visit) error {
	return v.person(http.StatusOK, "")
}

// person shows a person, with what went wrong.
func (v *visit) person(status int, alert string) error {
	ctx, by := v.r.Context(), v.who.Actor
	id, err := pathID(v.r, "id")
	if err != nil {
		return err
	}
	m, err := v.c.readMember(ctx, by, id, access.See)
	if err != nil {
		return err
	}
	data := personView{Member: m.shown(), RoleWord: roleWord(v.lang(), device.Role(m.Role)), Client: m.Role == string(device.Client)}
	if l, ok := words.Parse(data.Member.Language); ok {
		data.LanguageName = l.Name()
	}
	to := func(a access.Action) bool { return by.To(a, m.target()) }
	data.May = may{to(access.Update), to(access.Unlock), to(access.ResetPassword), to(access.RevokeDevice), to(access.Deactivate), to(access.Reactivate), to(access.Assign),
		to(access.ShowNumber), to(access.ExportPerson), to(access.Erase), to(access.RegistrationCode)}
	devices, err := v.c.Devices(ctx, by, id)
	if err != nil {
		return err
	}
	for _, d := range devices {
		data.Devices = append(data.Devices, shown(d))
	}
	if data.Client {
		if data.Assigned, err = v.c.AssignedStaff(ctx, by, id); err != nil {
			return err
		}
	}
	if data.May.Export {
		if data.Export, err = v.c.latestExport(ctx, by, id); err != nil {
			return err
		}
	}
	if data.view, err = v.view(v.called(data.Member), at(m)); err != nil {
		return err
	}
	if key, ok := doneWords[v.r.URL.Query().Get("done")]; ok && alert == "" {
		data.Notice = v.lang().Say(key)
	}
	data.Alert = alert
	return render(v.w, status, "person", data)
}

// shown gives a registration a name, and says what it was when it was last used.
func shown(d Device) shownDevice {
	browser, system := d.Seen.Names()
	what := slices.DeleteFunc([]string{browser, system}, func(s string) bool { return s == "" })
	out := shownDevice{d, strings.Join(what, ", ")}
	if out.SoftwareName == "" {
		out.SoftwareName = d.Software
	}
	if out.Name == "" {
		out.Name = out.SoftwareName
	}
	return out
}

// did answers a form about a person: with the person's page, and what went well or why not.
func (v *visit) did(done string, err error) error {
	if said, p := v.refusal(err); said != "" {
		return v.person(p.Status, said)
	}
	if err != nil {
		return err
	}
	return v.to("/people/" + v.r.PathValue("id") + "?done=" + done)
}

// refusal is what a page says of a problem; "" where it has no sentence for it.
func (v *visit) refusal(err error) (said string, p *web.Problem) {
	if !errors.As(err, &p) {
		return "", nil
	}
	if key, ok := refusalWords[p.Type]; ok {
		said = v.lang().Say(key)
	}
	for _, sentence := range faultsIn(v.lang(), p) {
		said = sentence
	}
	return said, p
}

// personForm does one thing to a person.
func (c *Console) personForm(done string, do func(context.Context, access.Actor, uuid.UUID) error) func(*visit) error {
	return func(v *visit) error {
		id, err := pathID(v.r, "id")
		if err != nil {
			return err
		}
		return v.did(done, do(v.r.Context(), v.who.Actor, id))
	}
}

func (c *Console) resetForm(v *visit) error {
	id, err := pathID(v.r, "id")
	if err != nil {
		return err
	}
	made, err := c.ResetPassword(v.r.Context(), v.who.Actor, id)
	if err != nil {
		return v.did("", err)
	}
	m, err := c.readMember(v.r.Context(), v.who.Actor, id, access.ResetPassword)
	if err != nil {
		return err
	}
	return v.handOut(Created{ID: id, UserID: text(m.UserID), Password: made}, text(m.Language), at(m))
}

func (c *Console) linkForm(v *visit) error {
	id, err := pathID(v.r, "id")
	if err != nil {
		return err
	}
	made, err := c.MakePasswordLink(v.r.Context(), v.who.Actor, id)
	if err != nil {
		return v.did("", err)
	}
	m, err := c.readMember(v.r.Context(), v.who.Actor, id, access.ResetPassword)
	if err != nil {
		return err
	}
	base, err := v.view(v.lang().Say("people:link.title"), at(m))
	if err != nil {
		return err
	}
	return render(v.w, http.StatusOK, "link", linkView{base, id.String(), v.called(m.shown()), made.Address.Reveal(), made.ExpiresAt})
}

// linkView shows a link, this once.
type linkView struct {
	view
	ID, Who, Address string
	Until            time.Time
}

func (c *Console) revokeForm(v *visit) error {
	id, err := pathID(v.r, "id")
	if err != nil {
		return err
	}
	if v.field("device") == "all" {
		return v.did("revoked", c.RevokeAllDevices(v.r.Context(), v.who.Actor, id))
	}
	one, err := uuid.Parse(v.field("device"))
	if err != nil {
		return web.NotFound
	}
	return v.did("revoked", c.RevokeDevice(v.r.Context(), v.who.Actor, id, one))
}

// assignForm assigns a client to the staff of a user ID.
func (c *Console) assignForm(v *visit) error {
	id, err := pathID(v.r, "id")
	if err != nil {
		return err
	}
	name := v.field("staff")
	found, _, err := c.List(v.r.Context(), v.who.Actor, Search{Roles: staffRoles, Text: name}) // the shortest that begins so is among the first
	if err != nil {
		return err
	}
	at := slices.IndexFunc(found, func(l Listed) bool { return strings.EqualFold(l.UserID, name) })
	if name == "" || at < 0 {
		return v.did("", errNotAssignable)
	}
	return v.did("saved", c.Assign(v.r.Context(), v.who.Actor, id, found[at].ID))
}

func (c *Console) unassignForm(v *visit) error {
	id, err := pathID(v.r, "id")
	if err != nil {
		return err
	}
	staff, err := uuid.Parse(v.field("staff"))
	if err != nil {
		return web.NotFound
	}
	return v.did("saved", c.Unassign(v.r.Context(), v.who.Actor, id, staff))
}
