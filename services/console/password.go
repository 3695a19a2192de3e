package console

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	queries "latchkey.dev/queries/console"
	"latchkey.dev/services/access"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/password"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/notice"
)

// A person who forgot the password gets another one in one of two ways. A generated one takes
// the place of the old at once, which is what a stolen password asks for. A link leaves the
// old one until it is used, and whoever made it never knows the new one.

var errNoUserID = web.NewProblem(http.StatusConflict, "no-user-id", "No user ID", "This person does not sign in here and has no password. Give the person a user ID first.")

// ResetPassword gives a person another password, shown this once. It must be changed after
// the next code. The person's sessions end, and the person is told.
func (c *Console) ResetPassword(ctx context.Context, by access.Actor, id uuid.UUID) (secret.String, error) {
	m, err := c.readMember(ctx, by, id, access.ResetPassword)
	if err == nil && m.UserID == nil {
		err = errNoUserID
	}
	if err != nil {
		return secret.String{}, err
	}
	made := password.Generate()
	digest, err := c.passwords.Hash(ctx, made)
	if err != nil {
		return secret.String{}, err
	}
	err = c.changeMember(ctx, by, id, access.ResetPassword, func(db *queries.Queries, m member) ([]event.Data, error) {
		if m.UserID == nil {
			return nil, errNoUserID
		}
		if err := db.CredentialWrite(ctx, queries.CredentialWriteParams{MemberID: id, Digest: digest}); err != nil {
			return nil, err
		}
		planned, err := notice.OfChange(notice.PasswordReset, id, m.addresses())
		if err != nil {
			return nil, err
		}
		told, err := tellOf(ctx, db, planned)
		return append([]event.Data{event.PasswordReset{Member: id, By: by.By()}}, told...), err
	})
	if err != nil {
		return secret.String{}, err
	}
	return made, nil
}

// PasswordLink is where a person chooses a password, once.
type PasswordLink struct {
	Address   secret.String // without an origin where the Console is not Served
	ExpiresAt time.Time
}

// MakePasswordLink makes a link by which a person chooses a password, within a day and once,
// in place of the link before. It is shown this once.
func (c *Console) MakePasswordLink(ctx context.Context, by access.Actor, id uuid.UUID) (made PasswordLink, err error) {
	token, digest := secret.NewToken()
	made.Address = secret.New(password.LinkPath + token)
	if c.o.Served != nil {
		made.Address = secret.New(c.o.Served.Login + password.LinkPath + token)
	}
	err = c.changeMember(ctx, by, id, access.ResetPassword, func(db *queries.Queries, m member) ([]event.Data, error) {
		if m.UserID == nil {
			return nil, errNoUserID
		}
		made.ExpiresAt, err = db.PasswordLinkWrite(ctx, queries.PasswordLinkWriteParams{MemberID: id, TokenDigest: digest})
		return []event.Data{event.PasswordLinkMade{Member: id, By: by.By()}}, err
	})
	return made, err
}
