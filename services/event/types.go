package event

import "github.com/google/uuid"

// kinds makes an empty Data for every type there is: the closed set of types.
var kinds = byType(
	func() Data { return new(CodeRequested) }, func() Data { return new(TextRequested) }, func() Data { return new(CodeEntered) },
	func() Data { return new(LoginSucceeded) }, func() Data { return new(LoginRefused) }, func() Data { return new(LoginEnded) },
	func() Data { return new(PasswordChanged) }, func() Data { return new(DeviceNamed) }, func() Data { return new(DeviceRevoked) },
	func() Data { return new(MemberCreated) }, func() Data { return new(MemberUpdated) }, func() Data { return new(NumberChanged) },
	func() Data { return new(SMSAttempted) }, func() Data { return new(SMSAccepted) }, func() Data { return new(SMSRefused) },
	func() Data { return new(SpendReached) }, func() Data { return new(ConversionFallen) }, func() Data { return new(SMSUnanswered) }, func() Data { return new(SMSAbandoned) },
	func() Data { return new(SMSDelivered) }, func() Data { return new(SMSUndelivered) },
	func() Data { return new(DeviceRegistered) }, func() Data { return new(NumberProved) }, func() Data { return new(CodeRejected) }, func() Data { return new(CodeExpired) },
	func() Data { return new(AccountCreated) }, func() Data { return new(OptionChanged) },
	func() Data { return new(KeyCreated) }, func() Data { return new(KeyRevoked) }, func() Data { return new(PeopleExported) },
	func() Data { return new(MemberDeactivated) }, func() Data { return new(MemberReactivated) }, func() Data { return new(MemberUnlocked) },
	func() Data { return new(MemberLocked) }, func() Data { return new(NoticeRequested) }, func() Data { return new(NoticeSent) }, func() Data { return new(NoticeAbandoned) },
	func() Data { return new(PasswordReset) }, func() Data { return new(PasswordLinkMade) }, func() Data { return new(ClientAssigned) }, func() Data { return new(ClientUnassigned) },
	func() Data { return new(ExportRequested) }, func() Data { return new(MemberErased) },
	func() Data { return new(NumberShown) }, func() Data { return new(MemberExported) }, func() Data { return new(KeyDestroyed) },
	func() Data { return new(RegistrationCodeMade) }, func() Data { return new(RegistrationCodeApproved) },
	func() Data { return new(OperatorGranted) }, func() Data { return new(OperatorRevoked) },
	func() Data { return new(ProviderPinned) }, func() Data { return new(ProviderDrained) }, func() Data { return new(ProviderResumed) },
	func() Data { return new(ProviderOrdered) }, func() Data { return new(ProviderTested) },
)

func byType(makers ...func() Data) map[string]func() Data {
	m := make(map[string]func() Data, len(makers))
	for _, mk := range makers {
		m[mk().Type()] = mk
	}
	return m
}

func newData(typ string) Data {
	if mk := kinds[typ]; mk != nil {
		return mk()
	}
	return nil
}

// Details are an address and a user agent, sealed to the member's own public key
// (HPKE, encapsulated key then ciphertext). Nil where there are none.
type Details []byte

// CodeRequested: a challenge was made and its first text asked for.
type CodeRequested struct {
	Challenge  uuid.UUID `json:"challenge"`
	Member     uuid.UUID `json:"member"`
	Software   string    `json:"software"`
	Purpose    string    `json:"purpose"`     // register, prove_number
	Origin     string    `json:"origin"`      // sign_in, device_check
	DeviceKind string    `json:"device_kind"` // key, bearer
	Thumbprint []byte    `json:"thumbprint"`
	Reason     string    `json:"reason"`  // why a code is asked for: device.Decision's words
	Country    string    `json:"country"` // as phone.Number.Country: ISO 3166-1 alpha-2, or 001
	ValidS     int       `json:"valid_seconds"`
	Details    Details   `json:"details,omitempty"`
}

// TextRequested: the person asked for another text.
type TextRequested struct {
	Challenge uuid.UUID `json:"challenge"`
	Member    uuid.UUID `json:"member"`
	Request   int       `json:"request"` // 2 or 3
}

// CodeEntered: a code was typed. The code itself is in the entry, sealed to the verifier.
type CodeEntered struct {
	Challenge uuid.UUID `json:"challenge"`
	Member    uuid.UUID `json:"member"`
	Entry     uuid.UUID `json:"entry"`
}

// LoginSucceeded: a person is in.
type LoginSucceeded struct {
	Member   uuid.UUID  `json:"member"`
	Software string     `json:"software"`
	Origin   string     `json:"origin"`             // sign_in, device_check
	Device   *uuid.UUID `json:"device,omitempty"`   // absent where no second factor was required
	Session  *uuid.UUID `json:"session,omitempty"`  // absent where the product keeps its own
	AMR      []string   `json:"amr"`                // RFC 8176
	Upgraded string     `json:"upgraded,omitempty"` // an upgrade that was recorded and not asked about
	Details  Details    `json:"details,omitempty"`
}

// LoginRefused: a sign-in or a device check was refused. Member is absent for an unknown user ID.
type LoginRefused struct {
	Member   *uuid.UUID `json:"member,omitempty"`
	Software string     `json:"software"`
	Origin   string     `json:"origin"`
	Reason   string     `json:"reason"` // bad_credentials, throttled, no_number, deactivated, locked, bearer_refused, country_not_allowed, number_cooldown, member_locked, too_many_texts, spend_stopped
	Details  Details    `json:"details,omitempty"`
}

// LoginEnded: a session was signed out.
type LoginEnded struct {
	Member  uuid.UUID `json:"member"`
	Session uuid.UUID `json:"session"`
}

// PasswordChanged: a person changed the own password.
type PasswordChanged struct {
	Member uuid.UUID `json:"member"`
	Link   bool      `json:"link,omitempty"` // by a link that was handed out, without knowing the one before
}

// DeviceNamed: a person named a device. The name is the person's own words and is not told.
type DeviceNamed struct {
	Member uuid.UUID `json:"member"`
	Device uuid.UUID `json:"device"`
}

// DeviceRevoked: a registration ended.
type DeviceRevoked struct {
	Member uuid.UUID `json:"member"`
	Device uuid.UUID `json:"device"`
	Reason string    `json:"reason"` // a device_revoke_reason
	By     string    `json:"by"`     // as of MemberCreated; the bare id of a member who did it at login
}

// MemberCreated: a person was added.
type MemberCreated struct {
	Member    uuid.UUID `json:"member"`
	Role      string    `json:"role"`
	HasNumber bool      `json:"has_number"`
	Country   string    `json:"country,omitempty"` // of the number
	By        string    `json:"by"`                // "key:<id>", "member:<id>", "operator" or "operator:<name>"
}

// MemberUpdated: something that is held of a person changed.
type MemberUpdated struct {
	Member  uuid.UUID `json:"member"`
	Role    string    `json:"role"`
	By      string    `json:"by"`
	Changed []string  `json:"changed,omitempty"` // role, user_id, email, language; absent where a product changed it at login
}

// MemberDeactivated: a person may not sign in any more.
type MemberDeactivated struct {
	Member uuid.UUID `json:"member"`
	By     string    `json:"by"`
}

// MemberReactivated: a person who was deactivated may sign in again.
type MemberReactivated struct {
	Member uuid.UUID `json:"member"`
	By     string    `json:"by"`
}

// MemberLocked: a person said of what a notice told: this was not me. No sign-in until somebody unlocks.
type MemberLocked struct {
	Member uuid.UUID `json:"member"`
	Notice uuid.UUID `json:"notice"` // whose link was used
}

// MemberUnlocked: what held a person back from signing in was lifted: a lock, wrong codes, wrong passwords.
type MemberUnlocked struct {
	Member uuid.UUID `json:"member"`
	By     string    `json:"by"`
}

// PasswordLinkMade: a link was handed out by which a person chooses a password, once.
type PasswordLinkMade struct {
	Member uuid.UUID `json:"member"`
	By     string    `json:"by"`
}

// PasswordReset: a person was given a password that must be changed after the first code.
type PasswordReset struct {
	Member uuid.UUID `json:"member"`
	By     string    `json:"by"`
}

// ExportRequested: somebody asked for all that is held of a person.
type ExportRequested struct {
	Member uuid.UUID `json:"member"`
	Job    uuid.UUID `json:"job"`
	By     string    `json:"by"`
}

// MemberErased: a person was erased. The id and the events are left.
type MemberErased struct {
	Member uuid.UUID `json:"member"`
	Job    uuid.UUID `json:"job"` // that has the key destroyed
	By     string    `json:"by"`
}

// RegistrationCodeMade: a person whose phone is lost was given a code that registers one device.
type RegistrationCodeMade struct {
	Member           uuid.UUID `json:"member"`
	RegistrationCode uuid.UUID `json:"registration_code"` // its id
	NeedsApproval    bool      `json:"needs_approval"`    // there is no code before somebody else approves
	By               string    `json:"by"`
}

// RegistrationCodeApproved: the second of two people approved a registration code, and saw it.
type RegistrationCodeApproved struct {
	Member           uuid.UUID `json:"member"`
	RegistrationCode uuid.UUID `json:"registration_code"`
	By               string    `json:"by"`
}

// ClientAssigned: a client became one of somebody of the staff, who may see the client.
type ClientAssigned struct {
	Member uuid.UUID `json:"member"` // the client
	Staff  uuid.UUID `json:"staff"`
	By     string    `json:"by"`
}

// ClientUnassigned: a client is no longer one of somebody of the staff.
type ClientUnassigned struct {
	Member uuid.UUID `json:"member"` // the client
	Staff  uuid.UUID `json:"staff"`
	By     string    `json:"by"`
}

// NumberChanged: a person's phone number was set, changed or removed.
type NumberChanged struct {
	Member    uuid.UUID `json:"member"`
	Version   int       `json:"version"`
	HasNumber bool      `json:"has_number"`
	Country   string    `json:"country,omitempty"`
	By        string    `json:"by"`
}

// DeviceRegistered: the right code was typed and the device is registered.
type DeviceRegistered struct {
	Challenge  uuid.UUID `json:"challenge"`
	Member     uuid.UUID `json:"member"`
	Device     uuid.UUID `json:"device"`
	Software   string    `json:"software"`
	Kind       string    `json:"kind"`
	Thumbprint []byte    `json:"thumbprint"`
	Text       int       `json:"text,omitempty"` // the number of the text whose code was typed
	Entry      uuid.UUID `json:"entry"`
	// Factor says what was typed where it was not the code of a text: registration_code.
	Factor           string     `json:"factor,omitempty"`
	RegistrationCode *uuid.UUID `json:"registration_code,omitempty"` // its id, as RegistrationCodeMade tells it
}

// NumberProved: the right code of a challenge was typed that was made to prove a number.
type NumberProved struct {
	Challenge uuid.UUID `json:"challenge"`
	Member    uuid.UUID `json:"member"`
	Version   int       `json:"version"` // of the number, as NumberChanged tells it
	Text      int       `json:"text"`    // the number of the text whose code was typed
	Entry     uuid.UUID `json:"entry"`
}

// CodeRejected: an entry was judged and was not the right code, or came too late.
type CodeRejected struct {
	Challenge uuid.UUID `json:"challenge"`
	Member    uuid.UUID `json:"member"`
	Entry     uuid.UUID `json:"entry"`
	Result    string    `json:"result"` // a verdict_result
	TriesLeft int       `json:"tries_left"`
}

// CodeExpired: a challenge ended because its time was over.
type CodeExpired struct {
	Challenge uuid.UUID `json:"challenge"`
	Member    uuid.UUID `json:"member"`
}

// NoticeRequested: a person is to be told of something, at one address.
type NoticeRequested struct {
	Notice  uuid.UUID  `json:"notice"`
	Member  uuid.UUID  `json:"member"`
	Kind    string     `json:"kind"`             // a notice_kind
	Channel string     `json:"channel"`          // a notice_channel
	Device  *uuid.UUID `json:"device,omitempty"` // the registration that it tells of
}

// NoticeSent: a provider or the mail server took a notice.
type NoticeSent struct {
	Notice   uuid.UUID `json:"notice"`
	Member   uuid.UUID `json:"member"`
	Kind     string    `json:"kind"`
	Channel  string    `json:"channel"`
	Provider string    `json:"provider,omitempty"` // of a text
	Tries    int       `json:"tries"`              // this one included
}

// NoticeAbandoned: a notice will not be sent any more.
type NoticeAbandoned struct {
	Notice  uuid.UUID `json:"notice"`
	Member  uuid.UUID `json:"member"`
	Kind    string    `json:"kind"`
	Channel string    `json:"channel"`
	Reason  string    `json:"reason"` // a notice_ending but sent
}

// AccountCreated: an account was opened.
type AccountCreated struct {
	Account uuid.UUID `json:"account"`
	Kind    string    `json:"kind"`
	By      string    `json:"by"`
}

// OptionChanged: an option of an account was changed.
type OptionChanged struct {
	Account uuid.UUID `json:"account"`
	Option  string    `json:"option"` // as the console's API names it: two_factor, upgrade_policy
	Before  string    `json:"before"` // true, false, a word, a number, or a list with commas
	After   string    `json:"after"`
	By      string    `json:"by"`
}

// KeyCreated: a key was made, by which a product may act for the account.
type KeyCreated struct {
	Account uuid.UUID `json:"account"`
	Key     uuid.UUID `json:"key"` // its id
	By      string    `json:"by"`
}

// PeopleExported: somebody took a list of people away as a file. What was searched for may
// name a person and is not told.
type PeopleExported struct {
	Account     uuid.UUID `json:"account"`
	People      int       `json:"people"`             // 99,999 of more: no event holds as many digits as a code
	Roles       []string  `json:"roles"`              // that were asked for
	Searched    bool      `json:"searched,omitempty"` // only who was found by a text
	NoNumber    bool      `json:"no_number,omitempty"`
	NoDevice    bool      `json:"no_device,omitempty"`
	Locked      bool      `json:"locked,omitempty"`
	Deactivated bool      `json:"deactivated,omitempty"`
	By          string    `json:"by"`
}

// KeyRevoked: a key of the account was ended.
type KeyRevoked struct {
	Account uuid.UUID `json:"account"`
	Key     uuid.UUID `json:"key"`
	By      string    `json:"by"`
}

// NumberShown: a person's number and e-mail address were opened for somebody.
type NumberShown struct {
	Member uuid.UUID `json:"member"`
	By     string    `json:"by"`
}

// MemberExported: all that is held of a person was opened for somebody.
type MemberExported struct {
	Member uuid.UUID `json:"member"`
	Job    uuid.UUID `json:"job"`
	Format string    `json:"format"` // json, html
	By     string    `json:"by"`
}

// KeyDestroyed: an erased person's key is destroyed. What is sealed to it, in events and
// elsewhere, is unreadable from now on.
type KeyDestroyed struct {
	Member uuid.UUID `json:"member"`
	Job    uuid.UUID `json:"job"`
}

// OperatorGranted: a person may do what is of the installation, beside the role in the account.
type OperatorGranted struct {
	Member uuid.UUID `json:"member"`
	By     string    `json:"by"`
}

// OperatorRevoked: a person may not do so any more.
type OperatorRevoked struct {
	Member uuid.UUID `json:"member"`
	By     string    `json:"by"`
}

// What follows is of the installation: its account is all zeros, as its subject is.
