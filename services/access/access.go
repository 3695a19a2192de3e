// Package access says who may do what in an account: the table of rights, and nothing else.
// It is pure: roles in, yes or no out.
package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"latchkey.dev/services/device"
)

// Kind is what sort of actor acts.
type Kind string

const (
	Member   Kind = "member"   // a person, by a session of the own
	Product  Kind = "key"      // a product's backend, by its API key
	Operator Kind = "operator" // who runs the installation, by the command line; a Member may too, who Operates
)

// Actor is who acts, in one account. The zero Actor may do nothing.
type Actor struct {
	Kind    Kind
	Account uuid.UUID
	ID      uuid.UUID   // of the member or the key; Nil for an operator
	Name    string      // of an operator, where it matters that two are two; else ""
	Role    device.Role // of a member

	// Operates says that a member has the operator right, beside the role, and has proved a
	// second factor: what is of the installation is the member's to do too.
	Operates bool
}

// By is how events name the actor: "member:<id>", "key:<id>", "operator" or "operator:<name>".
func (a Actor) By() string {
	if a.Kind == Operator {
		return strings.TrimSuffix(string(a.Kind)+":"+a.Name, ":")
	}
	return fmt.Sprintf("%s:%s", a.Kind, a.ID)
}

// Action is one thing that can be done to an account or to a person in it.
type Action string

const (
	SeeOptions    Action = "see_options"
	ChangeOptions Action = "change_options"

	List             Action = "list" // many people at once: lists, searches, exports of lists
	ListOwn          Action = "list_own_clients"
	See              Action = "see" // a person, without the number, and the person's devices
	Create           Action = "create"
	Update           Action = "update" // role, user ID, number, e-mail address
	Deactivate       Action = "deactivate"
	Reactivate       Action = "reactivate"
	Unlock           Action = "unlock"
	ResetPassword    Action = "reset_password"
	ShowNumber       Action = "show_number" // the whole number; each time an event
	RevokeDevice     Action = "revoke_device"
	RegistrationCode Action = "registration_code" // for a lost phone; an owner's must be approved
	Approve          Action = "approve_registration_code"
	Assign           Action = "assign" // a client to staff
	Import           Action = "import"
	ExportPerson     Action = "export_person" // everything held about a person
	Erase            Action = "erase"

	SeeProviders   Action = "see_providers" // of the installation, as what follows: who carries texts, and how well
	SteerProviders Action = "steer_providers"
	GrantOperator  Action = "grant_operator_right"
)

// Actions is the closed set of actions.
var Actions = []Action{SeeOptions, ChangeOptions, List, ListOwn, See, Create, Update, Deactivate, Reactivate, Unlock, ResetPassword, ShowNumber,
	RevokeDevice, RegistrationCode, Approve, Assign, Import, ExportPerson, Erase, SeeProviders, SteerProviders, GrantOperator}

// Target is the person that something is done to. For Create and for a change of role the
// Role is the one that the person shall have: ask for both the old and the new.
type Target struct {
	ID       uuid.UUID
	Role     device.Role
	Assigned bool // a client of the actor's own
}

// In reports whether an actor may do something that is not done to one person.
func (a Actor) In(action Action) bool {
	switch action {
	case SeeOptions, ChangeOptions:
		return a.Kind == Operator || a.Kind == Member && a.Role == device.Owner
	case List, Import:
		return a.manages()
	case ListOwn:
		return a.Kind == Member && a.Role != device.Client
	case SeeProviders, SteerProviders:
		return a.Kind == Operator || a.Kind == Member && a.Operates
	case GrantOperator: // who has it does not hand it on
		return a.Kind == Operator
	}
	return false
}

// To reports whether an actor may do something to a person of the same account.
func (a Actor) To(action Action, t Target) bool {
	if a.In(action) || slices.Contains([]Action{SeeOptions, ChangeOptions, List, ListOwn, Import, SeeProviders, SteerProviders, GrantOperator}, action) {
		return a.In(action)
	}
	self := a.Kind == Member && a.ID == t.ID
	switch action {
	case See:
		return self || t.Assigned && t.Role == device.Client && a.Role != device.Client || a.over(t.Role)
	case RegistrationCode:
		return !self && a.over(t.Role) && (a.Kind != Product || t.Role != device.Owner)
	case Approve: // of two people, whom a program is none of
		return !self && a.manages() && a.Kind != Product && t.Role == device.Owner
	case Deactivate, Erase, ResetPassword:
		return !self && a.over(t.Role) // nobody locks the own door from outside, or opens it for a thief
	case Assign:
		return t.Role == device.Client && a.over(t.Role)
	}
	return a.over(t.Role)
}

// manages reports whether other people are the actor's to look after.
func (a Actor) manages() bool {
	return a.Kind == Operator || a.Kind == Product || a.Kind == Member && (a.Role == device.Owner || a.Role == device.Administrator)
}

// over reports whether people of a role are the actor's to look after: an owner's and a
// product's all, an administrator's all below the owner.
func (a Actor) over(role device.Role) bool {
	return a.manages() && (a.Kind != Member || a.Role == device.Owner || role != device.Owner)
}
