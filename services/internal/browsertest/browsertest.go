// Package browsertest drives a real Chromium for tests. No binary links it.
package browsertest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"
)

// Env names the variable with Chromium's program, where it is not found by itself.
const Env = "LATCHKEY_CHROMIUM"

// patience is how long a page may take to say what is waited for.
const patience = time.Minute

// program finds Chromium, or says in one sentence what to do.
func program() (string, error) {
	names := []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome-headless-shell"}
	if named := os.Getenv(Env); named != "" {
		names = []string{named}
	}
	for _, n := range names {
		if path, err := exec.LookPath(n); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no Chromium on this machine: install it with `make chromium` or `apt-get install chromium`, or name its program in %s", Env)
}

// Browser is a Chromium of its own, ended with its test.
type Browser struct {
	t   *testing.T
	ctx context.Context
}

// Start starts a browser.
func Start(t *testing.T) *Browser {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.DisableGPU, chromedp.WSURLReadTimeout(time.Minute))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium has no sandbox for root
	}
	allocated, release := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(release)
	ctx, end := chromedp.NewContext(allocated, chromedp.WithErrorf(func(string, ...any) {}))
	t.Cleanup(end)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting Chromium: %v", err)
	}
	return &Browser{t, ctx}
}

// On returns the same browser for a subtest.
func (b *Browser) On(t *testing.T) *Browser { return &Browser{t, b.ctx} }

// Profile opens a tab in a browser profile of its own, with nothing stored in it.
func (b *Browser) Profile() *Tab { return b.tab(b.ctx, chromedp.WithNewBrowserContext()) }

func (b *Browser) tab(parent context.Context, options ...chromedp.ContextOption) *Tab {
	b.t.Helper()
	ctx, end := chromedp.NewContext(parent, options...)
	b.t.Cleanup(end)
	tab := &Tab{t: b.t, b: b, ctx: ctx}
	if err := chromedp.Do(ctx); err != nil { // the tab lives as long as the context of its first run
		b.t.Fatalf("opening a tab: %v", err)
	}
	tab.do(chromedp.EmulateViewport(1280, 900))
	err := chromedp.Listen(ctx, func(ev any) {
		if e, ok := ev.(*runtime.EventExceptionThrown); ok {
			b.t.Errorf("a script failed: %s %s", e.ExceptionDetails.Text, describe(e.ExceptionDetails.Exception))
		}
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return tab
}

func describe(o *runtime.RemoteObject) string {
	if o == nil {
		return ""
	}
	return o.Description
}

// Tab is what a person has before them.
type Tab struct {
	t          *testing.T
	b          *Browser
	ctx        context.Context
	scriptless bool // scripts are off
}

func (p *Tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	for {
		err := chromedp.Do(ctx, steps...)
		if err == nil {
			return
		}
		// A page that is loaded while a step looks at the one before takes its nodes away:
		// the step is taken again, on the new page.
		if ctx.Err() != nil || !strings.Contains(err.Error(), "node with given id") {
			p.t.Fatalf("driving Chromium: %v; the page says:\n%s", err, p.Text())
		}
	}
}

// Elsewhere opens a tab in another profile, as another person's browser.
func (p *Tab) Elsewhere() *Tab { return p.b.Profile() }

// Another opens another tab of the same profile.
func (p *Tab) Another() *Tab {
	p.t.Helper()
	return p.b.tab(p.ctx)
}

// Open goes to an address.
func (p *Tab) Open(address string) {
	p.t.Helper()
	p.do(chromedp.Navigate(address))
}

// Reload loads the page again, as a phone does with a page that it discarded.
func (p *Tab) Reload() {
	p.t.Helper()
	p.do(chromedp.Reload())
}

// loaded waits until the page's own scripts have run: who is quicker than they are sends a
// form without what they add to it.
func (p *Tab) loaded() {
	p.t.Helper()
	p.until("load", func() bool {
		ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
		defer cancel()
		state, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.readyState"))
		return err == nil && state == "complete"
	})
}

// Fill types into the field that a selector finds, as a person would.
func (p *Tab) Fill(selector, typed string) {
	p.t.Helper()
	s := chromedp.CSS(selector)
	empty := chromedp.Evaluate[chromedp.Void](fmt.Sprintf("document.querySelector(%q).value = ''", selector))
	p.loaded()
	p.do(chromedp.WaitVisible(s), empty, chromedp.SendKeys(s, typed))
}

// Press presses keys in the field that has the focus of a selector.
func (p *Tab) Press(selector, keys string) {
	p.t.Helper()
	p.do(chromedp.SendKeys(chromedp.CSS(selector), keys))
}

// Click clicks what a selector finds.
func (p *Tab) Click(selector string) {
	p.t.Helper()
	s := chromedp.CSS(selector)
	p.loaded()
	p.do(chromedp.WaitVisible(s), chromedp.WaitEnabled(s), chromedp.Click(s))
}

// Text is what can be read on the page.
func (p *Tab) Text() string {
	ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body ? document.body.innerText : ''"))
	if err != nil {
		return "" // between two pages
	}
	return text
}

// Sees waits until each of texts can be read.
func (p *Tab) Sees(texts ...string) {
	p.t.Helper()
	p.until("see "+strings.Join(texts, " and "), func() bool {
		all := p.Text()
		for _, t := range texts {
			if !strings.Contains(all, t) {
				return false
			}
		}
		return true
	})
}

func (p *Tab) until(what string, ok func() bool) {
	p.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			p.t.Fatalf("did not %s within %s; %s says:\n%s", what, patience, p.Address(), p.Text())
		}
	}
}

// Address is where the tab is.
func (p *Tab) Address() string {
	ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
	defer cancel()
	at, err := chromedp.Run(ctx, chromedp.Location())
	if err != nil {
		return err.Error()
	}
	return at
}

// Arrives waits until the tab is at an address.
func (p *Tab) Arrives(address string) {
	p.t.Helper()
	p.until("arrive at "+address, func() bool { return p.Address() == address })
}

// Script runs an expression in the page, waits for its promise, and returns its string.
func (p *Tab) Script(expression string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	out, err := chromedp.Run(ctx, chromedp.Evaluate[string](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("running a script: %v", err)
	}
	return out
}

// WithoutScript switches scripts off in this tab.
func (p *Tab) WithoutScript() {
	p.t.Helper()
	p.scripts(false)
	p.scriptless = true
}

func (p *Tab) scripts(on bool) {
	p.t.Helper()
	if _, err := chromedp.Call(p.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on}); err != nil {
		p.t.Fatal(err)
	}
}

// Be makes the tab's browser call itself another one from now on, without Client Hints.
func (p *Tab) Be(userAgent string) {
	p.t.Helper()
	if _, err := chromedp.Call(p.ctx, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: userAgent}); err != nil {
		p.t.Fatal(err)
	}
}

// Before runs a script in every page from now on, before the page's own.
func (p *Tab) Before(script string) {
	p.t.Helper()
	if _, err := chromedp.Call(p.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script}); err != nil {
		p.t.Fatal(err)
	}
}

// Clear clears kinds of browser data of an origin: "all", "cookies", "indexeddb".
func (p *Tab) Clear(origin, kinds string) {
	p.t.Helper()
	if _, err := chromedp.Call(p.ctx, storage.ClearDataForOrigin, storage.ClearDataForOriginParams{Origin: origin, StorageTypes: kinds}); err != nil {
		p.t.Fatal(err)
	}
}

// Look writes pictures of the page into dir: on a phone and on a desktop, light and dark.
// It fails where something sticks out at the side or cannot be named by a screen reader, and
// where axe-core finds a serious barrier.
func (p *Tab) Look(dir, name string) {
	p.t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		p.t.Fatal(err)
	}
	for _, look := range []struct {
		name, scheme string
		width        int64
	}{{"phone", "light", 360}, {"phone-dark", "dark", 360}, {"desktop", "light", 1280}, {"desktop-dark", "dark", 1280}} {
		media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: look.scheme}}}
		if _, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, media); err != nil {
			p.t.Fatal(err)
		}
		p.do(chromedp.EmulateViewport(look.width, 740))
		beyond := true
		shot, err := chromedp.Call(p.ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: &beyond})
		if err != nil {
			p.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+"-"+look.name+".png"), shot.Data, 0o644); err != nil {
			p.t.Fatal(err)
		}
		if wide := p.Script("String(document.documentElement.scrollWidth > innerWidth)"); wide == "true" {
			p.t.Errorf("%s is wider than %d pixels", name, look.width)
		}
		if look.name == "phone" || look.name == "desktop-dark" {
			p.Accessible(name + "-" + look.name)
		}
	}
	p.do(chromedp.EmulateViewport(1280, 900))
	if nameless := p.Script(unnamed); nameless != "" {
		p.t.Errorf("%s has what a screen reader cannot name: %s", name, nameless)
	}
}

// unnamed finds what a screen reader would be silent about.
const unnamed = `[
	...[...document.querySelectorAll("input:not([type=hidden])")].filter((e) => !e.labels.length),
	...[...document.querySelectorAll("button, a, summary")].filter((e) => !(e.ariaLabel || e.textContent).trim()),
	...(document.documentElement.lang && document.title && document.querySelectorAll("h1").length === 1 && document.querySelector("main") ? [] : [document.documentElement]),
].map((e) => e.outerHTML.slice(0, 100)).join("; ")`
