package console

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	queries "latchkey.dev/queries/console"
	"latchkey.dev/services/access"
	"latchkey.dev/services/device"
	"latchkey.dev/services/event"
)

// Whom the operator right is not given.
var (
	ErrClientOperates = errors.New("a client cannot be an operator")
	ErrDeactivated    = errors.New("this person is deactivated")
)

// OperatorRight is that a person may do what is of the installation.
type OperatorRight struct {
	Member      uuid.UUID   `json:"member"`
	UserID      string      `json:"user_id,omitempty"`
	Role        device.Role `json:"role"`
	Account     uuid.UUID   `json:"account"`
	AccountName string      `json:"account_name"`
	Deactivated bool        `json:"deactivated,omitempty"` // and cannot use it
	GrantedAt   time.Time   `json:"granted_at"`
	GrantedBy   string      `json:"granted_by"`
}

// GrantOperator gives a person the operator right. To give it again changes nothing. It returns
// ErrNotFound, ErrClientOperates or ErrDeactivated.
func (c *Console) GrantOperator(ctx context.Context, by access.Actor, member uuid.UUID) error {
	return c.operates(ctx, by, member, func(db *queries.Queries, m queries.OperatorMemberRow) (event.Data, int64, error) {
		switch {
		case m.Role == string(device.Client):
			return nil, 0, ErrClientOperates
		case m.Deactivated:
			return nil, 0, ErrDeactivated
		}
		n, err := db.OperatorGrant(ctx, queries.OperatorGrantParams{MemberID: member, GrantedBy: by.By()})
		return event.OperatorGranted{Member: member, By: by.By()}, n, err
	})
}

// RevokeOperator takes the operator right away: the next request finds it gone. It returns ErrNotFound.
func (c *Console) RevokeOperator(ctx context.Context, by access.Actor, member uuid.UUID) error {
	return c.operates(ctx, by, member, func(db *queries.Queries, _ queries.OperatorMemberRow) (event.Data, int64, error) {
		n, err := db.OperatorRevoke(ctx, member)
		return event.OperatorRevoked{Member: member, By: by.By()}, n, err
	})
}

// operates changes somebody's operator right; a change of no rows tells nothing.
func (c *Console) operates(ctx context.Context, by access.Actor, member uuid.UUID, do func(*queries.Queries, queries.OperatorMemberRow) (event.Data, int64, error)) error {
	if !by.In(access.GrantOperator) {
		return errForbidden
	}
	m, err := c.q.OperatorMember(ctx, member)
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("reading a person: %w", err)
	}
	return c.changeAndTell(ctx, m.AccountID, func(db *queries.Queries) ([]event.Data, error) {
		told, n, err := do(db, m)
		if err != nil || n == 0 {
			return nil, err
		}
		return []event.Data{told}, nil
	})
}

// Operators lists who has the operator right.
func (c *Console) Operators(ctx context.Context, by access.Actor) ([]OperatorRight, error) {
	if !by.In(access.GrantOperator) {
		return nil, errForbidden
	}
	rows, err := c.q.OperatorList(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading who operates: %w", err)
	}
	all := make([]OperatorRight, len(rows))
	for i, r := range rows {
		all[i] = OperatorRight{r.MemberID, r.UserID, device.Role(r.Role), r.AccountID, r.AccountName, r.Deactivated, r.GrantedAt, r.GrantedBy}
	}
	return all, nil
}
