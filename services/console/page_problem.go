package console

import (
	"net/http"
	"strings"

	"latchkey.dev/services/internal/page"
	"latchkey.dev/services/internal/web"
)

// sentences are the keys of what a page says of a problem.
type sentences struct{ title, detail string }

// problems are the sentences of every problem that has a page of its own, by the last part of
// its type. Others are said on the page of their form, and the API's documents stay in English:
// programs read them.
var problems = map[string]sentences{
	"no-session":           {"console:problem.no_session.title", "console:problem.no_session.detail"},
	"second-factor":        {"console:problem.second_factor.title", "console:problem.second_factor.detail"},
	"password-must-change": {"console:problem.password_must_change.title", "console:problem.password_must_change.detail"},
	"forbidden":            {"console:problem.forbidden.title", "console:problem.forbidden.detail"},
	"not-entered":          {"console:problem.not_entered.title", "console:problem.not_entered.detail"},
	"changed-meanwhile":    {"console:problem.changed_meanwhile.title", "console:problem.changed_meanwhile.detail"},
	"not-ready":            {"console:problem.not_ready.title", "console:problem.not_ready.detail"},
	"bad-member":           {"console:problem.not_saved.title", "console:problem.not_saved.detail"},
	"foreign-form":         {"login:problem.foreign_form.title", "console:problem.foreign_form.detail"},
	"stale-form":           {"login:problem.stale_form.title", "console:problem.stale_form.detail"},
	"busy":                 {"login:problem.busy.title", "console:problem.busy.detail"},
	"bad-request":          {"login:problem.bad_request.title", "login:problem.bad_request.detail"},
	"not-found":            {"login:problem.not_found.title", "login:problem.not_found.detail"},
	"too-large":            {"login:problem.too_large.title", "login:problem.too_large.detail"},
	"file-too-large":       {"login:problem.too_large.title", "import:too_large"},
	"unavailable":          {"login:problem.unavailable.title", "login:problem.unavailable.detail"},
	"internal":             {"login:problem.internal.title", "login:problem.internal.detail"},
}

// problemPage answers with a plain sentence, to programs with the problem document.
func (v *visit) problemPage(w http.ResponseWriter, r *http.Request, p *web.Problem) {
	if !page.WantsPage(r) {
		p.Write(w)
		return
	}
	s, ok := problems[strings.TrimPrefix(p.Type, "/problems/")]
	if !ok { // that only programs meet
		s = problems["internal"]
	}
	lang := v.lang()
	data := struct {
		view
		Detail, Login string
	}{view{Lang: lang, Title: lang.Say(s.title)}, lang.Say(s.detail, "MiB", MaxImportBytes>>20), v.c.o.Served.Login}
	if err := render(w, p.Status, "problem", data); err != nil {
		v.c.o.Logger.Error("page was not rendered", "error", err)
		p.Write(w)
	}
}
