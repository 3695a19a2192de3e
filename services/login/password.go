package login

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/google/uuid"

	queries "latchkey.dev/queries/login"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/web"
)

// PasswordParams are the argon2id parameters of new digests (RFC 9106 section 4, the
// second recommendation made smaller as OWASP advises: 19 MiB, two passes, one lane).
var PasswordParams = &argon2id.Params{Memory: 19 << 10, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

const (
	maxPassword = 256 // bytes
	minPassword = 12
	// passwordWindow and its limits bound guessing: per member and per address.
	passwordWindow  = 10 * time.Minute
	memberFailures  = 10
	addressFailures = 100
)

// passwords hashes in a bounded number of slots, each 19 MiB and a core for a while.
type passwords struct {
	slots chan struct{}
	dummy string // compared with for user IDs that do not exist: the same cost
}

func newPasswords(n int) (*passwords, error) {
	dummy, err := argon2id.CreateHash("nobody's password", PasswordParams)
	if err != nil {
		return nil, fmt.Errorf("preparing passwords: %w", err)
	}
	return &passwords{make(chan struct{}, n), dummy}, nil
}

func (p *passwords) slot(ctx context.Context) (release func(), err error) {
	wait, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	select {
	case p.slots <- struct{}{}:
		return func() { <-p.slots }, nil
	case <-wait.Done():
		return nil, web.NewProblem(http.StatusTooManyRequests, "busy", "Busy", "Too many people sign in at once. Try again in a moment.").After(2 * time.Second)
	}
}

func (p *passwords) matches(ctx context.Context, password secret.String, digest string) (bool, *argon2id.Params, error) {
	release, err := p.slot(ctx)
	if err != nil {
		return false, nil, err
	}
	defer release()
	return argon2id.CheckHash(password.Reveal(), digest)
}

// Hash makes the digest of a new password, its parameters inside.
func (p *passwords) hash(ctx context.Context, password secret.String) (string, error) {
	release, err := p.slot(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	return argon2id.CreateHash(password.Reveal(), PasswordParams)
}

// checkPassword returns the member whose password it is. An unknown user ID costs and
// answers the same as a wrong password.
func (l *Login) checkPassword(ctx context.Context, q question, in signInRequest) (uuid.UUID, error) {
	if in.UserID == "" || len(in.UserID) > 128 || in.Password.Empty() || len(in.Password.Reveal()) > maxPassword {
		return uuid.Nil, errBadCredentials
	}
	row, err := l.q.MemberForSignIn(ctx, in.UserID)
	if err != nil && !noRows(err) {
		return uuid.Nil, fmt.Errorf("reading a member: %w", err)
	}
	known, digest := err == nil, row.Digest
	if !known {
		digest = l.passwords.dummy
	}
	// The limit is named by what was typed, so that it says nothing about who exists.
	byMember := limit{"password_member", l.index("limit", in.UserID), memberFailures}
	byAddress := limit{"password_address", l.index("limit", q.address.String()), addressFailures}
	if err := l.within(ctx, byMember, byAddress); err != nil {
		return uuid.Nil, err
	}
	ok, params, err := l.passwords.matches(ctx, in.Password, digest)
	if err != nil {
		return uuid.Nil, fmt.Errorf("checking a password: %w", err)
	}
	if !known || !ok {
		refusal := event.LoginRefused{Software: q.software.ID, Origin: q.origin, Reason: "bad_credentials"}
		if known {
			id := uuid.UUID(row.ID)
			refusal.Member = &id
		}
		if err := l.countFailure(ctx, byMember, byAddress); err != nil {
			return uuid.Nil, err
		}
		l.metrics.signIns.WithLabelValues(q.origin, "bad_credentials").Inc()
		if err := l.tell(ctx, row.AccountID, refusal); err != nil {
			return uuid.Nil, err
		}
		return uuid.Nil, errBadCredentials
	}
	if *params != *PasswordParams {
		l.rehash(ctx, row, in.Password)
	}
	if err := l.q.LimitClear(ctx, queries.LimitClearParams{Scope: byMember.scope, KeyDigest: byMember.digest}); err != nil {
		return uuid.Nil, fmt.Errorf("clearing a limit: %w", err)
	}
	return row.ID, nil
}

// limit names a counter by a keyed digest, and says how far it may go in passwordWindow.
type limit struct {
	scope  string
	digest []byte
	most   int32
}

// within returns a problem where one of the limits is reached.
func (l *Login) within(ctx context.Context, limits ...limit) error {
	for _, c := range limits {
		n, err := l.q.LimitRead(ctx, queries.LimitReadParams{Scope: c.scope, KeyDigest: c.digest, WindowSeconds: int32(passwordWindow / time.Second)})
		if err != nil {
			return fmt.Errorf("reading a limit: %w", err)
		}
		if n >= c.most {
			return web.NewProblem(http.StatusTooManyRequests, "throttled", "Too many tries", "Too many wrong passwords. Wait ten minutes and try again.").After(passwordWindow)
		}
	}
	return nil
}

func (l *Login) countFailure(ctx context.Context, limits ...limit) error {
	for _, c := range limits {
		if _, err := l.q.LimitAdd(ctx, queries.LimitAddParams{Scope: c.scope, KeyDigest: c.digest, WindowSeconds: int32(passwordWindow / time.Second)}); err != nil {
			return fmt.Errorf("counting a wrong password: %w", err)
		}
	}
	return nil
}

// rehash stores the password under today's parameters. It may fail: the next sign-in tries again.
func (l *Login) rehash(ctx context.Context, row queries.MemberForSignInRow, password secret.String) {
	digest, err := l.passwords.hash(ctx, password)
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

// changePassword changes the own password, which the person must know: a session alone is not enough.
func (l *Login) changePassword(ctx context.Context, s queries.SessionReadRow, old, fresh secret.String) error {
	if n := len(fresh.Reveal()); n < minPassword || n > maxPassword {
		return web.NewProblem(http.StatusBadRequest, "weak-password", "Choose another password", "A password has 12 to 256 characters.")
	}
	if s.MustChange && fresh.Equal(old) {
		return web.NewProblem(http.StatusBadRequest, "weak-password", "Choose another password", "The new password is the one you were given.")
	}
	tries := limit{"password_member", l.index("limit", "change "+uuid.UUID(s.MemberID).String()), memberFailures}
	if err := l.within(ctx, tries); err != nil {
		return err
	}
	row, err := l.q.PasswordRead(ctx, s.MemberID)
	if err != nil {
		return fmt.Errorf("reading a credential: %w", err)
	}
	ok, _, err := l.passwords.matches(ctx, old, row.Digest)
	if err != nil {
		return err
	}
	if !ok {
		if err := l.countFailure(ctx, tries); err != nil {
			return err
		}
		return web.NewProblem(http.StatusForbidden, "wrong-password", "Wrong password", "The old password is wrong.")
	}
	digest, err := l.passwords.hash(ctx, fresh)
	if err != nil {
		return err
	}
	return l.change(ctx, s.AccountID, event.PasswordChanged{Member: s.MemberID}, func(db *queries.Queries) (int64, error) {
		return 1, db.PasswordWrite(ctx, queries.PasswordWriteParams{Digest: digest, MemberID: s.MemberID})
	})
}
