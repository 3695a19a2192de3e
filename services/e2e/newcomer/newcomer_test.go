// Package newcomer does what README tells a newcomer to do, with README's own commands.
package newcomer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"latchkey.dev/services/internal/browsertest"
)

// place is an installation of somebody who has just cloned the project.
type place struct {
	t                                *testing.T
	bin, data                        string
	public, console, phones, metrics string // addresses
}

func newPlace(t *testing.T) *place {
	t.Helper()
	dir, err := os.MkdirTemp("", "latchkey-newcomer-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil { // PostgreSQL's own user passes through
		t.Fatal(err)
	}
	p := &place{t: t, bin: filepath.Join(dir, ".tools"), data: filepath.Join(dir, "data"), public: free(t), console: free(t), phones: free(t), metrics: free(t)}
	for _, command := range []string{"cmd/latchkey", "example"} {
		out, err := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(p.bin, filepath.Base(command)), "latchkey.dev/services/"+command).CombinedOutput()
		if err != nil {
			t.Fatalf("building %s: %v\n%s", command, err, out)
		}
	}
	return p
}

// free returns an address on which nothing listens now.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start runs a program until stop, which asks it to end and returns all that it said. ready
// is an address that answers 200 when it can be used.
func (p *place) start(ready, program string, env []string, args ...string) (stop func() string) {
	p.t.Helper()
	var said bytes.Buffer
	cmd := exec.Command(filepath.Join(p.bin, program), args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stopped := false
	stop = func() string {
		p.t.Helper()
		if stopped {
			return said.String()
		}
		stopped = true
		_ = cmd.Process.Signal(syscall.SIGTERM) // fails only where it has ended
		select {
		case err := <-ended:
			if code := cmd.ProcessState; err != nil && code.ExitCode() != -1 {
				p.t.Errorf("%s ended badly: %v\n%s", program, err, said.String())
			}
		case <-time.After(30 * time.Second):
			_ = cmd.Process.Kill()
			p.t.Errorf("%s did not stop within 30 s", program)
			<-ended
		}
		return said.String()
	}
	p.t.Cleanup(func() { stop() })
	limit := time.After(2 * time.Minute)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if resp, err := http.Get(ready); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return stop
			}
		}
		select {
		case err := <-ended:
			ended <- err
			p.t.Fatalf("%s ended: %v\n%s", program, err, stop())
		case <-limit:
			p.t.Fatalf("%s was not ready within two minutes", program)
		case <-tick.C:
		}
	}
}

func (p *place) up() (stop func() string) {
	p.t.Helper()
	return p.start("http://"+p.metrics+"/readyz", "latchkey", []string{"LATCHKEY_DATA=" + p.data, "LATCHKEY_LISTEN=" + p.public,
		"LATCHKEY_CONSOLE_LISTEN=" + p.console, "LATCHKEY_PHONES_LISTEN=" + p.phones, "LATCHKEY_METRICS_LISTEN=" + p.metrics, "LATCHKEY_AUDITOR_LISTEN=127.0.0.1:0"}, "up")
}

// readme returns README's blocks of shell commands, with this place's addresses.
func (p *place) readme() (blocks []string) {
	p.t.Helper()
	b, err := os.ReadFile("../../../README.md")
	if err != nil {
		p.t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(b), -1) {
		blocks = append(blocks, strings.NewReplacer("127.0.0.1:8080", p.public, "127.0.0.1:8081", p.console, "127.0.0.1:8082", p.phones, "127.0.0.1:8083", p.metrics).Replace(m[1]))
	}
	return blocks
}

// shell runs README's commands as a person's shell would, in the clone.
func (p *place) shell(commands string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euc", commands)
	cmd.Dir = filepath.Dir(p.bin)
	cmd.Env = append(os.Environ(), "LATCHKEY_DATA="+p.data)
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Fatalf("%v\n%s\n%s", err, commands, out)
	}
	return string(out)
}

// The page of curl in README works as it is written, and what it did is there after a restart.
func TestReadmeByCurl(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	blocks := p.readme()
	if len(blocks) != 3 {
		t.Fatalf("README has %d blocks of commands, and this test knows 3", len(blocks))
	}
	stop := p.up()
	out := p.shell(blocks[1])
	for _, want := range []string{`"has_number":true`, `"last_two":"31"`, `"result":"registered"`, `{"status":"registered"`, "Signed in."} {
		if !strings.Contains(out, want) {
			t.Errorf("the commands did not say %s:\n%s", want, out)
		}
	}
	told := stop()
	for _, want := range []string{"http://" + p.public + "/", "http://" + p.phones + "/", "olivia", "demonstration", p.data} {
		if !strings.Contains(told, want) {
			t.Errorf("the start did not tell %q:\n%s", want, told)
		}
	}

	stop = p.up()
	again := p.shell("PATH=$PWD/.tools:$PATH; " + between(t, blocks[1], "URL=", "# 1.") + between(t, blocks[1], "check() {", "CHALLENGE=") + "check; latchkey account list; latchkey audit replay >/dev/null")
	for _, want := range []string{`{"status":"registered"`, "Maple Clinic", "Sam's practice"} {
		if !strings.Contains(again, want) {
			t.Errorf("after a restart %s is gone:\n%s", want, again)
		}
	}
	stop()
}

// between is the part of text from a beginning up to an end.
func between(t *testing.T, text, from, to string) string {
	t.Helper()
	i := strings.Index(text, from)
	j := strings.Index(text, to)
	if i < 0 || j < i {
		t.Fatalf("README's commands have no %q before %q any more", from, to)
	}
	return text[i:j]
}

// The example product, with passwords of its own, has the devices of its people registered
// through the browser's module, on an origin of its own.
func TestExampleProduct(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	at := free(t)
	// Softwares of one's own, and the simulated carriers, since no provider is named.
	config := fmt.Sprintf("softwares:\n  - {id: example, kind: web, name: Example, addresses: ['http://%s/sign-in']}\n", at)
	if err := errors.Join(os.Mkdir(p.data, 0o711), os.WriteFile(filepath.Join(p.data, "latchkey.yaml"), []byte(config), 0o600)); err != nil {
		t.Fatal(err)
	}
	p.up()
	p.start("http://"+at+"/sign-in", "example", []string{"LATCHKEY_URL=http://" + p.public, "EXAMPLE_LISTEN=" + at, "LATCHKEY_API_KEY_FILE=" + filepath.Join(p.data, "keys", "demo.apikey")})
	tab := browsertest.Start(t).Profile()
	signIn := func(password string) {
		t.Helper()
		tab.Open("http://" + at + "/sign-in")
		tab.Sees("Example product")
		tab.Fill("input[name=user]", "eve")
		tab.Fill("input[name=password]", password)
		tab.Click("form button")
	}
	signIn("a wrong one")
	tab.Sees("The user or the password is wrong.")
	signIn("the product's own")
	tab.Sees("ends in 21")
	tab.Fill("input[name=typed]", "00")
	tab.Click("form button")
	tab.Sees("A code is the 6 digits")
	tab.Fill("input[name=typed]", p.code("+16045550121"))
	tab.Click("form button")
	tab.Sees("You are in, eve.")
	signIn("the product's own")
	tab.Sees("You are in, eve.") // without a code
	if texts := p.phone("texts?to=%2B16045550121"); strings.Count(texts, " is your Example code") != 1 {
		t.Errorf("texts to eve: %s, want one with a code", texts)
	}
}

// phone asks the phones' control API.
func (p *place) phone(path string) string {
	p.t.Helper()
	resp, err := http.Get("http://" + p.phones + "/control/" + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		p.t.Fatalf("asking the phones: %d %v %s", resp.StatusCode, err, b)
	}
	return string(b)
}

// code is the code of the first text to a number.
func (p *place) code(number string) string {
	p.t.Helper()
	m := regexp.MustCompile(`"body":"([0-9]{6}) `).FindStringSubmatch(p.phone(fmt.Sprintf("texts/%s/1?wait=20", number)))
	if m == nil {
		p.t.Fatal("the text has no code")
	}
	return m[1]
}
