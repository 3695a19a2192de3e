package login

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"time"

	queries "latchkey.dev/queries/login"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/web"
)

// consolePage hands a signed-in person over to the console, by a code in the address that is
// good once, for a minute, and only in the browser that the challenge came from. Who is not
// signed in does that first.
func (l *Login) consolePage(v *visit) error {
	challenge, err := base64.RawURLEncoding.Strict().DecodeString(v.r.URL.Query().Get("challenge"))
	if l.o.Console == "" || err != nil || len(challenge) != sha256.Size {
		return web.NotFound
	}
	switch {
	case v.session == nil:
		v.setCookie(consoleCookie, v.r.URL.Query().Get("challenge"), 10*time.Minute)
		return v.to(l.begin(v))
	case mustChange(*v.session):
		return v.to("/password")
	}
	code, digest := secret.NewToken()
	err = l.q.ConsoleGrantInsert(v.r.Context(), queries.ConsoleGrantInsertParams{CodeDigest: digest, Challenge: challenge,
		SessionID: v.session.ID, MemberID: v.session.MemberID, AccountID: v.session.AccountID})
	if err != nil {
		return fmt.Errorf("handing a person over to the console: %w", err)
	}
	return v.to(l.o.Console + "/enter?code=" + url.QueryEscape(code))
}
