// Package words says things to people in their own language: sentences from catalogues,
// with values in them, right plurals, and dates as they are written there.
//
// A catalogue is a file per part and language: catalogue/login.fr.toml. A sentence's key is
// the part, a colon, and its place in the file: "login:check.title". To add sentences, write
// them under the same key in the file of every language; a new part is four new files. The
// tests of this package then hold that every language has the same keys with the same
// placeholders, that the templates and the Go of all services name only keys that exist and
// values that they take, and that no key is left over. A part's name is a service or a thing
// to be said by several: date, text.
//
// In Go:
//
//	lang := words.Match(member, r.Header.Get("Accept-Language"), account)
//	lang.Say("text:code", "Service", "Maple", "Count", 5)
//
// In templates, parsed once a language with lang.Funcs(), before Parse:
//
//	{{t "login:check.tries" "Count" .Tries}}
//	{{t "login:check.goes" "LastTwo" (strong .LastTwo)}}
//	{{date .Seen}}
//
// The value called Count chooses the plural: a sentence that has one is a table of the
// forms that its language knows, "one" and "other". A sentence never holds markup: what
// must stand out is a value, made by a function of the templates.
package words

import (
	"fmt"
	"strings"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
)

// Language is a language that everything is said in, as BCP 47 writes it.
type Language string

// The languages. The schema's checks on columns called language name the same.
const (
	English Language = "en"
	French  Language = "fr"
	Spanish Language = "es"
	German  Language = "de"
)

// Languages are all languages; English, which others fall back on, is first.
var Languages = []Language{English, French, Spanish, German}

// Parse reads a language, and reports whether it is one of ours.
func Parse(s string) (Language, bool) {
	for _, l := range Languages {
		if string(l) == s {
			return l, true
		}
	}
	return English, false
}

// maxAccept bounds what is read of an Accept-Language header, in bytes. A browser's are
// shorter; of a longer one nothing is read.
const maxAccept = 512

var matcher = language.NewMatcher(tags())

func tags() []language.Tag {
	all := make([]language.Tag, len(Languages))
	for i, l := range Languages {
		all[i] = language.MustParse(string(l))
	}
	return all
}

// Match chooses the language for a person: the one chosen, nil or "" for none; else the
// first that the browser asks for and we have (RFC 9110 section 12.5.4), a header that is
// malformed asking for nothing; else the account's; else English.
func Match(member *string, acceptLanguage, account string) Language {
	if member != nil {
		if l, ok := Parse(*member); ok {
			return l
		}
	}
	if acceptLanguage != "" && len(acceptLanguage) <= maxAccept {
		// It answers with weight 0 for what a browser does not want, in order of weight.
		asked, weights, err := language.ParseAcceptLanguage(acceptLanguage)
		for i := range asked {
			if err != nil || weights[i] <= 0 {
				break
			}
			if _, n, sure := matcher.Match(asked[i]); sure >= language.High {
				return Languages[n]
			}
		}
	}
	l, _ := Parse(account)
	return l
}

// Name is what the language calls itself.
func (l Language) Name() string { return l.Say("language:name") }

// Say is the sentence of a key with its values, which come as name and value in turn. The
// value named Count, an int, chooses the plural. It panics for a key that no catalogue has
// and for a value that is missing, which are programmer's errors that the tests find.
func (l Language) Say(key string, pairs ...any) string {
	names, ok := placeholders[key]
	if !ok {
		panic("words: no sentence " + key)
	}
	values := make(map[string]any, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		values[pairs[i].(string)] = pairs[i+1]
	}
	for _, n := range names {
		if _, ok := values[n]; !ok {
			panic("words: " + key + " lacks " + n)
		}
	}
	said, err := localizers[l].Localize(&i18n.LocalizeConfig{MessageID: key, TemplateData: values, PluralCount: values["Count"]})
	if err != nil {
		panic(fmt.Sprintf("words: saying %s in %q: %v", key, string(l), err))
	}
	return said
}

// part is the part of a key.
func part(key string) string {
	p, _, _ := strings.Cut(key, ":")
	return p
}
