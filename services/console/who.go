package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	queries "latchkey.dev/queries/console"
	"latchkey.dev/services/access"
	"latchkey.dev/services/device"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/web"
)

var (
	errNoSession    = web.NewProblem(http.StatusUnauthorized, "no-session", "Not signed in", "Send an API key or the token of a session as Authorization: Bearer.")
	errSecondFactor = web.NewProblem(http.StatusForbidden, "second-factor", "A registered device is needed", "Your account asks for a second factor. Sign in on a device that is registered for you, in a browser that can keep a key.")
	errMustChange   = web.NewProblem(http.StatusForbidden, "password-must-change", "Change your password", "The password that you were given is for the first sign-in only. Choose another one first.")
	errForbidden    = web.NewProblem(http.StatusForbidden, "forbidden", "Not for you", "Your role in the account does not allow this.")
)

// person is who asks, with what pages show of them.
type person struct {
	access.Actor
	UserID, AccountName       string
	Language, AccountLanguage string // "" where none was chosen

	lacksFactor bool // has the operator right, which does not count in a session without a second factor
}

// byCookie returns who has a session of the console. seen says that it was seen just now.
func (c *Console) byCookie(ctx context.Context, token string) (person, error) {
	digest := secret.Digest(token)
	row, err := c.q.PersonByConsoleSession(ctx, digest)
	if errors.Is(err, pgx.ErrNoRows) {
		return person{}, errNoSession
	}
	if err != nil {
		return person{}, fmt.Errorf("reading a session of the console: %w", err)
	}
	if row.Stale {
		if err := c.q.ConsoleSessionSee(ctx, digest); err != nil {
			return person{}, fmt.Errorf("keeping a session of the console: %w", err)
		}
	}
	return admit(queries.PersonBySessionRow{ID: row.ID, MemberID: row.MemberID, AccountID: row.AccountID, Amr: row.Amr, Role: row.Role, UserID: row.UserID,
		Language: row.Language, AccountKind: row.AccountKind, AccountName: row.AccountName, AccountLanguage: row.AccountLanguage, TwoFactor: row.TwoFactor, MustChange: row.MustChange, Operates: row.Operates})
}

// admit lets in who proved a second factor, where the account has it on (B7: a cookie alone
// is none), and has no generated password left to change.
func admit(row queries.PersonBySessionRow) (person, error) {
	proved := slices.Contains(row.Amr, "mfa")
	p := person{access.Actor{Kind: access.Member, Account: row.AccountID, ID: row.MemberID, Role: device.Role(row.Role), Operates: row.Operates && proved},
		row.UserID, row.AccountName, row.Language, row.AccountLanguage, row.Operates && !proved}
	switch {
	case (row.TwoFactor || row.AccountKind == string(device.StandaloneMobile)) && !proved:
		return person{}, errSecondFactor
	case row.MustChange:
		return person{}, errMustChange
	}
	return p, nil
}

// byBearer returns whose API key, or session of login, a request brings.
func (c *Console) byBearer(r *http.Request) (person, error) {
	all := r.Header.Values("Authorization")
	if len(all) != 1 {
		return person{}, errNoSession
	}
	kind, token, ok := strings.Cut(all[0], " ")
	if !ok || !strings.EqualFold(kind, "Bearer") || token == "" || len(token) > 256 {
		return person{}, errNoSession
	}
	digest := secret.Digest(token)
	key, err := c.q.APIKeyRead(r.Context(), digest)
	if err == nil {
		return person{Actor: access.Actor{Kind: access.Product, Account: key.AccountID, ID: key.ID}}, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return person{}, fmt.Errorf("reading an API key: %w", err)
	}
	row, err := c.q.PersonBySession(r.Context(), digest)
	if errors.Is(err, pgx.ErrNoRows) {
		return person{}, errNoSession
	}
	if err != nil {
		return person{}, fmt.Errorf("reading a session: %w", err)
	}
	return admit(row)
}

// pathID reads an id of a route; what is no id is not found.
func pathID(r *http.Request, name string) (uuid.UUID, error) {
	s := r.PathValue(name)
	id, err := uuid.Parse(s)
	if err != nil || len(s) != 36 {
		return uuid.Nil, web.NotFound
	}
	return id, nil
}
