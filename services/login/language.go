package login

import (
	"net/http"

	"latchkey.dev/services/internal/page"
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
