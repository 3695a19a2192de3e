package login

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	queries "latchkey.dev/queries/login"
	"latchkey.dev/services/device"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/store"
	"latchkey.dev/services/internal/web"
)

var errNoSession = web.NewProblem(http.StatusUnauthorized, "no-session", "Not signed in", "Sign in first.")

// session returns the live session of a request's bearer token. A cookie is none: the API
// takes nothing that a browser sends by itself.
func (l *Login) session(r *http.Request) (queries.SessionReadRow, error) {
	token, ok := bearer(r)
	if !ok {
		return queries.SessionReadRow{}, errNoSession
	}
	return l.sessionOf(r.Context(), token)
}

// settled returns the live session of a request of somebody who need not change a generated
// password first: until then nothing else can be done (rule 6).
func (l *Login) settled(r *http.Request) (queries.SessionReadRow, error) {
	s, err := l.session(r)
	if err == nil && mustChange(s) {
		err = web.NewProblem(http.StatusForbidden, "password-must-change", "Change your password", "The password that you were given is for the first sign-in only. Choose another one first.")
	}
	return s, err
}

// mustChange says that a generated password must be changed: after the first code, never before it.
func mustChange(s queries.SessionReadRow) bool { return s.MustChange && s.DeviceID != nil }

func (l *Login) sessionOf(ctx context.Context, token string) (queries.SessionReadRow, error) {
	digest := secret.Digest(token)
	s, err := l.q.SessionRead(ctx, digest)
	if noRows(err) {
		return s, errNoSession
	}
	if err != nil {
		return s, fmt.Errorf("reading a session: %w", err)
	}
	if s.Stale {
		if err := l.q.SessionSee(ctx, digest); err != nil {
			return s, fmt.Errorf("keeping a session: %w", err)
		}
	}
	return s, nil
}

// sessionState is a live session as its person sees it.
type sessionState struct {
	ID                 uuid.UUID  `json:"id"`
	Member             uuid.UUID  `json:"member"`
	UserID             string     `json:"user_id"`
	Software           string     `json:"software"`
	Device             *uuid.UUID `json:"device"` // null where none was required
	AMR                []string   `json:"amr"`
	CreatedAt          time.Time  `json:"created_at"`
	MustChangePassword bool       `json:"must_change_password"`
}

func (l *Login) getSession(w http.ResponseWriter, r *http.Request) error {
	s, err := l.session(r)
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, sessionState{ID: s.ID, Member: s.MemberID, UserID: s.UserID, Software: s.SoftwareID,
		Device: (*uuid.UUID)(s.DeviceID), AMR: s.Amr, CreatedAt: s.CreatedAt, MustChangePassword: mustChange(s)})
	return nil
}

func (l *Login) deleteSession(w http.ResponseWriter, r *http.Request) error {
	s, err := l.session(r)
	if err != nil {
		return err
	}
	token, _ := bearer(r)
	return done(w, l.endSession(r.Context(), s, token))
}

func (l *Login) endSession(ctx context.Context, s queries.SessionReadRow, token string) error {
	digest := secret.Digest(token)
	return l.change(ctx, s.AccountID, event.LoginEnded{Member: s.MemberID, Session: s.ID}, func(db *queries.Queries) (int64, error) {
		return db.SessionEnd(ctx, digest)
	})
}

// done answers 204 where nothing went wrong.
func done(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

// change makes one change with its event, in one transaction; one that met no row is not
// found, and tells nothing.
func (l *Login) change(ctx context.Context, account uuid.UUID, d event.Data, do func(*queries.Queries) (int64, error)) error {
	err := l.changeAndTell(ctx, account, func(db *queries.Queries) ([]event.Data, error) {
		n, err := do(db)
		if err == nil && n == 0 {
			err = web.NotFound
		}
		return []event.Data{d}, err
	})
	if err != nil {
		return fmt.Errorf("writing %s: %w", d.Type(), err)
	}
	return nil
}

// changeAndTell is change where only the change itself knows what to tell. One that tells
// nothing has changed nothing.
func (l *Login) changeAndTell(ctx context.Context, account uuid.UUID, do func(*queries.Queries) ([]event.Data, error)) error {
	var events []event.Event
	err := store.InTx(ctx, l.o.Pool, func(tx pgx.Tx) error {
		db := l.q.WithTx(tx)
		told, err := do(db)
		if err != nil {
			return err
		}
		events = events[:0]
		for _, d := range told {
			e, err := event.New("login", account, l.o.Now(), d)
			if err != nil {
				return err
			}
			events = append(events, e)
		}
		return db.EventInsert(ctx, insert(events...))
	})
	if err != nil {
		return err
	}
	for _, e := range events {
		l.o.Bus.Publish(e, "")
	}
	return nil
}

// deviceAnswer is a registration as its owner sees it.
type deviceAnswer struct {
	ID           uuid.UUID     `json:"id"`
	Name         string        `json:"name"`
	Software     string        `json:"software"`
	Kind         string        `json:"kind"` // key, bearer
	Facets       device.Facets `json:"facets"`
	RegisteredAt time.Time     `json:"registered_at"`
	SeenAt       time.Time     `json:"seen_at"`
	Current      bool          `json:"current"` // the one that asks
}

type devicesAnswer struct {
	Devices []deviceAnswer `json:"devices"`
}

func (l *Login) getDevices(w http.ResponseWriter, r *http.Request) error {
	s, err := l.settled(r)
	if err != nil {
		return err
	}
	list, err := l.devices(r.Context(), s)
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, devicesAnswer{list})
	return nil
}

func (l *Login) devices(ctx context.Context, s queries.SessionReadRow) ([]deviceAnswer, error) {
	rows, err := l.q.DeviceList(ctx, s.MemberID)
	if err != nil {
		return nil, fmt.Errorf("reading devices: %w", err)
	}
	list := make([]deviceAnswer, len(rows))
	for i, d := range rows {
		list[i] = deviceAnswer{ID: d.ID, Name: d.Name, Software: d.SoftwareID, Kind: d.Kind, RegisteredAt: d.RegisteredAt, SeenAt: d.SeenAt,
			Current: s.DeviceID != nil && *s.DeviceID == d.ID}
		if err := json.Unmarshal(d.SeenFacets, &list[i].Facets); err != nil {
			return nil, fmt.Errorf("reading a device's facets: %w", err)
		}
	}
	return list, nil
}

// deviceRequest is PATCH /v1/devices/{id}.
type deviceRequest struct {
	Name *string `json:"name"` // "" takes the name away
}

func (l *Login) patchDevice(w http.ResponseWriter, r *http.Request) error {
	s, id, err := l.ownDevice(r)
	if err != nil {
		return err
	}
	var in deviceRequest
	if err := web.ReadJSON(w, r, &in); err != nil {
		return err
	}
	if in.Name == nil {
		return web.BadRequest
	}
	return done(w, l.nameDevice(r.Context(), s, id, *in.Name))
}

func (l *Login) nameDevice(ctx context.Context, s queries.SessionReadRow, id uuid.UUID, name string) error {
	name = strings.TrimSpace(name)
	if !utf8.ValidString(name) || utf8.RuneCountInString(name) > 100 || strings.ContainsFunc(name, unicode.IsControl) {
		return web.NewProblem(http.StatusBadRequest, "bad-name", "Choose another name", "A name has at most 100 characters, on one line.")
	}
	return l.change(ctx, s.AccountID, event.DeviceNamed{Member: s.MemberID, Device: id}, func(db *queries.Queries) (int64, error) {
		return db.DeviceName(ctx, queries.DeviceNameParams{Name: name, ID: id, MemberID: s.MemberID})
	})
}

func (l *Login) deleteDevice(w http.ResponseWriter, r *http.Request) error {
	s, id, err := l.ownDevice(r)
	if err != nil {
		return err
	}
	return done(w, l.revokeDevice(r.Context(), s, id))
}

// revokeDevice ends a registration, and every session on it at once.
func (l *Login) revokeDevice(ctx context.Context, s queries.SessionReadRow, id uuid.UUID) error {
	return l.change(ctx, s.AccountID, event.DeviceRevoked{Member: s.MemberID, Device: id, Reason: "member", By: uuid.UUID(s.MemberID).String()}, func(db *queries.Queries) (int64, error) {
		return db.DeviceRevoke(ctx, queries.DeviceRevokeParams{ID: id, MemberID: s.MemberID, Reason: "member"})
	})
}

func (l *Login) ownDevice(r *http.Request) (queries.SessionReadRow, uuid.UUID, error) {
	s, err := l.settled(r)
	if err != nil {
		return s, uuid.Nil, err
	}
	id, err := pathID(r)
	return s, id, err
}
