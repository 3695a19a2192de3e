package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	queries "latchkey.dev/queries/login"
	"latchkey.dev/services/event"
	"latchkey.dev/services/factor"
	"latchkey.dev/services/internal/seal"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/store"
	"latchkey.dev/services/internal/web"
)

// When login looks for a verdict by itself, should the wake-up be lost; after the last
// look the answer is "not yet". A page waits longer than a program: it would only wait again.
var (
	looks     = []time.Duration{400 * time.Millisecond, time.Second, 2 * time.Second}
	pageLooks = []time.Duration{400 * time.Millisecond, time.Second, 2 * time.Second, 3500 * time.Millisecond, 5 * time.Second, 7 * time.Second, 10 * time.Second}
)

func (l *Login) loadSealer(ctx context.Context) (*seal.EntrySealer, error) {
	row, err := l.q.JudgeKeyLatest(ctx)
	if noRows(err) {
		return nil, errors.New("no key to seal codes to: the verifier has not run yet")
	}
	if err != nil {
		return nil, fmt.Errorf("reading the verifier's key: %w", err)
	}
	if s := l.sealer.value; s != nil && s.KeyID == row.ID {
		return s, nil // keeps its context of this minute
	}
	key, err := seal.ParsePublicKey(row.PublicKey)
	if err != nil {
		return nil, err
	}
	return seal.NewEntrySealer(key, row.ID, l.o.Now), nil
}

// entryRequest is POST /v1/challenges/{id}/entries.
type entryRequest struct {
	Code secret.String `json:"code"`
}

// entryAnswer is what a typed code came to.
type entryAnswer struct {
	Result    string         `json:"result"` // registered, proved, rejected, pending
	TriesLeft int            `json:"tries_left"`
	Device    *uuid.UUID     `json:"device,omitempty"`
	AMR       []string       `json:"amr,omitempty"`
	Session   *sessionAnswer `json:"session,omitempty"`
}

func (l *Login) postEntry(w http.ResponseWriter, r *http.Request) error {
	row, once, err := l.ownChallenge(w, r)
	if err != nil {
		return err
	}
	var in entryRequest
	if err := web.ReadJSON(w, r, &in); err != nil {
		return err
	}
	typed, err := factor.Read(in.Code.Reveal(), l.o.Digits)
	if err != nil {
		// Not a try: nothing was compared.
		return web.NewProblem(http.StatusBadRequest, "not-a-code", "Not a code", fmt.Sprintf("A code is the %d digits from the text, or a registration code, and nothing else.", l.o.Digits))
	}
	out, err := l.enter(r.Context(), row, once, typed, looks)
	if err != nil {
		return err
	}
	status := http.StatusOK
	switch out.Result {
	case "pending":
		status = http.StatusAccepted
	case "rejected":
		status = http.StatusUnprocessableEntity
	}
	web.WriteJSON(w, status, out)
	return nil
}

// enter seals a typed code to the verifier, writes it and waits for the verdict.
func (l *Login) enter(ctx context.Context, row *queries.ChallengeStateRow, once proofOnce, typed factor.Proof, looks []time.Duration) (entryAnswer, error) {
	sealer, err := l.sealer.get(ctx)
	if err != nil {
		return entryAnswer{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return entryAnswer{}, fmt.Errorf("making an entry: %w", err)
	}
	e := newEntry{proof: once, id: id, challenge: row.ID, judgeKey: sealer.KeyID}
	e.encapsulated, e.sealed, err = sealer.Seal(typed.Reveal(), seal.EntryBinding{Challenge: row.ID, Member: row.MemberID, Entry: id, Thumbprint: row.DeviceThumbprint})
	if err != nil {
		return entryAnswer{}, err
	}
	if e.event, err = event.New("login", row.AccountID, l.o.Now(), event.CodeEntered{Challenge: row.ID, Member: row.MemberID, Entry: id}); err != nil {
		return entryAnswer{}, err
	}
	reply, woken, cancel := l.o.Bus.Await(id.String())
	defer cancel()
	started := l.o.Now()
	fresh, err := l.entries.Do(ctx, e)
	if err != nil {
		return entryAnswer{}, fmt.Errorf("writing an entry: %w", err)
	}
	if !fresh {
		return entryAnswer{}, errReplayed
	}
	l.o.Bus.Publish(e.event, reply)
	v, err := l.await(ctx, id, woken, looks)
	if err != nil || v == nil {
		return entryAnswer{Result: "pending", TriesLeft: maxTries - int(row.Tries)}, err
	}
	l.metrics.waits.Observe(l.o.Now().Sub(started).Seconds())
	return l.judged(ctx, row, v)
}

// await returns the verdict, nil when it takes longer than the last look. The wake-up only
// says when to look: what counts is the row.
func (l *Login) await(ctx context.Context, entry uuid.UUID, woken <-chan []byte, looks []time.Duration) (*queries.VerdictReadRow, error) {
	begun := time.Now()
	for _, at := range looks {
		t := time.NewTimer(at - time.Since(begun))
		select {
		case <-woken:
			woken = nil
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, ctx.Err()
		}
		t.Stop()
		v, err := l.verdicts.Do(ctx, entry)
		if err != nil {
			return nil, fmt.Errorf("reading a verdict: %w", err)
		}
		if v != nil {
			return v, nil
		}
	}
	return nil, nil
}

// judged makes the answer of a verdict, and the session of a sign-in of ours. Wrong,
// late and closed look the same.
func (l *Login) judged(ctx context.Context, row *queries.ChallengeStateRow, v *queries.VerdictReadRow) (entryAnswer, error) {
	if v.Result == "proved" {
		return entryAnswer{Result: "proved"}, nil // nobody is let in by it
	}
	if v.Result != "registered" || v.DeviceID == nil {
		return entryAnswer{Result: "rejected", TriesLeft: int(v.TriesLeft)}, nil
	}
	dev := uuid.UUID(*v.DeviceID)
	out := entryAnswer{Result: "registered", Device: &dev, AMR: factor.Named(factor.Name(v.Factor)).AMR()}
	session, err := uuid.NewV7()
	if err != nil {
		return out, fmt.Errorf("making a session: %w", err)
	}
	in := event.LoginSucceeded{Member: row.MemberID, Software: row.SoftwareID, Origin: row.Origin, Device: &dev, AMR: out.AMR}
	if row.Origin == originSignIn {
		in.Session = &session
	}
	e, err := event.New("login", row.AccountID, l.o.Now(), in)
	if err != nil {
		return out, err
	}
	if row.Origin != originSignIn {
		if _, err := l.tells.Do(ctx, e); err != nil {
			return out, fmt.Errorf("writing an event: %w", err)
		}
		l.o.Bus.Publish(e, "")
		return out, nil
	}
	token, digest := secret.NewToken()
	err = store.InTx(ctx, l.o.Pool, func(tx pgx.Tx) error {
		db := l.q.WithTx(tx)
		if err := insertSession(ctx, db, newSession{session, row.MemberID, row.AccountID, row.SoftwareID, &dev, out.AMR, row.CreatedAt, digest}); err != nil {
			return err
		}
		return db.EventInsert(ctx, insert(e))
	})
	if err != nil {
		return out, fmt.Errorf("opening a session: %w", err)
	}
	l.o.Bus.Publish(e, "")
	pw, err := l.q.PasswordRead(ctx, row.MemberID)
	if err != nil && !noRows(err) {
		return out, fmt.Errorf("reading a credential: %w", err)
	}
	out.Session = &sessionAnswer{Token: token, ExpiresIn: int(sessionLife / time.Second), MustChangePassword: pw.MustChange}
	return out, nil
}
