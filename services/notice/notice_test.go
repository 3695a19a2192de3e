package notice_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/code"
	"latchkey.dev/services/device"
	"latchkey.dev/services/notice"
	"latchkey.dev/services/words"
)

var at = time.Date(2026, 11, 25, 12, 46, 0, 0, time.UTC)

// With the longest names there may be, every text is one segment, has its link whole, and
// begins with no digit: it is no code.
func TestEveryTextIsOneSegment(t *testing.T) {
	t.Parallel()
	token := strings.Repeat("x", notice.TokenLength(notice.Text))
	for _, lang := range words.Languages {
		for _, kind := range notice.Kinds {
			for service, origin := range map[string]string{"Maple": "https://login.maple.example", strings.Repeat("M", 30): "https://" + strings.Repeat("o", notice.MaxOrigin-8)} {
				m := notice.Message{Kind: kind, Service: service, Facets: device.Facets{Browser: strings.Repeat("B", 64), BrowserMajor: 1000, OS: strings.Repeat("S", 64), OSMajor: 1000},
					At: at, Link: notice.Link(origin, token), Lang: lang}
				text, err := m.SMS()
				if n, ok := code.Septets(text); err != nil || !ok || n > code.SegmentSeptets || !strings.HasSuffix(text, m.Link) || !strings.HasPrefix(text, service) {
					t.Errorf("%s %s: %q, %d septets, %v", lang, kind, text, n, err)
				}
				if err := long(m); err != nil {
					t.Errorf("%s %s: %v", lang, kind, err)
				}
			}
		}
	}
}

// long finds the sentence that is sent where names are short.
func long(m notice.Message) error {
	m.Service, m.Facets, m.Link = "Maple", device.Facets{Browser: "Firefox", BrowserMajor: 140, OS: "Linux"}, notice.Link("https://a.example", "token")
	text, err := m.SMS()
	if err == nil && !strings.Contains(text, "7") && !strings.Contains(text, "semana") {
		err = code.ErrNotOneSegment // the short one, for want of room or of characters
	}
	return err
}

// The e-mail says what happened, when, and what to do if it was somebody else.
func TestMail(t *testing.T) {
	t.Parallel()
	m := notice.Message{Kind: notice.DeviceRegistered, Service: "Maple", Facets: device.Facets{Browser: "Firefox", BrowserMajor: 140, OS: "Linux"}, At: at, Link: "https://login.maple.example/not-me/abc"}
	for lang, want := range map[words.Language][]string{
		words.English: {"Firefox 140 on Linux", "25 November 2026", "12:46 UTC", "If this was not you"},
		words.French:  {"Firefox 140 sous Linux", "25 novembre 2026", "12:46 UTC", "Si ce n'était pas vous"},
		words.Spanish: {"Firefox 140 en Linux", "25 de noviembre de 2026", "12:46 UTC", "Si no fue usted"},
		words.German:  {"Firefox 140 unter Linux", "25. November 2026", "12:46 UTC", "Wenn Sie das nicht waren"},
	} {
		m.Lang = lang
		text := m.Mail()
		for _, w := range append(want, "\n"+m.Link+"\n", "Maple") {
			if !strings.Contains(text, w) {
				t.Errorf("%s lacks %q:\n%s", lang, w, text)
			}
		}
		if !strings.HasPrefix(m.Subject(), "Maple") {
			t.Errorf("%s: the subject is %q", lang, m.Subject())
		}
	}
}

// What an app says of itself brings no words of its own into a message.
func TestLooksHoldNoLink(t *testing.T) {
	t.Parallel()
	got := notice.Looks(device.Facets{Browser: "Call +1 900 555\nhttps://evil.example/x", OS: "<b>"}, words.English)
	if strings.ContainsAny(got, ":/.+<>\n") || len(got) > 60 {
		t.Errorf("a device looks like %q", got)
	}
	if got := notice.Looks(device.Facets{}, words.English); got != "an unknown device" {
		t.Errorf("nothing known: %q", got)
	}
}

// The old and the new address are told of a change, and the other channel; nobody twice.
func TestOfChange(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		kind notice.Kind
		a    notice.Addresses
		want string
	}{
		{notice.NumberChanged, notice.Addresses{HadNumber: true, HasNumber: true, HadEmail: true, HasEmail: true}, "former text, text, email"},
		{notice.NumberChanged, notice.Addresses{HasNumber: true}, "text"},
		{notice.NumberChanged, notice.Addresses{HadNumber: true, HadEmail: true, HasEmail: true}, "former text, email"},
		{notice.EmailChanged, notice.Addresses{HadNumber: true, HasNumber: true, HadEmail: true, HasEmail: true}, "former email, text, email"},
		{notice.EmailChanged, notice.Addresses{HadEmail: true}, "former email"},
		{notice.EmailChanged, notice.Addresses{}, ""},
	} {
		all, err := notice.OfChange(tc.kind, uuid.New(), tc.a)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range all {
			name := string(p.Channel)
			if p.Former {
				name = "former " + name
			}
			got = append(got, name)
		}
		if s := strings.Join(got, ", "); s != tc.want {
			t.Errorf("%s of %+v: %s, want %s", tc.kind, tc.a, s, tc.want)
		}
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	text, mail := notice.Encode(notice.Text, make([]byte, 32)), notice.Encode(notice.Email, make([]byte, 32))
	if len(text) != notice.TokenLength(notice.Text) || len(mail) != notice.TokenLength(notice.Email) || len(text) != 22 || len(mail) != 43 {
		t.Errorf("tokens of %d and %d letters", len(text), len(mail))
	}
	for token, ok := range map[string]bool{text: true, mail: true, text[1:]: false, mail + "A": false, strings.Repeat("%", 22): false, "": false} {
		if _, got := notice.Digest(token); got != ok {
			t.Errorf("%q: %v", token, got)
		}
	}
}
