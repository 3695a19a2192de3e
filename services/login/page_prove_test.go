package login_test

import (
	"net/http"
	"strings"
	"testing"
)

// A person who is signed in proves the own number by a code. It lets nobody in and registers nothing.
func TestAPersonProvesTheOwnNumber(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", false)
	h.member(ada)
	b := h.browser()
	if b.do("GET", "/prove-number", ""); b.at != "/sign-in?told=ended" {
		t.Errorf("who is not signed in gets to %q", b.at)
	}
	b.signIn("ada", password)
	reads(t, b.open("/prove-number"), "We text a code to your number that ends in <strong>42</strong>")
	if status, _ := b.post("/prove-number"); status != http.StatusSeeOther || !strings.HasPrefix(b.at, "/check/") {
		t.Fatalf("asking for a code: %d to %q", status, b.at)
	}
	check := b.at
	reads(t, b.open(check), "You asked to prove your phone number.", "ends in <strong>42</strong>")
	if n := h.count("SELECT count(*) FROM challenge WHERE purpose = 'prove_number' AND origin = 'sign_in'"); n != 1 {
		t.Errorf("%d challenges to prove a number, want 1", n)
	}
	stop := h.judge("wrong")
	reads(t, b.goes(check+"?told=wrong", check, "code", "000000"), "That was not the code.")
	stop()
	stop = h.judge("proved")
	page := b.goes(check, check, "code", "123456")
	stop()
	reads(t, page, "Your phone number is proved.")
	if strings.Contains(page, "Sign in again") {
		t.Error("the page sends somebody to sign in who is signed in")
	}
	if n := h.count("SELECT count(*) FROM device") + h.count("SELECT count(*) FROM session WHERE device_id IS NOT NULL OR amr <> '{pwd}'"); n != 0 {
		t.Errorf("a proof made %d devices and sessions", n)
	}
	for range 4 {
		b.open("/prove-number")
		if status, _ := b.post("/prove-number"); status != http.StatusSeeOther {
			t.Fatalf("asking again: %d", status)
		}
	}
	b.open("/prove-number")
	if status, page := b.post("/prove-number"); status != http.StatusTooManyRequests || !strings.Contains(page, "You asked for many codes.") {
		t.Errorf("the sixth text of an hour: %d", status)
	}
}

// A code for a proof is texted only where codes may go, and on the session's own device.
func TestAProofIsRefusedAsASignInIs(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	h.member(ada)
	h.member(map[string]any{"role": "provider", "user_id": "bob", "password": password})
	b := h.browser()
	b.signIn("bob", password)
	reads(t, b.open("/prove-number"), "No phone number is on file for you.")

	b = h.browser()
	b.enter("ada", password)
	for _, x := range []struct{ what, change, words string }{
		{"another country", "UPDATE account SET countries = '{US}'", "sends no security codes to the country"},
		{"a number of just now", "UPDATE account SET countries = '{}', number_cooldown = '1 hour'; UPDATE member SET phone_changed_at = now()", "sends security codes to it from"},
		{"another device's cookie", "UPDATE account SET number_cooldown = '0'; UPDATE device SET thumbprint = sha256('another')", "did not prove its key"},
	} {
		h.exec(x.change)
		b.open("/prove-number")
		if status, page := b.post("/prove-number"); status != http.StatusForbidden || !strings.Contains(page, x.words) {
			t.Errorf("%s: %d\n%s", x.what, status, page)
		}
	}
	if n := h.count("SELECT count(*) FROM challenge WHERE purpose = 'prove_number'"); n != 0 {
		t.Errorf("%d codes were asked for", n)
	}
}
