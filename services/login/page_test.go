package login_test

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"

	"latchkey.dev/services/internal/dpop"
)

var ada = map[string]any{"role": "provider", "user_id": "ada", "password": password, "phone": "604 441 0142"}

// A browser without script or WebCrypto: plain forms all the way, and a cookie as the device.
func TestBearerLife(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	h.member(ada)
	b := h.browser()
	if status, _ := b.do("GET", "/", ""); status != http.StatusSeeOther || b.at != "/sign-in" {
		t.Fatalf("GET /: %d to %q", status, b.at)
	}
	status, page := b.signIn("ada", "wrong password!")
	reads(t, page, "The user ID or the password is wrong.", `value="ada"`)
	if status != http.StatusUnauthorized || strings.Contains(page, "wrong password!") {
		t.Errorf("a wrong password: %d", status)
	}
	b.signIn(" Ada ", password)
	check := b.at
	page = b.open(check)
	reads(t, page, `autocomplete="one-time-code"`, `inputmode="numeric"`, "not registered for you yet", "ends in <strong>42</strong>", `aria-live="polite"`, "about to be handed")
	// The page that a phone threw away, and a tab that starts anew, come back to the same challenge.
	reads(t, b.open(check), "Check your phone")
	if b.do("GET", "/", ""); b.at != check {
		t.Errorf("starting anew leads to %q, want %q", b.at, check)
	}
	reads(t, b.open("/sign-in"), "still waits for its code")
	reads(t, b.goes(check+"?told=not-a-code", check, "code", "12 34"), "did not count as a try")
	reads(t, b.goes(check+"?told=too-soon", check+"/texts"), "on its way already")
	stop := h.judge("wrong")
	reads(t, b.goes(check+"?told=wrong", check, "code", "000000"), "That was not the code.")
	stop()
	stop = h.judge("registered")
	page = b.goes("/?told=registered", check, "code", "123-456")
	stop()
	reads(t, page, "You are in", "This browser is now registered", "<strong>ada</strong>", "by a cookie alone", "Clearing its browser data ends that")
	if n := h.count("SELECT count(*) FROM device WHERE kind = 'bearer'"); n != 1 {
		t.Errorf("%d bearer devices, want 1", n)
	}
	if n := h.count(`SELECT count(*) FROM session WHERE amr = '{pwd,sms,mfa}'`); n != 1 {
		t.Errorf("the session after a code is not marked so (B11)")
	}
	reads(t, b.goes("/signed-out", "/sign-out"), "You are signed out", "stays registered")
	if status, page := b.signIn("ada", password); status != http.StatusSeeOther || b.at != "/" {
		t.Fatalf("the next sign-in: %d to %q\n%s", status, b.at, page)
	}
	// B11: a cookie is never a factor.
	if n := h.count(`SELECT count(*) FROM session WHERE ended_at IS NULL AND amr = '{pwd}'`); n != 1 {
		t.Errorf("the session of a cookie alone claims more than a password")
	}
	if status, _ := h.browser().signIn("ada", password); status != http.StatusSeeOther || h.count("SELECT count(*) FROM challenge") != 2 {
		t.Errorf("another browser: %d, want a code asked for", status)
	}
	h.exec("UPDATE account SET bearer_refused_at = now()")
	other := h.browser()
	status, page = other.signIn("ada", password)
	reads(t, page, "A device key is required", "scripts switched on")
	if status != http.StatusForbidden {
		t.Errorf("an account that refuses cookies: %d, want 403", status)
	}
}

// With script the same forms carry proofs: the session is a cookie, the device a key.
func TestKeyLifeOnPages(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	h.member(ada)
	b := h.browser()
	b.key = newDevice(t)
	page := b.enter("ada", password)
	reads(t, page, "You are in", "this browser")
	if n := h.count("SELECT count(*) FROM device WHERE kind = 'key'"); n != 1 {
		t.Errorf("%d devices with a key, want 1", n)
	}
	first := b.cookies["__Host-latchkey"]
	if status, _ := b.do("GET", "/sign-in", ""); status != http.StatusSeeOther {
		t.Errorf("the sign-in page to who is in: %d", status)
	}
	// A second sign-in in the same browser rotates the session and ends the first.
	status, page := b.post("/sign-in", "user_id", "ada", "password", password, "software", "web")
	if status != http.StatusSeeOther || b.at != "/" || b.cookies["__Host-latchkey"] == first {
		t.Fatalf("the second sign-in: %d to %q\n%s", status, b.at, page)
	}
	if n := h.count("SELECT count(*) FROM session WHERE ended_at IS NULL"); n != 1 {
		t.Errorf("%d live sessions, want the last one alone", n)
	}
	// F26: all cookies, copied to another browser without the key, skip no code.
	thief := h.browser()
	thief.cookies = maps.Clone(b.cookies)
	delete(thief.cookies, "__Host-latchkey")
	if thief.signIn("ada", password); !strings.HasPrefix(thief.at, "/check/") {
		t.Errorf("a copied cookie leads to %q, want a code asked for", thief.at)
	}
	page = b.open("/")
	device := regexp.MustCompile(`/devices/([0-9a-f-]{36})/revoke`).FindStringSubmatch(page)[1]
	reads(t, b.goes("/?told=named", "/devices/"+device+"/name", "name", `<script>alert(1)</script>"'&`), "The name is saved.", "&lt;script&gt;alert(1)&lt;/script&gt;")
	if status, page := b.post("/devices/"+device+"/name", "name", strings.Repeat("x", 101)); status != http.StatusBadRequest {
		t.Errorf("a long name: %d\n%s", status, page)
	}
	b.open("/")
	// B7: a revoked device is out at once.
	reads(t, b.goes("/sign-in?told=revoked", "/devices/"+device+"/revoke"), "registration of this browser has ended")
	b.signIn("ada", password)
	reads(t, b.open(b.at), "was registered for you, and that registration has ended")
}

// When a registered browser comes without its key, the page says what happened.
func TestClearedBrowserDataIsNamed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	h.member(ada)
	b := h.browser()
	b.key = newDevice(t)
	b.enter("ada", password)
	b.goes("/signed-out", "/sign-out")
	b.key = newDevice(t) // its database was cleared, its cookies were not
	b.open("/sign-in")
	b.post("/sign-in", "user_id", "ada", "password", password, "software", "web", "made", "1")
	reads(t, b.open(b.at), "its key is gone: that happens when browser data is cleared")
	if c := b.cookies["__Host-latchkey-known"]; strings.Contains(c, "ada") || c == "" {
		t.Errorf("the cookie that remembers is %q", c)
	}
}

// A session that somebody left open does not help to guess the password.
func TestPasswordChangeIsNoOracle(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	h.member(ada)
	b := h.browser()
	b.enter("ada", password)
	b.open("/password")
	const own = "a few words of mine"
	for range 10 {
		b.post("/password", "old_password", "wrong password!", "new_password", own, "new_password_again", own)
	}
	status, page := b.post("/password", "old_password", password, "new_password", own, "new_password_again", own)
	reads(t, page, "Too many wrong passwords.")
	if status != http.StatusTooManyRequests {
		t.Errorf("the right password after ten wrong ones: %d", status)
	}
}

// C5: a challenge's page is for the browser that asked, its form for the device alone.
func TestChallengeStaysWithItsBrowser(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	h.member(ada)
	for _, key := range []*dpop.Key{nil, newDevice(t)} {
		b := h.browser()
		b.key = key
		b.signIn("ada", password)
		check := b.at
		other := h.browser()
		other.open("/sign-in")
		if status, page := other.do("GET", check, ""); status != http.StatusNotFound || strings.Contains(body(page), "42") {
			t.Errorf("another browser sees the page: %d\n%s", status, page)
		}
		b.open(check)
		maps.Copy(other.cookies, map[string]string{"__Host-latchkey-check": b.cookies["__Host-latchkey-check"]})
		for what, k := range map[string]*dpop.Key{"its own cookie": nil, "its own key": newDevice(t)} {
			other.key = k
			other.open("/sign-in")
			if other.post(check, "code", "123456"); !strings.HasSuffix(other.at, "told=no-key") {
				t.Errorf("a code with %s leads to %q", what, other.at)
			}
			if other.post(check + "/texts"); !strings.HasSuffix(other.at, "told=no-key") {
				t.Errorf("another text with %s leads to %q", what, other.at)
			}
		}
		if key != nil {
			// The right key, for another challenge.
			if b.post(check, "code", "123456", "proof", h.proof(key, "POST", h.url+check, uuid.New())); !strings.HasSuffix(b.at, "told=no-key") {
				t.Errorf("a proof for another challenge leads to %q", b.at)
			}
			proof := h.proof(key, "POST", h.url+check, uuid.MustParse(strings.TrimPrefix(check, "/check/")))
			stop := h.judge("wrong")
			b.post(check, "code", "123456", "proof", proof)
			stop()
			if b.post(check, "code", "123456", "proof", proof); !strings.HasSuffix(b.at, "told=again") {
				t.Errorf("a replayed proof leads to %q", b.at)
			}
		}
	}
	if n := h.count("SELECT count(*) FROM entry"); n != 1 {
		t.Errorf("%d entries, want the device's own", n)
	}
}

// Rule 6: a generated password is changed after the first code, never before it, and until
// then nothing else can be done. Leaving keeps the registration.
func TestGeneratedPasswordIsChangedAfterTheCode(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	id := h.member(ada)
	h.exec("UPDATE credential SET must_change_since = now() WHERE member_id = $1", id)
	b := h.browser()
	b.signIn("ada", password)
	if status, _ := b.do("GET", "/password", ""); status != http.StatusSeeOther || b.at != "/sign-in?told=ended" {
		t.Errorf("the change before the code: %d to %q", status, b.at)
	}
	page := b.enter("ada", password)
	reads(t, page, "Choose a password of your own", "This browser is registered")
	for _, path := range []string{"/", "/devices/" + uuid.NewString() + "/revoke"} {
		method := map[bool]string{true: "GET", false: "POST"}[path == "/"]
		if status, _ := b.do(method, path, url.Values{"form": {b.form}}.Encode()); status != http.StatusSeeOther || b.at != "/password" {
			t.Errorf("%s %s before the change: %d to %q, want to be sent to the change", method, path, status, b.at)
		}
	}
	b.open("/password")
	// Left, and come back: no code, and the change again.
	reads(t, b.goes("/signed-out", "/sign-out"), "Signed out")
	if b.signIn("ada", password); b.at != "/" {
		t.Fatalf("the next sign-in leads to %q", b.at)
	}
	reads(t, b.open("/password"), "Choose a password of your own")
	const own = "a few words of mine"
	for what, c := range map[string][4]string{
		"the wrong old one":    {"wrong password!", own, own, "The old password is wrong."},
		"two different ones":   {password, own, own + "!", "typed in two different ways"},
		"one that is short":    {password, "short", "short", "12 to 256 characters"},
		"the generated one":    {password, password, password, "the one you were given"},
		"one that is too long": {password, strings.Repeat("x", 257), strings.Repeat("x", 257), "12 to 256 characters"},
	} {
		status, page := b.post("/password", "old_password", c[0], "new_password", c[1], "new_password_again", c[2])
		if status < 400 || status > 499 {
			t.Errorf("%s: %d", what, status)
		}
		reads(t, page, c[3])
		if strings.Contains(page, own) {
			t.Errorf("%s: the page shows what was typed", what)
		}
	}
	reads(t, b.goes("/?told=password", "/password", "old_password", password, "new_password", own, "new_password_again", own), "You are in", "Your password is changed.")
	b.goes("/signed-out", "/sign-out")
	if b.signIn("ada", own); b.at != "/" {
		t.Errorf("a sign-in with the own password leads to %q", b.at)
	}
	reads(t, b.open("/"), "You are in")
}
