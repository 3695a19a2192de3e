package e2e

import (
	"net/http"
	"regexp"
	"strings"

	"latchkey.dev/services/app"
	"latchkey.dev/services/internal/browsertest"
	"latchkey.dev/services/internal/dpop"
	"latchkey.dev/services/internal/secret"
)

// press sends a form of the page, wherever it is folded away.
func press(tab *browsertest.Tab, action string) {
	tab.Script(`document.querySelector("form[action$='` + action + `']").requestSubmit(), ""`)
}

// In a Standalone Mobile account the box cannot be changed and nobody is saved without a
// number; the first sign-in registers.
func standalone(w *world, tab *browsertest.Tab) {
	w.ownerAt(tab, "stella", "+16045550172")
	tab.Open(w.console + "/options")
	tab.Sees("Always on in this account")
	if got := tab.Script(`String(document.getElementById("two_factor").disabled && document.getElementById("two_factor").checked)`); got != "true" {
		w.t.Error("the box of the feature can be changed")
	}
	tab.Look(screenshots, "options-standalone")
	tab.Open(w.console + "/staff/new")
	tab.Fill("#user_id", "nils\r")
	tab.Sees("Nothing was saved", "In this account nobody can be saved without a phone number.")
	tab.Look(screenshots, "console-staff-fault")
	tab.Fill("#phone", "+16045550173\r")
	tab.Sees("Is this the number?")
	tab.Click("button[name=confirmed]")
	tab.Sees("How to sign in")
	given := tab.Script(`document.getElementById("handed-password").textContent`)
	other := tab.Elsewhere()
	signs{w, "nils", "+16045550173"}.signInWith(other, given)
	other.Sees("Check your phone")
	other.Fill("#code", w.first.code(w.t, "+16045550173", 1)+"\r")
	other.Sees("Choose a password of your own", "This browser is registered.")
}

// An administrator changes a number: the person is told at the old one, the new one and by
// mail, has to register again, and ends it by the mail's link. A forgotten password is chosen
// by a link.
func lookedAfter(w *world, tab *browsertest.Tab) {
	const old, fresh, address = "+16045550174", "+16045550175", "nora@example.org"
	w.ownerAt(tab, "oscar", "+16045550176")
	w.exec("UPDATE member SET role = 'administrator' WHERE user_id = 'oscar'")
	nora, hers := w.signs("nora", old), tab.Elsewhere()
	nora.enter(hers, 1)
	tab.Open(w.console + "/staff?search=nora")
	tab.Click("tbody a")
	tab.Sees("CA, ends in 74")
	person := tab.Address()
	tab.Open(person + "/edit")
	tab.Fill("#email", address+"\r")
	tab.Sees("Saved.")
	tab.Open(person + "/edit")
	tab.Fill("#phone", fresh+"\r")
	tab.Sees("Is this the number?", "every device of this person must be registered again")
	tab.Click("button[name=confirmed]")
	tab.Sees("Saved.", "ends in 75", "No device is registered.")
	for _, number := range []string{old, fresh} {
		w.until("the text to "+number, func() bool { return strings.Contains(strings.Join(w.first.notices(number), "\n"), "number") })
	}
	link := ""
	w.until("the mail", func() bool {
		mails, _ := w.mail.Mails(address, 0)
		for _, m := range mails {
			if strings.Contains(m.Subject, "number") {
				link = regexp.MustCompile(`http\S+/not-me/\S+`).FindString(m.Text)
			}
		}
		return link != ""
	})
	hers.Reload()
	hers.Sees("Sign in to Maple")
	hers.Open(link)
	hers.Sees("Was this not you?", "your phone number was changed")
	hers.Look(screenshots, "not-me")
	hers.Click("button.danger")
	hers.Sees("Your sign-in is locked")
	hers.Look(screenshots, "not-me-done")
	nora.signIn(hers)
	hers.Sees("Your sign-in is locked")
	tab.Open(w.console + "/staff?locked=1")
	tab.Sees("nora", "Locked")
	tab.Open(person)
	press(tab, "/unlock")
	tab.Sees("Unlocked.")
	press(tab, "/password-link")
	tab.Sees("A link to choose a password", "Give this link to nora")
	tab.Look(screenshots, "console-link")
	hers.Open(tab.Script(`document.getElementById("password-link").textContent`))
	hers.Sees("Choose a new password", "For nora.")
	hers.Look(screenshots, "choose-password")
	hers.Fill("#new_password", "a few words of hers")
	hers.Fill("#new_password_again", "a few words of hers\r")
	hers.Sees("Your password is saved")
	nora.signInWith(hers, "a few words of hers")
	hers.Sees("Check your phone", "ends in 75")
}

// A jump of majors asks again and says what was upgraded; a step does not.
func upgraded(w *world, tab *browsertest.Tab) {
	uma := w.signs("uma", "+16045550177")
	firefox := func(major string) {
		tab.Be("Mozilla/5.0 (X11; Linux x86_64; rv:" + major + ".0) Gecko/20100101 Firefox/" + major + ".0")
	}
	firefox("140")
	uma.enter(tab, 1)
	signOut(tab)
	firefox("141")
	uma.signIn(tab)
	tab.Sees("Signed in as uma", "Firefox 141 on Linux")
	signOut(tab)
	firefox("160")
	uma.signIn(tab)
	tab.Sees("Your browser was upgraded from Firefox 14", "to Firefox 160, so it needs to be registered again.")
	tab.Look(screenshots, "upgraded")
	tab.Fill("#code", w.first.code(w.t, uma.number, 2)+"\r")
	tab.Sees("This browser is now registered")
}

// The app is registered beside the page of the same person, who sees both.
func beside(w *world, tab *browsertest.Tab) {
	ann := w.signs("ann", "+16045550178")
	ann.enter(tab, 1)
	w.exec("INSERT INTO software (id, kind, name) VALUES ('mobile', 'mobile', 'Maple on the phone')")
	phone := &app.Client{URL: w.url, Software: "mobile", Key: must(dpop.NewKey())(w.t), HTTP: http.DefaultClient, Facets: app.Facets{App: "Maple", AppMajor: 7, OS: "Android", OSMajor: 16}}
	var asked app.Answer
	w.until("the app's software is known", func() (ok bool) {
		var err error
		asked, err = phone.SignIn(w.t.Context(), ann.userID, secret.New(password))
		return err == nil && asked.Challenge != nil
	})
	if a := must(phone.Enter(w.t.Context(), asked.Challenge.ID, w.first.code(w.t, ann.number, 2)))(w.t); a.Result != "registered" {
		w.t.Fatalf("the app: %+v", a)
	}
	tab.Open(w.url)
	tab.Sees("this browser", "Maple on the phone", "Android 16")
	tab.Look(screenshots, "two-devices")
}

// Everything in German: chosen on the sign-in page, kept for the person, and there on the
// console too.
func german(w *world, tab *browsertest.Tab) {
	greta := w.signs("greta", "+16045550179")
	w.exec("UPDATE member SET role = 'owner' WHERE user_id = 'greta'")
	tab.Open(w.url + "/sign-in")
	tab.Click("button[lang=de]")
	tab.Sees("Passwort")
	tab.Look(screenshots, "de-sign-in")
	tab.Fill("#user_id", greta.userID)
	tab.Fill("#password", password+"\r")
	tab.Sees("Sehen Sie auf Ihr Telefon")
	tab.Look(screenshots, "de-check")
	tab.Fill("#code", w.first.code(w.t, greta.number, 1)+"\r")
	tab.Sees("Angemeldet als greta")
	tab.Look(screenshots, "de-in")
	tab.Click("button[lang=fr]")
	tab.Sees("Mes appareils", "greta")
	tab.Click("button[lang=de]")
	tab.Sees("Angemeldet als greta")
	tab.Open(w.console + "/")
	tab.Sees("Personal", "Konsole verlassen")
	tab.Look(screenshots, "de-staff")
	person := tab.Script(`document.querySelector("tbody a").href`)
	for name, page := range map[string]string{"options": w.console + "/options", "new": w.console + "/staff/new", "import": w.console + "/import", "person": person, "edit": person + "/edit", "erase": person + "/erase",
		"missing": w.console + "/missing", "password": w.url + "/password", "prove": w.url + "/prove-number"} {
		tab.Open(page)
		if got := tab.Script("document.documentElement.lang"); got != "de" {
			w.t.Errorf("%s is in %s", name, got)
		}
		tab.Look(screenshots, "de-"+name)
	}
}
