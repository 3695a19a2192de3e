package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	queries "latchkey.dev/queries/login"
	"latchkey.dev/services/device"
	"latchkey.dev/services/internal/seal"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/notice"
	"latchkey.dev/services/phone"
)

// In a Standalone Mobile account nobody looks after people's numbers, so they change their own
// here: from a registered device, with the password again, by the rules of every such change.
// The next sign-in registers by a text to the new number, which shows that it is theirs.

// numberView is the page, before and after a number is read back.
type numberView struct {
	view
	UserID, LastTwo string
	Typed           string // what was typed
	Number, Country string // as it was read; "" before
}

// ownsNumber reports whether the number is the person's own to change.
func ownsNumber(s queries.SessionReadRow) bool {
	return device.AccountKind(s.AccountKind) == device.StandaloneMobile && s.DeviceID != nil
}

// mayChangeNumber reads who is signed in, if the number is theirs to change.
func (v *visit) mayChangeNumber() (m queries.MemberReadRow, a queries.AccountReadRow, err error) {
	if !ownsNumber(*v.session) {
		return m, a, web.NotFound
	}
	if m, err = v.l.q.MemberRead(v.r.Context(), v.session.MemberID); err == nil {
		a, err = v.l.q.AccountRead(v.r.Context(), v.session.AccountID)
	}
	if err != nil {
		return m, a, fmt.Errorf("reading a member: %w", err)
	}
	return m, a, nil
}

func (l *Login) numberPage(v *visit) error { return v.number(http.StatusOK, numberView{}, "") }

func (v *visit) number(status int, data numberView, alert string) error {
	m, _, err := v.mayChangeNumber()
	if err != nil {
		return err
	}
	if data.view, err = v.view("login:number.title"); err != nil {
		return err
	}
	data.Alert, data.UserID = alert, v.session.UserID
	if m.PhoneLastTwo != nil {
		data.LastTwo = *m.PhoneLastTwo
	}
	return v.render(status, "number", data)
}

// numberForm reads a number back, and changes it once it was said to be right.
func (l *Login) numberForm(v *visit) error {
	m, a, err := v.mayChangeNumber()
	if err != nil {
		return err
	}
	data := numberView{Typed: v.field("phone")}
	n, err := phone.Parse(data.Typed, a.Country)
	switch {
	case errors.Is(err, phone.ErrCannotReceive):
		return v.number(http.StatusUnprocessableEntity, data, v.lang.Say("people:fault.cannot_receive"))
	case err != nil:
		return v.number(http.StatusUnprocessableEntity, data, v.lang.Say("people:fault.not_a_number"))
	case !phone.Allowed(n.Country(), a.Countries, l.o.Reach):
		return v.number(http.StatusUnprocessableEntity, data, v.lang.Say("people:fault.country_not_allowed"))
	}
	if data.Number, data.Country = n.E164(), n.Country(); v.field("confirmed") != data.Number {
		return v.number(http.StatusOK, data, "")
	}
	err = l.changeOwnNumber(v.r.Context(), *v.session, m, n, secret.New(v.r.PostForm.Get("password")))
	if p := new(web.Problem); errors.As(err, &p) {
		return v.number(p.Status, data, v.detail(p))
	}
	if err != nil {
		return err
	}
	return v.to("/sign-in?told=number")
}

// changeOwnNumber changes the number of who is signed in and knows the password. The same
// number again changes nothing.
func (l *Login) changeOwnNumber(ctx context.Context, s queries.SessionReadRow, m queries.MemberReadRow, n phone.Number, typed secret.String) error {
	if _, err := l.ownPassword(ctx, s, typed); err != nil {
		return err
	}
	if string(m.PhoneIndex) == string(l.o.People.NumberIndex(n)) {
		return nil
	}
	key, err := seal.ParsePublicKey(m.PublicKey)
	if err != nil {
		return err
	}
	has := notice.Addresses{HadNumber: m.PhoneLastTwo != nil, HasNumber: true, HadEmail: m.HasEmail, HasEmail: m.HasEmail}
	return l.changeNumber(ctx, m, key, n, has, own(m.ID))
}
