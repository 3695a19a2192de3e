package console

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

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
	row, err := c.q.MemberRead(ctx, queries.MemberReadParams{ID: id, AccountID: by.Account, ActorID: by.ID})
	if errors.Is(err, pgx.ErrNoRows) {
		return member{}, web.NotFound
	}
	if err != nil {
		return member{}, fmt.Errorf("reading a member: %w", err)
	}
	m := member{row}
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

// Search says which people to list. Deactivated ones are listed alone.
type Search struct {
	Roles       []device.Role // all if empty
	Prefix      string        // of the user ID, in any case
	NoNumber    bool          // only who has none
	NoDevice    bool          // only who has no live registration
	Locked      bool          // only who is locked
	Deactivated bool
	After       Place // the last one of the page before
	Most        int   // 50 if zero, 500 at most
}

// Place is where a page of people ended.
type Place struct {
	UserID string    `json:"u"`
	ID     uuid.UUID `json:"i"`
}

// Listed is a person in a list.
type Listed struct {
	ID          uuid.UUID   `json:"id"`
	Role        device.Role `json:"role"`
	UserID      string      `json:"user_id,omitempty"`
	Country     string      `json:"country,omitempty"`  // of the number; "" where there is none
	LastTwo     string      `json:"last_two,omitempty"` // digits of the number
	HasEmail    bool        `json:"has_email"`
	Deactivated bool        `json:"deactivated"`
	Locked      bool        `json:"locked"` // by "this was not me", or by wrong codes
	Devices     int         `json:"devices"`
	CreatedAt   time.Time   `json:"created_at"`
}

// maxPrefix bounds what is searched for, in bytes: a user ID has no more.
const maxPrefix = 128

// List returns a page of the people of an account, and whether there are more.
func (c *Console) List(ctx context.Context, by access.Actor, s Search) (page []Listed, more bool, err error) {
	if !by.In(access.List) {
		return nil, false, errForbidden
	}
	if len(s.Prefix) > maxPrefix || !utf8.ValidString(s.Prefix) || strings.Contains(s.Prefix, "\x00") {
		return nil, false, nil // nobody is called so
	}
	if s.Most <= 0 {
		s.Most = 50
	}
	s.Most = min(s.Most, 500)
	roles := make([]string, 0, len(device.Roles))
	for _, r := range device.Roles {
		if len(s.Roles) == 0 || slices.Contains(s.Roles, r) {
			roles = append(roles, string(r))
		}
	}
	rows, err := c.q.MemberList(ctx, queries.MemberListParams{AccountID: by.Account, AfterUserID: strings.ToLower(s.After.UserID), AfterID: s.After.ID,
		Roles: roles, Deactivated: s.Deactivated, NoNumber: s.NoNumber, NoDevice: s.NoDevice, Locked: s.Locked, Prefix: like(strings.ToLower(s.Prefix)), Most: int32(s.Most) + 1})
	if err != nil {
		return nil, false, fmt.Errorf("listing people: %w", err)
	}
	for _, r := range rows[:min(len(rows), s.Most)] {
		page = append(page, Listed{r.ID, device.Role(r.Role), r.UserID, r.PhoneCountry, r.PhoneLastTwo, r.HasEmail, r.Deactivated, r.Locked, int(r.Devices), r.CreatedAt})
	}
	return page, len(rows) > s.Most, nil
}

// like takes the meaning from what a pattern of LIKE would take for a sign.
func like(s string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s)
}
