package words_test

import (
	"bytes"
	"html/template"
	"strings"
	"testing"
	"time"

	"latchkey.dev/services/words"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	german, none, unknown := "de", "", "tlh"
	for _, c := range []struct {
		name            string
		member          *string
		accept, account string
		want            words.Language
	}{
		{"the member's choice is first", &german, "fr", "es", "de"},
		{"then the browser", nil, "fr-CH, fr;q=0.9, en;q=0.8", "es", "fr"},
		{"no choice is none", &none, "fr", "es", "fr"},
		{"a choice that we do not have is none", &unknown, "fr", "es", "fr"},
		{"then the account", nil, "", "es", "es"},
		{"then English", nil, "", "", "en"},
		{"an account's that we do not have is none", nil, "", "tlh", "en"},
		{"the heaviest of the browser's", nil, "en;q=0.2, de;q=0.7", "es", "de"},
		{"the first of the browser's that we have", nil, "ja, nl;q=0.9, es-MX;q=0.8, en;q=0.5", "de", "es"},
		{"a variety is its language", nil, "de-AT", "en", "de"},
		{"what the browser does not want", nil, "fr;q=0", "es", "es"},
		{"only what we do not have", nil, "ja,ko;q=0.9", "es", "es"},
		{"anything will do", nil, "*", "es", "es"},
		{"malformed", nil, "fr;q=x;;;,", "es", "es"},
		{"not text", nil, "\x00\xff,,,", "es", "es"},
		{"too long to be a browser's", nil, "fr," + strings.Repeat("fr-CA,", 1000), "es", "es"},
	} {
		if got := words.Match(c.member, c.accept, c.account); got != c.want {
			t.Errorf("%s: Match(_, %q, %q) = %s, want %s", c.name, c.accept[:min(len(c.accept), 40)], c.account, got, c.want)
		}
	}
}

func TestDateIsInTheLanguagesForm(t *testing.T) {
	t.Parallel()
	for lang, want := range map[words.Language][2]string{
		words.English: {"1 August 2026", "2 March 2026"}, words.French: {"1er août 2026", "2 mars 2026"},
		words.Spanish: {"1 de agosto de 2026", "2 de marzo de 2026"}, words.German: {"1. August 2026", "2. März 2026"},
	} {
		for i, at := range []time.Time{time.Date(2026, 8, 1, 9, 0, 0, 0, time.UTC), time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)} {
			if got := lang.Date(at); got != want[i] {
				t.Errorf("%s: %q, want %q", lang, got, want[i])
			}
		}
	}
}

// What a person wrote is text in every place of a page, whatever it says.
func TestValuesAreEscapedInPages(t *testing.T) {
	t.Parallel()
	page := template.Must(template.New("").Funcs(words.French.Funcs()).Parse(
		`<p title="{{t "text:code" "Code" .Bad "Service" (strong .Bad) "Count" 2}}">{{t "text:code" "Code" .Bad "Service" (strong .Bad) "Count" 2}}</p>`))
	var b bytes.Buffer
	if err := page.Execute(&b, map[string]string{"Bad": `"><script>&`}); err != nil {
		t.Fatal(err)
	}
	if out := b.String(); strings.Contains(out, "<script") || strings.Count(out, "<strong>") != 1 || !strings.Contains(out, "<strong>&#34;&gt;&lt;script&gt;&amp;</strong>") || strings.Contains(out, "&amp;amp;") {
		t.Errorf("the page is %s", out)
	}
}

func TestMissingSentencesAndValuesAreErrors(t *testing.T) {
	t.Parallel()
	for _, source := range []string{`{{t "text:none"}}`, `{{t "text:code" "Code" "1" "Count" 2}}`} {
		page := template.Must(template.New("").Funcs(words.English.Funcs()).Parse(source))
		if err := page.Execute(new(bytes.Buffer), nil); err == nil {
			t.Errorf("%s is no error", source)
		}
	}
}

func TestCountriesAreNamedInEachLanguage(t *testing.T) {
	t.Parallel()
	for l, want := range map[words.Language]string{"en": "Germany", "fr": "Allemagne", "es": "Alemania", "de": "Deutschland"} {
		if got := l.Country("DE"); got != want {
			t.Errorf("in %s DE is %q, want %q", l, got, want)
		}
	}
	if got := words.Language("en").Country("<b>"); got != "<b>" {
		t.Errorf("what is no country is %q", got)
	}
}
