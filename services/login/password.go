package login

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/google/uuid"

	queries "latchkey.dev/queries/login"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/password"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/web"
)

const (
	// passwordWindow and its limits bound guessing: per member and per address.
	passwordWindow  = 10 * time.Minute
	memberFailures  = 10
	addressFailures = 100
)

// checkPassword returns the member whose password it is, and when that was known by the
// database's clock. An unknown user ID costs and answers the same as a wrong password.
func (l *Login) checkPassword(ctx context.Context, q question, in signInRequest) (uuid.UUID, time.Time, error) {
	if in.UserID == "" || len(in.UserID) > 128 || in.Password.Empty() || len(in.Password.Reveal()) > password.Max {
		return uuid.Nil, time.Time{}, errBadCredentials
	}
	row, err := l.q.MemberForSignIn(ctx, in.UserID)
	if err != nil && !noRows(err) {
		return uuid.Nil, time.Time{}, fmt.Errorf("reading a member: %w", err)
	}
	known, digest := err == nil, row.Digest
	if !known {
		digest = l.nobodys
	}
	// The limit is named by what was typed, so that it says nothing about who exists, in
	// whatever case it was typed.
	byMember := limit{"password_member", l.o.People.UserLimit(in.UserID), memberFailures}
	byAddress := limit{"password_address", l.o.People.Index("limit", network(q.address)), addressFailures}
	ok, params, err := l.compare(ctx, in.Password, digest, byMember, byAddress)
	if err != nil {
		return uuid.Nil, time.Time{}, fmt.Errorf("checking a password: %w", err)
	}
	if !known || !ok {
		refusal := event.LoginRefused{Software: q.software.ID, Origin: q.origin, Reason: "bad_credentials"}
		if known {
			id := uuid.UUID(row.ID)
			refusal.Member = &id
		}
		l.metrics.signIns.WithLabelValues(q.origin, "bad_credentials").Inc()
		if err := l.tell(ctx, row.AccountID, refusal); err != nil {
			return uuid.Nil, time.Time{}, err
		}
		return uuid.Nil, time.Time{}, errBadCredentials
	}
	if *params != *password.Params {
		l.rehash(ctx, row, in.Password)
	}
	return row.ID, row.ReadAt, nil
}

// network names whom an address belongs to: of an IPv6 address its /64, all of which one
// household or one server has.
func network(a netip.Addr) string {
	if p, err := a.Prefix(64); err == nil && a.Is6() && !a.Is4In6() {
		return p.String()
	}
	return a.String()
}

// compare compares a password with a digest, as one try. It is counted for the member
// before it is compared and forgotten if it was right, so of many at once no more are
// compared than the limit says; for the address only what was wrong is counted. The wait
// for a hashing slot comes first: a busy server costs nobody a try.
func (l *Login) compare(ctx context.Context, typed secret.String, digest string, byMember limit, wrong ...limit) (bool, *argon2id.Params, error) {
	if err := l.within(ctx, append(wrong, byMember)...); err != nil {
		return false, nil, err
	}
	release, err := l.passwords.Slot(ctx)
	if err != nil {
		return false, nil, err
	}
	defer release()
	if err := l.within(ctx, wrong...); err != nil { // others were waiting too
		return false, nil, err
	}
	n, err := l.count(ctx, byMember)
	if err != nil {
		return false, nil, err
	}
	if n > byMember.most {
		return false, nil, errThrottled
	}
	ok, params, err := l.passwords.Check(typed, digest)
	if err != nil {
		return false, nil, err
	}
	if ok {
		err = l.q.LimitClear(ctx, queries.LimitClearParams{Scope: byMember.scope, KeyDigest: byMember.digest})
		return err == nil, params, err
	}
	for _, c := range wrong {
		if _, err := l.count(ctx, c); err != nil {
			return false, nil, err
		}
	}
	return false, params, nil
}

// limit names a counter by a keyed digest, and says how far it may go in passwordWindow.
type limit struct {
	scope  string
	digest []byte
	most   int32
}

var errThrottled = web.NewProblem(http.StatusTooManyRequests, "throttled", "Too many tries", "Too many wrong passwords. Wait ten minutes and try again.").After(passwordWindow)

// within returns a problem where one of the limits is reached.
func (l *Login) within(ctx context.Context, limits ...limit) error {
	for _, c := range limits {
		n, err := l.q.LimitRead(ctx, queries.LimitReadParams{Scope: c.scope, KeyDigest: c.digest, WindowSeconds: int32(passwordWindow / time.Second)})
		if err != nil {
			return fmt.Errorf("reading a limit: %w", err)
		}
		if n >= c.most {
			return errThrottled
		}
	}
	return nil
}

// count adds one to a limit's counter and returns what it is now.
func (l *Login) count(ctx context.Context, c limit) (int32, error) {
	n, err := l.q.LimitAdd(ctx, queries.LimitAddParams{Scope: c.scope, KeyDigest: c.digest, WindowSeconds: int32(passwordWindow / time.Second)})
	if err != nil {
		return 0, fmt.Errorf("counting a password: %w", err)
	}
	return n, nil
}

// rehash stores the password under today's parameters. It may fail: the next sign-in tries again.
func (l *Login) rehash(ctx context.Context, row queries.MemberForSignInRow, typed secret.String) {
	digest, err := l.passwords.Hash(ctx, typed)
	if err == nil {
		err = l.q.PasswordRehash(ctx, queries.PasswordRehashParams{Digest: digest, MemberID: row.ID, OldDigest: row.Digest})
	}
	if err != nil {
		l.o.Logger.Warn("password was not rehashed", "error", err)
	}
}

// passwordRequest is PUT /v1/password.
type passwordRequest struct {
	Old secret.String `json:"old_password"`
	New secret.String `json:"new_password"`
}

// putPassword changes the own password: PUT /v1/password.
func (l *Login) putPassword(w http.ResponseWriter, r *http.Request) error {
	s, err := l.session(r)
	if err != nil {
		return err
	}
	var in passwordRequest
	if err := web.ReadJSON(w, r, &in); err != nil {
		return err
	}
	return done(w, l.changePassword(r.Context(), s, in.Old, in.New))
}

var errWeakPassword = web.NewProblem(http.StatusBadRequest, "weak-password", "Choose another password", "A password has 12 to 256 characters.")

// changePassword changes the own password, which the person must know: a session alone is
// not enough. The person's other sessions end.
func (l *Login) changePassword(ctx context.Context, s queries.SessionReadRow, old, fresh secret.String) error {
	if !password.Fits(fresh) {
		return errWeakPassword
	}
	if s.MustChange && fresh.Equal(old) {
		return web.NewProblem(http.StatusBadRequest, "weak-password", "Choose another password", "The new password is the one you were given.").In("given")
	}
	before, err := l.ownPassword(ctx, s, old)
	if err != nil {
		return err
	}
	digest, err := l.passwords.Hash(ctx, fresh)
	if err != nil {
		return err
	}
	return l.change(ctx, s.AccountID, event.PasswordChanged{Member: s.MemberID}, func(db *queries.Queries) (int64, error) {
		n, err := db.PasswordWrite(ctx, queries.PasswordWriteParams{Digest: digest, OldDigest: before, MemberID: s.MemberID, SessionID: s.ID})
		if err == nil && n == 0 {
			err = web.Unavailable // changed by another request just now
		}
		return n, err
	})
}

// ownPassword asks who is signed in for the password again, and returns its digest.
func (l *Login) ownPassword(ctx context.Context, s queries.SessionReadRow, typed secret.String) (digest string, err error) {
	tries := limit{"password_member", l.o.People.Index("limit", "change "+uuid.UUID(s.MemberID).String()), memberFailures}
	row, err := l.q.PasswordRead(ctx, s.MemberID)
	if err != nil {
		return "", fmt.Errorf("reading a credential: %w", err)
	}
	ok, _, err := l.compare(ctx, typed, row.Digest, tries)
	if err != nil {
		return "", fmt.Errorf("checking a password: %w", err)
	}
	if !ok {
		return "", web.NewProblem(http.StatusForbidden, "wrong-password", "Wrong password", "The old password is wrong.")
	}
	return row.Digest, nil
}
