package login

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	queries "latchkey.dev/queries/login"
	"latchkey.dev/services/code"
	"latchkey.dev/services/internal/page"
	"latchkey.dev/services/internal/web"
)

// whys say why a code is asked for.
var whys = map[string]string{
	"prove_number":     "You asked to prove your phone number.",
	"unknown_device":   "This browser is not registered for you yet.",
	"cleared":          "This browser was registered for you, but its key is gone: that happens when browser data is cleared. It needs to be registered again.",
	"ended":            "This browser was registered for you, and that registration has ended. It needs to be registered again.",
	"new_os":           "The operating system of this device had a major upgrade, so it needs to be registered again.",
	"new_browser":      "This is another browser than the one that was registered, so it needs to be registered again.",
	"browser_upgraded": "This browser had a major upgrade, so it needs to be registered again.",
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

// whyWords is the sentence of what upgraded wrote.
func whyWords(why string) string {
	parts := strings.Split(why, "~")
	if len(parts) != 3 {
		return whys[parts[0]]
	}
	from, _ := base64.RawURLEncoding.DecodeString(parts[1]) // our own signed words
	to, _ := base64.RawURLEncoding.DecodeString(parts[2])
	switch parts[0] {
	case "browser_upgraded":
		return fmt.Sprintf("Your browser was upgraded from %s to %s, so it needs to be registered again.", from, to)
	case "new_os":
		return fmt.Sprintf("The operating system of this device was upgraded from %s to %s, so it needs to be registered again.", from, to)
	case "new_browser":
		return fmt.Sprintf("This is %s, and %s was registered, so it needs to be registered again.", to, from)
	}
	return whys[parts[0]]
}

// statusWords say how a text is doing, or how the request ended. They promise no more than is known.
var statusWords = []struct {
	Status challengeStatus
	Words  string
}{
	{statusRequested, "A text is asked for. It is about to be handed to a carrier."},
	{statusSending, "A carrier is being asked to take the text."},
	{statusAccepted, "A carrier has taken the text. It should arrive in a moment."},
	{statusDelivered, "The carrier says that the text is on your phone."},
	{statusTryingAnother, "One carrier could not bring the text. Another one is being tried."},
	{statusNotPossible, "No carrier can bring a text to this number just now."},
	{"registered", "This browser is registered. Sign in once more: no code is asked for."},
	{"proved", "Your phone number is proved."},
	{"expired", "The time for this code is over. Sign in again to get a new one."},
	{"tries", "Five wrong codes were entered, so this request has ended. Sign in again to get a new code."},
	{"locked", "Too many wrong codes were entered. Wait an hour, or ask for help, before you sign in again."},
}

func wordsOf(s challengeStatus) string {
	for _, w := range statusWords {
		if w.Status == s {
			return w.Words
		}
	}
	return ""
}

// proveWords say how a request ended that was to prove a number.
var proveWords = map[challengeStatus]string{
	"expired": "The time for this code is over.",
	"tries":   "Five wrong codes were entered, so this request has ended.",
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
	Words    string
	AllWords any // statusWords, for the script
	Ended    bool
	Tries    int
	Texts    int
	Wait     int // seconds until another text may be asked for
	Digits   int
	Minutes  int // that a code is valid
	Contact  string
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
	base, err := v.view("Check your phone")
	if err != nil {
		return err
	}
	data := checkView{view: base, ID: id, Kind: row.DeviceKind, Why: whyWords(why), LastTwo: a.LastTwo, Status: a.Status, Words: wordsOf(a.Status), AllWords: statusWords,
		Ended: row.EndReason != "", Tries: a.TriesLeft, Texts: a.TextsLeft, Wait: a.NextTextIn, Digits: l.o.Digits, Minutes: int(l.o.Valid / time.Minute), Contact: account.Contact}
	if data.Contact == "" {
		data.Contact = "the owner of your account"
	}
	if data.Proves = row.Purpose == string(proveNumber); data.Proves {
		data.Console, data.Words = l.o.Console, cmp.Or(proveWords[a.Status], data.Words)
	}
	if name := v.r.URL.Query().Get("told"); !data.Ended {
		switch name {
		case "text", "checking":
			data.Notice = told[name]
		default:
			data.Alert = told[name]
		}
	}
	return render(v.w, http.StatusOK, "check", data)
}

// codeForm takes the typed code.
func (l *Login) codeForm(v *visit) error {
	row, once, err := v.ownChallenge()
	if err != nil || row == nil {
		return err
	}
	path := "/check/" + uuid.UUID(row.ID).String()
	typed, err := code.Parse(v.field("code"), l.o.Digits)
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
	err = l.another(v.r.Context(), row, once)
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
