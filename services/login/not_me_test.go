package login_test

import (
	"crypto/sha256"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// link writes a notice of a person's newest registration and returns the path of its link.
func (h *house) link(token string) string {
	h.t.Helper()
	return h.links(token)[0]
}

// links writes notices of it to several addresses, and returns the paths of their links.
func (h *house) links(tokens ...string) (paths []string) {
	h.t.Helper()
	var ids [][16]byte
	var digests [][]byte
	for _, token := range tokens {
		id, err := uuid.NewV7()
		if err != nil {
			h.t.Fatal(err)
		}
		digest := sha256.Sum256([]byte(token))
		ids, digests, paths = append(ids, id), append(digests, digest[:]), append(paths, "/not-me/"+token)
	}
	h.exec(`INSERT INTO notice (id, account_id, member_id, kind, channel, software_id, device_id, device_facets, token_digest)
		SELECT n.id, account_id, member_id, 'device_registered', 'email', software_id, d.id, '{"browser": "Firefox", "browser_major": 140, "os": "Linux"}', n.digest
		FROM (SELECT * FROM device ORDER BY registered_at DESC LIMIT 1) d, unnest($1::uuid[], $2::bytea[]) AS n(id, digest)`, ids, digests)
	return paths
}

// "This was not me": opening the link changes nothing, its button ends the registration and
// every session and locks the person, whom nobody but who has the password learns of.
func TestThisWasNotMe(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	h.member(ada)
	thief := h.browser()
	thief.key = newDevice(t)
	thief.enter("ada", password)
	links := h.links(strings.Repeat("A", 43), strings.Repeat("D", 22))
	link, sister := links[0], links[1]
	victim := h.browser()
	untouched := func() {
		t.Helper()
		if n := h.count(`SELECT count(*) FROM member m JOIN device d ON d.member_id = m.id JOIN session s ON s.device_id = d.id JOIN notice n ON n.device_id = d.id
			WHERE m.locked_at IS NULL AND d.revoked_at IS NULL AND s.ended_at IS NULL AND n.repudiated_at IS NULL`); n != 2 {
			t.Errorf("%d notices and their registration are as they were, want 2", n)
		}
	}
	victim.do("HEAD", link, "")
	reads(t, victim.open(link), "Was this not you?", "Firefox 140 on Linux", "This was not me", "nothing has changed")
	if status, _ := h.browser().post(link); status != http.StatusForbidden {
		t.Errorf("the button without the page: %d", status)
	}
	untouched()

	victim.open(link)
	status, page := victim.post(link)
	reads(t, page, "Your sign-in is locked", "choose another password")
	if status != http.StatusOK {
		t.Errorf("the button: %d", status)
	}
	if n := h.count("SELECT count(*) FROM device WHERE revoke_reason = 'repudiated'"); n != 1 {
		t.Errorf("%d registrations ended", n)
	}
	if n := h.count("SELECT count(*) FROM session WHERE ended_at IS NULL"); n != 0 {
		t.Errorf("%d sessions go on", n)
	}
	if n := h.count("SELECT count(*) FROM login_event WHERE type IN ('latchkey.member.locked', 'latchkey.device.revoked')"); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
	if thief.do("GET", "/", ""); !strings.HasPrefix(thief.at, "/sign-in") {
		t.Errorf("who was in goes to %q", thief.at)
	}
	// The lock shows to who has the password, and to nobody else.
	status, page = h.browser().signIn("ada", password)
	reads(t, page, "Your sign-in is locked", "Ask Ada.")
	if status != http.StatusForbidden {
		t.Errorf("a sign-in of a locked person: %d", status)
	}
	for _, user := range []string{"ada", "nobody"} {
		if status, page := h.browser().signIn(user, "a wrong password"); status != http.StatusUnauthorized || strings.Contains(page, "locked") {
			t.Errorf("a wrong password of %s: %d", user, status)
		}
	}
	h.exec("UPDATE member SET locked_at = NULL") // as an administrator does
	if b := h.browser(); true {
		if b.signIn("ada", password); !strings.HasPrefix(b.at, "/check/") {
			t.Errorf("unlocked, a sign-in leads to %q, want a code asked for", b.at)
		}
	}

	// Used, old, unknown and broken links answer alike.
	old := h.link(strings.Repeat("B", 22))
	h.exec("UPDATE notice SET made_at = now() - interval '7 days' WHERE repudiated_at IS NULL")
	_, used := victim.do("GET", link, "")
	for _, path := range []string{sister, old, "/not-me/" + strings.Repeat("C", 43), "/not-me/x"} {
		status, page := victim.do("GET", path, "")
		if status != http.StatusNotFound || body(page) != body(used) {
			t.Errorf("%s: %d\n%s\nwant\n%s", path, status, page, used)
		}
	}
	reads(t, used, "This link does not work")
}

// body is what a page says, without its footer, whose form names the page.
func body(page string) string {
	said, _, _ := strings.Cut(page, "</main>")
	return said
}

// A new number, a new address: the old one, the new one and the other channel are told, in
// the transaction of the change.
func TestChangesAreTold(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	id := h.member(map[string]any{"role": "provider", "phone": "604 441 0142", "email": "ada@example.org"})
	put := func(body map[string]any) {
		t.Helper()
		body["role"] = "provider"
		if status, out := h.call("PUT", "/v1/members/"+id.String(), body, "Authorization", "Bearer "+h.apiKey); status != http.StatusOK {
			t.Fatalf("changing: %d %v", status, out)
		}
	}
	told := func(kind, channel string, former bool) int {
		t.Helper()
		return h.count("SELECT count(*) FROM notice WHERE member_id = $1 AND kind = $2 AND channel = $3 AND (address_sealed IS NOT NULL) = $4", id, kind, channel, former)
	}
	if n := h.count("SELECT count(*) FROM notice"); n != 0 {
		t.Errorf("%d notices of a person who was made", n)
	}
	put(map[string]any{"phone": "604 441 0142", "email": "ada@example.org"}) // the same
	put(map[string]any{"phone": "604 441 0143"})
	if n := h.count("SELECT count(*) FROM notice"); n != 3 || told("number_changed", "text", true) != 1 || told("number_changed", "text", false) != 1 || told("number_changed", "email", false) != 1 {
		t.Errorf("%d notices of another number", n)
	}
	put(map[string]any{"email": "ada@example.com"})
	if n := h.count("SELECT count(*) FROM notice"); n != 6 || told("email_changed", "email", true) != 1 || told("email_changed", "email", false) != 1 || told("email_changed", "text", false) != 1 {
		t.Errorf("%d notices after another address", n)
	}
	put(map[string]any{"email": ""})
	if n := h.count("SELECT count(*) FROM notice"); n != 8 || told("email_changed", "email", true) != 2 {
		t.Errorf("%d notices after no address", n)
	}
	if n := h.count("SELECT count(*) FROM login_event WHERE type = 'latchkey.notice.requested'"); n != 8 {
		t.Errorf("%d events, want one of each notice", n)
	}
	if status, out := h.call("PUT", "/v1/members/"+id.String(), map[string]any{"role": "provider", "email": "ada@nowhere\r\nBcc: x"}, "Authorization", "Bearer "+h.apiKey); status != http.StatusUnprocessableEntity {
		t.Errorf("no address: %d %v", status, out)
	}
}
