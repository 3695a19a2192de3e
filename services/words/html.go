package words

import (
	"cmp"
	"fmt"
	"html/template"
	"time"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

// Funcs are the functions of a template that speaks the language:
//
//	t KEY [NAME VALUE]...  the sentence of a key; values are escaped unless they are HTML
//	date TIME              a day, as "2 January 2006", with the moment as programs read it
//	clock TIME             the minute of a day in UTC, as "15:04"
//	minute TIME            the same, which the page's script writes as the person's own clock shows it
//	country CODE           the name of a country (ISO 3166-1 alpha-2)
//	strong VALUE           a value that stands out
//	live ID VALUE          a value that the page's script keeps up to date, by its element's id
func (l Language) Funcs() template.FuncMap {
	return template.FuncMap{"t": l.html, "date": l.day, "clock": clock, "minute": minute, "country": l.Country, "strong": strong, "live": live}
}

// html says a sentence in a page. Sentences hold no markup (the tests see to it), so with
// its values escaped one is safe where text and attributes are.
func (l Language) html(key string, pairs ...any) template.HTML {
	safe := make([]any, len(pairs))
	for i, v := range pairs {
		switch v.(type) {
		case template.HTML, int:
			safe[i] = v
		default:
			safe[i] = template.HTMLEscapeString(fmt.Sprint(v))
		}
	}
	return template.HTML(l.Say(key, safe...))
}

// Country names a country of ISO 3166-1 alpha-2, in the words of the Unicode CLDR; a code that
// is none stands for itself.
func (l Language) Country(code string) string {
	r, err := language.ParseRegion(code)
	if err != nil {
		return code
	}
	return cmp.Or(display.Regions(language.Make(string(l))).Name(r), code)
}

func clock(t time.Time) string { return t.UTC().Format("15:04") }

func minute(t time.Time) template.HTML {
	t = t.UTC()
	return template.HTML(`<time data-minute datetime="` + t.Format(time.RFC3339) + `">` + clock(t) + " UTC</time>")
}

func strong(v any) template.HTML {
	return template.HTML("<strong>" + template.HTMLEscapeString(fmt.Sprint(v)) + "</strong>")
}

func live(id string, v any) template.HTML {
	return template.HTML(`<span id="` + template.HTMLEscapeString(id) + `">` + template.HTMLEscapeString(fmt.Sprint(v)) + "</span>")
}

func (l Language) day(t time.Time) template.HTML {
	return template.HTML(`<time datetime="` + t.Format(time.RFC3339) + `">` + template.HTMLEscapeString(l.Date(t)) + "</time>")
}

// months are the keys of the months' names.
var months = [...]string{"date:month.january", "date:month.february", "date:month.march", "date:month.april", "date:month.may", "date:month.june",
	"date:month.july", "date:month.august", "date:month.september", "date:month.october", "date:month.november", "date:month.december"}

// Date writes the day of a time, in the time's own zone, as the language does: "2 January 2006".
func (l Language) Date(t time.Time) string {
	return l.Say("date:day", "Count", t.Day(), "Month", l.Say(months[t.Month()-1]), "Year", t.Year())
}
