package console

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	queries "latchkey.dev/queries/console"
	"latchkey.dev/services/access"
	"latchkey.dev/services/device"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/web"
)

// Device is a live registration.
type Device struct {
	ID           uuid.UUID     `json:"id"`
	Software     string        `json:"software"`
	SoftwareName string        `json:"software_name,omitempty"`
	Mobile       bool          `json:"mobile"` // an app's, not a browser's
	Kind         string        `json:"kind"`   // key, bearer
	Name         string        `json:"name,omitempty"`
	Registered   device.Facets `json:"registered"` // what it was then
	Seen         device.Facets `json:"seen"`       // and when it was last used
	RegisteredAt time.Time     `json:"registered_at"`
	SeenAt       time.Time     `json:"seen_at"`
	SeenCountry  string        `json:"seen_country,omitempty"` // ISO 3166-1 alpha-2 of where it was then; "" where that is not known
	// Provider is whose text carried the code; "" where that is not known any more, or no
	// text did.
	Provider string `json:"provider,omitempty"`
}

// Devices returns a person's live registrations, newest first, 200 at most.
func (c *Console) Devices(ctx context.Context, by access.Actor, id uuid.UUID) ([]Device, error) {
	if _, err := c.readMember(ctx, by, id, access.See); err != nil {
		return nil, err
	}
	rows, err := c.q.DeviceList(ctx, queries.DeviceListParams{MemberID: id, AccountID: by.Account})
	if err != nil {
		return nil, fmt.Errorf("reading devices: %w", err)
	}
	all := make([]Device, len(rows))
	for i, r := range rows {
		d := Device{ID: r.ID, Software: r.SoftwareID, SoftwareName: r.SoftwareName, Mobile: r.SoftwareKind == "mobile", Kind: r.Kind, Name: r.Name,
			RegisteredAt: r.RegisteredAt, SeenAt: r.SeenAt, SeenCountry: r.SeenCountry, Provider: r.Provider}
		if err := json.Unmarshal(r.RegisteredFacets, &d.Registered); err != nil {
			return nil, fmt.Errorf("reading a device's facets: %w", err)
		}
		if err := json.Unmarshal(r.SeenFacets, &d.Seen); err != nil {
			return nil, fmt.Errorf("reading a device's facets: %w", err)
		}
		all[i] = d
	}
	return all, nil
}

// RevokeDevice ends one registration of a person, and the sessions that stand on it.
func (c *Console) RevokeDevice(ctx context.Context, by access.Actor, id, registration uuid.UUID) error {
	return c.revokeDevices(ctx, by, id, &registration)
}

// RevokeAllDevices ends all registrations of a person, and the sessions that stand on them.
func (c *Console) RevokeAllDevices(ctx context.Context, by access.Actor, id uuid.UUID) error {
	return c.revokeDevices(ctx, by, id, nil)
}

func (c *Console) revokeDevices(ctx context.Context, by access.Actor, id uuid.UUID, one *uuid.UUID) error {
	return c.changeMember(ctx, by, id, access.RevokeDevice, func(db *queries.Queries, m member) ([]event.Data, error) {
		told, err := revoke(ctx, db, by, m, one, revokeReason(by, id))
		if err == nil && one != nil && len(told) == 0 {
			err = web.NotFound
		}
		return told, err
	})
}

// revokeReason says who ends a registration of a person.
func revokeReason(by access.Actor, of uuid.UUID) string {
	switch {
	case by.Kind == access.Operator:
		return "operator"
	case by.Kind == access.Product:
		return "product"
	case by.ID == of:
		return "member"
	}
	return string(by.Role) // owner or administrator: nobody else may
}

// revoke ends one registration of a person, or all if one is nil, and returns an event for each.
func revoke(ctx context.Context, db *queries.Queries, by access.Actor, m member, one *uuid.UUID, reason string) ([]event.Data, error) {
	return revokeOf(ctx, db, by, [][16]byte{m.ID}, one, reason)
}

// revokeOf is revoke of many people.
func revokeOf(ctx context.Context, db *queries.Queries, by access.Actor, members [][16]byte, one *uuid.UUID, reason string) ([]event.Data, error) {
	ended, err := db.DeviceRevoke(ctx, queries.DeviceRevokeParams{MemberIds: members, AccountID: by.Account, ID: (*[16]byte)(one), Reason: reason})
	if err != nil {
		return nil, fmt.Errorf("revoking devices: %w", err)
	}
	told := make([]event.Data, len(ended))
	for i, d := range ended {
		told[i] = event.DeviceRevoked{Member: d.MemberID, Device: d.ID, Reason: reason, By: by.By()}
	}
	return told, nil
}
