package event

import "github.com/google/uuid"

// What each event is called on the bus and in the tables, and whom or what it is about.

func (CodeRequested) Type() string            { return "latchkey.code.requested" }
func (TextRequested) Type() string            { return "latchkey.text.requested" }
func (CodeEntered) Type() string              { return "latchkey.code.entered" }
func (LoginSucceeded) Type() string           { return "latchkey.login.succeeded" }
func (LoginRefused) Type() string             { return "latchkey.login.refused" }
func (LoginEnded) Type() string               { return "latchkey.login.ended" }
func (PasswordChanged) Type() string          { return "latchkey.login.password_changed" }
func (DeviceNamed) Type() string              { return "latchkey.device.named" }
func (DeviceRevoked) Type() string            { return "latchkey.device.revoked" }
func (MemberCreated) Type() string            { return "latchkey.member.created" }
func (MemberUpdated) Type() string            { return "latchkey.member.updated" }
func (MemberDeactivated) Type() string        { return "latchkey.member.deactivated" }
func (MemberReactivated) Type() string        { return "latchkey.member.reactivated" }
func (MemberUnlocked) Type() string           { return "latchkey.member.unlocked" }
func (PasswordReset) Type() string            { return "latchkey.member.password_reset" }
func (PasswordLinkMade) Type() string         { return "latchkey.member.password_link_made" }
func (ClientAssigned) Type() string           { return "latchkey.member.assigned" }
func (ClientUnassigned) Type() string         { return "latchkey.member.unassigned" }
func (NumberChanged) Type() string            { return "latchkey.member.number_changed" }
func (SMSAttempted) Type() string             { return "latchkey.sms.attempted" }
func (SMSAccepted) Type() string              { return "latchkey.sms.accepted" }
func (SMSRefused) Type() string               { return "latchkey.sms.refused" }
func (SMSUnanswered) Type() string            { return "latchkey.sms.unanswered" }
func (SMSAbandoned) Type() string             { return "latchkey.sms.abandoned" }
func (SpendReached) Type() string             { return "latchkey.spend.reached" }
func (ConversionFallen) Type() string         { return "latchkey.conversion.fallen" }
func (SMSDelivered) Type() string             { return "latchkey.sms.delivered" }
func (SMSUndelivered) Type() string           { return "latchkey.sms.undelivered" }
func (DeviceRegistered) Type() string         { return "latchkey.device.registered" }
func (CodeRejected) Type() string             { return "latchkey.code.rejected" }
func (CodeExpired) Type() string              { return "latchkey.code.expired" }
func (MemberLocked) Type() string             { return "latchkey.member.locked" }
func (NoticeRequested) Type() string          { return "latchkey.notice.requested" }
func (NoticeSent) Type() string               { return "latchkey.notice.sent" }
func (NoticeAbandoned) Type() string          { return "latchkey.notice.abandoned" }
func (AccountCreated) Type() string           { return "latchkey.account.created" }
func (OptionChanged) Type() string            { return "latchkey.account.option_changed" }
func (KeyCreated) Type() string               { return "latchkey.account.key_created" }
func (PeopleExported) Type() string           { return "latchkey.account.people_exported" }
func (KeyRevoked) Type() string               { return "latchkey.account.key_revoked" }
func (NumberShown) Type() string              { return "latchkey.audit.number_shown" }
func (MemberExported) Type() string           { return "latchkey.audit.member_exported" }
func (KeyDestroyed) Type() string             { return "latchkey.audit.key_destroyed" }
func (ExportRequested) Type() string          { return "latchkey.member.export_requested" }
func (MemberErased) Type() string             { return "latchkey.member.erased" }
func (NumberProved) Type() string             { return "latchkey.number.proved" }
func (RegistrationCodeMade) Type() string     { return "latchkey.member.registration_code_made" }
func (RegistrationCodeApproved) Type() string { return "latchkey.member.registration_code_approved" }
func (OperatorGranted) Type() string          { return "latchkey.member.operator_granted" }
func (OperatorRevoked) Type() string          { return "latchkey.member.operator_revoked" }
func (ProviderPinned) Type() string           { return "latchkey.provider.pinned" }
func (ProviderDrained) Type() string          { return "latchkey.provider.drained" }
func (ProviderResumed) Type() string          { return "latchkey.provider.resumed" }
func (ProviderOrdered) Type() string          { return "latchkey.provider.ordered" }
func (ProviderTested) Type() string           { return "latchkey.provider.tested" }

func (d CodeRequested) Subject() uuid.UUID  { return d.Challenge }
func (d TextRequested) Subject() uuid.UUID  { return d.Challenge }
func (d CodeEntered) Subject() uuid.UUID    { return d.Challenge }
func (d LoginSucceeded) Subject() uuid.UUID { return d.Member }
func (d LoginRefused) Subject() uuid.UUID {
	if d.Member == nil {
		return uuid.Nil
	}
	return *d.Member
}
func (d LoginEnded) Subject() uuid.UUID               { return d.Member }
func (d PasswordChanged) Subject() uuid.UUID          { return d.Member }
func (d DeviceNamed) Subject() uuid.UUID              { return d.Member }
func (d DeviceRevoked) Subject() uuid.UUID            { return d.Member }
func (d MemberCreated) Subject() uuid.UUID            { return d.Member }
func (d MemberUpdated) Subject() uuid.UUID            { return d.Member }
func (d MemberDeactivated) Subject() uuid.UUID        { return d.Member }
func (d MemberReactivated) Subject() uuid.UUID        { return d.Member }
func (d MemberUnlocked) Subject() uuid.UUID           { return d.Member }
func (d PasswordReset) Subject() uuid.UUID            { return d.Member }
func (d PasswordLinkMade) Subject() uuid.UUID         { return d.Member }
func (d ClientAssigned) Subject() uuid.UUID           { return d.Member }
func (d ClientUnassigned) Subject() uuid.UUID         { return d.Member }
func (d NumberChanged) Subject() uuid.UUID            { return d.Member }
func (d SMSAbandoned) Subject() uuid.UUID             { return d.Challenge }
func (d SpendReached) Subject() uuid.UUID             { return d.Account }
func (ConversionFallen) Subject() uuid.UUID           { return uuid.Nil }
func (d DeviceRegistered) Subject() uuid.UUID         { return d.Challenge }
func (d CodeRejected) Subject() uuid.UUID             { return d.Challenge }
func (d CodeExpired) Subject() uuid.UUID              { return d.Challenge }
func (d MemberLocked) Subject() uuid.UUID             { return d.Member }
func (d NoticeRequested) Subject() uuid.UUID          { return d.Member }
func (d NoticeSent) Subject() uuid.UUID               { return d.Member }
func (d NoticeAbandoned) Subject() uuid.UUID          { return d.Member }
func (d AccountCreated) Subject() uuid.UUID           { return d.Account }
func (d OptionChanged) Subject() uuid.UUID            { return d.Account }
func (d KeyCreated) Subject() uuid.UUID               { return d.Account }
func (d PeopleExported) Subject() uuid.UUID           { return d.Account }
func (d KeyRevoked) Subject() uuid.UUID               { return d.Account }
func (d NumberProved) Subject() uuid.UUID             { return d.Challenge }
func (d NumberShown) Subject() uuid.UUID              { return d.Member }
func (d MemberExported) Subject() uuid.UUID           { return d.Member }
func (d KeyDestroyed) Subject() uuid.UUID             { return d.Member }
func (d ExportRequested) Subject() uuid.UUID          { return d.Member }
func (d MemberErased) Subject() uuid.UUID             { return d.Member }
func (d RegistrationCodeMade) Subject() uuid.UUID     { return d.Member }
func (d RegistrationCodeApproved) Subject() uuid.UUID { return d.Member }
func (d OperatorGranted) Subject() uuid.UUID          { return d.Member }
func (d OperatorRevoked) Subject() uuid.UUID          { return d.Member }
func (ProviderPinned) Subject() uuid.UUID             { return uuid.Nil }
func (ProviderDrained) Subject() uuid.UUID            { return uuid.Nil }
func (ProviderResumed) Subject() uuid.UUID            { return uuid.Nil }
func (ProviderOrdered) Subject() uuid.UUID            { return uuid.Nil }
func (ProviderTested) Subject() uuid.UUID             { return uuid.Nil }
