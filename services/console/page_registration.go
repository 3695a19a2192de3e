package console

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/access"
)

// registrationPages are the pages of codes for lost phones.
func (c *Console) registrationPages() []pageRoute {
	return []pageRoute{
		{"POST /people/{id}/registration-code", c.codeForm("id", c.MakeRegistrationCode)},
		{"GET /approvals", c.approvalsPage},
		{"POST /approvals/{code}", c.codeForm("code", c.ApproveRegistrationCode)},
	}
}

// codeView shows a registration code, this once, or says that somebody else must approve it.
type codeView struct {
	view
	Code  string
	Until time.Time
}

// codeForm makes or approves a code.
func (c *Console) codeForm(name string, do func(context.Context, access.Actor, uuid.UUID) (RegistrationCode, error)) func(*visit) error {
	return func(v *visit) error {
		id, err := pathID(v.r, name)
		if err != nil {
			return err
		}
		made, err := do(v.r.Context(), v.who.Actor, id)
		if said, p := v.refusal(err); said != "" && name == "code" {
			return v.approvals(p.Status, said)
		}
		if err != nil {
			return v.did("", err)
		}
		at := ""
		if name == "code" {
			at = "approvals"
		}
		base, err := v.view(v.lang().Say("people:code.title"), at)
		if err != nil {
			return err
		}
		return render(v.w, http.StatusOK, "code", codeView{base, made.Code.Reveal(), made.ExpiresAt})
	}
}

type approvalsView struct {
	view
	Waiting []PendingCode
}

// approvalsPage lists the codes that wait for somebody to approve them.
func (c *Console) approvalsPage(v *visit) error { return v.approvals(http.StatusOK, "") }

func (v *visit) approvals(status int, alert string) error {
	waiting, err := v.c.PendingCodes(v.r.Context(), v.who.Actor)
	if err != nil {
		return err
	}
	base, err := v.view(v.lang().Say("people:approvals.title"), "approvals")
	if err != nil {
		return err
	}
	base.Alert = alert
	return render(v.w, status, "approvals", approvalsView{base, waiting})
}
