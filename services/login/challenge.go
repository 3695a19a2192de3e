package login

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	queries "latchkey.dev/queries/login"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/store"
	"latchkey.dev/services/internal/web"
)

const (
	maxTries = 5
	maxTexts = 3
)

// textSteps are how long after the first and the second text another may be asked for.
// After the third nothing more is sent.
var textSteps = [maxTexts - 1]time.Duration{30 * time.Second, 60 * time.Second}

// ownChallenge reads the challenge of a request by a proof of its own device's key that
// names it, or of a product by its API key. Anything else finds nothing.
func (l *Login) ownChallenge(w http.ResponseWriter, r *http.Request) (*queries.ChallengeStateRow, proofOnce, error) {
	id, err := pathID(r)
	if err != nil {
		return nil, proofOnce{}, err
	}
	if proof := header(r, "DPoP"); proof != "" {
		p, err := l.prove(w, r, proof, r.Method)
		if err != nil {
			return nil, proofOnce{}, err
		}
		row, err := l.states.Do(r.Context(), id)
		if err != nil {
			return nil, proofOnce{}, fmt.Errorf("reading a challenge: %w", err)
		}
		if row == nil || p.Challenge != id || p.Thumbprint != [32]byte(row.DeviceThumbprint) {
			return nil, proofOnce{}, web.NotFound
		}
		return row, onceAt(p.ID, p.NonceTime), nil
	}
	key, err := l.apiKey(r)
	if err != nil {
		return nil, proofOnce{}, err
	}
	if r.Method != http.MethodGet {
		return nil, proofOnce{}, web.NewProblem(http.StatusUnauthorized, "invalid-proof", "A proof is needed", "Only the device itself may do this, with a DPoP proof of its key.")
	}
	row, err := l.states.Do(r.Context(), id)
	if err != nil {
		return nil, proofOnce{}, fmt.Errorf("reading a challenge: %w", err)
	}
	if row == nil || uuid.UUID(row.AccountID) != key.account {
		return nil, proofOnce{}, web.NotFound
	}
	return row, proofOnce{}, nil
}

func (l *Login) getChallenge(w http.ResponseWriter, r *http.Request) error {
	row, _, err := l.ownChallenge(w, r)
	if err != nil {
		return err
	}
	a, err := seen(row)
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, a)
	return nil
}

// postText asks for another text: "send another".
func (l *Login) postText(w http.ResponseWriter, r *http.Request) error {
	row, once, err := l.ownChallenge(w, r)
	if err != nil {
		return err
	}
	if err := l.another(r.Context(), row, once, web.Address(r, l.o.Proxies)); err != nil {
		return err
	}
	fresh, err := l.states.Do(r.Context(), row.ID)
	if err != nil || fresh == nil {
		return fmt.Errorf("reading a challenge: %w", err)
	}
	a, err := seen(fresh)
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusAccepted, a)
	return nil
}

// another asks for another text, if it is time for one.
func (l *Login) another(ctx context.Context, row *queries.ChallengeStateRow, once proofOnce, address netip.Addr) error {
	if row.EndReason != "" {
		return web.NewProblem(http.StatusConflict, "challenge-ended", "This request has ended", "Sign in again to get a new code.")
	}
	if row.Requests >= maxTexts || !row.Now.Before(sendsUntil(row)) {
		return web.NewProblem(http.StatusTooManyRequests, "no-more-texts", "No more texts", "No more texts are sent for this code. Use the code of any that came, or sign in again.")
	}
	request := int(row.Requests) + 1
	e, err := event.New("login", row.AccountID, l.o.Now(), event.TextRequested{Challenge: row.ID, Member: row.MemberID, Request: request})
	if err != nil {
		return err
	}
	if err := l.use(ctx, once); err != nil {
		return err
	}
	made, err := l.askAnother(ctx, row, e, address)
	if err != nil {
		return err
	}
	if !made {
		wait := row.LastRequestedAt.Add(textSteps[row.Requests-1]).Sub(row.Now)
		return web.NewProblem(http.StatusTooManyRequests, "too-soon", "Too soon", "A text is on its way. Another can be sent in a moment.").After(wait)
	}
	l.o.Bus.Publish(e, "")
	return nil
}

// askAnother writes the wish for another text; false where it is not time for one.
func (l *Login) askAnother(ctx context.Context, row *queries.ChallengeStateRow, e event.Event, address netip.Addr) (made bool, err error) {
	err = store.InTx(ctx, l.o.Pool, func(tx pgx.Tx) error {
		q := l.q.WithTx(tx)
		written, err := q.TextRequestInsert(ctx, queries.TextRequestInsertParams{ChallengeID: row.ID, AfterRequest: int16(row.Requests),
			StepSeconds: int32(textSteps[row.Requests-1] / time.Second), EventID: e.ID, AccountID: row.AccountID, EventBody: e.Body})
		if err != nil {
			return fmt.Errorf("asking for a text: %w", err)
		}
		if made = len(written) > 0; !made {
			return nil
		}
		over, err := takeTexts(ctx, q, [][]limitKey{l.limitKeys(row.AccountID, row.MemberID, row.PhoneIndex, address)})
		if err == nil && over[0] != "" {
			l.metrics.limits.WithLabelValues(over[0]).Inc()
			err = errManyTexts
		}
		return err
	})
	return made, err
}

// use spends a proof that no event goes with.
func (l *Login) use(ctx context.Context, once proofOnce) error {
	fresh, err := l.spends.Do(ctx, spend{proof: once})
	if err == nil && !fresh {
		err = errReplayed
	}
	return err
}

// ticketLife is how long a ticket for the event stream is good, once.
const ticketLife = 30 * time.Second

type ticketAnswer struct {
	Ticket string `json:"ticket"`
}

// postTicket gives out a ticket for the event stream: EventSource sends no headers.
func (l *Login) postTicket(w http.ResponseWriter, r *http.Request) error {
	row, once, err := l.ownChallenge(w, r)
	if err != nil {
		return err
	}
	if err := l.use(r.Context(), once); err != nil {
		return err
	}
	ticket, err := l.nonces.Sign("ticket", row.ID[:], l.now())
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusCreated, ticketAnswer{ticket})
	return nil
}

// streamEvery is how often a stream looks; all streams of an instance share one query.
const streamEvery = 500 * time.Millisecond

// streamAlive is how often a stream says that it is still there, for proxies that close what is silent.
const streamAlive = 15 * time.Second

// getEvents streams the challenge's state as server-sent events whenever it changes,
// until it ends or expires.
func (l *Login) getEvents(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	if err := l.timed(r.Context()); err != nil {
		return err
	}
	ticket := r.URL.Query().Get("ticket")
	made, ok := l.nonces.Check("ticket", id[:], ticket, ticketLife)
	if !ok {
		return web.NotFound
	}
	if err := l.use(r.Context(), onceAt(sha256.Sum256([]byte("ticket "+ticket)), made)); err != nil {
		return err
	}
	ctx, leave := l.followers.follow(r.Context(), id)
	defer leave()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // for proxies that would gather it
	flush := http.NewResponseController(w)
	tick := time.NewTicker(streamEvery)
	defer tick.Stop()
	deadline := time.NewTimer(11 * time.Minute)
	defer deadline.Stop()
	alive := time.NewTicker(streamAlive)
	defer alive.Stop()
	for last := []byte(nil); ; {
		row, err := l.states.Do(ctx, id)
		if err == nil && row != nil {
			a, err := seen(row)
			if err != nil {
				return err
			}
			a.NextTextIn = 0 // counts down at the reader
			now, err := json.Marshal(a)
			if err != nil {
				return err
			}
			if string(now) != string(last) {
				if _, err := fmt.Fprintf(w, "data: %s\n\n", now); err != nil {
					return nil
				}
				flush.Flush()
				last = now
			}
			if row.EndReason != "" {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-alive.C:
			if _, err := io.WriteString(w, ": still here\n\n"); err != nil {
				return nil
			}
			flush.Flush()
		case <-ctx.Done():
			return nil
		case <-l.stopped:
			return nil
		case <-deadline.C:
			return nil
		}
	}
}
