package console

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	queries "latchkey.dev/queries/console"
	"latchkey.dev/services/access"
	"latchkey.dev/services/device"
	"latchkey.dev/services/internal/web"
)

// row judges a row, and puts whom it is about into a group.
func (j *judging) row(g *group, r *sheetRow, m meant) faults {
	var f faults
	switch {
	case r.id != "" && (m.id == uuid.Nil || len(r.id) != 36):
		f.add("id", "bad_id", "This is no id of a person. Leave it empty for somebody new.")
	case m.id != uuid.Nil && m.member == nil:
		f.add("id", "nobody", "Nobody in this account has this id.")
	case j.twice(r, m):
	case m.member == nil:
		return j.newcomer(g, r, m)
	default:
		return j.update(g, r, m)
	}
	return f
}

// twice reports whether an earlier line is about the same person, or has the same user ID.
func (j *judging) twice(r *sheetRow, m meant) bool {
	other := 0
	if m.name != "" {
		if other = j.names[m.name]; other == 0 {
			j.names[m.name] = r.line
		}
	}
	if m.id != uuid.Nil && other == 0 {
		if other = j.ids[m.id]; other == 0 {
			j.ids[m.id] = r.line
		}
	}
	if other == 0 {
		return false
	}
	column := "id"
	if r.id == "" {
		column = "user_id"
	}
	j.faults = append(j.faults, RowFault{Line: r.line, Column: column, Code: "twice", Detail: fmt.Sprintf("Line %d is about the same person, or has the same user ID.", other), OtherLine: other})
	return true
}

// value is what stands in a cell of somebody new.
func value(cell string) string {
	if cell == clears {
		return ""
	}
	return cell
}

// newcomer judges somebody new.
func (j *judging) newcomer(g *group, r *sheetRow, m meant) faults {
	n := NewMember{Role: device.Role(r.role), UserID: r.userID, Phone: value(r.phone), Email: value(r.email), Language: value(r.language)}
	number, mail, err := n.check(j.rules)
	f := faultsOf(err)
	if slices.Contains(device.Roles, n.Role) && !j.by.To(access.Create, access.Target{Role: n.Role}) {
		f.add("role", "forbidden", errForbidden.Detail)
	}
	if m.owner != uuid.Nil && n.Role != device.Client {
		f = append(f, takenProblem().(*web.Problem).Faults...)
	}
	if len(f) == 0 {
		g.made = append(g.made, &newcomer{NewMember: n, number: number, mail: mail, once: j.once(r.line)})
	}
	return f
}

// update judges what a row changes of somebody.
func (j *judging) update(g *group, r *sheetRow, m meant) faults {
	in := r.changes()
	if !j.by.To(access.Update, m.member.target()) || in.Role != nil && !j.by.To(access.Update, access.Target{ID: m.id, Role: *in.Role}) && slices.Contains(device.Roles, *in.Role) {
		return faults{{Field: "role", Code: "forbidden", Detail: errForbidden.Detail}}
	}
	u, err := j.c.judge(*m.member, in)
	f := faultsOf(err)
	if in.UserID != nil && m.owner != uuid.Nil && m.owner != m.id && u.role != device.Client {
		f = append(f, takenProblem().(*web.Problem).Faults...)
	}
	if len(f) > 0 {
		return f
	}
	if u.same() {
		g.counts.Unchanged++
		return nil
	}
	if u.Role == string(device.Owner) && u.role != device.Owner && u.DeactivatedAt == nil {
		j.demoted[m.id] = r.line
	}
	if u.number != nil {
		g.renumbered = append(g.renumbered, m.id)
	}
	g.counts.Updated++
	g.updates = append(g.updates, u)
	return nil
}

// changes is what a row asks to change of who is there already. A user ID changes only where
// the id says whose it is.
func (r *sheetRow) changes() (in MemberUpdate) {
	if role := device.Role(r.role); role != "" {
		in.Role = &role
	}
	if r.id != "" && r.userID != "" {
		in.UserID = &r.userID
	}
	for _, c := range []struct {
		cell  string
		stays bool
		into  **string
	}{{r.phone, shownNumber.MatchString(r.phone), &in.Phone}, {r.email, r.email == onFile, &in.Email}, {r.language, false, &in.Language}} {
		if c.cell != "" && !c.stays {
			v := value(c.cell)
			*c.into = &v
		}
	}
	return in
}

func faultsOf(err error) faults {
	if p := new(web.Problem); errors.As(err, &p) {
		return p.Faults
	}
	return nil
}

// leaveOutRepeated leaves out whom the same line of the same file made before.
func (j *judging) leaveOutRepeated(ctx context.Context, g *group) error {
	if len(g.made) == 0 {
		return nil
	}
	p := queries.IdempotencyReadParams{AccountID: j.by.Account}
	for _, n := range g.made {
		p.KeyDigests = append(p.KeyDigests, n.once.key)
	}
	rows, err := j.c.q.IdempotencyRead(ctx, p)
	if err != nil {
		return fmt.Errorf("reading what was imported before: %w", err)
	}
	before := make(map[string]bool, len(rows))
	for _, r := range rows {
		before[string(r.KeyDigest)] = true
	}
	g.made = slices.DeleteFunc(g.made, func(n *newcomer) bool { return before[string(n.once.key)] })
	g.counts.Created, g.counts.Repeated = len(g.made), len(rows)
	return nil
}

// keepOwner refuses a file that would leave the account without an active owner. An owner whom
// the same file makes does not count: another group of its rows may come first.
func (j *judging) keepOwner(ctx context.Context) error {
	if len(j.demoted) == 0 {
		return nil
	}
	var ids [][16]byte
	for id := range j.demoted {
		ids = append(ids, id)
	}
	others, err := j.c.q.OwnersOther(ctx, queries.OwnersOtherParams{AccountID: j.by.Account, Ids: ids})
	if err != nil {
		return fmt.Errorf("counting owners: %w", err)
	}
	for _, line := range j.demoted {
		if others == 0 {
			j.faults = append(j.faults, RowFault{Line: line, Column: "role", Code: "last_owner", Detail: errLastOwner.Detail})
		}
	}
	return nil
}

// lockTimedOut reports whether a transaction waited for another one for too long.
func lockTimedOut(err error) bool {
	e := new(pgconn.PgError)
	return errors.As(err, &e) && e.Code == "55P03"
}
