package auditor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	queries "latchkey.dev/queries/auditor"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/details"
	"latchkey.dev/services/internal/seal"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/words"
)

// exported is what an export holds beside the events, which come after it one by one. What
// is held of others, and what nobody can read, is not in it: digests, tokens, seeds, keys.
type exported struct {
	MadeAt      time.Time `json:"made_at"`
	RequestedAt time.Time `json:"requested_at"` // what came after is not in it
	Account     struct {
		ID            uuid.UUID `json:"id"`
		Name          string    `json:"name"`
		Kind          string    `json:"kind"`
		TwoFactor     bool      `json:"two_factor"`
		Demographics  bool      `json:"demographics"`
		UpgradePolicy string    `json:"upgrade_policy"`
	} `json:"account"`
	Person struct {
		ID                uuid.UUID  `json:"id"`
		Role              string     `json:"role"`
		UserID            *string    `json:"user_id,omitempty"`
		Number            string     `json:"number,omitempty"`
		Country           *string    `json:"country,omitempty"` // of the number
		NumberProvedAt    *time.Time `json:"number_proved_at,omitempty"`
		NumberChangedAt   *time.Time `json:"number_changed_at,omitempty"` // by somebody else
		Email             string     `json:"email,omitempty"`
		Language          *string    `json:"language,omitempty"`
		PasswordChangedAt *time.Time `json:"password_changed_at,omitempty"`
		MustChangeSince   *time.Time `json:"password_must_change_since,omitempty"` // it was made by the system
		CreatedAt         time.Time  `json:"created_at"`
		UpdatedAt         time.Time  `json:"updated_at"`
		DeactivatedAt     *time.Time `json:"deactivated_at,omitempty"`
		LockedAt          *time.Time `json:"locked_at,omitempty"`
		OperatorSince     *time.Time `json:"operator_since,omitempty"` // has the operator right
		WrongCodes        int        `json:"wrong_codes"`              // since the last right one
	} `json:"person"`
	Assignments []exportedAssignment `json:"assignments"`
	Devices     []exportedDevice     `json:"devices"` // every one that ever was
	Sessions    []exportedSession    `json:"sessions"`
	Console     []exportedSession    `json:"console_sessions"`
	Notices     []exportedNotice     `json:"notices"` // of the last 30 days
	Codes       []*exportedCode      `json:"codes"`   // asked for in the last 30 days
}

type exportedAssignment struct {
	Client     uuid.UUID `json:"client"`
	Staff      uuid.UUID `json:"staff"`
	AssignedAt time.Time `json:"assigned_at"`
}

type exportedDevice struct {
	ID           uuid.UUID       `json:"id"`
	Software     string          `json:"software"`
	Kind         string          `json:"kind"`
	Thumbprint   []byte          `json:"thumbprint"` // of the device's key, RFC 7638
	Name         string          `json:"name,omitempty"`
	Registered   json.RawMessage `json:"registered"`
	Seen         json.RawMessage `json:"seen"`
	RegisteredAt time.Time       `json:"registered_at"`
	Factor       string          `json:"factor"` // what registered it, beside the password: sms, registration_code
	SeenAt       time.Time       `json:"seen_at"`
	SeenCountry  *string         `json:"seen_country,omitempty"`
	RevokedAt    *time.Time      `json:"revoked_at,omitempty"`
	Reason       *string         `json:"revoke_reason,omitempty"`
}

// exportedSession is one at login, or one at the console, which came of one at login.
type exportedSession struct {
	ID        uuid.UUID  `json:"id"`
	Software  string     `json:"software,omitempty"`
	Device    *uuid.UUID `json:"device,omitempty"`
	AMR       []string   `json:"amr,omitempty"` // how the person signed in: RFC 8176
	Session   *uuid.UUID `json:"session,omitempty"`
	CreatedAt time.Time  `json:"created_at"`
	SeenAt    time.Time  `json:"seen_at"`
	EndedAt   *time.Time `json:"ended_at,omitempty"`
}

type exportedNotice struct {
	ID         uuid.UUID       `json:"id"`
	Kind       string          `json:"kind"`
	Channel    string          `json:"channel"`
	Software   *string         `json:"software,omitempty"`
	Device     json.RawMessage `json:"device,omitempty"`
	MadeAt     time.Time       `json:"made_at"`
	EndedAt    *time.Time      `json:"ended_at,omitempty"`
	Ending     *string         `json:"ending,omitempty"`
	DisownedAt *time.Time      `json:"repudiated_at,omitempty"` // the person said: this was not me
}

type exportedCode struct {
	ID         uuid.UUID       `json:"id"`
	Software   string          `json:"software"`
	Purpose    string          `json:"purpose"`
	Origin     string          `json:"origin"`
	DeviceKind string          `json:"device_kind"`
	Device     json.RawMessage `json:"device"`
	Country    string          `json:"country"`
	LastTwo    string          `json:"last_two"`
	Language   string          `json:"language"`
	CreatedAt  time.Time       `json:"created_at"`
	ClosedAt   *time.Time      `json:"closed_at,omitempty"`
	EndReason  *string         `json:"end_reason,omitempty"`
	Tries      int             `json:"tries"`
	Texts      []exportedText  `json:"texts"`
}

type exportedText struct {
	Text        int        `json:"text"`
	Provider    string     `json:"provider"`
	StartedAt   time.Time  `json:"started_at"`
	Ending      *string    `json:"ending,omitempty"`
	Reason      *string    `json:"reason,omitempty"`
	DeliveredAt *time.Time `json:"delivered_at,omitempty"`
	Receipt     *string    `json:"receipt_status,omitempty"`
}

// exportedEvent is one event, with the details that are sealed in it opened.
type exportedEvent struct {
	ID      uuid.UUID                  `json:"id"`
	Time    time.Time                  `json:"time"`
	Type    string                     `json:"type"`
	Data    map[string]json.RawMessage `json:"data"`
	Details json.RawMessage            `json:"details,omitempty"` // address and user agent
}

const exportPage = 500

func (d *Details) postExport(w http.ResponseWriter, r *http.Request) error {
	var in details.ExportRequest
	if err := web.ReadJSON(w, r, &in); err != nil {
		return err
	}
	if !by.MatchString(in.By) || in.Format != details.JSON && in.Format != details.HTML {
		return web.BadRequest
	}
	x := &export{d: d, in: in}
	x.lang, _ = words.Parse(in.Language)
	if err := x.begin(r.Context()); err != nil {
		return err
	}
	w.Header().Set("Content-Type", in.Format.ContentType())
	w.Header().Set("Cache-Control", "no-store")
	if err := x.write(r.Context(), w); err != nil {
		d.o.Logger.ErrorContext(r.Context(), "an export broke off", "job", in.Job, "error", err)
		panic(http.ErrAbortHandler) // the reader sees that it is not whole
	}
	return nil
}

// export is one reading of an export.
type export struct {
	d      *Details
	in     details.ExportRequest
	lang   words.Language
	member uuid.UUID
	key    seal.PrivateKey
	head   exported
}

// begin reads all but the events, and tells that it was opened, in one transaction.
func (x *export) begin(ctx context.Context) error {
	ready, err := x.d.q.ExportRead(ctx, queries.ExportReadParams{ID: x.in.Job, AccountID: x.in.Account, RequestedBy: x.in.By})
	if errors.Is(err, pgx.ErrNoRows) {
		return web.NotFound
	}
	if err != nil {
		return fmt.Errorf("reading an export: %w", err)
	}
	x.member = ready.MemberID
	told := event.MemberExported{Member: x.member, Job: x.in.Job, Format: string(x.in.Format), By: x.in.By}
	return x.d.tell(ctx, x.in.Account, told, func(db *queries.Queries) error {
		x.head = exported{RequestedAt: ready.RequestedAt, MadeAt: x.d.o.Now().UTC()}
		key, shown, err := x.d.open(ctx, db, x.in.Account, x.member)
		if err != nil {
			return err
		}
		x.key, x.head.Person.Number, x.head.Person.Email = key, shown.Number, shown.Email
		for _, read := range []func(context.Context, *queries.Queries) error{x.person, x.devices, x.sessions, x.notices, x.codes} {
			if err := read(ctx, db); err != nil {
				return fmt.Errorf("reading what is held of a member: %w", err)
			}
		}
		return nil
	})
}

func (x *export) person(ctx context.Context, q *queries.Queries) error {
	m, err := q.ExportMember(ctx, queries.ExportMemberParams{ID: x.member, AccountID: x.in.Account})
	if err != nil {
		return err
	}
	a, p := &x.head.Account, &x.head.Person
	a.ID, a.Name, a.Kind, a.TwoFactor, a.Demographics, a.UpgradePolicy = m.AccountID, m.AccountName, m.AccountKind, m.TwoFactor, m.Demographics, m.UpgradePolicy
	p.ID, p.Role, p.UserID, p.Country, p.Language = m.ID, m.Role, m.UserID, m.PhoneCountry, m.Language
	p.NumberChangedAt, p.MustChangeSince, p.OperatorSince = m.PhoneChangedAt, m.PasswordMustChangeSince, m.OperatorSince
	p.WrongCodes, p.NumberProvedAt, p.PasswordChangedAt, p.CreatedAt, p.UpdatedAt, p.DeactivatedAt, p.LockedAt = int(m.WrongCodes), m.NumberProvedAt, m.PasswordChangedAt, m.CreatedAt, m.UpdatedAt, m.DeactivatedAt, m.LockedAt
	rows, err := q.ExportAssignments(ctx, x.member)
	x.head.Assignments = make([]exportedAssignment, 0, len(rows))
	for _, r := range rows {
		x.head.Assignments = append(x.head.Assignments, exportedAssignment{r.ClientID, r.StaffID, r.AssignedAt})
	}
	return err
}

func (x *export) devices(ctx context.Context, q *queries.Queries) error {
	rows, err := q.ExportDevices(ctx, x.member)
	x.head.Devices = make([]exportedDevice, 0, len(rows))
	for _, r := range rows {
		x.head.Devices = append(x.head.Devices, exportedDevice{r.ID, r.SoftwareID, r.Kind, r.Thumbprint, r.Name, r.RegisteredFacets, r.SeenFacets, r.RegisteredAt, r.Factor, r.SeenAt, r.SeenCountry, r.RevokedAt, r.RevokeReason})
	}
	return err
}

func (x *export) sessions(ctx context.Context, q *queries.Queries) error {
	rows, err := q.ExportSessions(ctx, x.member)
	if err != nil {
		return err
	}
	x.head.Sessions = make([]exportedSession, 0, len(rows))
	for _, r := range rows {
		x.head.Sessions = append(x.head.Sessions, exportedSession{ID: r.ID, Software: r.SoftwareID, Device: (*uuid.UUID)(r.DeviceID), AMR: r.Amr, CreatedAt: r.CreatedAt, SeenAt: r.SeenAt, EndedAt: r.EndedAt})
	}
	console, err := q.ExportConsoleSessions(ctx, x.member)
	x.head.Console = make([]exportedSession, 0, len(console))
	for _, r := range console {
		session := uuid.UUID(r.SessionID)
		x.head.Console = append(x.head.Console, exportedSession{ID: r.ID, Session: &session, CreatedAt: r.CreatedAt, SeenAt: r.SeenAt, EndedAt: r.EndedAt})
	}
	return err
}

func (x *export) notices(ctx context.Context, q *queries.Queries) error {
	rows, err := q.ExportNotices(ctx, x.member)
	x.head.Notices = make([]exportedNotice, 0, len(rows))
	for _, r := range rows {
		n := exportedNotice{r.ID, r.Kind, r.Channel, r.SoftwareID, r.DeviceFacets, r.MadeAt, r.EndedAt, r.Ending, r.RepudiatedAt}
		if string(r.DeviceFacets) == "null" {
			n.Device = nil
		}
		x.head.Notices = append(x.head.Notices, n)
	}
	return err
}

func (x *export) codes(ctx context.Context, q *queries.Queries) error {
	x.head.Codes = []*exportedCode{}
	for after := uuid.Nil; ; {
		rows, err := q.ExportChallenges(ctx, queries.ExportChallengesParams{JobID: x.in.Job, After: after, Most: exportPage})
		if err != nil {
			return err
		}
		ids, byID := make([][16]byte, 0, len(rows)), map[uuid.UUID]*exportedCode{}
		for _, r := range rows {
			c := &exportedCode{r.ID, r.SoftwareID, r.Purpose, r.Origin, r.DeviceKind, r.DeviceFacets, r.PhoneCountry, r.PhoneLastTwo, r.Language, r.CreatedAt, r.ClosedAt, r.EndReason, int(r.Tries), []exportedText{}}
			ids, byID[r.ID], after = append(ids, r.ID), c, r.ID
			x.head.Codes = append(x.head.Codes, c)
		}
		texts, err := q.ExportAttempts(ctx, ids)
		if err != nil {
			return err
		}
		for _, r := range texts {
			c := byID[r.ChallengeID]
			c.Texts = append(c.Texts, exportedText{int(r.TextNo), r.Provider, r.StartedAt, r.Ending, r.Reason, r.DeliveredAt, r.ReceiptStatus})
		}
		if len(rows) < exportPage {
			return nil
		}
	}
}

// events calls do for each of the export's events, in order.
func (x *export) events(ctx context.Context, do func(exportedEvent) error) error {
	for after := uuid.Nil; ; {
		ids, err := x.d.q.ExportEvents(ctx, queries.ExportEventsParams{JobID: x.in.Job, After: after, Most: exportPage})
		if err != nil {
			return fmt.Errorf("reading an export's events: %w", err)
		}
		if len(ids) == 0 {
			return nil
		}
		rows, err := read(ctx, x.d.o.Pool, ids)
		if err != nil {
			return err
		}
		for _, id := range ids {
			row, kept := rows[id]
			if !kept {
				continue // its time was over since the export was prepared
			}
			e, err := x.event(row.Body)
			if err != nil {
				return err
			}
			if err := do(e); err != nil {
				return err
			}
		}
		after = ids[len(ids)-1]
	}
}

// event opens what is sealed in an event to the person. What is sealed to somebody else,
// for whom the person did something, stays out.
func (x *export) event(body []byte) (e exportedEvent, err error) {
	if err := json.Unmarshal(body, &e); err != nil {
		return e, fmt.Errorf("reading an event: %w", err)
	}
	raw, has := e.Data["details"]
	if !has {
		return e, nil
	}
	delete(e.Data, "details")
	var sealed []byte
	if err := json.Unmarshal(raw, &sealed); err != nil {
		return e, fmt.Errorf("reading an event's details: %w", err)
	}
	if plain, err := seal.OpenDetails(x.key, sealed, x.member); err == nil && json.Valid(plain) {
		e.Details = plain
	}
	return e, nil
}
