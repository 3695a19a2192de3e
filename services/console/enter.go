package console

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	queries "latchkey.dev/queries/console"
	"latchkey.dev/services/internal/page"
)

// People sign in at login, with the device that is registered there. Login hands them over by
// a code in the address, good once and for a minute, and only in the browser that asked for
// it: the console's cookie holds what the code's challenge is the digest of, as PKCE does it
// (RFC 7636 section 4).

// random is 256 bits of crypto/rand, as text.
func random() string {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// begin sends a browser to login, to come back with a code.
func (c *Console) begin(w http.ResponseWriter) error {
	verifier := random()
	page.SetCookie(w, enterCookie, verifier, enterLife)
	challenge := sha256.Sum256([]byte(verifier))
	return page.To(w, c.o.Served.Login+"/console?challenge="+base64.RawURLEncoding.EncodeToString(challenge[:]))
}

var errNotEntered = page.Problem(http.StatusForbidden, "not-entered", "Please try again", "This way in was used before, or took too long. Open the console again.")

// enter takes a person over from login.
func (c *Console) enter(w http.ResponseWriter, r *http.Request) error {
	verifier, code := page.Cookie(r, enterCookie), r.URL.Query().Get("code")
	page.SetCookie(w, enterCookie, "", 0)
	if verifier == "" || code == "" || len(code) > 128 {
		return errNotEntered
	}
	challenge, digest := sha256.Sum256([]byte(verifier)), sha256.Sum256([]byte(code))
	grant, err := c.q.GrantTake(r.Context(), queries.GrantTakeParams{CodeDigest: digest[:], Challenge: challenge[:]})
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
	token := random()
	own := sha256.Sum256([]byte(token))
	err = c.q.ConsoleSessionInsert(r.Context(), queries.ConsoleSessionInsertParams{TokenDigest: own[:], ID: id, SessionID: grant.SessionID, MemberID: grant.MemberID, AccountID: grant.AccountID})
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
	digest := sha256.Sum256([]byte(v.token))
	if _, err := c.q.ConsoleSessionEnd(v.r.Context(), digest[:]); err != nil {
		return fmt.Errorf("ending a session of the console: %w", err)
	}
	page.SetCookie(v.w, sessionCookie, "", 0)
	return v.to(c.o.Served.Login + "/")
}
