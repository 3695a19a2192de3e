package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	queries "latchkey.dev/queries/login"
	"latchkey.dev/services/device"
	"latchkey.dev/services/email"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/password"
	"latchkey.dev/services/internal/seal"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/notice"
	"latchkey.dev/services/phone"
)

// memberRequest is PUT /v1/members/{id}: the whole of what a product says of a person.
type memberRequest struct {
	Role     device.Role    `json:"role"`
	UserID   *string        `json:"user_id,omitempty"`  // absent where the product has its own sign-in
	Password *secret.String `json:"password,omitempty"` // absent: stays as it is
	Phone    *string        `json:"phone,omitempty"`    // "" removes it, absent leaves it
	Email    *string        `json:"email,omitempty"`    // "" removes it, absent leaves it
	// MustChange asks for another password after the person's first code: for one that
	// somebody else has seen.
	MustChange bool `json:"must_change_password,omitempty"`
}

// memberAnswer never shows a number.
type memberAnswer struct {
	ID        uuid.UUID   `json:"id"`
	Role      device.Role `json:"role"`
	HasNumber bool        `json:"has_number"`
	Country   string      `json:"country,omitempty"`
	LastTwo   string      `json:"last_two,omitempty"`
}

func (l *Login) putMember(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	key, err := l.apiKey(r)
	if err != nil {
		return err
	}
	id, err := pathID(r)
	if err != nil {
		return err
	}
	var in memberRequest
	if err := web.ReadJSON(w, r, &in); err != nil {
		return err
	}
	account, err := l.q.AccountRead(ctx, key.account)
	if err != nil {
		return fmt.Errorf("reading an account: %w", err)
	}
	to, err := in.check(account.Country)
	if err != nil {
		return err
	}
	before, err := l.q.MemberRead(ctx, id)
	exists := err == nil
	if err != nil && !noRows(err) {
		return fmt.Errorf("reading a member: %w", err)
	}
	if exists && uuid.UUID(before.AccountID) != key.account {
		return web.NotFound
	}
	has := exists && before.PhoneLastTwo != nil
	if in.Phone != nil {
		has = !to.number.IsZero()
	}
	if device.AccountKind(account.Kind) == device.StandaloneMobile && !has {
		return web.NewProblem(http.StatusUnprocessableEntity, "number-required", "A phone number is required", "In this account nobody can be saved without a phone number.")
	}
	by := "key:" + key.id.String()
	if exists {
		err = l.updateMember(ctx, before, in, to, by)
	} else {
		err = l.insertMember(ctx, id, key.account, in, to, by)
	}
	pgErr := new(pgconn.PgError)
	if errors.As(err, &pgErr) && pgErr.ConstraintName == "member_elsewhere" {
		return web.NotFound // erased, in another account
	}
	if errors.As(err, &pgErr) && pgErr.ConstraintName == "member_erased" {
		return web.NewProblem(http.StatusGone, "member-erased", "Erased", "The person of this id was erased. Choose another id for somebody new.")
	}
	if errors.As(err, &pgErr) && pgErr.ConstraintName == "member_user_id_key" {
		return web.NewProblem(http.StatusConflict, "user-id-taken", "User ID is taken", "Choose another user ID.")
	}
	if err != nil {
		return err
	}
	after, err := l.q.MemberRead(ctx, id)
	if err != nil {
		return fmt.Errorf("reading a member: %w", err)
	}
	out := memberAnswer{ID: id, Role: device.Role(after.Role), HasNumber: after.PhoneLastTwo != nil}
	if out.HasNumber {
		out.Country, out.LastTwo = *after.PhoneCountry, *after.PhoneLastTwo
	}
	status := http.StatusOK
	if !exists {
		status = http.StatusCreated
	}
	web.WriteJSON(w, status, out)
	return nil
}

// addresses are where a person is reached; zero ones are none.
type addresses struct {
	number phone.Number
	email  email.Address
}

// check judges all that was sent before anything is written.
func (in memberRequest) check(country string) (to addresses, err error) {
	bad := func(detail string) error {
		return web.NewProblem(http.StatusUnprocessableEntity, "bad-member", "Cannot be saved", detail)
	}
	if !slices.Contains(device.Roles, in.Role) {
		return to, bad("The role is owner, administrator, supervisor, provider or client.")
	}
	if in.UserID != nil && (*in.UserID == "" || len(*in.UserID) > 128) {
		return to, bad("A user ID has 1 to 128 characters.")
	}
	if in.Password != nil && !password.Fits(*in.Password) {
		return to, bad("A password has 12 to 256 characters.")
	}
	if in.Password != nil && in.UserID == nil {
		return to, bad("A password needs a user ID.")
	}
	if in.MustChange && in.Password == nil {
		return to, bad("A password that must be changed has to be sent.")
	}
	if in.Phone != nil && *in.Phone != "" {
		if to.number, err = phone.Parse(*in.Phone, country); err != nil {
			return to, bad("The phone number cannot be used: " + err.Error() + ".")
		}
	}
	if in.Email != nil && *in.Email != "" {
		if to.email, err = email.Parse(*in.Email); err != nil {
			return to, bad("The e-mail address cannot be used: " + err.Error() + ".")
		}
	}
	return to, nil
}

// insertMember makes a person with a key pair of the own. The wrapped private key goes to
// the key database first: a key without a member harms nobody.
func (l *Login) insertMember(ctx context.Context, id, account uuid.UUID, in memberRequest, to addresses, by string) error {
	own, wrapped, err := l.o.People.NewKey(id)
	if err != nil {
		return err
	}
	s, err := l.o.People.Number(to.number, id, 1, own)
	if err != nil {
		return err
	}
	mail, err := l.o.People.Email(to.email, id, 1, own)
	if err != nil {
		return err
	}
	told := []event.Data{event.MemberCreated{Member: id, Role: string(in.Role), HasNumber: !to.number.IsZero(), Country: to.number.Country(), By: by}}
	if err := queries.New(l.o.KeysPool).MemberKeyInsert(ctx, queries.MemberKeyInsertParams{MemberID: id, PublicKey: own.Bytes(), Wrapped: wrapped}); err != nil {
		return fmt.Errorf("keeping a member's key: %w", err)
	}
	return l.write(ctx, account, in, id, func(db *queries.Queries) ([]event.Data, error) {
		made, err := db.MemberInsert(ctx, queries.MemberInsertParams{ID: id, AccountID: account, Role: string(in.Role), UserID: in.UserID, PublicKey: own.Bytes(),
			PhoneSealed: s.Sealed, PhoneDetails: s.Details, PhoneVersion: 1, PhoneCountry: s.Country, PhoneLastTwo: s.LastTwo, PhoneIndex: s.Index,
			EmailSealed: mail.Sealed, EmailDetails: mail.Details, EmailIndex: mail.Index})
		if err == nil && !made {
			err = web.Unavailable // made by another request just now: the client repeats its PUT
		}
		return told, err
	})
}

// updateMember changes what differs, each change with its event.
func (l *Login) updateMember(ctx context.Context, before queries.MemberReadRow, in memberRequest, to addresses, by string) error {
	id, account := uuid.UUID(before.ID), uuid.UUID(before.AccountID)
	own, err := seal.ParsePublicKey(before.PublicKey)
	if err != nil {
		return err
	}
	has := notice.Addresses{HadNumber: before.PhoneLastTwo != nil, HasNumber: before.PhoneLastTwo != nil, HadEmail: before.HasEmail, HasEmail: before.HasEmail}
	if in.Phone != nil && string(before.PhoneIndex) != string(l.o.People.NumberIndex(to.number)) {
		has.HasNumber = !to.number.IsZero()
		if err := l.changeNumber(ctx, before, own, to.number, has, by); err != nil {
			return err
		}
		has.HadNumber = has.HasNumber
	}
	if in.Email != nil && string(before.EmailIndex) != string(l.o.People.EmailIndex(to.email)) {
		has.HasEmail = !to.email.IsZero()
		if err := l.changeEmail(ctx, before, own, to.email, has, by); err != nil {
			return err
		}
	}
	sameUser := in.UserID == nil && before.UserID == nil || in.UserID != nil && before.UserID != nil && *in.UserID == *before.UserID
	if string(in.Role) == before.Role && sameUser && in.Password == nil {
		return nil
	}
	return l.write(ctx, account, in, id, func(db *queries.Queries) ([]event.Data, error) {
		rows, err := db.MemberUpdate(ctx, queries.MemberUpdateParams{Role: string(in.Role), UserID: in.UserID, ID: id, AccountID: account})
		if err == nil && rows == 0 {
			err = web.Unavailable // erased by another request just now
		}
		return []event.Data{event.MemberUpdated{Member: id, Role: string(in.Role), By: by}}, err
	})
}

// write makes one change, the password that came with it, and the events, in one transaction.
func (l *Login) write(ctx context.Context, account uuid.UUID, in memberRequest, id uuid.UUID, do func(*queries.Queries) ([]event.Data, error)) error {
	var digest string
	if in.Password != nil {
		var err error
		if digest, err = l.passwords.Hash(ctx, *in.Password); err != nil {
			return err
		}
	}
	err := l.changeAndTell(ctx, account, func(db *queries.Queries) ([]event.Data, error) {
		told, err := do(db)
		if err == nil && digest != "" {
			err = db.CredentialWrite(ctx, queries.CredentialWriteParams{MemberID: id, Digest: digest, MustChange: in.MustChange})
		}
		return told, err
	})
	if err != nil {
		return fmt.Errorf("writing a member: %w", err)
	}
	return nil
}
