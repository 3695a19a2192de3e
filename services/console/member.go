package console

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	queries "latchkey.dev/queries/console"
	"latchkey.dev/services/access"
	"latchkey.dev/services/device"
	"latchkey.dev/services/internal/web"
)

// member is a person as somebody who acts may see them.
type member struct {
	queries.MemberReadRow
}

func (m member) target() access.Target {
	return access.Target{ID: m.ID, Role: device.Role(m.Role), Assigned: m.Assigned}
}

// readMember returns a person of the actor's own account to whom the actor may do something.
// Whoever is not of the account is not found; who is, and is not the actor's to look after, is
// forbidden.
func (c *Console) readMember(ctx context.Context, by access.Actor, id uuid.UUID, action access.Action) (member, error) {
	return readMember(ctx, c.q, by, id, action)
}

func readMember(ctx context.Context, db *queries.Queries, by access.Actor, id uuid.UUID, action access.Action) (member, error) {
	rows, err := db.MemberRead(ctx, queries.MemberReadParams{Ids: [][16]byte{id}, AccountID: by.Account, ActorID: by.ID})
	if err != nil {
		return member{}, fmt.Errorf("reading a member: %w", err)
	}
	if len(rows) == 0 {
		return member{}, web.NotFound
	}
	m := member{rows[0]}
	if !by.To(action, m.target()) {
		return member{}, errForbidden
	}
	return m, nil
}

// Member is a person as others see one: never a whole number or address.
type Member struct {
	ID          uuid.UUID   `json:"id"`
	Role        device.Role `json:"role"`
	UserID      string      `json:"user_id,omitempty"`
	Country     string      `json:"country,omitempty"`  // of the number
	LastTwo     string      `json:"last_two,omitempty"` // digits of the number
	HasEmail    bool        `json:"has_email"`
	Language    string      `json:"language,omitempty"`
	Deactivated bool        `json:"deactivated"`
	Locked      bool        `json:"locked"`               // by "this was not me", or by wrong codes
	HasPassword bool        `json:"has_password"`         // the person can sign in here
	MustChange  bool        `json:"must_change_password"` // after the next code
	CreatedAt   time.Time   `json:"created_at"`
	Version     int         `json:"version"` // an update names the one that it saw
}

// Member returns a person.
func (c *Console) Member(ctx context.Context, by access.Actor, id uuid.UUID) (Member, error) {
	m, err := c.readMember(ctx, by, id, access.See)
	if err != nil {
		return Member{}, err
	}
	return m.shown(), nil
}

func (m member) shown() Member {
	return Member{ID: m.ID, Role: device.Role(m.Role), UserID: text(m.UserID), Country: text(m.PhoneCountry), LastTwo: text(m.PhoneLastTwo),
		HasEmail: m.EmailIndex != nil, Language: text(m.Language), Deactivated: m.DeactivatedAt != nil, Locked: m.LockedAt != nil || m.CodesLocked,
		HasPassword: m.HasPassword, MustChange: m.MustChange, CreatedAt: m.CreatedAt, Version: int(m.Version)}
}
