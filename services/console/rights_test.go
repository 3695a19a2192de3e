package console_test

import (
	"testing"

	"github.com/google/uuid"

	"latchkey.dev/services/access"
	"latchkey.dev/services/console"
	"latchkey.dev/services/device"
)

// operations are all that can be done to a person.
func (c *clinic) operations(by access.Actor, id uuid.UUID) map[string]error {
	ctx := c.t.Context()
	_, see := c.Member(ctx, by, id)
	_, devices := c.Devices(ctx, by, id)
	_, staff := c.AssignedStaff(ctx, by, id)
	_, password := c.ResetPassword(ctx, by, id)
	_, number := c.ShowNumber(ctx, by, id)
	_, export := c.RequestExport(ctx, by, id)
	_, erase := c.RequestErase(ctx, by, id, id.String())
	_, link := c.MakePasswordLink(ctx, by, id)
	_, code := c.MakeRegistrationCode(ctx, by, id)
	return map[string]error{
		"see": see, "devices": devices, "assigned": staff, "password": password, "link": link, "registration code": code, "number": number, "export": export, "erase": erase,
		"update": c.UpdateMember(ctx, by, id, 0, console.MemberUpdate{Language: ptr("fr")}), "unlock": c.Unlock(ctx, by, id),
		"revoke": c.RevokeDevice(ctx, by, id, uuid.New()), "revoke all": c.RevokeAllDevices(ctx, by, id),
		"assign": c.Assign(ctx, by, id, by.ID), "unassign": c.Unassign(ctx, by, id, by.ID),
		"deactivate": c.Deactivate(ctx, by, id), "reactivate": c.Reactivate(ctx, by, id),
	}
}

func TestPeopleOfOtherAccountsAreNotThere(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{})
	ada := c.person(console.NewMember{Role: device.Provider, UserID: "ada"})
	elsewhere := c.open(console.Account{})
	c.bus.forget()
	for _, by := range []access.Actor{
		{Kind: access.Operator, Account: elsewhere}, {Kind: access.Product, Account: elsewhere, ID: uuid.New()},
		{Kind: access.Member, Account: elsewhere, ID: uuid.New(), Role: device.Owner}, {Kind: access.Member, Account: elsewhere, ID: uuid.New(), Role: device.Provider},
	} {
		for what, err := range c.operations(by, ada.ID) {
			refused(t, string(by.Kind)+" "+what, err, "not-found")
		}
	}
	c.tells("what was done from another account")
	_, err := c.CreateMember(t.Context(), access.Actor{Kind: access.Operator, Account: uuid.New()}, console.NewMember{Role: device.Provider}, "")
	refused(t, "somebody in no account", err, "not-found")
}

func TestAnAdministratorCannotTouchAnOwner(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{})
	owner, admin := c.person(console.NewMember{Role: device.Owner, UserID: "owner"}), c.person(console.NewMember{Role: device.Administrator, UserID: "admin"})
	for what, err := range c.operations(admin, owner.ID) {
		refused(t, what, err, "forbidden")
	}
	_, err := c.CreateMember(t.Context(), admin, console.NewMember{Role: device.Owner, UserID: "eve"}, "")
	refused(t, "making an owner", err, "forbidden")
	ada := c.person(console.NewMember{Role: device.Provider, UserID: "ada"})
	refused(t, "making somebody an owner", c.UpdateMember(t.Context(), admin, ada.ID, 0, console.MemberUpdate{Role: ptr(device.Owner)}), "forbidden")
	refused(t, "making oneself an owner", c.UpdateMember(t.Context(), admin, admin.ID, 0, console.MemberUpdate{Role: ptr(device.Owner)}), "forbidden")
	for _, role := range []device.Role{device.Supervisor, device.Provider, device.Client} {
		for what, err := range c.operations(access.Actor{Kind: access.Member, Account: c.account, ID: uuid.New(), Role: role}, ada.ID) {
			refused(t, string(role)+" "+what, err, "forbidden")
		}
	}
	c.tells("what nobody may do")
}
