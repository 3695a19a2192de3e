package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	queries "latchkey.dev/queries/login"
	"latchkey.dev/services/device"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/store"
	"latchkey.dev/services/internal/web"
)

// signInRequest is POST /v1/sign-ins.
type signInRequest struct {
	UserID   string         `json:"user_id"`
	Password secret.String  `json:"password"`
	Software string         `json:"software"`
	Facets   *device.Facets `json:"facets,omitempty"` // of a mobile app; a browser's come from its headers
}

// standingAnswer is what sign-ins and device checks answer.
type standingAnswer struct {
	Status    string           `json:"status"`           // registered, not_required, challenge
	Device    *uuid.UUID       `json:"device,omitempty"` // registered
	AMR       []string         `json:"amr,omitempty"`
	Challenge *challengeAnswer `json:"challenge,omitempty"`
	Session   *sessionAnswer   `json:"session,omitempty"` // sign-ins
}

// sessionAnswer hands a session out, once.
type sessionAnswer struct {
	Token              string `json:"token"`
	ExpiresIn          int    `json:"expires_in"` // seconds, at most
	MustChangePassword bool   `json:"must_change_password"`
}

const sessionLife = 24 * time.Hour

func (l *Login) postSignIn(w http.ResponseWriter, r *http.Request) error {
	p, err := l.prove(w, r, header(r, "DPoP"), r.Method)
	if err != nil {
		return err
	}
	var in signInRequest
	if err := web.ReadJSON(w, r, &in); err != nil {
		return err
	}
	q := question{purpose: register, origin: originSignIn, kind: "key", thumbprint: p.Thumbprint, proof: onceAt(p.ID, p.NonceTime)}
	a, token, err := l.signIn(r, q, in)
	if err != nil {
		return err
	}
	return l.answer(w, a, token)
}

// signIn checks the password and decides about the device; token is set when the person is in.
func (l *Login) signIn(r *http.Request, q question, in signInRequest) (a answer, token string, err error) {
	ctx := r.Context()
	q.address, q.userAgent = web.Address(r, l.o.Proxies), clip(r.UserAgent())
	q.language = askedFor(r)
	if q.software, err = l.software(ctx, in.Software); err != nil {
		return a, "", err
	}
	q.facets = facetsOf(r, q.software, in.Facets)
	if q.member, q.provedAt, err = l.checkPassword(ctx, q, in); err != nil {
		return a, "", err
	}
	if q.session, err = uuid.NewV7(); err != nil {
		return a, "", fmt.Errorf("making a session: %w", err)
	}
	if a, err = l.stand(ctx, q); err != nil {
		return a, "", err
	}
	if err = l.settle(ctx, q, &a); err != nil {
		return a, "", err
	}
	l.metrics.signIns.WithLabelValues(originSignIn, string(a.standing)).Inc()
	if a.standing == registered || a.standing == notRequired {
		token, err = l.openSession(ctx, q, a)
		if err == nil && a.standing == registered {
			l.see(ctx, *a.device, &a, q)
		}
	}
	return a, token, err
}

// openSession spends the proof and writes session and event in one transaction.
func (l *Login) openSession(ctx context.Context, q question, a answer) (string, error) {
	token, digest := secret.NewToken()
	err := store.InTx(ctx, l.o.Pool, func(tx pgx.Tx) error {
		db := l.q.WithTx(tx)
		spent, err := db.ProofSpend(ctx, queries.ProofSpendParams{
			Slots: []int16{q.proof.slot}, Proofs: [][]byte{q.proof.id[:]}, EventIds: [][16]byte{a.event.ID},
			EventTypes: []string{a.event.Type}, AccountIds: [][16]byte{a.event.Account}, EventBodies: [][]byte{a.event.Body}})
		if err != nil {
			return err
		}
		if len(spent) == 0 {
			return errReplayed
		}
		return insertSession(ctx, db, newSession{q.session, q.member, a.member.AccountID, q.software.ID, a.device, a.amr, q.provedAt, digest})
	})
	if err != nil {
		return "", fmt.Errorf("opening a session: %w", err)
	}
	l.o.Bus.Publish(a.event, "")
	return token, nil
}

// newSession is a session to be made.
type newSession struct {
	id, member, account uuid.UUID
	software            string
	device              *uuid.UUID // nil where none is required
	amr                 []string
	provedAt            time.Time // when the password was proven, by the database's clock
	digest              []byte    // of its token
}

// insertSession makes a session from a live registration, or without one where none is required.
func insertSession(ctx context.Context, db *queries.Queries, s newSession) error {
	var made [][16]byte
	var err error
	if s.device == nil {
		made, err = db.SessionInsertUnrequired(ctx, queries.SessionInsertUnrequiredParams{TokenDigest: s.digest, ID: s.id, MemberID: s.member,
			AccountID: s.account, SoftwareID: s.software, Amr: s.amr, ProvedAt: s.provedAt})
	} else {
		made, err = db.SessionInsert(ctx, queries.SessionInsertParams{TokenDigest: s.digest, ID: s.id, DeviceID: *s.device, MemberID: s.member,
			Amr: s.amr, ProvedAt: s.provedAt})
	}
	if err == nil && len(made) == 0 {
		return errBadCredentials // the device was revoked or the password changed meanwhile
	}
	return err
}

// answer writes what a sign-in or a device check came to.
func (l *Login) answer(w http.ResponseWriter, a answer, token string) error {
	if err := a.problem(); err != nil {
		return err
	}
	out := standingAnswer{Status: string(a.standing), Device: a.device, AMR: a.amr}
	status := http.StatusOK
	if a.standing == asked {
		status = http.StatusAccepted
		out.AMR = nil
		out.Challenge = &challengeAnswer{ID: a.challenge, Status: statusRequested, LastTwo: a.member.PhoneLastTwo, ExpiresAt: a.expiresAt,
			TriesLeft: maxTries, TextsLeft: maxTexts - 1, NextTextIn: int(textSteps[0] / time.Second), Reason: a.why, From: a.from, To: a.to}
	}
	if token != "" {
		out.Session = &sessionAnswer{Token: token, ExpiresIn: int(sessionLife / time.Second), MustChangePassword: a.member.MustChange && a.device != nil}
	}
	web.WriteJSON(w, status, out)
	return nil
}

// deviceCheckRequest is POST /v1/device-checks: the product checked the first factor.
type deviceCheckRequest struct {
	Member   uuid.UUID      `json:"member"`
	Software string         `json:"software"`
	Proof    string         `json:"proof"` // the device's DPoP proof, made on the product's own sign-in page
	Facets   *device.Facets `json:"facets,omitempty"`
	Headers  browserHeaders `json:"headers,omitzero"`  // of the browser, as the product saw them
	Address  string         `json:"address,omitempty"` // of the browser, as the product saw it
}

type browserHeaders struct {
	UserAgent       string `json:"user_agent,omitempty"`
	Brands          string `json:"sec_ch_ua,omitempty"`
	Platform        string `json:"sec_ch_ua_platform,omitempty"`
	PlatformVersion string `json:"sec_ch_ua_platform_version,omitempty"`
	Language        string `json:"accept_language,omitempty"`
}

func (l *Login) postDeviceCheck(w http.ResponseWriter, r *http.Request) error {
	key, err := l.apiKey(r)
	if err != nil {
		return err
	}
	var in deviceCheckRequest
	if err := web.ReadJSON(w, r, &in); err != nil {
		return err
	}
	q := question{purpose: register, origin: originDeviceCheck, kind: "key", member: in.Member, userAgent: clip(in.Headers.UserAgent), language: in.Headers.Language}
	if q.software, err = l.software(r.Context(), in.Software); err != nil {
		return err
	}
	if in.Address != "" {
		if q.address, err = netip.ParseAddr(in.Address); err != nil || q.address.Zone() != "" {
			return web.NewProblem(http.StatusBadRequest, "bad-address", "Bad address", "The address is no IP address.")
		}
	}
	p, err := l.prove(w, r, in.Proof, http.MethodPost, q.software.addresses(l.o.Origin+"/v1/device-checks")...)
	if err != nil {
		return err
	}
	q.thumbprint, q.proof = p.Thumbprint, onceAt(p.ID, p.NonceTime)
	q.facets = device.FromHeaders(device.Headers{UserAgent: in.Headers.UserAgent, Brands: in.Headers.Brands,
		Platform: in.Headers.Platform, PlatformVersion: in.Headers.PlatformVersion})
	if in.Facets != nil {
		q.facets = in.Facets.Bounded()
	}
	a, err := l.stand(r.Context(), q)
	if err != nil {
		return err
	}
	if a.member == nil || uuid.UUID(a.member.AccountID) != key.account {
		return web.NotFound
	}
	if err := l.settle(r.Context(), q, &a); err != nil {
		return err
	}
	l.metrics.signIns.WithLabelValues(originDeviceCheck, string(a.standing)).Inc()
	return l.answer(w, a, "")
}

// facetsOf reads a browser's facets from its headers, and takes an app's own word.
func facetsOf(r *http.Request, s software, own *device.Facets) device.Facets {
	if s.Kind == "mobile" && own != nil {
		return own.Bounded()
	}
	return device.FromHeaders(device.Headers{UserAgent: header(r, "User-Agent"), Brands: header(r, "Sec-CH-UA"),
		Platform: header(r, "Sec-CH-UA-Platform"), PlatformVersion: header(r, "Sec-CH-UA-Platform-Version")})
}

// clip bounds what is kept of a header.
func clip(s string) string { return s[:min(len(s), 512)] }

// tell writes a refusal that has no proof to spend, and publishes it.
func (l *Login) tell(ctx context.Context, account uuid.UUID, d event.Data) error {
	e, err := event.New("login", account, l.o.Now(), d)
	if err != nil {
		return err
	}
	if err := l.q.EventInsert(ctx, insert(e)); err != nil {
		return fmt.Errorf("writing an event: %w", err)
	}
	l.o.Bus.Publish(e, "")
	return nil
}

func insert(all ...event.Event) (p queries.EventInsertParams) {
	for _, e := range all {
		p.Ids, p.Types = append(p.Ids, e.ID), append(p.Types, e.Type)
		p.AccountIds, p.Bodies = append(p.AccountIds, e.Account), append(p.Bodies, e.Body)
	}
	return p
}

func noRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }
