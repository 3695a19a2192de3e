package login

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"

	queries "latchkey.dev/queries/login"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/page"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/words"
)

// languageCookie keeps the language that somebody chose in this browser.
const languageCookie = "__Host-latchkey-language"

// askedFor is the languages that a request asks for, as Accept-Language writes them: the
// one chosen in this browser before what it was made for.
func askedFor(r *http.Request) string {
	if l, ok := words.Parse(page.Cookie(r, languageCookie)); ok {
		return string(l)
	}
	return r.Header.Get("Accept-Language")
}

// languageOf is the language of a page: the person's where one is signed in.
func languageOf(r *http.Request, s *queries.SessionReadRow) words.Language {
	if s == nil {
		return words.Match(nil, askedFor(r), "")
	}
	return words.Match(s.Language, askedFor(r), s.AccountLanguage)
}

// told is the sentence that the address asks to be said, "" for none.
func (v *visit) told() string {
	if key, ok := told[v.r.URL.Query().Get("told")]; ok {
		return v.lang.Say(key)
	}
	return ""
}

// languageForm keeps a choice of language: in the browser, and of who is signed in for good.
func (l *Login) languageForm(v *visit) error {
	lang, ok := words.Parse(v.field("language"))
	if !ok {
		return web.BadRequest
	}
	if s := v.session; s != nil && (s.Language == nil || *s.Language != string(lang)) {
		e := event.MemberUpdated{Member: s.MemberID, Role: s.Role, By: "member:" + uuid.UUID(s.MemberID).String(), Changed: []string{"language"}}
		err := l.change(v.r.Context(), s.AccountID, e, func(db *queries.Queries) (int64, error) {
			return db.MemberLanguageWrite(v.r.Context(), queries.MemberLanguageWriteParams{Language: string(lang), ID: s.MemberID})
		})
		if err != nil {
			return err
		}
	}
	v.setCookie(languageCookie, string(lang), page.CookieLong)
	return v.to(backTo(v.field("at")))
}

// backTo is the page to open again: one of ours, whatever was sent.
func backTo(at string) string {
	u, err := url.Parse(at)
	if err != nil {
		return "/"
	}
	switch {
	case u.Path == "/sign-in" && u.Query().Get("software") != "":
		return "/sign-in?software=" + url.QueryEscape(u.Query().Get("software"))
	case u.Path == "/sign-in", u.Path == "/signed-out", u.Path == "/password", u.Path == "/prove-number":
		return u.Path
	}
	if id, err := uuid.Parse(strings.TrimPrefix(u.Path, "/check/")); err == nil {
		return "/check/" + id.String()
	}
	return "/"
}
