package login

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	queries "latchkey.dev/queries/login"
	"latchkey.dev/services/factor"
	"latchkey.dev/services/internal/page"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/words"
)

// whys are the keys of the sentences that say why a code is asked for.
var whys = map[string]string{
	"prove_number":     "login:why.prove_number",
	"unknown_device":   "login:why.unknown_device",
	"cleared":          "login:why.cleared",
	"ended":            "login:why.ended",
	"new_os":           "login:why.new_os",
	"new_browser":      "login:why.new_browser",
	"browser_upgraded": "login:why.browser_upgraded",
}

// upgrades are the same where it is known from what to what.
var upgrades = map[string]string{
	"new_os":           "login:why.os_from_to",
	"new_browser":      "login:why.browser_other",
	"browser_upgraded": "login:why.browser_from_to",
}

// upgraded is why a code is asked for, with what was upgraded from and to where that is
// known, in letters that the cookie of checks can hold.
func upgraded(why, from, to string) string {
	if from == "" || to == "" {
		return why
	}
	e := base64.RawURLEncoding
	return why + "~" + e.EncodeToString([]byte(from)) + "~" + e.EncodeToString([]byte(to))
}

// whySaid is the sentence of what upgraded wrote.
func whySaid(lang words.Language, why string) string {
	parts := strings.Split(why, "~")
	why = parts[0]
	if len(parts) == 3 {
		from, _ := base64.RawURLEncoding.DecodeString(parts[1]) // our own signed words
		to, _ := base64.RawURLEncoding.DecodeString(parts[2])
		if key, ok := upgrades[why]; ok {
			return lang.Say(key, "From", string(from), "To", string(to))
		}
	}
	return lang.Say(cmp.Or(whys[why], whys["unknown_device"]))
}

// statusSaid is a status with the key of its sentence.
type statusSaid struct {
	Status challengeStatus
	Key    string
}

// statusWords say how a text is doing, or how the request ended. They promise no more than
// is known.
var statusWords = []statusSaid{
	{statusRequested, "login:status.requested"},
	{statusSending, "login:status.sending"},
	{statusAccepted, "login:status.accepted"},
	{statusAcceptedByAnother, "login:status.accepted_by_another"},
	{statusDelivered, "login:status.delivered"},
	{statusTryingAnother, "login:status.trying_another"},
	{statusDelayed, "login:status.delayed"},
	{statusTooLate, "login:status.too_late"},
	{statusNotPossible, "login:status.not_possible"},
	{"registered", "login:status.registered"},
	{"proved", "login:status.proved"},
	{"expired", "login:status.expired"},
	{"tries", "login:status.tries"},
	{"locked", "login:status.locked"},
}

// keyOf is the key of a status, which is one of statusWords.
func keyOf(s challengeStatus) string {
	i := slices.IndexFunc(statusWords, func(w statusSaid) bool { return w.Status == s })
	return statusWords[max(i, 0)].Key
}

// proveWords are the keys of how a request ended that was to prove a number.
var proveWords = map[challengeStatus]string{
	"expired": "login:status.prove_expired",
	"tries":   "login:status.prove_tries",
}

type checkView struct {
	view
	Proves   bool   // a number, and registers nothing
	Console  string // where to go from a proof, "" where there is no console
	ID       uuid.UUID
	Kind     string // of the device: key, bearer
	Why      string
	LastTwo  string
	Status   challengeStatus
	Said     string       // the key of the status
	Statuses []statusSaid // for the script
	Until    time.Time    // texts leave until then
	Ended    bool
	Tries    int
	Texts    int
	Wait     int // seconds until another text may be asked for
	Digits   int
	Letters  bool   // the keys of a phone shall show letters too: a registration code has some
	Minutes  int    // that a code is valid
	Contact  string // "" for the owner of the account
}

var errUnknownRequest = page.Problem(http.StatusNotFound, "unknown-request", "Not known here", "This request for a code is not known in this browser. Sign in to get a new code.")

func (l *Login) checkPage(v *visit) error {
	id, err := pathID(v.r)
	if err != nil {
		return err
	}
	why, ok := v.mayLook(id)
	if !ok {
		return errUnknownRequest
	}
	row, err := l.states.Do(v.r.Context(), id)
	if err != nil {
		return fmt.Errorf("reading a challenge: %w", err)
	}
	if row == nil {
		return errUnknownRequest
	}
	a, err := seen(row)
	if err != nil {
		return err
	}
	account, err := l.q.AccountRead(v.r.Context(), row.AccountID)
	if err != nil {
		return fmt.Errorf("reading an account: %w", err)
	}
	base, err := v.view("login:check.title")
	if err != nil {
		return err
	}
	data := checkView{view: base, ID: id, Kind: row.DeviceKind, Why: whySaid(v.lang, why), LastTwo: a.LastTwo, Status: a.Status, Said: keyOf(a.Status), Statuses: statusWords, Until: a.SendsUntil,
		Ended: row.EndReason != "", Tries: a.TriesLeft, Texts: a.TextsLeft, Wait: a.NextTextIn, Digits: l.o.Digits, Letters: v.r.URL.Query().Has("letters"), Minutes: int(l.o.Valid / time.Minute), Contact: account.Contact}
	if data.Proves = row.Purpose == string(proveNumber); data.Proves {
		data.Console = l.o.Console
		if key, ok := proveWords[a.Status]; ok {
			data.Said = key
		}
	}
	if name := v.r.URL.Query().Get("told"); !data.Ended {
		switch name {
		case "text", "checking":
			data.Notice = v.told()
		default:
			data.Alert = v.told()
		}
	}
	return v.render(http.StatusOK, "check", data)
}

// codeForm takes the typed code.
func (l *Login) codeForm(v *visit) error {
	row, once, err := v.ownChallenge()
	if err != nil || row == nil {
		return err
	}
	path := "/check/" + uuid.UUID(row.ID).String()
	typed, err := factor.Read(v.field("code"), l.o.Digits)
	if err != nil {
		return v.to(path + "?told=not-a-code")
	}
	out, err := l.enter(v.r.Context(), row, once, typed, pageLooks)
	switch {
	case errors.Is(err, errReplayed):
		return v.to(path + "?told=again")
	case err != nil:
		return err
	case out.Result == "pending":
		return v.to(path + "?told=checking")
	case out.Result == "proved":
		return v.to(path)
	case out.Session == nil:
		return v.to(path + "?told=wrong")
	}
	v.remember(row.MemberID, row.SoftwareID)
	v.open(out.Session.Token)
	return v.to("/?told=registered")
}

// textForm asks for another text.
func (l *Login) textForm(v *visit) error {
	row, once, err := v.ownChallenge()
	if err != nil || row == nil {
		return err
	}
	path := "/check/" + uuid.UUID(row.ID).String()
	err = l.another(v.r.Context(), row, once, web.Address(v.r, l.o.Proxies))
	if p := new(web.Problem); errors.As(err, &p) {
		switch p.Type {
		case "/problems/too-soon":
			return v.to(path + "?told=too-soon")
		case "/problems/no-more-texts":
			return v.to(path + "?told=no-more")
		case "/problems/challenge-ended":
			return v.to(path)
		case errReplayed.Type:
			return v.to(path + "?told=again")
		}
	}
	if err != nil {
		return err
	}
	return v.to(path + "?told=text")
}

// ownChallenge reads the challenge of a form, which must come from the challenge's own
// device: with a proof of its key that names it, or with the cookie that the device is.
// Where the person is sent elsewhere instead, there is no row and no error.
func (v *visit) ownChallenge() (*queries.ChallengeStateRow, proofOnce, error) {
	id, err := pathID(v.r)
	if err != nil {
		return nil, proofOnce{}, err
	}
	s, err := v.sender()
	if p := new(web.Problem); errors.As(err, &p) {
		return nil, proofOnce{}, v.to("/check/" + id.String() + "?told=again")
	}
	if err != nil {
		return nil, proofOnce{}, err
	}
	row, err := v.l.states.Do(v.r.Context(), id)
	if err != nil {
		return nil, proofOnce{}, fmt.Errorf("reading a challenge: %w", err)
	}
	if row == nil || row.DeviceKind != s.kind || s.kind == "key" && s.challenge != id ||
		subtle.ConstantTimeCompare(row.DeviceThumbprint, s.thumbprint[:]) == 0 {
		return nil, proofOnce{}, v.to("/check/" + id.String() + "?told=no-key")
	}
	if row.EndReason != "" {
		return nil, proofOnce{}, v.to("/check/" + id.String())
	}
	return row, s.once, nil
}

const (
	// checkLife is how long a browser may look at a challenge: past its end, to see how it ended.
	checkLife = time.Hour
	maxChecks = 3 // open in one browser at a time
)

// toCheck lets this browser look at a challenge, and sends it there.
func (v *visit) toCheck(id uuid.UUID, why string) error {
	sig, err := v.l.nonces.Sign("check", checkSubject(id, why), v.l.now())
	if err != nil {
		return err
	}
	all := []string{id.String() + "." + why + "." + sig}
	for _, c := range checks(v.r) {
		if len(all) < maxChecks {
			all = append(all, c)
		}
	}
	v.setCookie(checkCookie, strings.Join(all, ":"), checkLife)
	return v.to("/check/" + id.String())
}

func checkSubject(id uuid.UUID, why string) []byte {
	s := sha256.Sum256([]byte(id.String() + why))
	return s[:]
}

func checks(r *http.Request) []string {
	if c := page.Cookie(r, checkCookie); c != "" {
		return strings.Split(c, ":")
	}
	return nil
}

// check reads one entry of the cookie.
func (l *Login) check(entry string) (id uuid.UUID, why string, ok bool) {
	parts := strings.Split(entry, ".")
	if len(parts) != 3 {
		return id, "", false
	}
	id, err := uuid.Parse(parts[0])
	if err != nil {
		return id, "", false
	}
	_, ok = l.nonces.Check("check", checkSubject(id, parts[1]), parts[2], checkLife)
	return id, parts[1], ok
}

// mayLook reports whether this browser asked for the challenge, and why a code was due.
func (v *visit) mayLook(id uuid.UUID) (why string, ok bool) {
	for _, c := range checks(v.r) {
		if got, why, ok := v.l.check(c); ok && got == id {
			return why, true
		}
	}
	return "", false
}

// openCheck is the challenge that this browser asked for last, if it still waits for its code.
func (l *Login) openCheck(r *http.Request) (uuid.UUID, bool) {
	all := checks(r)
	if len(all) == 0 {
		return uuid.Nil, false
	}
	id, _, ok := l.check(all[0])
	if !ok {
		return uuid.Nil, false
	}
	row, err := l.states.Do(r.Context(), id)
	return id, err == nil && row != nil && row.EndReason == "" && row.Purpose == string(register)
}
