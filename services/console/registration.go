package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	queries "latchkey.dev/queries/console"
	"latchkey.dev/services/access"
	"latchkey.dev/services/device"
	"latchkey.dev/services/event"
	"latchkey.dev/services/factor"
	"latchkey.dev/services/internal/password"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/notice"
)

// Whose phone is lost cannot be texted a code. Somebody who looks after the person hands over a
// registration code instead: it is typed where the code of a text is, and registers that one
// device. An owner has nobody above who would answer for it, so for an owner two people must:
// one asks, another one approves, and only the second is shown a code (THREATS.md B3).

// ErrUnnamed is for operators, who have no other name than the one that they say.
var ErrUnnamed = errors.New("a registration code for an owner takes two people: say who you are, so that the other one can be told from you")

var errSamePerson = web.NewProblem(http.StatusConflict, "same-person", "Somebody else must approve", "You asked for this code yourself. Somebody else must approve it.")

// RegistrationCode is a code for a lost phone.
type RegistrationCode struct {
	ID        uuid.UUID
	Code      secret.String // empty until it is approved, where that is needed
	ExpiresAt time.Time     // of the code: 15 minutes; of one that waits for approval: a day
}

// MakeRegistrationCode makes a code that registers one device of a person, in place of the one
// before. It is shown this once, or, where it is an owner's, to who approves it. The person is
// told at every address.
func (c *Console) MakeRegistrationCode(ctx context.Context, by access.Actor, id uuid.UUID) (made RegistrationCode, err error) {
	if made.ID, err = uuid.NewV7(); err != nil {
		return made, fmt.Errorf("making a registration code: %w", err)
	}
	err = c.changeMember(ctx, by, id, access.RegistrationCode, func(db *queries.Queries, m member) ([]event.Data, error) {
		if m.UserID == nil {
			return nil, errNoUserID
		}
		two := m.Role == string(device.Owner)
		if two && by.Kind == access.Operator && by.Name == "" {
			return nil, ErrUnnamed
		}
		var digest []byte
		if !two {
			if made.Code, digest, err = newRegistrationCode(id); err != nil {
				return nil, err
			}
		}
		made.ExpiresAt, err = db.RegistrationCodeInsert(ctx, queries.RegistrationCodeInsertParams{ID: made.ID, AccountID: by.Account, MemberID: id, Digest: digest, MadeBy: by.By()})
		if err != nil {
			return nil, err
		}
		return toldOfCode(ctx, db, m, event.RegistrationCodeMade{Member: id, RegistrationCode: made.ID, NeedsApproval: two, By: by.By()})
	})
	return made, err
}

// ApproveRegistrationCode makes the code that somebody else asked for, and shows it this once.
func (c *Console) ApproveRegistrationCode(ctx context.Context, by access.Actor, registration uuid.UUID) (made RegistrationCode, err error) {
	waiting, err := c.q.RegistrationCodeRead(ctx, queries.RegistrationCodeReadParams{ID: registration, AccountID: by.Account})
	if errors.Is(err, pgx.ErrNoRows) {
		return made, web.NotFound
	}
	if err != nil {
		return made, fmt.Errorf("reading a registration code: %w", err)
	}
	made.ID = registration
	err = c.changeMember(ctx, by, waiting.MemberID, access.Approve, func(db *queries.Queries, m member) ([]event.Data, error) {
		if by.Kind == access.Operator && by.Name == "" {
			return nil, ErrUnnamed
		}
		if waiting.MadeBy == by.By() {
			return nil, errSamePerson
		}
		var digest []byte
		if made.Code, digest, err = newRegistrationCode(m.ID); err != nil {
			return nil, err
		}
		until, err := db.RegistrationCodeApprove(ctx, queries.RegistrationCodeApproveParams{ID: registration, AccountID: by.Account, Digest: digest, ApprovedBy: by.By()})
		if err == nil && len(until) == 0 {
			err = web.NotFound // approved or replaced by another request just now
		}
		if err != nil {
			return nil, err
		}
		made.ExpiresAt = until[0]
		return toldOfCode(ctx, db, m, event.RegistrationCodeApproved{Member: m.ID, RegistrationCode: registration, By: by.By()})
	})
	if err != nil {
		return RegistrationCode{}, err
	}
	return made, nil
}

// PendingCode is a registration code that waits for who approves it.
type PendingCode struct {
	ID        uuid.UUID   `json:"id"`
	Member    uuid.UUID   `json:"member"`
	UserID    string      `json:"user_id"`
	Role      device.Role `json:"role"`
	MadeBy    string      `json:"made_by"` // as events name who acts
	Own       bool        `json:"own"`     // the actor asked for it, and cannot approve it
	MadeAt    time.Time   `json:"made_at"`
	ExpiresAt time.Time   `json:"expires_at"`
}

// PendingCodes returns the registration codes that the actor may approve, or asked for, oldest
// first, 100 at most.
func (c *Console) PendingCodes(ctx context.Context, by access.Actor) ([]PendingCode, error) {
	if !by.In(access.List) {
		return nil, errForbidden
	}
	rows, err := c.q.RegistrationCodePending(ctx, by.Account)
	if err != nil {
		return nil, fmt.Errorf("reading registration codes: %w", err)
	}
	all := []PendingCode{}
	for _, r := range rows {
		own := r.MadeBy == by.By()
		if own || by.To(access.Approve, access.Target{ID: r.MemberID, Role: device.Role(r.Role)}) {
			all = append(all, PendingCode{r.ID, r.MemberID, r.UserID, device.Role(r.Role), r.MadeBy, own, r.MadeAt, r.ExpiresAt})
		}
	}
	return all, nil
}

func newRegistrationCode(member uuid.UUID) (secret.String, []byte, error) {
	made := password.Groups(factor.Groups, factor.GroupSize)
	digest, err := factor.Digest(member, made)
	return secret.New(made), digest, err
}

// toldOfCode has a person told of a registration code, beside the event.
func toldOfCode(ctx context.Context, db *queries.Queries, m member, d event.Data) ([]event.Data, error) {
	planned, err := notice.OfChange(notice.RegistrationCode, m.ID, m.addresses())
	if err != nil {
		return nil, err
	}
	notices, err := tellOf(ctx, db, planned)
	return append([]event.Data{d}, notices...), err
}
