package console_test

import (
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"latchkey.dev/services/console"
	"latchkey.dev/services/device"
)

// Staff find the clients who are assigned to them, page by page, and nobody else's.
func TestStaffFindTheirOwnClients(t *testing.T) {
	t.Parallel()
	s := serve(t, console.Account{})
	provider := s.person(console.NewMember{Role: device.Provider, UserID: "ada"})
	s.exec("UPDATE credential SET must_change_since = NULL")
	b := s.at(provider.ID)
	if _, _, page := b.request("GET", "/", nil); !strings.Contains(page, "No clients are assigned to you.") {
		t.Errorf("at first: %s", page)
	}
	own := map[string]bool{}
	for range 51 {
		id := s.person(console.NewMember{Role: device.Client}).ID
		own["/people/"+id.String()] = true
		refused(t, "assigning", s.Assign(t.Context(), s.by, id, provider.ID), "")
	}
	for _, what := range []string{"of somebody else", "deactivated"} {
		other := s.person(console.NewMember{Role: device.Client})
		if what == "deactivated" {
			refused(t, "assigning", s.Assign(t.Context(), s.by, other.ID, provider.ID), "")
			refused(t, "deactivating", s.Deactivate(t.Context(), s.by, other.ID), "")
		}
	}
	link := regexp.MustCompile(`href="(/people/[0-9a-f-]{36}|/\?after=[^"]*)"`)
	pages, seen, some := 0, map[string]bool{}, ""
	for next := "/"; next != ""; pages++ {
		_, _, page := b.request("GET", next, nil)
		next = ""
		for _, m := range link.FindAllStringSubmatch(page, -1) {
			if at := html.UnescapeString(m[1]); strings.HasPrefix(at, "/?") {
				next = at
			} else if some = at; !own[at] || seen[at] {
				t.Errorf("page %d shows %s, which is not an own client or was shown", pages, at)
			} else {
				seen[at] = true
			}
		}
	}
	if pages != 2 || len(seen) != len(own) {
		t.Errorf("%d pages show %d clients, want 2 with %d", pages, len(seen), len(own))
	}
	status, _, page := b.request("GET", some, nil)
	if status != http.StatusOK || strings.Contains(page, `action="`+some) {
		t.Errorf("an own client: %d, want a page that offers nothing to do\n%s", status, page)
	}
}
