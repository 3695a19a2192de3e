package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	queries "latchkey.dev/queries/login"
	"latchkey.dev/services/internal/page"
	"latchkey.dev/services/internal/web"
)

// People prove their own number here, by the code of a text: the console asks an owner to,
// before everybody in the account is asked for codes. The console itself makes no challenge.

const (
	// proveWindow and maxProofs bound the texts that one person may ask for so.
	proveWindow = time.Hour
	maxProofs   = 5
)

var errManyProofs = page.Problem(http.StatusTooManyRequests, "too-many-codes", "Too many codes", "You asked for many codes. Use the one that came last, or wait an hour.")

type proveView struct {
	view
	UserID  string
	LastTwo string // of the number, "" where there is none
	Console string
}

func (l *Login) provePage(v *visit) error { return v.prove(http.StatusOK, "") }

func (v *visit) prove(status int, alert string) error {
	m, err := v.l.q.MemberRead(v.r.Context(), v.session.MemberID)
	if err != nil {
		return fmt.Errorf("reading a member: %w", err)
	}
	base, err := v.view("login:prove.title")
	if err != nil {
		return err
	}
	base.Alert = alert
	data := proveView{view: base, UserID: v.session.UserID, Console: v.l.o.Console}
	if m.PhoneLastTwo != nil {
		data.LastTwo = *m.PhoneLastTwo
	}
	return v.render(status, "prove", data)
}

// proveForm texts a code to the number of who is signed in. The challenge belongs to the
// device that the session is of; of a session without one, to the device that asks.
func (l *Login) proveForm(v *visit) error {
	s, err := v.sender()
	if p := new(web.Problem); errors.As(err, &p) {
		return v.prove(p.Status, v.lang.Say(told["again"]))
	}
	if err != nil {
		return err
	}
	ctx := v.r.Context()
	q := question{purpose: proveNumber, origin: originSignIn, member: v.session.MemberID, kind: s.kind, thumbprint: s.thumbprint, proof: s.once,
		address: web.Address(v.r, l.o.Proxies), userAgent: clip(v.r.UserAgent()), language: string(v.lang)}
	if q.software, err = l.software(ctx, v.session.SoftwareID); err != nil {
		return err
	}
	q.facets = facetsOf(v.r, q.software, nil)
	a, err := l.mayProve(ctx, q, *v.session)
	if p := new(web.Problem); errors.As(err, &p) {
		return v.prove(p.Status, v.detail(p))
	}
	if err != nil {
		return err
	}
	details, err := l.details(q, a.member)
	if err != nil {
		return err
	}
	if err := l.makeChallenge(ctx, q, &a, details); errors.Is(err, errReplayed) {
		return v.prove(errReplayed.Status, v.lang.Say(told["again"]))
	} else if err != nil {
		return err
	}
	if p := new(web.Problem); errors.As(a.problem(), &p) { // a limit is full
		return v.prove(p.Status, v.detail(p))
	}
	if s.kind == "bearer" {
		v.setCookie(deviceCookie, s.token, page.CookieLong)
	}
	return v.toCheck(a.challenge, a.why)
}

// mayProve decides whether a code is texted, and refuses by a problem.
func (l *Login) mayProve(ctx context.Context, q question, s queries.SessionReadRow) (answer, error) {
	row, err := l.checks.Do(ctx, checkKey{q.member, q.software.ID, q.thumbprint})
	if err != nil {
		return answer{}, fmt.Errorf("reading a member and its device: %w", err)
	}
	a := answer{standing: asked, why: string(proveNumber), member: row}
	switch {
	case row == nil || row.Deactivated:
		return a, errNoSession
	case q.kind == "bearer" && row.BearerRefused:
		a.standing, a.why = refused, "bearer_refused"
	case s.DeviceID != nil && (row.DeviceID == nil || *row.DeviceID != *s.DeviceID):
		return a, page.Problem(http.StatusForbidden, "other-device", "Another device", "This browser did not prove its key.")
	case len(row.PhoneSealed) == 0:
		a.standing = noNumber
	default:
		if why := l.barred(row); why != "" {
			a.standing, a.why = refused, why
		}
	}
	if err := a.problem(); err != nil {
		return a, err
	}
	n, err := l.q.LimitAdd(ctx, queries.LimitAddParams{Scope: "challenge_member", KeyDigest: l.o.People.Index("prove", q.member.String()), WindowSeconds: int32(proveWindow / time.Second)})
	if err != nil {
		return a, fmt.Errorf("counting challenges: %w", err)
	}
	if n > maxProofs {
		return a, errManyProofs
	}
	return a, nil
}
