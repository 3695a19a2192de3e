// Package device decides who needs a registered device, and whether a device is
// still the one that was registered. It is pure: facts in, decisions out.
package device

// AccountKind is one of the two kinds of account.
type AccountKind string

const (
	StandaloneMobile AccountKind = "standalone_mobile"
	Pro              AccountKind = "pro"
)

// Role is what a member is in an account. All but Client are staff.
type Role string

const (
	Owner         Role = "owner"
	Administrator Role = "administrator"
	Supervisor    Role = "supervisor"
	Provider      Role = "provider"
	Client        Role = "client"
)

// Roles is the closed set of roles.
var Roles = []Role{Owner, Administrator, Supervisor, Provider, Client}

// Options are the check boxes of an account's Options page.
type Options struct {
	TwoFactor    bool // "Enable Two Factor Authentication"
	Demographics bool // "Demographics": clients have a phone number field
}

// Need says what a sign-in of a member takes.
type Need string

const (
	// NotRequired: the password is enough.
	NotRequired Need = "not_required"
	// Registration: the device must be registered, by a code if it is not yet.
	Registration Need = "registration"
	// NoNumber: a registration is required and no code can be sent; the sign-in is refused.
	NoNumber Need = "no_number"
)

// Required applies rules 1 to 5 of the product. A Standalone Mobile account has the
// feature on for everybody, always. A Pro account asks its staff who have a number when
// the owner turned it on, and its clients who have one when Demographics is on too.
func Required(kind AccountKind, o Options, role Role, hasNumber bool) Need {
	switch {
	case kind == StandaloneMobile && !hasNumber:
		return NoNumber
	case kind == StandaloneMobile:
		return Registration
	case !o.TwoFactor, !hasNumber, role == Client && !o.Demographics:
		return NotRequired
	}
	return Registration
}
