package login

import (
	"context"
	"fmt"
	"net/http"

	queries "latchkey.dev/queries/login"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/page"
	"latchkey.dev/services/internal/password"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/notice"
	"latchkey.dev/services/words"
)

// A person who forgot the password chooses another one by a link that whoever looks after the
// account made. It proves nothing but that: the next sign-in asks for what it always asks for.

// chooseView is the page that the link leads to.
type chooseView struct {
	view
	Address, UserID string
	Least           int
	Done            bool
}

// errPasswordLinkGone answers for a link that was used, is too old, or never was one.
var errPasswordLinkGone = page.Problem(http.StatusNotFound, "password-link-gone", "This link does not work", "It was used already, is older than a day, or was not copied whole. Ask for another one.")

// passwordLink reads whose password a link lets be chosen.
func (l *Login) passwordLink(v *visit) (m queries.PasswordLinkReadRow, err error) {
	m, err = l.q.PasswordLinkRead(v.r.Context(), secret.Digest(v.r.PathValue("token")))
	if noRows(err) {
		return m, errPasswordLinkGone
	}
	if err != nil {
		return m, fmt.Errorf("reading a link: %w", err)
	}
	v.lang = words.Match(m.Language, askedFor(v.r), m.AccountLanguage)
	return m, nil
}

// choosePage asks for the password. Opening it changes nothing: mail servers open links to
// look at what is behind them.
func (l *Login) choosePage(v *visit) error {
	m, err := l.passwordLink(v)
	if err != nil {
		return err
	}
	return v.choose(m, http.StatusOK, "")
}

func (v *visit) choose(m queries.PasswordLinkReadRow, status int, alert string) error {
	base, err := v.aside("login:choose.title")
	if err != nil {
		return err
	}
	base.Alert = alert
	return v.render(status, "choose", chooseView{view: base, Address: v.r.URL.Path, UserID: m.UserID, Least: password.Min})
}

func (l *Login) chooseForm(v *visit) error {
	m, err := l.passwordLink(v)
	if err != nil {
		return err
	}
	fresh := secret.New(v.r.PostForm.Get("new_password"))
	if !fresh.Equal(secret.New(v.r.PostForm.Get("new_password_again"))) {
		return v.choose(m, http.StatusUnprocessableEntity, v.lang.Say("login:password.differ"))
	}
	if !password.Fits(fresh) {
		return v.choose(m, http.StatusBadRequest, v.detail(errWeakPassword))
	}
	if err := l.choosePassword(v.r.Context(), m, secret.Digest(v.r.PathValue("token")), fresh); err != nil {
		return err
	}
	base, err := v.aside("login:choose.done_title")
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "choose", chooseView{view: base, Done: true})
}

// choosePassword uses a link up: the password is another one, the person's sessions end, and
// the person is told at every address.
func (l *Login) choosePassword(ctx context.Context, m queries.PasswordLinkReadRow, link []byte, fresh secret.String) error {
	digest, err := l.passwords.Hash(ctx, fresh)
	if err != nil {
		return err
	}
	planned, err := notice.OfChange(notice.PasswordReset, m.ID, notice.Addresses{HasNumber: m.HasNumber, HasEmail: m.HasEmail})
	if err != nil {
		return err
	}
	err = l.changeAndTell(ctx, m.AccountID, func(db *queries.Queries) ([]event.Data, error) {
		if err := db.MemberLock(ctx, m.ID); err != nil {
			return nil, err
		}
		n, err := db.PasswordLinkUse(ctx, link)
		if err == nil && n == 0 {
			err = errPasswordLinkGone // used by another request just now
		}
		if err != nil {
			return nil, err
		}
		if err := db.CredentialWrite(ctx, queries.CredentialWriteParams{MemberID: m.ID, Digest: digest}); err != nil {
			return nil, err
		}
		told, err := tellOf(ctx, db, planned)
		return append([]event.Data{event.PasswordChanged{Member: m.ID, Link: true}}, told...), err
	})
	if err != nil {
		return fmt.Errorf("choosing a password: %w", err)
	}
	return nil
}
