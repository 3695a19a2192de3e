package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"

	"latchkey.dev/services/app"
	"latchkey.dev/services/internal/secret"
)

// appCommands is `latchkey app`: a mobile app's part, on a command line.
type appCommands struct {
	SignIn  appSignIn  `cmd:"" name:"sign-in" help:"Sign in with user ID and password. Where a code is due, it is asked for on the standard input."`
	Code    appCode    `cmd:"" help:"Enter the code of the sign-in that waits for it."`
	Status  appStatus  `cmd:"" help:"Tell who is signed in, or how the text of a waiting sign-in is doing."`
	Devices appDevices `cmd:"" help:"List the person's registered devices."`
	SignOut appSignOut `cmd:"" name:"sign-out" help:"End the session."`
}

// appFlags are what every part of the app needs.
type appFlags struct {
	URL      string `help:"Origin of the API." default:"http://127.0.0.1:8080"`
	Software string `help:"What is signed in to." default:"mobile"`
	Dir      string `help:"Where the app keeps its key and its session." default:"~/.latchkey-app" type:"path"`
	JSON     bool   `name:"json" help:"Answer in JSON."`
}

// appState is what the app remembers between its commands, for its owner's eyes alone.
type appState struct {
	Token     string    `json:"token,omitempty"`
	Challenge uuid.UUID `json:"challenge,omitzero"`
}

func (f *appFlags) client() (*app.Client, error) {
	if err := os.MkdirAll(f.Dir, 0o700); err != nil {
		return nil, err
	}
	key, err := (&proofCommand{KeyFile: filepath.Join(f.Dir, "device.jwk")}).key()
	if err != nil {
		return nil, err
	}
	return &app.Client{URL: strings.TrimSuffix(f.URL, "/"), Software: f.Software, Key: key, HTTP: http.DefaultClient}, nil
}

func (f *appFlags) file() string { return filepath.Join(f.Dir, "session.json") }

func (f *appFlags) load() (s appState, err error) {
	b, err := os.ReadFile(f.file())
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("reading %s: %w", f.file(), err)
	}
	return s, nil
}

// save replaces the file as a whole: a half-written one would be no session.
func (f *appFlags) save(s appState) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	next := f.file() + ".new"
	if err := os.WriteFile(next, b, 0o600); err != nil {
		return err
	}
	return os.Rename(next, f.file())
}

// tell prints an answer: as JSON, or as a sentence.
func (f *appFlags) tell(out any, sentence string) error {
	if f.JSON {
		return json.NewEncoder(os.Stdout).Encode(out)
	}
	_, err := fmt.Println(sentence)
	return err
}

type appSignIn struct {
	appFlags
	UserID       string `arg:"" help:"The person's user ID."`
	PasswordFile string `help:"File with the password; the first line of the standard input if not given." type:"path"`
	OS           string `name:"os" help:"The device's system." default:"Android"`
	OSMajor      int    `name:"os-major" help:"Major version of the system." default:"16"`
	App          string `help:"Name of the app." default:"Latchkey"`
	AppVersion   int    `help:"Major version of the app." default:"1"`
	NoWait       bool   `help:"Do not ask for the code; it is entered by the command code."`
}

// Run signs in, and where a code is due asks for it.
func (c *appSignIn) Run(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	client.Facets = app.Facets{App: c.App, AppMajor: c.AppVersion, OS: c.OS, OSMajor: c.OSMajor}
	in := bufio.NewReader(io.LimitReader(os.Stdin, 1<<16))
	password, err := c.password(in)
	if err != nil {
		return err
	}
	a, err := client.SignIn(ctx, c.UserID, password)
	if err != nil {
		return err
	}
	if a.Challenge == nil {
		return c.signedIn(a)
	}
	if err := c.save(appState{Challenge: a.Challenge.ID}); err != nil {
		return err
	}
	if c.NoWait {
		return c.tell(a.Challenge, "A security code goes to the number that ends in "+a.Challenge.LastTwo+". Enter it with: latchkey app code")
	}
	following, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		_ = client.Follow(following, a.Challenge.ID, func(now app.Challenge) { fmt.Fprintln(os.Stderr, "The text:", now.Status) }) // only told
	}()
	fmt.Fprintf(os.Stderr, "A security code goes to the number that ends in %s. Code: ", a.Challenge.LastTwo)
	typed, err := line(in)
	if err != nil {
		return err
	}
	return c.enter(ctx, client, a.Challenge.ID, typed)
}

func (c *appSignIn) password(in *bufio.Reader) (secret.String, error) {
	if c.PasswordFile != "" {
		return secret.FromFile(c.PasswordFile)
	}
	fmt.Fprint(os.Stderr, "Password: ")
	typed, err := line(in)
	return secret.New(typed), err
}

func line(in *bufio.Reader) (string, error) {
	s, err := in.ReadString('\n')
	if s = strings.TrimRight(s, "\r\n"); s == "" {
		if err == nil || errors.Is(err, io.EOF) {
			err = errors.New("nothing was typed")
		}
		return "", err
	}
	return s, nil
}

func (f *appFlags) signedIn(a app.Answer) error {
	if a.Session == nil {
		return errors.New("no session was given: the sign-in was not made here")
	}
	if err := f.save(appState{Token: a.Session.Token}); err != nil {
		return err
	}
	return f.tell(map[string]any{"status": "signed_in", "must_change_password": a.Session.MustChangePassword}, "Signed in.")
}

func (f *appFlags) enter(ctx context.Context, client *app.Client, challenge uuid.UUID, typed string) error {
	a, err := client.Enter(ctx, challenge, typed)
	switch {
	case err != nil:
		return err
	case a.Result == "registered":
		return f.signedIn(a)
	case a.Result == "pending":
		return errors.New("the code is not judged yet: see latchkey app status, or sign in again")
	}
	return fmt.Errorf("that was not the code: %d tries are left", a.TriesLeft)
}

type appCode struct{ appFlags }

// Run enters the code that the standard input has.
func (c *appCode) Run(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	s, err := c.load()
	if err != nil {
		return err
	}
	if s.Challenge == uuid.Nil {
		return errors.New("no sign-in waits for a code")
	}
	typed, err := line(bufio.NewReader(io.LimitReader(os.Stdin, 1<<10)))
	if err != nil {
		return err
	}
	return c.enter(ctx, client, s.Challenge, typed)
}

type appStatus struct{ appFlags }

// Run tells of the session, or of the challenge that waits.
func (c *appStatus) Run(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	s, err := c.load()
	if err != nil {
		return err
	}
	if s.Challenge != uuid.Nil {
		now, err := client.Status(ctx, s.Challenge)
		if err != nil {
			return err
		}
		return c.tell(now, "The text: "+now.Status)
	}
	var out map[string]any
	if err := c.call(ctx, client, http.MethodGet, "/v1/session", &out); err != nil {
		return err
	}
	return c.tell(out, fmt.Sprintf("Signed in to %v as %v.", out["software"], out["user_id"]))
}

type appDevices struct{ appFlags }

// Run lists the person's devices.
func (c *appDevices) Run(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	var out struct {
		Devices []map[string]any `json:"devices"`
	}
	if err := c.call(ctx, client, http.MethodGet, "/v1/devices", &out); err != nil {
		return err
	}
	lines := make([]string, len(out.Devices))
	for i, d := range out.Devices {
		lines[i] = fmt.Sprintf("%v  %v  %v", d["id"], d["software"], d["name"])
	}
	return c.tell(out, strings.Join(lines, "\n"))
}

type appSignOut struct{ appFlags }

// Run ends the session.
func (c *appSignOut) Run(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	if err := c.call(ctx, client, http.MethodDelete, "/v1/session", nil); err != nil {
		return err
	}
	if err := c.save(appState{}); err != nil {
		return err
	}
	return c.tell(map[string]any{"status": "signed_out"}, "Signed out.")
}

func (f *appFlags) call(ctx context.Context, client *app.Client, method, path string, out any) error {
	s, err := f.load()
	if err != nil {
		return err
	}
	if s.Token == "" {
		return errors.New("nobody is signed in")
	}
	return client.Call(ctx, method, path, s.Token, out)
}
