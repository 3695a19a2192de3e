package e2e

import (
	"crypto/rand"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"latchkey.dev/services/email"
	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/mail"
	"latchkey.dev/services/mail/mailbox"
	"latchkey.dev/services/up"
)

// newPost starts a mail server with a mailbox for everybody, and the way to it.
func newPost(t *testing.T) (*mailbox.Server, mail.Sender) {
	t.Helper()
	post := must(mailbox.Start(mailbox.Options{}))(t)
	t.Cleanup(post.Close)
	host, port, err := net.SplitHostPort(post.Address())
	if err != nil {
		t.Fatal(err)
	}
	server := must(mail.NewSMTP(mail.Options{Host: host, Port: must(strconv.Atoi(port))(t), Security: mail.Clear, From: must(email.Parse("latchkey@maple.example"))(t)}))(t)
	return post, server
}

// After a registration a text and a mail arrive, the mail also where the mail server was
// down at first. Opening the mail's link changes nothing; its button ends the registration
// and locks the person. A replay of the whole stream tells nobody twice.
func TestPeopleAreTold(t *testing.T) {
	t.Parallel()
	post, server := newPost(t)
	w := newWorld(t, func(o *up.Options) { o.Dispatcher.Mail = server })
	if err := post.Behave(mailbox.Down); err != nil {
		t.Fatal(err)
	}
	p := w.person(1)
	address := rand.Text() + "@example.org"
	if status, out := w.call("PUT", "/v1/members/"+p.id.String(), map[string]any{"role": "provider", "email": address}, "Authorization", "Bearer "+w.apiKey); status != http.StatusOK {
		t.Fatalf("giving an address: %d %v", status, out)
	}
	p.live(w.first)
	w.until("the first try of the mail", func() bool {
		return w.count("SELECT count(*) FROM notice WHERE channel = 'email' AND kind = 'device_registered' AND tries > 0") == 1
	})
	if err := post.Behave(mailbox.Accept); err != nil {
		t.Fatal(err)
	}
	w.until("the text", func() bool {
		for _, said := range w.first.notices(p.number) {
			if strings.HasPrefix(said, "Maple: Firefox 140 on Linux can now sign in as you") {
				return true
			}
		}
		return false
	})
	w.until("the mail", func() bool { return w.count("SELECT count(*) FROM notice WHERE due_at IS NOT NULL") == 0 })
	var letter mailbox.Mail
	mails, _ := post.Mails(address, 0)
	for _, m := range mails {
		if strings.Contains(m.Subject, "a new device was registered") {
			letter = m
		}
	}
	link := regexp.MustCompile(`http\S+/not-me/\S+`).FindString(letter.Text)
	if link == "" {
		t.Fatalf("no link in %d mails", len(mails))
	}

	texts, tries := len(w.first.notices(p.number)), w.count("SELECT sum(tries) FROM notice")
	js := w.bus.Admin(t)
	stream := must(js.Stream(t.Context(), bus.Stream))(t)
	if err := js.DeleteConsumer(t.Context(), bus.Stream, bus.DispatcherSend); err != nil {
		t.Fatal(err)
	}
	w.bus.Provision()
	w.caughtUp(stream)
	again, _ := post.Mails(address, 0)
	if len(again) != len(mails) || len(w.first.notices(p.number)) != texts || w.count("SELECT sum(tries) FROM notice") != tries {
		t.Error("a replay told somebody again")
	}

	jar := must(cookiejar.New(nil))(t)
	browser := &http.Client{Jar: jar}
	read := func(resp *http.Response, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return string(must(io.ReadAll(resp.Body))(t))
	}
	page := read(browser.Get(link))
	if status, out := p.check(); status != http.StatusOK || out["status"] != "registered" {
		t.Errorf("after the link was opened: %d %v", status, out)
	}
	form := regexp.MustCompile(`name="form" value="([^"]+)"`).FindStringSubmatch(page)
	if form == nil {
		t.Fatalf("the page has no form:\n%s", page)
	}
	r := must(http.NewRequestWithContext(t.Context(), "POST", link, strings.NewReader(url.Values{"form": {form[1]}}.Encode())))(t)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", w.url)
	if page := read(browser.Do(r)); !strings.Contains(page, "Your sign-in is locked") {
		t.Errorf("after the button:\n%s", page)
	}
	if status, out := p.check(); status != http.StatusForbidden || out["type"] != "/problems/member-locked" {
		t.Errorf("a check of a locked person: %d %v", status, out)
	}
	w.audited()
}
