package login

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"latchkey.dev/services/internal/page"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/words"
)

// sentences are the keys of what a page says of a problem.
type sentences struct{ title, detail string }

// problems are the sentences of every problem that a page can show, by the last part of its
// type and its case. The API's documents stay in English: programs read them.
var problems = map[string]sentences{
	"bad-credentials":           {"login:problem.bad_credentials.title", "login:problem.bad_credentials.detail"},
	"throttled":                 {"login:problem.throttled.title", "login:problem.throttled.detail"},
	"busy":                      {"login:problem.busy.title", "login:problem.busy.detail"},
	"no-number":                 {"login:problem.no_number.title", "login:problem.no_number.detail"},
	"no-number owner":           {"login:problem.no_number.title", "login:problem.no_number.detail_owner"},
	"country-not-allowed":       {"login:problem.country_not_allowed.title", "login:problem.country_not_allowed.detail"},
	"country-not-allowed owner": {"login:problem.country_not_allowed.title", "login:problem.country_not_allowed.detail_owner"},
	"number-cooldown":           {"login:problem.number_cooldown.title", "login:problem.number_cooldown.detail"},
	"number-cooldown owner":     {"login:problem.number_cooldown.title", "login:problem.number_cooldown.detail_owner"},
	"too-many-codes":            {"login:problem.too_many_codes.title", "login:problem.too_many_codes.detail"},
	"other-device":              {"login:problem.other_device.title", "login:told.no_key"},
	"link-gone":                 {"notice:page.gone_title", "notice:page.gone"},
	"password-link-gone":        {"login:problem.password_link_gone.title", "login:problem.password_link_gone.detail"},
	"member-locked":             {"login:problem.member_locked.title", "login:problem.member_locked.detail"},
	"member-locked owner":       {"login:problem.member_locked.title", "login:problem.member_locked.detail_owner"},
	"too-many-texts":            {"login:problem.too_many_texts.title", "login:problem.too_many_texts.detail"},
	"codes-locked":              {"login:problem.codes_locked.title", "login:problem.codes_locked.detail"},
	"key-required":              {"login:problem.key_required.title", "login:problem.key_required.detail"},
	"unknown-software":          {"login:problem.unknown_software.title", "login:problem.unknown_software.detail"},
	"no-software":               {"login:problem.no_software.title", "login:problem.no_software.detail"},
	"unknown-request":           {"login:problem.unknown_request.title", "login:problem.unknown_request.detail"},
	"challenge-ended":           {"login:problem.challenge_ended.title", "login:problem.challenge_ended.detail"},
	"bad-name":                  {"login:problem.bad_name.title", "login:problem.bad_name.detail"},
	"weak-password":             {"login:problem.weak_password.title", "login:problem.weak_password.detail"},
	"weak-password given":       {"login:problem.weak_password.title", "login:problem.weak_password.detail_given"},
	"wrong-password":            {"login:problem.wrong_password.title", "login:problem.wrong_password.detail"},
	"foreign-form":              {"login:problem.foreign_form.title", "login:problem.foreign_form.detail"},
	"stale-form":                {"login:problem.stale_form.title", "login:problem.stale_form.detail"},
	"bad-request":               {"login:problem.bad_request.title", "login:problem.bad_request.detail"},
	"not-found":                 {"login:problem.not_found.title", "login:problem.not_found.detail"},
	"too-large":                 {"login:problem.too_large.title", "login:problem.too_large.detail"},
	"unavailable":               {"login:problem.unavailable.title", "login:problem.unavailable.detail"},
	"internal":                  {"login:problem.internal.title", "login:problem.internal.detail"},
}

// sentencesOf finds what to say of a problem; of one that only programs meet, that
// something went wrong.
func sentencesOf(p *web.Problem) sentences {
	if s, ok := problems[strings.TrimSpace(strings.TrimPrefix(p.Type, "/problems/")+" "+p.Case)]; ok {
		return s
	}
	return problems["internal"]
}

// problemPage answers with a plain sentence, to programs with the problem document.
func (v *visit) problemPage(w http.ResponseWriter, r *http.Request, p *web.Problem) {
	if !page.WantsPage(r) {
		p.Write(w)
		return
	}
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(p.RetryAfter))
	}
	title := sentencesOf(p).title
	data := struct {
		view
		Detail string
	}{Detail: v.detail(p)}
	data.Lang, data.Title, data.Service = v.lang, v.lang.Say(title), v.l.service(r, "").Name
	if v.form != nil && page.Cookie(r, formCookie) != "" { // else no form of this page would be taken
		if base, err := v.view(title); err == nil {
			data.view = base
		}
	}
	if err := v.render(p.Status, "problem", data); err != nil {
		v.l.o.Logger.Error("page was not rendered", "error", err)
		p.Write(w)
	}
}

// detail says what a problem is.
func (v *visit) detail(p *web.Problem) string { return detailIn(v.lang, p) }

func detailIn(lang words.Language, p *web.Problem) string {
	values := slices.Clone(p.Values)
	for i, value := range values {
		if at, ok := value.(time.Time); ok {
			values[i] = lang.Date(at) + ", " + at.Format("15:04 MST")
		}
	}
	return lang.Say(sentencesOf(p).detail, values...)
}
