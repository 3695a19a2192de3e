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
	changed := u.changed()
	if u.number == nil && len(changed) == 0 {
		return nil
	}
	err = c.changeAndTell(ctx, by.Account, func(db *queries.Queries) ([]event.Data, error) { return c.writeUpdate(ctx, db, by, u, changed) })
	if userIDTaken(err) {
		return takenProblem()
	}
	if err != nil {
		return fmt.Errorf("updating a member: %w", err)
	}
	return nil
}

// rules are those of the person's account.
func (m member) rules() rules {
	return rules{device.AccountKind(m.AccountKind), m.AccountCountry, m.Countries, m.Demographics}
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
	switch r := m.rules(); {
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

func (c *Console) writeUpdate(ctx context.Context, db *queries.Queries, by access.Actor, u updating, changed []string) ([]event.Data, error) {
	own, err := seal.ParsePublicKey(u.PublicKey)
	if err != nil {
		return nil, err
	}
	if u.number != nil {
		if err := db.MemberLock(ctx, u.ID); err != nil {
			return nil, err
		}
	}
	if u.role != device.Owner {
		if err := c.keepOwner(ctx, db, u.member); err != nil {
			return nil, err
		}
	}
	rows, err := db.MemberUpdate(ctx, queries.MemberUpdateParams{Role: string(u.role), UserID: u.userID, Language: u.language, ID: u.ID, AccountID: u.AccountID, Version: u.Version})
	if err == nil && rows == 0 {
		err = errChanged
	}
	if err != nil {
		return nil, err
	}
	notices, err := tell(ctx, db, u) // before the addresses change: the former ones are told too
	if err != nil {
		return nil, err
	}
	var told []event.Data
	if u.number != nil {
		if told, err = c.writeNumber(ctx, db, by, u, own); err != nil {
			return nil, err
		}
	}
	if u.mail != nil {
		version := u.EmailVersion + 1
		s, err := c.o.People.Email(*u.mail, u.ID, int(version), own)
		if err != nil {
			return nil, err
		}
		err = db.MemberEmailWrite(ctx, queries.MemberEmailWriteParams{EmailSealed: s.Sealed, EmailDetails: s.Details, EmailIndex: s.Index, EmailVersion: version, ID: u.ID, AccountID: u.AccountID})
		if err != nil {
			return nil, err
		}
	}
	if len(changed) > 0 {
		told = append(told, event.MemberUpdated{Member: u.ID, Role: string(u.role), By: by.By(), Changed: changed})
	}
	return append(told, notices...), nil
}

// tell has a person told of a changed number or e-mail address, at the former one, the new
// one and the other channel (NIST SP 800-63B-4 section 4.6).
func tell(ctx context.Context, db *queries.Queries, u updating) (told []event.Data, err error) {
	a := notice.Addresses{HadNumber: u.hasNumber(), HasNumber: u.hasNumber(), HadEmail: u.EmailIndex != nil, HasEmail: u.EmailIndex != nil}
	if u.number != nil {
		a.HasNumber = !u.number.IsZero()
	}
	if u.mail != nil {
		a.HasEmail = !u.mail.IsZero()
	}
	for kind, is := range map[notice.Kind]bool{notice.NumberChanged: u.number != nil, notice.EmailChanged: u.mail != nil} {
		if !is {
			continue
		}
		all, err := notice.OfChange(kind, a)
		if err != nil {
			return nil, err
		}
		for _, n := range all {
			told = append(told, n.Requested(kind, u.ID))
		}
		ids, channels, formers := notice.Rows(all)
		if err := db.NoticeTell(ctx, queries.NoticeTellParams{MemberID: u.ID, Kind: string(kind), Ids: ids, Channels: channels, Formers: formers}); err != nil {
			return nil, fmt.Errorf("telling of a change: %w", err)
		}
	}
	return told, nil
}

// writeNumber changes a number, for who holds MemberLock, and ends the registrations that
// came by the one before.
func (c *Console) writeNumber(ctx context.Context, db *queries.Queries, by access.Actor, u updating, own seal.PublicKey) ([]event.Data, error) {
	version := u.PhoneVersion + 1
	s, err := c.o.People.Number(*u.number, u.ID, int(version), own)
	if err != nil {
		return nil, err
	}
	err = db.MemberPhoneWrite(ctx, queries.MemberPhoneWriteParams{PhoneSealed: s.Sealed, PhoneDetails: s.Details, PhoneCountry: s.Country, PhoneLastTwo: s.LastTwo,
		PhoneIndex: s.Index, PhoneVersion: version, ByOther: by.ID != u.ID, ID: u.ID, AccountID: u.AccountID})
	if err != nil {
		return nil, err
	}
	told := []event.Data{event.NumberChanged{Member: u.ID, Version: int(version), HasNumber: !u.number.IsZero(), Country: u.number.Country(), By: by.By()}}
	ended, err := revoke(ctx, db, by, u.member, nil, "number_changed")
	return append(told, ended...), err
}

// keepOwner refuses what would leave an account without an active owner. Its lock lets only
// one such change at a time be decided.
func (c *Console) keepOwner(ctx context.Context, db *queries.Queries, m member) error {
	if m.Role != string(device.Owner) || m.DeactivatedAt != nil {
		return nil
	}
	others, err := int64(0), db.OwnersLock(ctx, m.AccountID)
	if err == nil {
		others, err = db.OwnersOther(ctx, queries.OwnersOtherParams{AccountID: m.AccountID, ID: m.ID})
	}
	if err == nil && others == 0 {
		return errLastOwner
	}
	return err
}
