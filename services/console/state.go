package console

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	queries "latchkey.dev/queries/console"
	"latchkey.dev/services/access"
	"latchkey.dev/services/event"
)

// Deactivate lets a person in no more: sessions and registrations end. It does nothing to
// who is deactivated.
func (c *Console) Deactivate(ctx context.Context, by access.Actor, id uuid.UUID) error {
	return c.changeMember(ctx, by, id, access.Deactivate, func(db *queries.Queries, m member) ([]event.Data, error) {
		if err := c.keepOwner(ctx, db, by.Account, m); err != nil {
			return nil, err
		}
		rows, err := db.MemberDeactivate(ctx, queries.MemberDeactivateParams{ID: id, AccountID: by.Account})
		if err != nil || rows == 0 {
			return nil, err
		}
		ended, err := revoke(ctx, db, by, m, nil, "deactivated")
		return append([]event.Data{event.MemberDeactivated{Member: id, By: by.By()}}, ended...), err
	})
}

// Reactivate lets a deactivated person in again, who must register every device anew.
func (c *Console) Reactivate(ctx context.Context, by access.Actor, id uuid.UUID) error {
	return c.changeMember(ctx, by, id, access.Reactivate, func(db *queries.Queries, m member) ([]event.Data, error) {
		if r := m.rules(nil); r.needsNumber() && !m.hasNumber() {
			var f faults
			r.number("", "", &f)
			return nil, f.problem()
		}
		rows, err := db.MemberReactivate(ctx, queries.MemberReactivateParams{ID: id, AccountID: by.Account})
		if err != nil || rows == 0 {
			return nil, err
		}
		return []event.Data{event.MemberReactivated{Member: id, By: by.By()}}, nil
	})
}

// Unlock lifts what holds a person back: the lock of "this was not me", and the counts of
// wrong codes and wrong passwords.
func (c *Console) Unlock(ctx context.Context, by access.Actor, id uuid.UUID) error {
	return c.changeMember(ctx, by, id, access.Unlock, func(db *queries.Queries, m member) ([]event.Data, error) {
		err := db.MemberUnlock(ctx, queries.MemberUnlockParams{ID: id, AccountID: by.Account, UserDigest: c.o.People.UserLimit(text(m.UserID))})
		return []event.Data{event.MemberUnlocked{Member: id, By: by.By()}}, err
	})
}

// changeMember makes a change to a person while no code of the person's is being judged and
// nobody else makes one. do gets the person as found then: not erased meanwhile.
func (c *Console) changeMember(ctx context.Context, by access.Actor, id uuid.UUID, action access.Action, do func(*queries.Queries, member) ([]event.Data, error)) error {
	if _, err := c.readMember(ctx, by, id, action); err != nil {
		return err
	}
	err := c.changeAndTell(ctx, by.Account, func(db *queries.Queries) ([]event.Data, error) {
		if err := db.MemberLock(ctx, id); err != nil {
			return nil, err
		}
		m, err := readMember(ctx, db, by, id, action)
		if err != nil {
			return nil, err
		}
		return do(db, m)
	})
	if err != nil {
		return fmt.Errorf("doing %s: %w", action, err)
	}
	return nil
}
