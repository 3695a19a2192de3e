package e2e

import (
	"latchkey.dev/services/internal/browsertest"
)

// choose opens a person's page at the console, every choice unfolded, and presses the button
// of one. It returns the page's address.
func (w *world) choose(tab *browsertest.Tab, userID, action string) string {
	w.t.Helper()
	var id string
	if err := w.owner.QueryRow(w.t.Context(), "SELECT id FROM member WHERE user_id = $1", userID).Scan(&id); err != nil {
		w.t.Fatal(err)
	}
	tab.Open(w.console + "/people/" + id)
	tab.Sees("Actions")
	tab.Script(`for (const d of document.querySelectorAll("details")) d.open = true; ""`)
	tab.Click(`form[action$="/` + action + `"] button`)
	return w.console + "/people/" + id
}

// Somebody whose phone is lost registers a browser by the code that an owner hands over; for an
// owner it takes two. Each is told, and is asked for no code afterwards.
func lost(w *world, tab *browsertest.Tab) {
	w.ownerAt(tab, "olympia", "+16045550160")
	ada := w.signs("ada.lost", "+16045550161")
	w.choose(tab, ada.userID, "registration-code")
	tab.Sees("A code for a lost phone", "It works for 15 minutes")
	tab.Look(screenshots, "console-registration-code")
	code := tab.Script(`document.querySelector("#registration-code").textContent`)

	browser := tab.Elsewhere()
	browser.Open(w.url)
	ada.signIn(browser)
	browser.Sees("Check your phone", "Is your phone lost?")
	browser.Click("#code-help a")
	browser.Sees("A registration code from an administrator works here as well.")
	browser.Look(screenshots, "check-lost")
	browser.Fill("#code", "bcdfg-hjkmn-pqrst-23456\r")
	browser.Sees("That was not the code.", "4 tries are left")
	browser.Fill("#code", code+"\r")
	browser.Sees("You are in", "Signed in as ada.lost", "This browser is now registered")
	signOut(browser)
	browser.Open(w.url)
	ada.signIn(browser)
	browser.Sees("You are in")
	thief := tab.Elsewhere()
	thief.Open(w.url)
	ada.signIn(thief)
	thief.Sees("Check your phone")
	thief.Fill("#code", code+"\r")
	thief.Sees("That was not the code.")
	w.told(ada.userID, "registration_code", "device_registered")

	// For an owner: another owner asks, an administrator approves and sees the code.
	orla, alan := w.signs("orla.lost", "+16045550162"), w.signs("alan", "+16045550163")
	w.exec("UPDATE member SET role = 'owner' WHERE user_id = $1", orla.userID)
	w.exec("UPDATE member SET role = 'administrator' WHERE user_id = $1", alan.userID)
	w.choose(tab, orla.userID, "registration-code")
	tab.Sees("A code for a lost phone", "Somebody else must approve this now")
	tab.Look(screenshots, "console-registration-code-waits")
	tab.Open(w.console + "/approvals")
	tab.Sees("Codes to approve", "orla.lost", "Somebody else must approve it.")
	second := tab.Elsewhere()
	second.Open(w.console + "/")
	alan.signIn(second)
	second.Sees("Check your phone")
	second.Fill("#code", w.first.code(w.t, alan.number, 1)+"\r")
	second.Sees("Staff")
	second.Open(w.console + "/approvals")
	second.Sees("orla.lost", "Approve, and show me the code")
	second.Look(screenshots, "console-approvals")
	second.Click(`form[action^="/approvals/"] button`)
	second.Sees("It works for 15 minutes")
	code = second.Script(`document.querySelector("#registration-code").textContent`)
	browser = tab.Elsewhere()
	browser.Open(w.url)
	orla.signIn(browser)
	browser.Sees("Is your phone lost?")
	browser.Fill("#code", code+"\r")
	browser.Sees("You are in", "Signed in as orla.lost")
}

// told waits until a person was sent a text of each of some kinds.
func (w *world) told(userID string, kinds ...string) {
	w.t.Helper()
	for _, kind := range kinds {
		w.until("a notice of "+kind, func() bool {
			return w.count(`SELECT count(*) FROM notice n JOIN member m ON m.id = n.member_id WHERE m.user_id = $1 AND n.kind = $2 AND n.ending = 'sent'`, userID, kind) > 0
		})
	}
}
