package console

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	queries "latchkey.dev/queries/console"
	"latchkey.dev/services/internal/page"
	"latchkey.dev/services/internal/secret"
)

// People sign in at login, with the device that is registered there. Login hands them over by
// a code in the address, good once and for a minute, and only in the browser that asked for
// it: the console's cookie holds what the code's challenge is the digest of, as PKCE does it
// (RFC 7636 section 4).

// begin sends a browser to login, to come back with a code.
func (c *Console) begin(w http.ResponseWriter) error {
	verifier, challenge := secret.NewToken()
	page.SetCookie(w, enterCookie, verifier, enterLife)
	return page.To(w, c.o.Served.Login+"/console?challenge="+base64.RawURLEncoding.EncodeToString(challenge))
}

var errNotEntered = page.Problem(http.StatusForbidden, "not-entered", "Please try again", "This way in was used before, or took too long. Open the console again.")

// enter takes a person over from login.
func (c *Console) enter(w http.ResponseWriter, r *http.Request) error {
	verifier, code := page.Cookie(r, enterCookie), r.URL.Query().Get("code")
	page.SetCookie(w, enterCookie, "", 0)
	if verifier == "" || code == "" || len(code) > 128 {
		return errNotEntered
	}
	grant, err := c.q.GrantTake(r.Context(), queries.GrantTakeParams{CodeDigest: secret.Digest(code), Challenge: secret.Digest(verifier)})
	if errors.Is(err, pgx.ErrNoRows) {
		return errNotEntered
	}
	if err != nil {
		return fmt.Errorf("taking a person over: %w", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("making a session of the console: %w", err)
	}
	token, own := secret.NewToken()
	err = c.q.ConsoleSessionInsert(r.Context(), queries.ConsoleSessionInsertParams{TokenDigest: own, ID: id, SessionID: grant.SessionID, MemberID: grant.MemberID, AccountID: grant.AccountID})
	if err != nil {
		return fmt.Errorf("making a session of the console: %w", err)
	}
	if _, err := c.byCookie(r.Context(), token); err != nil {
		return err // no second factor, or a password to change first
	}
	page.SetCookie(w, sessionCookie, token, time.Duration(0))
	return page.To(w, "/")
}

// signOutForm ends the session of the console. The one of login stays.
func (c *Console) signOutForm(v *visit) error {
	if _, err := c.q.ConsoleSessionEnd(v.r.Context(), secret.Digest(v.token)); err != nil {
		return fmt.Errorf("ending a session of the console: %w", err)
	}
	page.SetCookie(v.w, sessionCookie, "", 0)
	return v.to(c.o.Served.Login + "/")
}
