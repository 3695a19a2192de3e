package carriers_test

import (
	"net/smtp"
	"strings"
	"testing"

	"latchkey.dev/services/internal/browsertest"
	"latchkey.dev/services/mail/mailbox"
	"latchkey.dev/services/sms/carriers"
)

// screenshots is where pictures of the page go, to be looked at.
const screenshots = "screenshots"

func TestPageInABrowser(t *testing.T) {
	t.Parallel()
	s, base := start(t, carriers.Options{SignIn: "http://127.0.0.1:8080/"})
	tab := browsertest.Start(t).Profile()
	tab.Open(base)
	tab.Sees("No texts yet. Sign in at http://127.0.0.1:8080/ and the code arrives here.", "live")
	tab.Look(screenshots, "phones-empty")

	// Texts come without a reload, and are words whatever is in them.
	deliver(t, base, "447700900001", "482101 is your Latchkey code. It works for 5 minutes. Nobody will ask you for it.\n\n@localhost #482101")
	tab.Sees("+447700900001", "@localhost #482101", "Copy code")
	deliver(t, base, "447700900002", `<img src=x onerror="document.title='hurt'"><script>document.title='hurt'</script>`+" averyveryverylongwordthatneverendsandneverendsandneverends")
	tab.Sees("onerror=")
	if got := tab.Script("document.title + document.querySelectorAll('#texts img, #texts script').length"); got != "Phones · Latchkey carriers0" {
		t.Errorf("a text did something: %s", got)
	}
	if got := tab.Script("[...document.querySelectorAll('#texts .number')].map((n) => n.textContent).join()"); got != "+447700900002,+447700900001" {
		t.Errorf("the texts are in the order %s, want the newest first", got)
	}

	// A carrier is switched with the keyboard alone.
	tab.Press(`.panel[data-carrier="vonage"] summary`, " ")
	tab.Sees("Brings the text, and closes the connection instead of answering.")
	tab.Press(`.panel[data-carrier="vonage"] button[value="drop"]`, "\r")
	tab.Sees("vonage: Drops after accepting. twilio: Works") // said to a screen reader
	if got := s.Behaviour(carriers.Vonage).Mode; got != carriers.DropAfterAccept {
		t.Errorf("the carrier's mode is %s", got)
	}
	if got := tab.Script(`[...document.querySelectorAll('button[aria-pressed="true"]')].map((b) => b.value).join()`); got != "drop,accept" {
		t.Errorf("the pressed buttons are %s, want drop, accept", got)
	}
	tab.Look(screenshots, "phones")

	// What a program changes shows as well.
	if err := s.Behave(carriers.Vonage, carriers.Behaviour{Mode: carriers.Hang, Next: 3}); err != nil {
		t.Fatal(err)
	}
	tab.Sees("Set by a program")
	tab.Click(`.number[href="/?to=%2B447700900001"]`)
	tab.Sees("Phone +447700900001", "Show all phones", "482101")
	if err := s.Reset(); err != nil {
		t.Fatal(err)
	}
	tab.Sees("No texts to this number yet.")
}

// The page of the mails, with one that is longer than a phone is wide.
func TestMailInABrowser(t *testing.T) {
	t.Parallel()
	post, err := mailbox.Start(mailbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(post.Close)
	_, base := start(t, carriers.Options{Mail: post.Routes})
	tab := browsertest.Start(t).Profile()
	tab.Open(base + "/mail")
	tab.Sees("No mail yet.")
	tab.Look(screenshots, "mail-empty")
	letter := "From: latchkey@maple.example\r\nTo: ada@example.org\r\nSubject: Maple: a new device was registered\r\n\r\nWas this not you?\r\nhttp://127.0.0.1:8080/not-me/" + strings.Repeat("A", 43) + "\r\n"
	if err := smtp.SendMail(post.Address(), nil, "latchkey@maple.example", []string{"ada@example.org"}, []byte(letter)); err != nil {
		t.Fatal(err)
	}
	tab.Sees("a new device was registered", "to ada@example.org")
	tab.Look(screenshots, "mail")
}

func TestPageInABrowserWithoutScript(t *testing.T) {
	t.Parallel()
	s, base := start(t, carriers.Options{})
	deliver(t, base, "447700900001", "482101 is your code")
	tab := browsertest.Start(t).Profile()
	tab.WithoutScript()
	tab.Open(base)
	tab.Click(`.panel[data-carrier="twilio"] summary`)
	tab.Click(`.panel[data-carrier="twilio"] button[value="hang"]`)
	tab.Click(`.panel[data-carrier="twilio"] summary`)
	tab.Click(`.panel[data-carrier="twilio"] button[value="hang"][aria-pressed="true"]`)
	if got := s.Behaviour(carriers.Twilio).Mode; got != carriers.Hang {
		t.Errorf("the carrier's mode is %s", got)
	}
}
