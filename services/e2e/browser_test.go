package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"latchkey.dev/services/internal/browsertest"
	"latchkey.dev/services/up"
)

// screenshots is where pictures of the pages go, to be looked at.
const screenshots = "screenshots"

const password = "correct horse battery"

// staff makes somebody who signs in on the pages, and returns the number of the phone.
func (w *world) staff(userID, number string) {
	w.t.Helper()
	status, out := w.call("PUT", "/v1/members/"+uuid.NewString(), map[string]any{"role": "provider", "user_id": userID, "password": password, "phone": number},
		"Authorization", "Bearer "+w.apiKey)
	if status != http.StatusCreated {
		w.t.Fatalf("making a member: %d %v", status, out)
	}
}

func signIn(tab *browsertest.Tab, w *world, userID, pass string) {
	w.t.Helper()
	tab.Open(w.url)
	tab.Sees("Sign in to Maple")
	tab.Fill("#user_id", userID)
	tab.Fill("#password", pass)
	tab.Click("main form button")
}

// A person signs in, gets a text, enters the code, and the browser is registered: the next
// sign-in asks for nothing.
func TestBrowserLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(*up.Options) {})
	w.staff("ada.lovelace", "+16045550101")
	tab := browsertest.Start(t).Profile()

	tab.Open(w.url)
	tab.Sees("Sign in to Maple")
	tab.Look(screenshots, "sign-in")
	signIn(tab, w, "ada.lovelace", "a wrong password")
	tab.Sees("The user ID or the password is wrong.")
	tab.Look(screenshots, "sign-in-wrong")
	signIn(tab, w, " Ada.Lovelace ", password)
	tab.Sees("Check your phone", "not registered for you yet", "ends in 01")
	right := w.first.code(t, "+16045550101", 1)
	tab.Sees("A carrier has taken the text.") // live, without a reload
	tab.Look(screenshots, "check")

	tab.Fill("#code", "12 34")
	tab.Click("main form button")
	tab.Sees("did not count as a try", "5 tries are left")
	tab.Fill("#code", wrong(right))
	tab.Click("main form button")
	tab.Sees("That was not the code.", "4 tries are left")
	tab.Look(screenshots, "check-wrong")
	tab.Fill("#code", right[:3]+" "+right[3:]+"\r")
	tab.Sees("You are in", "Signed in as ada.lovelace", "This browser is now registered", "this browser")
	tab.Look(screenshots, "in")

	tab.Click("summary")
	tab.Fill("input[name=name]", `<b>Ada's</b> laptop`)
	tab.Click("main form button")
	tab.Sees("The name is saved.", `<b>Ada's</b> laptop`)

	tab.Click("header button")
	tab.Sees("Signed out")
	tab.Look(screenshots, "signed-out")
	signIn(tab, w, "ada.lovelace", password)
	tab.Sees("You are in")
	if n := w.first.count(); n != 1 {
		t.Errorf("%d texts, want 1", n)
	}
	if kept := tab.Script(`(async () => {
		const open = indexedDB.open("latchkey");
		await new Promise((done) => { open.onsuccess = done; });
		const all = open.result.transaction("key").objectStore("key").getAll();
		await new Promise((done) => { all.onsuccess = done; });
		const [key] = all.result;
		const out = await crypto.subtle.exportKey("jwk", key.pair.privateKey).then(() => "read out", () => "sealed");
		return [all.result.length, key.name, out, document.cookie].join(" ");
	})()`); !strings.HasPrefix(kept, "1 ") || !strings.HasSuffix(kept, " sealed ") || strings.Contains(strings.ToLower(kept), "ada") {
		t.Errorf("the browser keeps %q: want one key that cannot be read out, under a name that tells nobody, and no cookie for scripts", kept)
	}
}

// wrong is a code that is not right.
func wrong(right string) string {
	if right == "000000" {
		return "000001"
	}
	return "000000"
}
