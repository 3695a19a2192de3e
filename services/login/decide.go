package login

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/google/uuid"

	queries "latchkey.dev/queries/login"
	"latchkey.dev/services/code"
	"latchkey.dev/services/device"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/seal"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/phone"
)

// slotLength is how long one slot of used_proof is in use.
const slotLength = 2 * time.Minute

// Whose first factor a question follows.
const (
	originSignIn      = "sign_in"
	originDeviceCheck = "device_check"
)

// purpose is what the right code of a challenge does.
type purpose string

const (
	register    purpose = "register"     // the device
	proveNumber purpose = "prove_number" // and nothing else
)

// question asks whether a member may come in on a device. The first factor is proven.
type question struct {
	purpose    purpose
	origin     string
	member     uuid.UUID
	provedAt   time.Time // when the password was, by the database's clock; zero where the product did it
	software   software
	kind       string // key, bearer
	thumbprint [32]byte
	proof      proofOnce
	facets     device.Facets
	address    netip.Addr
	userAgent  string
	language   string // as Accept-Language says it
	// session is the id of the session that an answer of "in" makes, Nil where the product keeps its own.
	session uuid.UUID
}

// proofOnce names a proof that may be used once.
type proofOnce struct {
	slot int16
	id   [32]byte
}

func onceAt(id [32]byte, made time.Time) proofOnce {
	return proofOnce{slot: int16(made.Unix() / int64(slotLength/time.Second) % 4), id: id}
}

// standing is what is decided before anything is written.
type standing string

const (
	registered  standing = "registered"
	notRequired standing = "not_required"
	asked       standing = "challenge"
	noNumber    standing = "no_number"
	refused     standing = "refused"
)

// answer says how a question was answered.
type answer struct {
	standing  standing
	member    *queries.CheckReadRow
	device    *uuid.UUID
	amr       []string
	why       string        // of a challenge: a device.Change or "unknown_device"; of a refusal: its reason
	from, to  string        // of an upgrade, as "Chrome 137": see device.Decision
	seen      device.Facets // what the device was before
	challenge uuid.UUID
	expiresAt time.Time
	event     event.Event // to be published after the commit
}

// The caps on wrong codes per member; the verifier counts, login does not even ask.
const (
	hourLimit        = 10
	dayLimit         = 20
	consecutiveLimit = 100
)

// errReplayed says that a proof was used before.
var errReplayed = web.NewProblem(http.StatusUnauthorized, "proof-replayed", "Proof was used before", "Make a new DPoP proof for every request.")

// stand reads all that counts, in one shared query, and decides. It writes nothing.
func (l *Login) stand(ctx context.Context, q question) (answer, error) {
	row, err := l.checks.Do(ctx, checkKey{q.member, q.software.ID, q.thumbprint})
	if err != nil {
		return answer{}, fmt.Errorf("reading a member and its device: %w", err)
	}
	a := answer{member: row}
	switch {
	case row == nil:
		return answer{standing: refused, why: "unknown"}, nil
	case row.Deactivated:
		a.standing, a.why = refused, "deactivated"
		return a, nil
	case row.Repudiated:
		a.standing, a.why = refused, "member_locked"
		return a, nil
	case q.kind == "bearer" && row.BearerRefused:
		a.standing, a.why = refused, "bearer_refused"
		return a, nil
	}
	a.why = "unknown_device"
	if row.DeviceID != nil {
		if err := json.Unmarshal(row.SeenFacets, &a.seen); err != nil {
			return answer{}, fmt.Errorf("reading a device's facets: %w", err)
		}
		d := device.Compare(device.Policy(row.UpgradePolicy), int(row.UpgradeJump), a.seen, q.facets)
		if !d.AskAgain {
			id := uuid.UUID(*row.DeviceID)
			a.standing, a.device, a.why, a.amr = registered, &id, string(d.Change), amrOf(q.kind)
			return a, nil
		}
		a.why, a.from, a.to = string(d.Change), d.From, d.To
	}
	need := device.Required(device.AccountKind(row.AccountKind), device.Options{TwoFactor: row.TwoFactor, Demographics: row.Demographics},
		device.Role(row.Role), len(row.PhoneSealed) > 0)
	switch {
	case need == device.NotRequired:
		a.standing, a.why, a.amr = notRequired, "", []string{"pwd"}
	case need == device.NoNumber:
		a.standing, a.why = noNumber, "no_number"
	default:
		a.standing = asked
		if why := l.barred(row); why != "" {
			a.standing, a.why = refused, why
		}
	}
	return a, nil
}

// barred says why no code is texted to a person with a number, "" where one is. The countries
// of installation and account, and its cool-down, are judged here, before there is a challenge: who sends texts
// knows nothing of accounts.
func (l *Login) barred(row *queries.CheckReadRow) string {
	switch {
	case row.Locked:
		return "locked"
	case row.CountryRefused, !phone.Allowed(row.PhoneCountry, l.o.Reach):
		return "country_not_allowed"
	case row.Cooling:
		return "number_cooldown"
	case row.SpendStopped:
		return spendStopped
	}
	return ""
}

// amrOf names the methods of a sign-in on a registered device (RFC 8176): a proven key
// is a software key, a cookie alone is never a factor.
func amrOf(kind string) []string {
	if kind == "key" {
		return []string{"pwd", "swk", "mfa"}
	}
	return []string{"pwd"}
}

// settle writes what was decided, with its event, each only if the proof was not used
// before. with runs in the same transaction when a session is to be made.
func (l *Login) settle(ctx context.Context, q question, a *answer) error {
	details, err := l.details(q, a.member)
	if err != nil {
		return err
	}
	if a.standing == asked {
		return l.makeChallenge(ctx, q, a, details)
	}
	var told event.Data
	switch a.standing {
	case registered, notRequired:
		in := event.LoginSucceeded{Member: q.member, Software: q.software.ID, Origin: q.origin, Device: a.device, AMR: a.amr, Upgraded: a.why, Details: details}
		if q.session != uuid.Nil {
			in.Session = &q.session
		}
		told = in
	default:
		told = event.LoginRefused{Member: &q.member, Software: q.software.ID, Origin: q.origin, Reason: a.why, Details: details}
	}
	a.event, err = event.New("login", a.member.AccountID, l.o.Now(), told)
	if err != nil {
		return err
	}
	if q.session != uuid.Nil && (a.standing == registered || a.standing == notRequired) {
		return nil // the event goes with the session's row
	}
	fresh, err := l.spends.Do(ctx, spend{q.proof, a.event})
	if err != nil {
		return fmt.Errorf("writing a sign-in: %w", err)
	}
	if !fresh {
		return errReplayed
	}
	l.o.Bus.Publish(a.event, "")
	if a.standing == registered {
		l.see(ctx, *a.device, a, q)
	}
	return nil
}

// see keeps what a registered device looked like and where it was, when it changed or an hour
// went by.
func (l *Login) see(ctx context.Context, id uuid.UUID, a *answer, q question) {
	if a.why == "" && !a.member.SeenLongAgo || q.facets == (device.Facets{}) {
		return
	}
	facets, err := json.Marshal(q.facets.After(a.seen))
	if err == nil {
		err = l.q.DeviceSee(ctx, queries.DeviceSeeParams{ID: id, Facets: facets, Country: l.o.Countries.Of(q.address)})
	}
	if err != nil {
		l.o.Logger.Warn("device was not marked as seen", "device", id, "error", err)
	}
}

func (l *Login) makeChallenge(ctx context.Context, q question, a *answer, details event.Details) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("making a challenge: %w", err)
	}
	seed := make([]byte, code.SeedSize)
	rand.Read(seed)
	facets, err := json.Marshal(q.facets)
	if err != nil {
		return fmt.Errorf("making a challenge: %w", err)
	}
	a.event, err = event.New("login", a.member.AccountID, l.o.Now(), event.CodeRequested{
		Challenge: id, Member: q.member, Software: q.software.ID, Purpose: string(q.purpose), Origin: q.origin, DeviceKind: q.kind,
		Thumbprint: q.thumbprint[:], Reason: a.why, Country: a.member.PhoneCountry, ValidS: int(l.o.Valid / time.Second), Details: details})
	if err != nil {
		return err
	}
	made, err := l.challenges.Do(ctx, newChallenge{question: q, id: id, seed: seed, facets: facets, member: a.member, event: a.event,
		limits: l.limitKeys(a.member.AccountID, q.member, a.member.PhoneIndex, q.address)})
	switch {
	case err != nil:
		return fmt.Errorf("writing a challenge: %w", err)
	case made.over != "":
		l.metrics.limits.WithLabelValues(made.over).Inc()
		a.standing, a.why = refused, manyTexts
		return l.settle(ctx, q, a)
	case made.expiresAt.IsZero():
		return errReplayed
	}
	a.challenge, a.expiresAt = id, made.expiresAt
	l.o.Bus.Publish(a.event, "")
	return nil
}

// details seals the address and the user agent to the member's own key.
func (l *Login) details(q question, m *queries.CheckReadRow) (event.Details, error) {
	if m == nil || !q.address.IsValid() && q.userAgent == "" {
		return nil, nil
	}
	key, err := seal.ParsePublicKey(m.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("reading a member's key: %w", err)
	}
	plain, err := json.Marshal(map[string]string{"address": q.address.String(), "user_agent": q.userAgent})
	if err != nil {
		return nil, err
	}
	return seal.Details(key, plain, q.member)
}

// problem makes the problem of an answer that is a refusal, nil for one that is none.
func (a answer) problem() error {
	switch {
	case a.standing == noNumber:
		return web.NewProblem(http.StatusForbidden, "no-number", "No phone number", "Your account asks for a security code, and no phone number is on file for you. Ask "+a.contact()+" to add one.").In(a.owner(), "Contact", a.contact())
	case a.standing == refused && a.why == "country_not_allowed":
		return web.NewProblem(http.StatusForbidden, "country-not-allowed", "No codes to this country", "Your account sends no security codes to the country of your phone number. Ask "+a.contact()+" to change one or the other.").In(a.owner(), "Contact", a.contact())
	case a.standing == refused && a.why == "number_cooldown":
		return web.NewProblem(http.StatusForbidden, "number-cooldown", "Your phone number is new", "Your phone number was changed for you. Your account sends security codes to it from "+a.member.CoolAt.UTC().Format("2 January 2006, 15:04")+" UTC. Was it not you who asked for the change? Tell "+a.contact()+".").In(a.owner(), "Contact", a.contact(), "At", a.member.CoolAt.UTC())
	case a.standing == refused && a.why == "member_locked":
		return web.NewProblem(http.StatusForbidden, "member-locked", "Your sign-in is locked", "Somebody said, by the link in a message to you, that a registration or a change was not yours. Nobody signs in as you until your sign-in is unlocked. Ask "+a.contact()+".").In(a.owner(), "Contact", a.contact())
	case a.standing == refused && a.why == "locked":
		return web.NewProblem(http.StatusTooManyRequests, "codes-locked", "Too many wrong codes", "Too many wrong codes were entered. Wait, or ask the owner of your account.").After(time.Hour)
	case a.standing == refused && (a.why == manyTexts || a.why == spendStopped):
		return errManyTexts
	case a.standing == refused && a.why == "bearer_refused":
		return web.NewProblem(http.StatusForbidden, "key-required", "A device key is required", "Your account does not accept this browser without a device key. Use a browser with scripts switched on.")
	case a.standing == refused:
		return errBadCredentials
	}
	return nil
}

// owner is the case of a refusal that sends people to an owner, "" where it names a contact.
func (a answer) owner() string {
	if a.member.Contact == "" {
		return "owner"
	}
	return ""
}

// contact is whom a person is told to ask.
func (a answer) contact() string { return cmp.Or(a.member.Contact, "the owner of your account") }

var errBadCredentials = web.NewProblem(http.StatusUnauthorized, "bad-credentials", "Sign-in refused", "The user ID or the password is wrong.")
