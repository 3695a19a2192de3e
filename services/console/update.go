package console

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/uuid"

	queries "latchkey.dev/queries/console"
	"latchkey.dev/services/access"
	"latchkey.dev/services/device"
	"latchkey.dev/services/email"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/seal"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/notice"
	"latchkey.dev/services/phone"
)

var (
	errChanged   = web.NewProblem(http.StatusPreconditionFailed, "changed-meanwhile", "Changed meanwhile", "Somebody changed this since you looked. Look again, and then decide.")
	errLastOwner = web.NewProblem(http.StatusConflict, "last-owner", "The last owner", "An account must keep an active owner. Make somebody else an owner first.")
)

// MemberUpdate is what shall be changed of a person; nil stays as it is.
type MemberUpdate struct {
	Role     *device.Role `json:"role,omitempty"`
	UserID   *string      `json:"user_id,omitempty"`  // of staff
	Phone    *string      `json:"phone,omitempty"`    // "" removes it
	Email    *string      `json:"email,omitempty"`    // "" removes it
	Language *string      `json:"language,omitempty"` // "": none chosen
}

// updating is an update that was judged, beside what it changes.
type updating struct {
	member
	role     device.Role
	userID   *string
	language *string
	number   *phone.Number  // nil: stays
	mail     *email.Address // nil: stays

	phone seal.SealedNumber // of the next version
	email seal.SealedEmail
}

// UpdateMember changes a person whose version the actor has seen; 0 stands for any. Another
// number ends the person's registrations.
func (c *Console) UpdateMember(ctx context.Context, by access.Actor, id uuid.UUID, version int, in MemberUpdate) error {
	m, err := c.readMember(ctx, by, id, access.Update)
	if err != nil {
		return err
	}
	if in.Role != nil && !by.To(access.Update, access.Target{ID: id, Role: *in.Role}) {
		return errForbidden
	}
	if version != 0 && version != int(m.Version) {
		return errChanged
	}
	u, err := c.judge(m, in)
	if err != nil {
		return err
	}
	if u.same() {
		return nil
	}
	if err := c.sealUpdate(&u); err != nil {
		return err
	}
	err = c.changeAndTell(ctx, by.Account, func(db *queries.Queries) ([]event.Data, error) { return c.writeUpdates(ctx, db, by, []updating{u}) })
	if userIDTaken(err) {
		return takenProblem()
	}
	if err != nil {
		return fmt.Errorf("updating a member: %w", err)
	}
	return nil
}

// rules are those of the person's account, in an installation whose codes reach some countries.
func (m member) rules(reach []string) rules {
	return rules{device.AccountKind(m.AccountKind), m.AccountCountry, m.Countries, reach, m.Demographics}
}

func (m member) hasNumber() bool { return m.PhoneLastTwo != nil }

// judge judges all fields at once, and leaves out what is the same.
func (c *Console) judge(m member, in MemberUpdate) (updating, error) {
	u := updating{member: m, role: device.Role(m.Role), userID: m.UserID, language: m.Language}
	var f faults
	if in.Role != nil && *in.Role != u.role {
		switch u.role = *in.Role; {
		case !slices.Contains(device.Roles, u.role):
			f.add("role", "bad_role", "The role is owner, administrator, supervisor, provider or client.")
		case (u.role == device.Client) != (m.Role == string(device.Client)):
			f.add("role", "client_or_staff", "A client cannot become staff, nor staff a client.")
		}
	}
	if in.UserID != nil && *in.UserID != text(m.UserID) {
		if u.userID = in.UserID; u.role == device.Client {
			f.add("user_id", "user_id_is_made", "A client's user ID is made by the system.")
		} else {
			checkUserID(*in.UserID, &f)
		}
	}
	if in.Language != nil {
		checkLanguage(*in.Language, &f)
		u.language = maybe(*in.Language)
	}
	switch r := m.rules(c.o.Reach); {
	case in.Phone != nil:
		n := r.number(*in.Phone, u.role, &f)
		if !bytes.Equal(c.o.People.NumberIndex(n), m.PhoneIndex) {
			u.number = &n
		}
	case r.needsNumber() && !m.hasNumber():
		r.number("", u.role, &f)
	}
	if in.Email != nil {
		if a := address(*in.Email, &f); !bytes.Equal(c.o.People.EmailIndex(a), m.EmailIndex) {
			u.mail = &a
		}
	}
	return u, f.problem()
}

// changed names what member.updated tells of.
func (u updating) changed() (all []string) {
	for name, is := range map[string]bool{"role": u.role != device.Role(u.Role), "user_id": text(u.userID) != text(u.UserID),
		"language": text(u.language) != text(u.Language), "email": u.mail != nil} {
		if is {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// same reports whether nothing is changed.
func (u updating) same() bool { return u.number == nil && len(u.changed()) == 0 }

// sealUpdate closes a new number and a new address.
func (c *Console) sealUpdate(u *updating) error {
	own, err := seal.ParsePublicKey(u.PublicKey)
	if err == nil && u.number != nil {
		u.phone, err = c.o.People.Number(*u.number, u.ID, int(u.PhoneVersion)+1, own)
	}
	if err == nil && u.mail != nil {
		u.email, err = c.o.People.Email(*u.mail, u.ID, int(u.EmailVersion)+1, own)
	}
	if err != nil {
		return fmt.Errorf("sealing a member's details: %w", err)
	}
	return nil
}

// writeUpdates changes people, each of whom comes once, while no code of theirs is being
// judged. It fails with errChanged if somebody else changed one since they were read.
func (c *Console) writeUpdates(ctx context.Context, db *queries.Queries, by access.Actor, all []updating) ([]event.Data, error) {
	if len(all) == 0 {
		return nil, nil
	}
	all = slices.SortedFunc(slices.Values(all), func(a, b updating) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	ids := make([][16]byte, len(all))
	var demoted []member
	for i, u := range all {
		ids[i] = u.ID
		if u.role != device.Owner {
			demoted = append(demoted, u.member)
		}
	}
	err := db.MembersLock(ctx, ids)
	if err == nil {
		err = c.keepOwner(ctx, db, by.Account, demoted...)
	}
	if err == nil {
		err = writeOpen(ctx, db, by, all)
	}
	if err != nil {
		return nil, err
	}
	notices, err := tell(ctx, db, all) // before the addresses change: the former ones are told too
	if err != nil {
		return nil, err
	}
	told, err := writeNumbers(ctx, db, by, all)
	if err == nil {
		err = writeEmails(ctx, db, by, all)
	}
	if err != nil {
		return nil, err
	}
	for _, u := range all {
		if changed := u.changed(); len(changed) > 0 {
			told = append(told, event.MemberUpdated{Member: u.ID, Role: string(u.role), By: by.By(), Changed: changed})
		}
	}
	return append(told, notices...), nil
}

// writeOpen writes what is not sealed.
func writeOpen(ctx context.Context, db *queries.Queries, by access.Actor, all []updating) error {
	p := queries.MemberUpdateParams{AccountID: by.Account}
	for _, u := range all {
		p.Ids, p.Versions, p.Roles = append(p.Ids, u.ID), append(p.Versions, u.Version), append(p.Roles, string(u.role))
		p.UserIds, p.Languages = append(p.UserIds, text(u.userID)), append(p.Languages, text(u.language))
	}
	rows, err := db.MemberUpdate(ctx, p)
	if err == nil && rows != int64(len(all)) {
		err = errChanged
	}
	return err
}

// tell has people told of a changed number or e-mail address, at the former one, the new one
// and the other channel (NIST SP 800-63B-4 section 4.6).
func tell(ctx context.Context, db *queries.Queries, all []updating) (told []event.Data, err error) {
	var planned []notice.Planned
	for _, u := range all {
		some, err := u.notices()
		if err != nil {
			return nil, err
		}
		planned = append(planned, some...)
	}
	return tellOf(ctx, db, planned)
}

// tellOf has people told of changes.
func tellOf(ctx context.Context, db *queries.Queries, planned []notice.Planned) (told []event.Data, err error) {
	if len(planned) == 0 {
		return nil, nil
	}
	for _, n := range planned {
		told = append(told, n.Requested())
	}
	var p queries.NoticeTellParams
	p.MemberIds, p.Kinds, p.Ids, p.Channels, p.Formers = notice.Rows(planned)
	if err := db.NoticeTell(ctx, p); err != nil {
		return nil, fmt.Errorf("telling of a change: %w", err)
	}
	return told, nil
}

// addresses are those of a person of whom nothing changes them.
func (m member) addresses() notice.Addresses {
	return notice.Addresses{HadNumber: m.hasNumber(), HasNumber: m.hasNumber(), HadEmail: m.EmailIndex != nil, HasEmail: m.EmailIndex != nil}
}

// notices plans who is told of an update.
func (u updating) notices() (all []notice.Planned, err error) {
	a := u.addresses()
	if u.number != nil {
		a.HasNumber = !u.number.IsZero()
	}
	if u.mail != nil {
		a.HasEmail = !u.mail.IsZero()
	}
	for kind, is := range map[notice.Kind]bool{notice.NumberChanged: u.number != nil, notice.EmailChanged: u.mail != nil} {
		if is && err == nil {
			var some []notice.Planned
			some, err = notice.OfChange(kind, u.ID, a)
			all = append(all, some...)
		}
	}
	return all, err
}

// writeNumbers changes numbers, for who holds the locks, and ends the registrations that came
// by the ones before.
func writeNumbers(ctx context.Context, db *queries.Queries, by access.Actor, all []updating) (told []event.Data, err error) {
	p := queries.MemberPhoneWriteParams{ActorID: by.ID, AccountID: by.Account}
	for _, u := range all {
		if u.number == nil {
			continue
		}
		version := u.PhoneVersion + 1
		p.Ids, p.Versions, p.Sealed, p.Details = append(p.Ids, u.ID), append(p.Versions, version), append(p.Sealed, u.phone.Sealed), append(p.Details, u.phone.Details)
		p.Countries, p.LastTwos, p.Indexes = append(p.Countries, text(u.phone.Country)), append(p.LastTwos, text(u.phone.LastTwo)), append(p.Indexes, u.phone.Index)
		told = append(told, event.NumberChanged{Member: u.ID, Version: int(version), HasNumber: !u.number.IsZero(), Country: u.number.Country(), By: by.By()})
	}
	if len(told) == 0 {
		return nil, nil
	}
	if err := db.MemberPhoneWrite(ctx, p); err != nil {
		return nil, err
	}
	ended, err := revokeOf(ctx, db, by, p.Ids, nil, "number_changed")
	return append(told, ended...), err
}

func writeEmails(ctx context.Context, db *queries.Queries, by access.Actor, all []updating) error {
	p := queries.MemberEmailWriteParams{AccountID: by.Account}
	for _, u := range all {
		if u.mail != nil {
			p.Ids, p.Versions = append(p.Ids, u.ID), append(p.Versions, u.EmailVersion+1)
			p.Sealed, p.Details, p.Indexes = append(p.Sealed, u.email.Sealed), append(p.Details, u.email.Details), append(p.Indexes, u.email.Index)
		}
	}
	if len(p.Ids) == 0 {
		return nil
	}
	return db.MemberEmailWrite(ctx, p)
}

// keepOwner refuses what would leave an account without an active owner, if people are none
// any more. Its lock lets only one such change at a time be decided.
func (c *Console) keepOwner(ctx context.Context, db *queries.Queries, account uuid.UUID, going ...member) error {
	var owners [][16]byte
	for _, m := range going {
		if m.Role == string(device.Owner) && m.DeactivatedAt == nil {
			owners = append(owners, m.ID)
		}
	}
	if len(owners) == 0 {
		return nil
	}
	others, err := int64(0), db.OwnersLock(ctx, account)
	if err == nil {
		others, err = db.OwnersOther(ctx, queries.OwnersOtherParams{AccountID: account, Ids: owners})
	}
	if err == nil && others == 0 {
		return errLastOwner
	}
	return err
}
