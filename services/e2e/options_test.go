package e2e

import (
	"crypto/sha256"
	"net/http"
	"testing"

	"github.com/google/uuid"

	"latchkey.dev/services/internal/browsertest"
	"latchkey.dev/services/up"
)

// pro goes on with a Pro account of its own.
func (w *world) pro() {
	w.t.Helper()
	account := uuid.New()
	w.apiKey = uuid.NewString()
	digest := sha256.Sum256([]byte(w.apiKey))
	w.exec("INSERT INTO account (id, kind, name, country) VALUES ($1, 'pro', 'Maple Clinic', 'CA')", account)
	w.exec("INSERT INTO api_key (id, account_id, name, key_digest) VALUES ($1, $2, 'pro', $3)", uuid.New(), account, digest[:])
}

// TestAnOwnerSwitchesTheFeature is the feature as its owner sees it: whom it reaches, the own
// number first, on for whoever has a number, off, and on again with the registrations of before.
func TestAnOwnerSwitchesTheFeature(t *testing.T) {
	t.Parallel()
	w, tab := newWorld(t, func(*up.Options) {}), browsertest.Start(t).Profile()
	w.pro()
	otto, ada, eve := w.signs("otto", "+16045550190"), w.signs("ada", "+16045550191"), w.signs("eve", "+16045550192")
	w.exec("UPDATE member SET role = 'owner' WHERE user_id = 'otto'")
	if status, out := w.call("PUT", "/v1/members/"+uuid.NewString(), map[string]any{"role": "provider", "user_id": "bob", "password": password}, "Authorization", "Bearer "+w.apiKey); status != http.StatusCreated {
		t.Fatalf("making a member: %d %v", status, out)
	}
	bob := signs{w, "bob", ""}

	otto.signIn(tab)
	tab.Sees("You are in")
	options := func() {
		tab.Open(w.console + "/")
		tab.Sees("Staff", "otto")
		tab.Open(w.console + "/options")
		tab.Sees("Enable Two Factor Authentication", "Demographics", "1 of 4 staff has no number.")
	}
	change := func() {
		tab.Click("#two_factor")
		tab.Click("form.options button")
	}
	options()
	tab.Look(screenshots, "options")
	change()
	tab.Sees("show that a text reaches you")
	tab.Look(screenshots, "options-not-proved")
	tab.Click("main a.button")
	tab.Sees("We text a code to your number that ends in 90")
	tab.Look(screenshots, "prove-number")
	tab.Click("main button")
	tab.Sees("Check your phone", "You asked to prove your phone number.")
	tab.Fill("#code", w.first.code(t, otto.number, 1)+"\r")
	tab.Sees("Your phone number is proved.")
	tab.Look(screenshots, "proved")
	tab.Click("main a.button")
	tab.Sees("Enable Two Factor Authentication")
	change()
	tab.Sees("Save these options?", "1 of 4 staff has no phone number and will not be asked for a code.")
	tab.Look(screenshots, "options-confirm")
	tab.Click("main button")
	tab.Sees("Two Factor Authentication is on")
	tab.Look(screenshots, "options-on")
	tab.Click("main a.button")
	tab.Sees("You are in")
	signOut(tab)

	bob.signIn(tab)
	tab.Sees("You are in", "Your account asks for no security code")
	signOut(tab)
	ada.enter(tab, 1)
	signOut(tab)
	otto.enter(tab, 2)

	options()
	change()
	tab.Sees("Save these options?", "3 people lose the second lock", "Registrations are kept.")
	tab.Look(screenshots, "options-off")
	tab.Click("main button")
	tab.Sees("The options are saved.")
	tab.Open(w.url)
	signOut(tab)
	eve.signIn(tab)
	tab.Sees("You are in")
	signOut(tab)

	otto.signIn(tab)
	tab.Sees("You are in")
	options()
	change()
	tab.Sees("Save these options?") // the registration is the proof
	tab.Click("main button")
	tab.Sees("Two Factor Authentication is on")
	tab.Click("main a.button")
	tab.Sees("You are in")
	signOut(tab)
	ada.signIn(tab)
	tab.Sees("You are in") // her registration is as it was
	signOut(tab)
	eve.signIn(tab)
	tab.Sees("Check your phone")
	if n := w.first.count(); n != 4 {
		t.Errorf("%d texts went out, want 4: a proof and three registrations", n)
	}

	// Demographics, for a client: on, off and on again.
	cleo, hers := signs{w, "cleo", "+16045550193"}, tab.Elsewhere()
	clients := func(says ...string) {
		options()
		tab.Click("#demographics")
		tab.Click("form.options button")
		if len(says) > 0 {
			tab.Sees(append(says, "Save these options?")...)
			tab.Click("main button")
		}
		tab.Sees("The options are saved.")
	}
	otto.signIn(tab)
	tab.Sees("You are in")
	clients()
	if status, out := w.call("PUT", "/v1/members/"+uuid.NewString(), map[string]any{"role": "client", "user_id": cleo.userID, "password": password, "phone": cleo.number}, "Authorization", "Bearer "+w.apiKey); status != http.StatusCreated {
		t.Fatalf("making a client: %d %v", status, out)
	}
	cleo.enter(hers, 1)
	signOut(hers)
	clients("1 person loses the second lock", "Registrations are kept.")
	cleo.signIn(hers)
	hers.Sees("You are in")
	signOut(hers)
	clients("The only client has a phone number and will be asked for a code.")
	cleo.signIn(hers)
	hers.Sees("You are in")
	if n := len(w.first.to(cleo.number)); n != 1 {
		t.Errorf("%d texts went to the client, want one registration", n)
	}
}
