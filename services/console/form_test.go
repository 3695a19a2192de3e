package console_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"latchkey.dev/services/console"
	"latchkey.dev/services/device"
	"latchkey.dev/services/internal/page/pagetest"
)

// personForms are the forms on the page of a person, with whom they are tried on.
var personForms = map[string]string{
	"deactivate": "{staff}", "unlock": "{staff}", "password": "{client}", "registration-code": "{staff}", "password-link": "{staff}", "revoke": "{staff}", "assign": "{client}", "unassign": "{assigned}",
	"number": "{staff}", "export": "{client}", "reactivate": "{staff}",
}

func newForms(t *testing.T) (*served, pagetest.Site) {
	s := serve(t, console.Account{Demographics: true})
	owner, stranger := uuid.New(), uuid.New()
	s.person(console.NewMember{Role: device.Provider, UserID: "somebody"})
	for id, name := range map[uuid.UUID]string{owner: "olga", stranger: "stan"} {
		s.exec("INSERT INTO member (id, account_id, role, user_id, public_key) SELECT $1, $2, 'owner', $3, public_key FROM member LIMIT 1", id, s.account, name)
	}
	staff := s.person(console.NewMember{Role: device.Provider, UserID: "the-provider"}).ID.String()
	person := func(who, path, action string, prepare ...string) func(*testing.T) (pagetest.Browser, pagetest.Form) {
		return func(t *testing.T) (pagetest.Browser, pagetest.Form) {
			at := s.fill("/people/"+who, staff)
			id := strings.TrimPrefix(at, "/people/")
			s.exec(`UPDATE device SET name = '<script>odd()</script>' WHERE id = $1`, s.register(uuid.MustParse(id)))
			s.exec(`UPDATE member SET user_id = '"><svg/odd onload=odd()>' || id WHERE id = $1`, id)
			for _, sql := range prepare {
				s.exec(sql, id)
			}
			b := s.tried(owner)
			return b, b.Open(t, at+path, at+action)
		}
	}
	add := func(at string) func(*testing.T) (pagetest.Browser, pagetest.Form) {
		return func(t *testing.T) (pagetest.Browser, pagetest.Form) {
			b := s.tried(owner)
			f := b.Open(t, "/"+at+"/new", "/"+at+"/new")
			f.Fields.Set("phone", "604 441 0142") // which is read back on another page
			f.Names = append(f.Names, "confirmed", "again")
			return b, f
		}
	}
	export := func(at string) func(*testing.T) (pagetest.Browser, pagetest.Form) {
		return func(t *testing.T) (pagetest.Browser, pagetest.Form) {
			s.fill("{staff}{client}", staff)
			b := s.tried(owner)
			f := b.Open(t, "/"+at+"?no_device=1", "/"+at+"/export")
			f.Names = append(f.Names, "search", "role")
			return b, f
		}
	}
	forms := map[string]func(*testing.T) (pagetest.Browser, pagetest.Form){
		"POST /sign-out": func(t *testing.T) (pagetest.Browser, pagetest.Form) {
			b := s.tried(owner)
			return b, b.Open(t, "/staff", "/sign-out")
		},
		"POST /options": func(t *testing.T) (pagetest.Browser, pagetest.Form) {
			b := s.tried(owner)
			f := b.Open(t, "/options", "/options")
			f.Fields.Set("upgrade_policy", "strict") // which another page asks about
			f.Names = append(f.Names, "confirmed")
			return b, f
		},
		"POST /import": func(t *testing.T) (pagetest.Browser, pagetest.Form) {
			b := s.tried(owner)
			f := b.Open(t, "/import", "/import")
			f.Fields.Set("file", "role,user_id\nprovider,\n")
			f.Names = append(f.Names, "content", "confirmed")
			return b, f
		},
		"POST /staff/export":      export("staff"),
		"POST /clients/export":    export("clients"),
		"POST /staff/new":         add("staff"),
		"POST /clients/new":       add("clients"),
		"POST /people/{id}/erase": person("{staff}", "/erase", "/erase"),
		"POST /people/{id}/edit": func(t *testing.T) (pagetest.Browser, pagetest.Form) {
			b, f := person("{staff}", "/edit", "/edit")(t)
			f.Fields.Set("phone", "604 441 0142")
			f.Names = append(f.Names, "confirmed", "again", "phone_remove", "email_remove")
			return b, f
		},
		"POST /approvals/{code}": func(t *testing.T) (pagetest.Browser, pagetest.Form) {
			b, code := s.tried(owner), s.waiting()
			return b, b.Open(t, "/approvals", "/approvals/"+code.String())
		},
		"POST /jobs/{job}/export": func(t *testing.T) (pagetest.Browser, pagetest.Form) {
			b, job := s.tried(owner), uuid.New()
			s.exec(`INSERT INTO privacy_job (id, account_id, member_id, kind, requested_by, done_at, progress) VALUES ($1, $2, $3, 'export', $4, now(), 100)`,
				job, s.account, staff, "member:"+owner.String())
			return b, b.Open(t, "/jobs/"+job.String(), "/jobs/"+job.String()+"/export")
		},
	}
	for action, who := range personForms {
		forms["POST /people/{id}/"+action] = person(who, "", "/"+action)
	}
	forms["POST /people/{id}/reactivate"] = person("{staff}", "", "/reactivate", "UPDATE member SET deactivated_at = now() WHERE id = $1")
	return s, pagetest.Site{
		Patterns: new(console.Console).Pages(), Forms: forms, Session: "__Host-latchkey-console", Others: []string{"http://login.example"},
		State:  func() int { return s.count("SELECT count(*) FROM console_event") },
		Before: func() { s.exec("DELETE FROM privacy_job") },
		Stranger: func(t *testing.T) (pagetest.Browser, string) {
			b := s.tried(stranger)
			return b, b.Open(t, "/staff", "/sign-out").Fields.Get("form")
		},
	}
}

// tried is a browser of somebody's at the console, with a session of its own.
func (s *served) tried(member uuid.UUID) pagetest.Browser {
	return pagetest.Browser{Origin: s.url, Cookies: map[string]string{"__Host-latchkey-console": s.at(member).token}}
}

// F25: no form does anything without a token of this browser's page and an origin of ours.
func TestForeignFormsAreRefused(t *testing.T) {
	t.Parallel()
	_, site := newForms(t)
	site.RefusesForeign(t)
}

func TestWhatFormsAreSentIsText(t *testing.T) {
	t.Parallel()
	_, site := newForms(t)
	site.TakesTextAsText(t)
}

// Every page with every text in each parameter that one of them takes.
func TestWhatAddressesHoldIsText(t *testing.T) {
	t.Parallel()
	s, site := newForms(t)
	owner := s.person(console.NewMember{Role: device.Owner, UserID: `"><svg/odd onload=odd()>`})
	s.exec("UPDATE credential SET must_change_since = NULL WHERE member_id = $1", owner.ID)
	s.exec(`UPDATE account SET name = '<odd>', contact = '" onfocus="odd()"'`)
	device := s.register(owner.ID)
	s.exec(`UPDATE device SET name = '<script>odd()</script>', seen_facets = '{"browser":"<odd>","os":"\"><svg/odd>"}' WHERE id = $1`, device)
	pages := slices.DeleteFunc(site.Patterns, func(p string) bool { return !strings.HasPrefix(p, "GET /") })
	for _, pattern := range append(pages, "GET /enter", "GET /nothing/here") {
		path := strings.NewReplacer("{$}", "", "{id}", owner.ID.String()).Replace(strings.TrimPrefix(pattern, "GET "))
		for what, text := range pagetest.Texts {
			b := s.tried(owner.ID)
			b.Reads(t, path, what, text, site.Others...)
		}
	}
}
