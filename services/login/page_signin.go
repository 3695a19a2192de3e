package login

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"

	"latchkey.dev/services/internal/page"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/web"
)

// told are the keys of the sentences that a page may be sent to say, by name. The address names one
// and never brings its own words.
var told = map[string]string{
	"ended":      "login:told.ended",
	"revoked":    "login:told.revoked",
	"registered": "login:told.registered",
	"named":      "login:told.named",
	"gone":       "login:told.gone",
	"password":   "login:told.password",
	"number":     "login:told.number",
	"wrong":      "login:told.wrong",
	"not-a-code": "login:told.not_a_code",
	"checking":   "login:told.checking",
	"again":      "login:told.again",
	"no-key":     "login:told.no_key",
	"text":       "login:told.text",
	"too-soon":   "login:told.too_soon",
	"proved":     "login:status.proved",
	"no-more":    "login:told.no_more",
}

type signInView struct {
	view
	UserID   string
	Software string
	Origin   string // where proofs are for, also if the browser came by another name
	Check    string // a challenge of this browser that still waits for its code
}

func (l *Login) signInPage(v *visit) error {
	if v.session != nil {
		return v.to("/")
	}
	return v.signIn(http.StatusOK, signInView{view: view{Notice: v.told()}, Software: v.r.URL.Query().Get("software")})
}

func (v *visit) signIn(status int, data signInView) error {
	base, err := v.view("login:sign_in.title")
	if err != nil {
		return err
	}
	s := v.l.service(v.r, data.Software)
	if s.ID == "" {
		return page.Problem(http.StatusServiceUnavailable, "no-software", "Nothing to sign in to", "This installation has no software for browsers yet. Whoever runs it can add one.")
	}
	base.Service, base.Notice, base.Alert = s.Name, data.Notice, data.Alert
	base.At = "/sign-in?software=" + url.QueryEscape(s.ID)
	data.view, data.Software, data.Origin = base, s.ID, v.l.o.Origin
	if c, ok := v.l.openCheck(v.r); ok {
		data.Check = c.String()
	}
	return v.render(status, "sign-in", data)
}

// signInForm takes user ID, password and, where the browser keeps a key, its proof. A form
// without one comes from a browser without script, without WebCrypto or without a place
// for keys: its device is a cookie, of kind bearer.
func (l *Login) signInForm(v *visit) error {
	in := signInRequest{UserID: v.field("user_id"), Password: secret.New(v.r.PostForm.Get("password")), Software: v.field("software")}
	s, err := v.sender()
	if err != nil {
		return v.refused(in, err)
	}
	a, token, err := l.signIn(v.r, question{purpose: register, origin: originSignIn, kind: s.kind, thumbprint: s.thumbprint, proof: s.once}, in)
	if err == nil {
		err = a.problem()
	}
	if err != nil {
		return v.refused(in, err)
	}
	if s.kind == "bearer" && a.standing != notRequired {
		v.setCookie(deviceCookie, s.token, page.CookieLong)
	}
	if a.standing == asked {
		return v.toCheck(a.challenge, upgraded(v.why(a, in.Software), a.from, a.to))
	}
	if a.standing == registered {
		v.remember(a.member.MemberID, in.Software)
	}
	v.open(token)
	return v.to("/")
}

// sender is the device that a form comes from.
type sender struct {
	kind       string // key, bearer
	thumbprint [32]byte
	once       proofOnce
	challenge  uuid.UUID // of a key: what its proof names
	token      string    // of a bearer
}

// bearerLength is the length of a token of newToken.
const bearerLength = 43

func (v *visit) sender() (s sender, err error) {
	if proof := v.field("proof"); proof != "" {
		p, err := v.l.prove(v.w, v.r, proof, http.MethodPost)
		return sender{kind: "key", thumbprint: p.Thumbprint, once: onceAt(p.ID, p.NonceTime), challenge: p.Challenge}, err
	}
	if s.token = page.Cookie(v.r, deviceCookie); len(s.token) != bearerLength {
		s.token, _ = secret.NewToken()
	}
	// There is no proof to use up: who has the cookie may send again.
	var once [32]byte
	rand.Read(once[:])
	s.kind, s.thumbprint, s.once = "bearer", sha256.Sum256([]byte(s.token)), onceAt(once, v.l.now())
	return s, nil
}

// refused shows the sign-in again with what was wrong, or a page of its own where trying
// again does not help.
func (v *visit) refused(in signInRequest, err error) error {
	p := new(web.Problem)
	if !errors.As(err, &p) {
		return err
	}
	data := signInView{view: view{Alert: v.detail(p)}, UserID: in.UserID, Software: in.Software}
	switch p.Type {
	case errBadCredentials.Type, "/problems/throttled", "/problems/busy":
	case "/problems/use-dpop-nonce", "/problems/invalid-proof", errReplayed.Type:
		data.Alert = v.lang.Say(told["again"])
	default:
		return err
	}
	if len(data.UserID) > 128 {
		data.UserID = ""
	}
	return v.signIn(p.Status, data)
}

// open makes the cookie of a new session, and ends the one that this browser had.
func (v *visit) open(token string) {
	if v.session != nil {
		if err := v.l.endSession(v.r.Context(), *v.session, v.token); err != nil {
			v.l.o.Logger.Warn("former session was not ended", "error", err)
		}
	}
	v.setCookie(sessionCookie, token, 0)
}

// maxKnown is how many people's registrations a browser is reminded of.
const maxKnown = 8

// remember keeps in the browser that somebody registered here: a digest that only we can make.
func (v *visit) remember(member uuid.UUID, software string) {
	mark := v.mark(member, software)
	marks := slices.DeleteFunc(v.known(), func(m string) bool { return m == mark })
	marks = append([]string{mark}, marks[:min(len(marks), maxKnown-1)]...)
	v.setCookie(knownCookie, strings.Join(marks, "."), page.CookieLong)
}

func (v *visit) known() []string {
	if c := page.Cookie(v.r, knownCookie); c != "" {
		return strings.Split(c, ".")
	}
	return nil
}

func (v *visit) mark(member uuid.UUID, software string) string {
	return base64.RawURLEncoding.EncodeToString(v.l.o.People.Index("known", member.String()+software)[:12])
}

// why says in one word why a code is asked for, as truly as this browser lets us know.
func (v *visit) why(a answer, software string) string {
	switch {
	case a.why != "unknown_device":
		return a.why
	case !slices.Contains(v.known(), v.mark(a.member.MemberID, software)):
		return "unknown_device"
	case v.field("made") != "" || v.field("proof") == "" && page.Cookie(v.r, deviceCookie) == "":
		return "cleared" // it was registered, and has no key of that time any more
	}
	return "ended" // it has its key, and the key's registration is over
}
