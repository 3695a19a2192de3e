package e2e

import (
	"encoding/json"
	"strings"

	"latchkey.dev/services/internal/browsertest"
)

// ownerAt signs somebody in as an owner at the console.
func (w *world) ownerAt(tab *browsertest.Tab, userID, number string) {
	w.t.Helper()
	who := w.signs(userID, number)
	w.exec("UPDATE member SET role = 'owner' WHERE user_id = $1", userID)
	tab.Open(w.console + "/")
	tab.Sees("Sign in to Maple")
	tab.Fill("#user_id", who.userID)
	tab.Fill("#password", password+"\r")
	tab.Sees("Check your phone")
	tab.Fill("#code", w.first.code(w.t, who.number, 1)+"\r")
	tab.Sees("Staff", who.userID)
}

// choosesFile puts a file into the field of the page for it.
func choosesFile(tab *browsertest.Tab, text string) {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	tab.Sees("Nothing is saved before you have seen")
	tab.Script(`(() => {
		const data = new DataTransfer();
		data.items.add(new File([` + string(quoted) + `], "people.csv", {type: "text/csv"}));
		document.getElementById("file").files = data.files;
		return "";
	})()`)
	tab.Click("main form button")
}

// An owner imports a file of people: it is checked first, and said what is wrong with it.
func importsPeople(w *world, tab *browsertest.Tab) {
	w.ownerAt(tab, "ines", "+16045550189")
	tab.Click(`a[href="/import"]`)
	tab.Sees("Import people", "CSV in UTF-8")
	tab.Look(screenshots, "console-import")
	choosesFile(tab, "role,user_id,phone,color\nprovider,ilse,,red\n")
	tab.Sees("1 line cannot be imported", "There is no such column.", "color")
	tab.Click(`main a[href="/import"]`)
	choosesFile(tab, "role,user_id,phone\nprovider,ilse,12\nking,ivan,\nprovider,ILSE,\n")
	tab.Sees("3 lines cannot be imported", "This is not a valid phone number.", "Line 2 is about the same person")
	tab.Look(screenshots, "console-import-faults")
	tab.Click(`main a[href="/import"]`)
	choosesFile(tab, "role,user_id,phone\nprovider,ilse,604 555 0190\nprovider,ivan,604 555 0191\n")
	tab.Sees("Nothing is saved yet", "Added")
	tab.Look(screenshots, "console-import-check")
	tab.Click("main form button")
	tab.Sees("The file is imported.", "have no password")
	tab.Look(screenshots, "console-imported")
	tab.Open(w.console + "/staff?search=i")
	tab.Sees("ilse", "CA … 90", "ivan", "No password", "Export this list")
	tab.Look(screenshots, "console-staff-imported")
}

// An owner makes a client and gets the hand-out; the client signs in with it, is sent a code
// and chooses another password. The owner then sees the device, and ends it.
func handsOut(w *world, tab *browsertest.Tab) {
	const number = "+16045550171"
	w.ownerAt(tab, "olive", "+16045550170")
	tab.Open(w.console + "/clients/new")
	tab.Sees("Add a client", "made by the system")
	tab.Fill("#phone", "12\r")
	tab.Sees("Nothing was saved", "This is not a valid phone number.")
	tab.Look(screenshots, "console-client-fault")
	tab.Fill("#phone", "(604) 555-0171\r")
	tab.Sees("Is this the number?", number, "It cannot be told whether this is a mobile phone.")
	tab.Look(screenshots, "console-confirm")
	tab.Click("button[name=again]")
	tab.Sees("Add a client")
	tab.Press("#phone", "\r")
	tab.Sees("Is this the number?")
	tab.Click("button[name=confirmed]")
	tab.Sees("How to sign in", "This is shown once.", w.url)
	tab.Look(screenshots, "console-handout")
	userID := tab.Script(`document.getElementById("handed-user-id").textContent`)
	given := tab.Script(`document.getElementById("handed-password").textContent`)

	phone := tab.Elsewhere()
	client := signs{w, userID, number}
	client.signInWith(phone, given)
	phone.Sees("Check your phone")
	phone.Fill("#code", w.first.code(w.t, number, 1)+"\r")
	phone.Sees("Choose a password of your own")
	phone.Fill("#old_password", given)
	phone.Fill("#new_password", password)
	phone.Fill("#new_password_again", password+"\r")
	phone.Sees("You are in", userID)

	tab.Click("main a.button")
	tab.Sees("ends in 71", "Registered on", "code sent by first")
	tab.Look(screenshots, "console-person")
	if text := tab.Text(); strings.Contains(text, given) || strings.Contains(text, "5550171") {
		w.t.Error("the person's page shows the password or the number")
	}
	tab.Click("a[href$='/edit']")
	tab.Sees("Change "+userID, "Leave it empty to keep it.")
	tab.Look(screenshots, "console-edit")
	tab.Fill("#email", "cleo@example.org\r")
	tab.Sees("Saved.", "on file")
	tab.Click("button[name=device]")
	tab.Sees("Revoked.", "No device is registered.")
	phone.Reload()
	phone.Sees("Sign in to Maple")
	tab.Open(w.console + "/clients?no_device=1")
	tab.Sees("Clients", userID)
	tab.Look(screenshots, "console-clients")
}
