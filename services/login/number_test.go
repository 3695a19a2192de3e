package login_test

import (
	"net/http"
	"strings"
	"testing"
)

// A Standalone Mobile member changes the own number: read back, with the password, told at
// every address; every registration ends.
func TestAMemberChangesTheOwnNumber(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "standalone_mobile", false)
	id := h.member(map[string]any{"role": "provider", "user_id": "ada", "password": password, "phone": "604 441 0142", "email": "ada@example.org"})
	b := h.browser()
	b.key = newDevice(t)
	reads(t, b.enter("ada", password), "Change your phone number")
	reads(t, b.open("/number"), "ends in <strong>42</strong>")
	untouched := func(what string) {
		t.Helper()
		if n := h.count("SELECT count(*) FROM member WHERE phone_last_two = '42' AND phone_version = 1"); n != 1 || h.count("SELECT count(*) FROM notice") != 0 {
			t.Errorf("%s changed something", what)
		}
	}
	for typed, says := range map[string]string{"": "not a valid phone number", "12": "not a valid phone number", "+1 800 555 0199": "cannot receive texts"} {
		b.open("/number")
		if status, page := b.post("/number", "phone", typed); status != http.StatusUnprocessableEntity || !strings.Contains(page, says) {
			t.Errorf("%q: %d\n%s", typed, status, page)
		}
	}
	h.exec("UPDATE account SET countries = '{CA}'")
	b.open("/number")
	if status, page := b.post("/number", "phone", "+44 7400 123456"); status != http.StatusUnprocessableEntity || !strings.Contains(page, "of this country") {
		t.Errorf("a country that is not allowed: %d", status)
	}
	b.open("/number")
	_, page := b.post("/number", "phone", "604 441 0199")
	reads(t, page, "<strong>+16044410199</strong> (CA)", "Your password")
	untouched("reading it back")
	if status, page := b.post("/number", "phone", "604 441 0199", "confirmed", "+16044410199", "password", "wrong password!"); status != http.StatusForbidden || !strings.Contains(page, "The old password is wrong") {
		t.Errorf("a wrong password: %d\n%s", status, page)
	}
	if status, _ := b.post("/number", "phone", "604 441 0199", "confirmed", "+16044410142", "password", password); status != http.StatusOK {
		t.Errorf("another number than was read back: %d", status)
	}
	untouched("what was refused")
	other := h.browser()
	other.key = newDevice(t)
	other.enter("ada", password)

	b.open("/number")
	b.post("/number", "phone", "604 441 0199", "confirmed", "+16044410199", "password", password)
	if b.at != "/sign-in?told=number" {
		t.Errorf("the change leads to %q", b.at)
	}
	reads(t, b.open(b.at), "Your number is changed.")
	if n := h.count("SELECT count(*) FROM member WHERE phone_last_two = '99' AND phone_version = 2 AND phone_changed_at IS NULL"); n != 1 {
		t.Error("the number is not the new one, or cools down")
	}
	if n := h.count("SELECT count(*) FROM device WHERE revoked_at IS NULL"); n != 0 {
		t.Errorf("%d registrations live on", n)
	}
	if n := h.count("SELECT count(*) FROM notice WHERE member_id = $1 AND kind = 'number_changed'", id); n != 3 {
		t.Errorf("%d notices, want the old number, the new one and the mail", n)
	}
	if n := h.count(`SELECT count(*) FROM login_event WHERE type = 'latchkey.member.number_changed' AND convert_from(body, 'UTF8')::jsonb #>> '{data,by}' = 'member:' || $1::uuid::text`, id); n != 1 {
		t.Errorf("%d events tell it", n)
	}
	if b.signIn("ada", password); !strings.HasPrefix(b.at, "/check/") {
		t.Errorf("the next sign-in leads to %q, want a code at the new number", b.at)
	}
}

// Where others look after numbers the page is not there.
func TestTheOwnNumberIsNotForEverybody(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	h.member(ada)
	b := h.browser()
	b.key = newDevice(t)
	if page := b.enter("ada", password); strings.Contains(page, "Change your phone number") {
		t.Error("a Pro account offers it")
	}
	if status, _ := b.do("GET", "/number", ""); status != http.StatusNotFound {
		t.Errorf("in a Pro account: %d", status)
	}
}
