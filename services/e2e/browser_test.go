package e2e

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/internal/browsertest"
	"latchkey.dev/services/up"
)

// screenshots is where pictures of the pages go, to be looked at.
const screenshots = "screenshots"

const password = "correct horse battery"

// signs is somebody who signs in on the pages, with a phone.
type signs struct {
	w              *world
	userID, number string
}

func (w *world) signs(userID, number string, more ...string) signs {
	w.t.Helper()
	body := map[string]any{"role": "provider", "user_id": userID, "password": password, "phone": number}
	for _, m := range more {
		body[m] = true
	}
	status, out := w.call("PUT", "/v1/members/"+uuid.NewString(), body, "Authorization", "Bearer "+w.apiKey)
	if status != http.StatusCreated {
		w.t.Fatalf("making a member: %d %v", status, out)
	}
	return signs{w, userID, number}
}

// signIn types user ID and password and sends them with the keyboard alone.
func (s signs) signIn(tab *browsertest.Tab) {
	s.w.t.Helper()
	s.signInWith(tab, password)
}

func (s signs) signInWith(tab *browsertest.Tab, password string) {
	s.w.t.Helper()
	tab.Open(s.w.url + "/sign-in")
	tab.Sees("Sign in to Maple")
	tab.Fill("#user_id", s.userID)
	tab.Fill("#password", password+"\r")
}

// enter signs in for the first time in a browser, with the n-th text to the phone.
func (s signs) enter(tab *browsertest.Tab, n int) {
	s.w.t.Helper()
	s.signIn(tab)
	tab.Sees("Check your phone")
	tab.Fill("#code", s.w.first.code(s.w.t, s.number, n)+"\r")
	tab.Sees("This browser is now registered")
}

// An owner comes to the console by the sign-in of login, and back to it by leaving.
func atConsole(w *world, tab *browsertest.Tab) {
	w.ownerAt(tab, "olga", "+16045550188")
	tab.Sees("Staff", "olga", "CA … 88")
	tab.Arrives(w.console + "/staff")
	tab.Look(screenshots, "console-staff")
	tab.Fill("#search", "OLG\r")
	tab.Sees("olga")
	tab.Fill("#search", "nobody\r")
	tab.Sees("Nobody is found.")
	signOut := tab.Another()
	signOut.Open(w.console + "/enter?code=stolen")
	signOut.Sees("This way in was used before, or took too long.")
	tab.Click("header button")
	tab.Sees("You are in", "olga")
	tab.Open(w.console + "/staff") // login's session stays
	tab.Sees("Staff", "olga")
}

func signOut(tab *browsertest.Tab) {
	tab.Click("header button")
	tab.Sees("You are signed out.")
}

// wrong is a code that is not right.
func wrong(right string) string {
	if right == "000000" {
		return "000001"
	}
	return "000000"
}

// kept reads what the browser keeps for our origin, as anybody could who sits before it.
const kept = `(async () => {
	const open = indexedDB.open("latchkey");
	await new Promise((done) => { open.onsuccess = done; });
	const all = open.result.transaction("key").objectStore("key").getAll();
	await new Promise((done) => { all.onsuccess = done; });
	const out = await Promise.all(all.result.map((key) => crypto.subtle.exportKey("jwk", key.pair.privateKey).then(() => "open", () => "sealed")));
	open.result.close();
	return [...out, all.result.map((key) => key.name).join(" "), JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + document.cookie].join("\n");
})()`

func TestPagesInABrowser(t *testing.T) {
	t.Parallel()
	post, server := newPost(t)
	whole, chromium := newWorld(t, func(o *up.Options) { o.Dispatcher.Mail = server }), browsertest.Start(t)
	whole.mail = post
	for name, test := range map[string]func(*world, *browsertest.Tab){
		"a whole life": life, "two people share a browser": shared, "without script": scriptless, "a request that runs out": runsOut,
		"browser data is cleared": cleared, "a page that was thrown away": discarded, "a generated password": generated, "no place for keys": keyless, "a phone that reads the text": phone,
		"the console": atConsole, "a client's hand-out": handsOut, "a lost phone": lost, "a file of people": importsPeople,
		"a Standalone Mobile account": standalone, "a person who is looked after": lookedAfter, "an upgrade": upgraded, "the app beside the page": beside, "German": german,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := *whole
			w.t = t
			test(&w, chromium.On(t).Profile())
		})
	}
}

// A person signs in, gets a text, enters the code, and the browser is registered: the next
// sign-in asks for nothing.
func life(w *world, tab *browsertest.Tab) {
	ada := w.signs("ada.lovelace", "+16045550101")
	tab.Open(strings.Replace(w.url, "127.0.0.1", "localhost", 1))
	tab.Arrives(w.url + "/sign-in") // the one origin that keys are for
	tab.Sees("Sign in to Maple")
	tab.Look(screenshots, "sign-in")
	ada.signInWith(tab, "a wrong password")
	tab.Sees("The user ID or the password is wrong.")
	tab.Look(screenshots, "sign-in-wrong")
	signs{w, " Ada.Lovelace ", ada.number}.signIn(tab)
	tab.Sees("Check your phone", "not registered for you yet", "ends in 01")
	right := w.first.code(w.t, ada.number, 1)
	tab.Sees("A carrier has taken the text.") // live, without a reload
	tab.Look(screenshots, "check")
	tab.Fill("#code", "12 34\r")
	tab.Sees("did not count as a try", "5 tries are left")
	tab.Fill("#code", wrong(right))
	tab.Click("main form button")
	tab.Sees("That was not the code.", "4 tries are left")
	tab.Look(screenshots, "check-wrong")
	tab.Fill("#code", right[:3]+" "+right[3:]+"\r")
	tab.Sees("You are in", "Signed in as ada.lovelace", "This browser is now registered", "this browser")
	tab.Look(screenshots, "in")
	tab.Click("summary")
	tab.Fill("input[name=name]", `<b>Ada's</b> laptop`+"\r")
	tab.Sees("The name is saved.", `<b>Ada's</b> laptop`)
	signOut(tab)
	tab.Look(screenshots, "signed-out")
	ada.signIn(tab)
	tab.Sees("You are in")
	if got := tab.Script(kept); !strings.HasPrefix(got, "sealed\n") || strings.Count(got, "\n") != 2 || !strings.HasSuffix(got, "\n{}{}") || strings.Contains(strings.ToLower(got), "ada") {
		w.t.Errorf("the browser keeps %q: want one key that cannot be read out, under a name that tells nobody, and nothing else", got)
	}
	// Revoked, it is out at once and asked again.
	tab.Click("li details:last-of-type summary")
	tab.Click("button.danger")
	tab.Sees("The registration of this browser has ended.")
	ada.signIn(tab)
	tab.Sees("was registered for you, and that registration has ended")
	if n := len(w.first.to(ada.number)); n > 2 {
		w.t.Errorf("%d texts, want one a challenge", n)
	}
}

// Two people share a browser: each has a key of the own, and neither comes in on the other's.
func shared(w *world, tab *browsertest.Tab) {
	bob, eve := w.signs("bob", "+16045550102"), w.signs("eve", "+16045550103")
	bob.enter(tab, 1)
	signOut(tab)
	eve.signIn(tab)
	tab.Sees("Check your phone", "ends in 03")
	tab.Fill("#code", w.first.code(w.t, eve.number, 1)+"\r")
	tab.Sees("Signed in as eve", "This browser is now registered")
	signOut(tab)
	for _, s := range []signs{bob, eve, bob} {
		s.signIn(tab)
		tab.Sees("Signed in as " + s.userID)
		signOut(tab)
	}
	if got := tab.Script(kept); !strings.HasPrefix(got, "sealed\nsealed\n") || strings.Contains(got, "bob") || strings.Contains(got, "eve") {
		w.t.Errorf("the browser keeps %q: want two sealed keys under names that tell nobody", got)
	}
}

// Without script the device is a cookie, and everything works by plain forms.
func scriptless(w *world, tab *browsertest.Tab) {
	carl := w.signs("carl", "+16045550104")
	tab.WithoutScript()
	carl.signIn(tab)
	tab.Sees("Check your phone", "See how the text is doing")
	right := w.first.code(w.t, carl.number, 1)
	tab.Look(screenshots, "check-without-script")
	tab.Click("noscript a")
	tab.Sees("A carrier has taken the text.")
	tab.Fill("#code", wrong(right)+"\r")
	tab.Sees("That was not the code.", "4 tries are left")
	tab.Fill("#code", right+"\r")
	tab.Sees("This browser is now registered", "known by a cookie alone")
	signOut(tab)
	carl.signIn(tab)
	tab.Sees("Signed in as carl")
}

// A browser with script that has no place for keys takes the same way.
func keyless(w *world, tab *browsertest.Tab) {
	dana := w.signs("dana", "+16045550105")
	tab.Before(`IDBObjectStore.prototype.put = () => { throw new DOMException("no room for keys", "DataCloneError"); };`)
	dana.signIn(tab)
	tab.Sees("Check your phone")
	right := w.first.code(w.t, dana.number, 1)
	tab.Sees("A carrier has taken the text.") // live, by looking at the page again
	tab.Fill("#code", right+"\r")
	tab.Sees("This browser is now registered", "known by a cookie alone")
}

// On a phone that reads the text itself (WebOTP) nobody types the code. Without
// server-sent events the page asks how things are.
func phone(w *world, tab *browsertest.Tab) {
	kim := w.signs("kim", "+16045550111")
	tab.Before(`delete window.EventSource;
		window.OTPCredential = class {};
		const text = new Promise((came) => { window.deliver = came; });
		navigator.credentials.get = async (options) => ({ code: await text, asked: options.otp.transport });`)
	kim.signIn(tab)
	tab.Sees("Check your phone")
	right := w.first.code(w.t, kim.number, 1)
	tab.Sees("A carrier has taken the text.")
	tab.Script("window.deliver('" + right + "'), ''")
	tab.Sees("This browser is now registered")
}

// A request that runs out says so by itself, and a new one starts from there.
func runsOut(w *world, tab *browsertest.Tab) {
	fay := w.signs("fay", "+16045550106")
	fay.signIn(tab)
	tab.Sees("Check your phone")
	w.first.code(w.t, fay.number, 1)
	tab.Sees("A carrier has taken the text.")
	w.exec(`UPDATE challenge SET created_at = now() - interval '6 minutes', expires_at = now() - interval '1 second'
		WHERE member_id = (SELECT id FROM member WHERE user_id = 'fay')`)
	tab.Sees("The time for this code is over.", "Sign in again")
	tab.Look(screenshots, "ended")
	tab.Click("main a.button")
	tab.Sees("Sign in to Maple")
}

// A browser that was registered and lost its key is told why a code is asked for.
func cleared(w *world, tab *browsertest.Tab) {
	gus := w.signs("gus", "+16045550107")
	gus.enter(tab, 1)
	signOut(tab)
	tab.Clear(w.url, "indexeddb")
	gus.signIn(tab)
	tab.Sees("its key is gone: that happens when browser data is cleared")
	tab.Look(screenshots, "cleared")
}

// A phone throws the page away while its owner reads the text: it reopens on the same challenge.
func discarded(w *world, tab *browsertest.Tab) {
	hal := w.signs("hal", "+16045550108")
	hal.signIn(tab)
	tab.Sees("Check your phone")
	right := w.first.code(w.t, hal.number, 1)
	at := tab.Address()
	tab.Reload()
	tab.Sees("Check your phone", "A carrier has taken the text.")
	other := tab.Another()
	other.Open(w.url)
	other.Sees("Check your phone")
	if got := other.Address(); got != at {
		w.t.Errorf("a new tab opens %s, want %s", got, at)
	}
	other.Fill("#code", right+"\r")
	other.Sees("This browser is now registered")
	tab.Sees("Sign in once more: no code is asked for.") // the first tab hears of it
}

// A generated password is changed after the code.
func generated(w *world, tab *browsertest.Tab) {
	ida := w.signs("ida", "+16045550109", "must_change_password")
	ida.signIn(tab)
	tab.Sees("Check your phone")
	tab.Fill("#code", w.first.code(w.t, ida.number, 1)+"\r")
	tab.Sees("Choose a password of your own", "This browser is registered.")
	tab.Look(screenshots, "password")
	tab.Open(w.url)
	tab.Sees("Choose a password of your own")
	tab.Fill("#old_password", password)
	tab.Fill("#new_password", "a few words of mine")
	tab.Fill("#new_password_again", "a few words of mine\r")
	tab.Sees("You are in", "Your password is changed.")
	signOut(tab)
	ida.signInWith(tab, "a few words of mine")
	tab.Sees("Signed in as ida")
}

// The page tells the truth while carriers fail, and the text of the second works.
func TestPageTellsTheTruth(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(*up.Options) {})
	w.first.fail(true)
	w.second.fail(true)
	tab := browsertest.Start(t).Profile()
	jo := w.signs("jo", "+16045550110")
	jo.signIn(tab)
	tab.Sees("Another carrier is being tried.")
	tab.Look(screenshots, "trying-another")
	began := time.Now()
	tab.Sees("Your text is late: no carrier could bring it yet. We keep trying until", "you need do nothing.")
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %v to say that the text is late", took)
	}
	if zone := tab.Script(`document.querySelector("#status time").textContent`); strings.Contains(zone, "UTC") {
		t.Errorf("the time is not of the person's own clock: %q", zone)
	}
	tab.Look(screenshots, "late")
	w.second.fail(false)
	tab.Fill("#code", w.second.code(t, jo.number, 1))
	tab.Sees("Another carrier has taken the text.")
	tab.Press("#code", "\r")
	tab.Sees("This browser is now registered")
}

// The example product, a program of its own on another origin: its page imports our
// module, its backend asks us.
func TestProductWithItsOwnForm(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(*up.Options) {})
	free := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	address := free.Addr().String()
	free.Close()
	product := "http://" + address + "/sign-in"
	w.exec("INSERT INTO software (id, kind, name, autofill_host, addresses) VALUES ('example', 'web', 'Example', '127.0.0.1', $1)", []string{product})
	dir := t.TempDir()
	program, key := filepath.Join(dir, "example"), filepath.Join(dir, "key")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../example").CombinedOutput(); err != nil {
		t.Fatalf("building the example: %v\n%s", err, out)
	}
	if err := os.WriteFile(key, []byte(w.apiKey), 0o600); err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), program)
	run.Env = append(os.Environ(), "EXAMPLE_LISTEN="+address, "LATCHKEY_URL="+w.url, "LATCHKEY_API_KEY_FILE="+key)
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		run.Process.Kill()
		run.Wait()
	})
	w.until("the product answers", func() bool {
		resp, err := http.Get(product)
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
	tab := browsertest.Start(t).Profile()
	signIn := func() {
		tab.Open(product)
		tab.Fill("[name=user]", "eve")
		tab.Fill("[name=password]", "the product's own\r")
	}
	signIn()
	tab.Sees("Your text is accepted; the number ends in 21.")
	right := w.first.code(t, "+16045550121", 1)
	tab.Fill("[name=typed]", wrong(right)+"\r")
	tab.Sees("That is not the code. 4 tries are left.")
	tab.Fill("[name=typed]", right+"\r")
	tab.Sees("You are in, eve.")
	signIn()
	tab.Sees("You are in, eve.")
	if n := w.first.count(); n != 1 {
		t.Errorf("%d texts, want 1", n)
	}
}
