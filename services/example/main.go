// Command example is a product with users and passwords of its own that puts Latchkey
// behind its sign-in form. It uses the public API alone, as README describes it, and the
// standard library: read it to see what a product has to do.
package main

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/subtle"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// A user of the product. What Latchkey knows is the id, the role and the phone number.
type user struct{ name, password, member, phone string }

var users = map[string]user{
	"eve":   {"eve", "the product's own", "00000000-0000-7000-8000-0000000000e1", "+16045550121"},
	"frank": {"frank", "another of its own", "00000000-0000-7000-8000-0000000000e2", "+16045550122"},
}

//go:embed pages.html sign-in.js
var files embed.FS

var (
	address  = cmp.Or(os.Getenv("EXAMPLE_LISTEN"), "127.0.0.1:8090")
	latchkey = cmp.Or(os.Getenv("LATCHKEY_URL"), "http://127.0.0.1:8080")
	apiKey   string
	pages    = template.Must(template.ParseFS(files, "pages.html"))
	client   = &http.Client{Timeout: 10 * time.Second}

	mu       sync.Mutex
	sessions = map[string]session{} // by the cookie; a product would keep them in its database
)

// A session is pending while its device's challenge is open.
type session struct{ user, challenge string }

func main() {
	key, err := os.ReadFile(os.Getenv("LATCHKEY_API_KEY_FILE"))
	if err != nil {
		log.Fatal("set LATCHKEY_API_KEY_FILE to the file with the API key that `make run` printed: ", err)
	}
	apiKey = strings.TrimSpace(string(key))
	for _, u := range users { // saying it again does no harm
		if status, err := call("PUT", "/v1/members/"+u.member, map[string]any{"role": "provider", "phone": u.phone}, nil); err != nil || status >= 300 {
			log.Fatalf("telling Latchkey of %s: %d %v", u.name, status, err)
		}
	}
	http.Handle("GET /sign-in.js", http.FileServerFS(files))
	http.HandleFunc("GET /{$}", home)
	http.HandleFunc("GET /sign-in", func(w http.ResponseWriter, _ *http.Request) { show(w, "sign-in", nil) })
	http.HandleFunc("POST /sign-in", signIn)
	http.HandleFunc("POST /code", code)
	fmt.Printf("the example product: http://%s/sign-in (eve, %q)\n", address, users["eve"].password)
	log.Fatal(http.ListenAndServe(address, http.NewCrossOriginProtection().Handler(http.DefaultServeMux)))
}

// signIn checks the product's own password, and then asks Latchkey about the device.
func signIn(w http.ResponseWriter, r *http.Request) {
	u := users[r.FormValue("user")]
	if u.name == "" || subtle.ConstantTimeCompare([]byte(r.FormValue("password")), []byte(u.password)) != 1 {
		show(w, "sign-in", "The user or the password is wrong.")
		return
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	var answer struct {
		Status    string
		Detail    string // of a refusal
		Challenge struct{ ID string }
	}
	status, err := call("POST", "/v1/device-checks", map[string]any{"member": u.member, "software": "example", "proof": r.FormValue("proof"), "address": host,
		"headers": map[string]string{"user_agent": r.UserAgent(), "sec_ch_ua": r.Header.Get("Sec-CH-UA"), "sec_ch_ua_platform": r.Header.Get("Sec-CH-UA-Platform"),
			"sec_ch_ua_platform_version": r.Header.Get("Sec-CH-UA-Platform-Version")}}, &answer)
	switch {
	case err == nil && status == http.StatusOK: // registered, or not required of this person
		begin(w, session{user: u.name})
		http.Redirect(w, r, "/", http.StatusSeeOther)
	case err == nil && status == http.StatusAccepted:
		begin(w, session{u.name, answer.Challenge.ID})
		show(w, "code", answer.Challenge.ID)
	default:
		show(w, "sign-in", cmp.Or(answer.Detail, "Sign-in is not possible just now."))
	}
}

// code asks Latchkey itself whether the code was right: the page is not believed.
func code(w http.ResponseWriter, r *http.Request) {
	s, cookie := current(r)
	var answer struct{ Status string }
	status, err := call("GET", "/v1/challenges/"+s.challenge, nil, &answer)
	if s.challenge == "" || err != nil || status != http.StatusOK || answer.Status != "registered" {
		show(w, "sign-in", "The code was not entered. Sign in again.")
		return
	}
	mu.Lock()
	delete(sessions, cookie)
	mu.Unlock()
	begin(w, session{user: s.user})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func home(w http.ResponseWriter, r *http.Request) {
	s, _ := current(r)
	if s.user == "" || s.challenge != "" {
		http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
		return
	}
	show(w, "home", s.user)
}

func begin(w http.ResponseWriter, s session) {
	name := rand.Text()
	mu.Lock()
	sessions[name] = s
	mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: "example", Value: name, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

func current(r *http.Request) (session, string) {
	c, err := r.Cookie("example")
	if err != nil {
		return session{}, ""
	}
	mu.Lock()
	defer mu.Unlock()
	return sessions[c.Value], c.Value
}

func show(w http.ResponseWriter, page string, data any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self' "+latchkey+"; connect-src "+latchkey+"; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	if err := pages.ExecuteTemplate(w, page, map[string]any{"Latchkey": latchkey, "Data": data}); err != nil {
		log.Print(err)
	}
}

// call asks Latchkey's API, and reads the answer into out.
func call(method, path string, body, out any) (int, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	r, err := http.NewRequest(method, latchkey+path, bytes.NewReader(b))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+apiKey)
	resp, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if out != nil {
		err = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(out)
	}
	return resp.StatusCode, err
}
