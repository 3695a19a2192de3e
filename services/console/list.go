package console

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	queries "latchkey.dev/queries/console"
	"latchkey.dev/services/access"
	"latchkey.dev/services/device"
	"latchkey.dev/services/email"
	"latchkey.dev/services/phone"
)

// Search says which people to list. Deactivated ones are listed alone.
type Search struct {
	Roles       []device.Role // all if empty
	Text        string        // the beginning of a user ID; a whole e-mail address or number; country and last two digits, as "CA 42"
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
	Language    string      `json:"language,omitempty"`
	HasPassword bool        `json:"has_password"` // the person can sign in here
	CreatedAt   time.Time   `json:"created_at"`
}

const (
	maxText = 254          // bytes of what is searched for: an e-mail address has no more
	last    = "\U0010FFFF" // comes after every character of a user ID
)

// List returns a page of the people of an account, and whether there are more.
func (c *Console) List(ctx context.Context, by access.Actor, s Search) (page []Listed, more bool, err error) {
	if !by.In(access.List) {
		return nil, false, errForbidden
	}
	if !s.possible() {
		return nil, false, nil
	}
	s.Most = bounded(s.Most)
	placed, err := c.placed(ctx, by, s)
	if err != nil {
		return nil, false, fmt.Errorf("listing people: %w", err)
	}
	ids := make([][16]byte, len(placed))
	for i, p := range placed {
		ids[i] = p.ID
	}
	return c.listed(ctx, by, ids, s.Most)
}

// possible reports whether anybody can be called what is searched for.
func (s Search) possible() bool {
	return len(s.Text) <= maxText && utf8.ValidString(s.Text) && !strings.Contains(s.Text, "\x00")
}

// OwnClients returns a page of the clients who are the actor's own, and whether there are more.
// 50 are on one if most is zero, 500 at most.
func (c *Console) OwnClients(ctx context.Context, by access.Actor, after Place, most int) (page []Listed, more bool, err error) {
	if !by.In(access.ListOwn) {
		return nil, false, errForbidden
	}
	most = bounded(most)
	ids, err := c.q.AssignmentClients(ctx, queries.AssignmentClientsParams{StaffID: by.ID, AccountID: by.Account,
		AfterName: strings.ToLower(after.UserID), AfterID: after.ID, Most: int32(most) + 1})
	if err != nil {
		return nil, false, fmt.Errorf("listing own clients: %w", err)
	}
	return c.listed(ctx, by, ids, most)
}

// bounded is how many people a page has.
func bounded(most int) int {
	if most <= 0 {
		return 50
	}
	return min(most, 500)
}

// listed reads what lists show of people, in their order: a page, and whether there are more.
func (c *Console) listed(ctx context.Context, by access.Actor, ids [][16]byte, most int) (page []Listed, more bool, err error) {
	if more = len(ids) > most; more {
		ids = ids[:most]
	}
	if len(ids) == 0 {
		return nil, false, nil
	}
	rows, err := c.q.MemberListed(ctx, queries.MemberListedParams{Ids: ids, AccountID: by.Account})
	if err != nil {
		return nil, false, fmt.Errorf("listing people: %w", err)
	}
	for _, r := range rows {
		page = append(page, Listed{r.ID, device.Role(r.Role), r.UserID, r.PhoneCountry, r.PhoneLastTwo, r.HasEmail, r.Deactivated, r.Locked, int(r.Devices), r.Language, r.HasPassword, r.CreatedAt})
	}
	return page, more, nil
}

// placed returns who is on a page, in its order, and one more if there are more.
func (c *Console) placed(ctx context.Context, by access.Actor, s Search) ([]queries.MemberListRow, error) {
	roles := make([]string, 0, len(device.Roles))
	for _, r := range device.Roles {
		if len(s.Roles) == 0 || slices.Contains(s.Roles, r) {
			roles = append(roles, string(r))
		}
	}
	found, err := c.find(ctx, by, s, roles)
	if err != nil {
		return nil, err
	}
	p := queries.MemberListParams{Roles: roles, NoNumber: filter(s.NoNumber), MayLackDevice: filter(s.NoDevice), MayBeLocked: filter(s.Locked),
		AccountID: by.Account, Deactivated: s.Deactivated, NoDevice: s.NoDevice, Locked: s.Locked, Most: int32(s.Most) + 1}
	begins := strings.ToLower(s.Text)
	p.AfterName, p.AfterID, p.BeforeName = strings.ToLower(s.After.UserID), s.After.ID, begins+last
	if p.AfterName < begins {
		p.AfterName, p.AfterID = begins, uuid.Nil
	}
	rows, err := c.q.MemberList(ctx, p)
	if err != nil {
		return nil, err
	}
	for _, f := range found {
		rows = append(rows, queries.MemberListRow(f))
	}
	if len(found) > 0 {
		slices.SortFunc(rows, func(a, b queries.MemberListRow) int {
			return cmp.Or(cmp.Compare(a.Name, b.Name), bytes.Compare(a.ID[:], b.ID[:]))
		})
		rows = slices.Compact(rows)
	}
	return rows[:min(len(rows), s.Most+1)], nil
}

// filter returns the values that a list takes of what it may be filtered by.
func filter(only bool) []bool {
	if only {
		return []bool{true}
	}
	return []bool{false, true}
}

// shownNumber is what lists show of a number: its country and its last two digits.
var shownNumber = regexp.MustCompile(`^([A-Za-z]{2}|001)[ …]+([0-9]{2})$`)

// find looks for a whole address or number, and for what lists show of a number. A console
// without keys finds neither address nor number.
func (c *Console) find(ctx context.Context, by access.Actor, s Search, roles []string) ([]queries.MemberFindRow, error) {
	p := queries.MemberFindParams{AccountID: by.Account, Deactivated: s.Deactivated, Roles: roles, NoNumber: filter(s.NoNumber), NoDevice: s.NoDevice, Locked: s.Locked,
		AfterName: strings.ToLower(s.After.UserID), AfterID: s.After.ID, Most: int32(s.Most) + 1}
	if m := shownNumber.FindStringSubmatch(s.Text); m != nil {
		country := strings.ToUpper(m[1])
		p.PhoneCountry, p.PhoneLastTwo = &country, &m[2]
	}
	if !c.o.People.Missing() {
		if a, err := email.Parse(s.Text); err == nil {
			p.EmailIndex = c.o.People.EmailIndex(a)
		}
		var err error
		if p.PhoneIndex, err = c.numberIndex(ctx, by.Account, s.Text); err != nil {
			return nil, err
		}
	}
	if p.PhoneCountry == nil && p.EmailIndex == nil && p.PhoneIndex == nil {
		return nil, nil
	}
	return c.q.MemberFind(ctx, p)
}

// numberIndex is the blind index of a text that is a number in the account's country, nil of another.
func (c *Console) numberIndex(ctx context.Context, account uuid.UUID, text string) ([]byte, error) {
	if strings.Count(text, "")-1 < 6 || strings.IndexFunc(text, func(r rune) bool { return !strings.ContainsRune("0123456789+-(). /", r) }) >= 0 {
		return nil, nil
	}
	r, err := c.rules(ctx, account)
	if err != nil {
		return nil, err
	}
	n, err := phone.Parse(text, r.country)
	if err != nil {
		return nil, nil
	}
	return c.o.People.NumberIndex(n), nil
}
