package login

import (
	"context"
	"slices"

	"github.com/google/uuid"

	queries "latchkey.dev/queries/login"
	"latchkey.dev/services/email"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/seal"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/notice"
	"latchkey.dev/services/phone"
)

// changeNumber gives a member another number, or none. It ends all registrations, and the
// old number, the new one and the e-mail address are told.
func (l *Login) changeNumber(ctx context.Context, before queries.MemberReadRow, key seal.PublicKey, n phone.Number, has notice.Addresses, by string) error {
	id, version := uuid.UUID(before.ID), int(before.PhoneVersion)+1
	s, err := l.o.People.Number(n, id, version, key)
	if err != nil {
		return err
	}
	told := event.NumberChanged{Member: id, Version: version, HasNumber: !n.IsZero(), Country: n.Country(), By: by}
	return l.changeAddress(ctx, before, told, notice.NumberChanged, has, func(db *queries.Queries) ([]event.Data, error) {
		rows, err := db.MemberPhoneWrite(ctx, queries.MemberPhoneWriteParams{PhoneSealed: s.Sealed, PhoneDetails: s.Details, PhoneCountry: s.Country,
			PhoneLastTwo: s.LastTwo, PhoneIndex: s.Index, OldVersion: before.PhoneVersion, ByOther: by != own(id), ID: id, AccountID: before.AccountID})
		if err == nil && rows == 0 {
			err = web.Unavailable // changed by another request just now
		}
		if err != nil {
			return nil, err
		}
		ended, err := db.DeviceRevokeAll(ctx, queries.DeviceRevokeAllParams{MemberID: id, Reason: "number_changed"})
		return revoked(id, ended, "number_changed", by), err
	})
}

// own is how events name a person who acts in the own right.
func own(id uuid.UUID) string { return "member:" + id.String() }

// changeEmail gives a member another e-mail address, or none. The old address, the new one
// and the number are told.
func (l *Login) changeEmail(ctx context.Context, before queries.MemberReadRow, key seal.PublicKey, a email.Address, has notice.Addresses, by string) error {
	id := uuid.UUID(before.ID)
	s, err := l.o.People.Email(a, id, int(before.EmailVersion)+1, key)
	if err != nil {
		return err
	}
	told := event.MemberUpdated{Member: id, Role: before.Role, By: by, Changed: []string{"email"}}
	return l.changeAddress(ctx, before, told, notice.EmailChanged, has, func(db *queries.Queries) ([]event.Data, error) {
		rows, err := db.MemberEmailWrite(ctx, queries.MemberEmailWriteParams{EmailSealed: s.Sealed, EmailDetails: s.Details, EmailIndex: s.Index,
			OldVersion: before.EmailVersion, ID: id, AccountID: before.AccountID})
		if err == nil && rows == 0 {
			err = web.Unavailable
		}
		return nil, err
	})
}

// changeAddress makes a change of a number or an address with its event and its notices,
// while no code of the member is judged. do returns what else is told.
func (l *Login) changeAddress(ctx context.Context, before queries.MemberReadRow, d event.Data, kind notice.Kind, has notice.Addresses, do func(*queries.Queries) ([]event.Data, error)) error {
	id := uuid.UUID(before.ID)
	planned, err := notice.OfChange(kind, id, has)
	if err != nil {
		return err
	}
	return l.write(ctx, before.AccountID, memberRequest{}, id, func(db *queries.Queries) ([]event.Data, error) {
		if err := db.MemberLock(ctx, id); err != nil {
			return nil, err
		}
		notices, err := tellOf(ctx, db, planned)
		if err != nil {
			return nil, err
		}
		more, err := do(db)
		return slices.Concat([]event.Data{d}, more, notices), err
	})
}

// tellOf has people told of changes, before they are made: the former addresses are told too.
func tellOf(ctx context.Context, db *queries.Queries, planned []notice.Planned) (told []event.Data, err error) {
	for _, p := range planned {
		told = append(told, p.Requested())
	}
	var p queries.NoticeTellParams
	p.MemberIds, p.Kinds, p.Ids, p.Channels, p.Formers = notice.Rows(planned)
	return told, db.NoticeTell(ctx, p)
}
