package console

import (
	"context"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	queries "latchkey.dev/queries/console"
	"latchkey.dev/services/access"
	"latchkey.dev/services/device"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/web"
)

var errNotAssignable = web.NewProblem(http.StatusConflict, "not-assignable", "Cannot be assigned", "A client is assigned to active staff of the account.")

// Assign makes a client one of somebody of the staff, who may then see the client.
func (c *Console) Assign(ctx context.Context, by access.Actor, client, staff uuid.UUID) error {
	if _, err := c.readMember(ctx, by, client, access.Assign); err != nil {
		return err
	}
	to, err := c.readMember(ctx, by, staff, access.See)
	if err != nil {
		return err
	}
	if to.Role == string(device.Client) || to.DeactivatedAt != nil {
		return errNotAssignable
	}
	return c.changeMember(ctx, by, client, access.Assign, func(db *queries.Queries, _ member) ([]event.Data, error) {
		rows, err := db.AssignmentInsert(ctx, queries.AssignmentInsertParams{ClientID: client, StaffID: staff, AccountID: by.Account})
		if err != nil || rows == 0 {
			return nil, err
		}
		return []event.Data{event.ClientAssigned{Member: client, Staff: staff, By: by.By()}}, nil
	})
}

// Unassign ends what Assign made.
func (c *Console) Unassign(ctx context.Context, by access.Actor, client, staff uuid.UUID) error {
	return c.changeMember(ctx, by, client, access.Assign, func(db *queries.Queries, _ member) ([]event.Data, error) {
		rows, err := db.AssignmentDelete(ctx, queries.AssignmentDeleteParams{ClientID: client, StaffID: staff, AccountID: by.Account})
		if err == nil && rows == 0 {
			err = web.NotFound
		}
		return []event.Data{event.ClientUnassigned{Member: client, Staff: staff, By: by.By()}}, err
	})
}

// Assigned is somebody of the staff whose client a person is.
type Assigned struct {
	ID     uuid.UUID   `json:"id"`
	Role   device.Role `json:"role"`
	UserID string      `json:"user_id,omitempty"`
}

// AssignedStaff returns whose client a person is, 500 at most.
func (c *Console) AssignedStaff(ctx context.Context, by access.Actor, client uuid.UUID) ([]Assigned, error) {
	if _, err := c.readMember(ctx, by, client, access.See); err != nil {
		return nil, err
	}
	rows, err := c.q.AssignmentList(ctx, queries.AssignmentListParams{ClientID: client, AccountID: by.Account})
	if err != nil {
		return nil, fmt.Errorf("reading assignments: %w", err)
	}
	all := make([]Assigned, len(rows))
	for i, r := range rows {
		all[i] = Assigned{r.ID, device.Role(r.Role), r.UserID}
	}
	return all, nil
}
