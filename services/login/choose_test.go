package login_test

import (
	"crypto/sha256"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
)

// chooses writes a link by which a person chooses a password, and returns its path.
func (h *house) chooses(member uuid.UUID, token string) string {
	h.t.Helper()
	digest := sha256.Sum256([]byte(token))
	h.exec("INSERT INTO password_link (member_id, token_digest) VALUES ($1, $2) ON CONFLICT (member_id) DO UPDATE SET token_digest = $2, made_at = now()", member, digest[:])
	return "/choose-password/" + token
}

// A person who forgot the password chooses one by a link, once.
func TestAPasswordIsChosenByALink(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	id := h.member(map[string]any{"role": "provider", "user_id": "ada", "password": password, "phone": "604 441 0142", "email": "ada@example.org"})
	in := h.browser()
	in.key = newDevice(t)
	in.enter("ada", password)
	link := h.chooses(id, "a-token")
	person := h.browser()
	person.do("HEAD", link, "")
	reads(t, person.open(link), "Choose a new password", "For ada.")
	for what, c := range map[string]struct{ fresh, again, says string }{
		"two different ones": {"staple the battery", "staple a battery", "typed in two different ways"},
		"a short one":        {"staple", "staple", "12 to 256 characters"},
		"a long one":         {strings.Repeat("a", 257), strings.Repeat("a", 257), "12 to 256 characters"},
		"none":               {"", "", "12 to 256 characters"},
	} {
		person.open(link)
		if status, page := person.post(link, "new_password", c.fresh, "new_password_again", c.again); status < 400 || status >= 500 || !strings.Contains(page, c.says) {
			t.Errorf("%s: %d\n%s", what, status, page)
		}
	}
	if status, _ := h.browser().post(link, "new_password", "staple the battery", "new_password_again", "staple the battery"); status != http.StatusForbidden {
		t.Errorf("the form without the page: %d", status)
	}
	if status, _ := in.do("GET", "/", ""); status != http.StatusOK {
		t.Errorf("before the link is used, who was in is answered %d", status)
	}

	person.open(link)
	status, page := person.post(link, "new_password", "staple the battery", "new_password_again", "staple the battery")
	if reads(t, page, "Your password is saved"); status != http.StatusOK {
		t.Errorf("choosing: %d", status)
	}
	if in.do("GET", "/", ""); !strings.HasPrefix(in.at, "/sign-in") {
		t.Errorf("who was in goes to %q", in.at)
	}
	if status, _ := h.browser().signIn("ada", password); status != http.StatusUnauthorized {
		t.Errorf("the old password: %d", status)
	}
	other := h.browser()
	if other.signIn("ada", "staple the battery"); !strings.HasPrefix(other.at, "/check/") {
		t.Errorf("the new one leads to %q: a link is no second factor", other.at)
	}
	if n := h.count("SELECT count(*) FROM notice WHERE member_id = $1 AND kind = 'password_reset'", id); n != 2 {
		t.Errorf("%d notices, want a text and a mail", n)
	}
	if n := h.count("SELECT count(*) FROM login_event WHERE type = 'latchkey.login.password_changed' AND convert_from(body, 'UTF8')::jsonb #>> '{data,link}' = 'true'"); n != 1 {
		t.Errorf("%d events", n)
	}

	// Used, old, outdated, unknown links, and those of who may not sign in, answer alike.
	_, used := person.do("GET", link, "")
	reads(t, used, "This link does not work")
	gone := func(what, path string) {
		t.Helper()
		if status, page := person.do("GET", path, ""); status != http.StatusNotFound || body(page) != body(used) {
			t.Errorf("%s: %d\n%s", what, status, page)
		}
	}
	gone("unknown", "/choose-password/"+strings.Repeat("A", 43))
	gone("odd", "/choose-password/%00%ff")
	old := h.chooses(id, "an-old-token")
	h.exec("UPDATE password_link SET made_at = now() - interval '1 day'")
	gone("old", old)
	outdated := h.chooses(id, "an-outdated-token")
	h.exec("UPDATE credential SET changed_at = now()")
	gone("after another change of the password", outdated)
	deactivated := h.chooses(id, "another-token")
	h.exec("UPDATE member SET deactivated_at = now()")
	gone("of who is deactivated", deactivated)
}

// Of many who press the button at once, one chooses.
func TestALinkIsUsedOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	link := h.chooses(h.member(ada), "a-token")
	var browsers []*browser
	for range 10 {
		b := h.browser()
		b.open(link)
		browsers = append(browsers, b)
	}
	chosen := make([]bool, len(browsers))
	var all sync.WaitGroup
	for i, b := range browsers {
		all.Go(func() {
			own := "staple the battery " + string(rune('a'+i))
			status, _ := b.post(link, "new_password", own, "new_password_again", own)
			chosen[i] = status == http.StatusOK
		})
	}
	all.Wait()
	n := 0
	for i, is := range chosen {
		if is {
			n++
			if b := h.browser(); true {
				if b.signIn("ada", "staple the battery "+string(rune('a'+i))); !strings.HasPrefix(b.at, "/check/") {
					t.Errorf("the chosen password leads to %q", b.at)
				}
			}
		}
	}
	if n != 1 {
		t.Errorf("%d chose a password, want 1", n)
	}
}
