package carriers_test

import (
	"bufio"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"latchkey.dev/services/internal/run"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/sms/carriers"
)

func TestPageBeforeTheFirstText(t *testing.T) {
	t.Parallel()
	_, base := start(t, carriers.Options{SignIn: "http://127.0.0.1:8080/"})
	_, page := call(t, "GET", base+"/", "")
	if !strings.Contains(page, `No texts yet. Sign in at <a href="http://127.0.0.1:8080/">http://127.0.0.1:8080/</a> and the code arrives here.`) {
		t.Errorf("the page does not say where to sign in:\n%s", page)
	}
}

func TestPageShowsTextsAsTexts(t *testing.T) {
	t.Parallel()
	_, base := start(t, carriers.Options{})
	deliver(t, base, "447700900001", "482101 is your code")
	deliver(t, base, "447700900002", `<script>alert(1)</script><img src=x onerror=alert(1)>"'`)
	_, page := call(t, "GET", base+"/", "")
	if strings.Contains(page, "<script>") || strings.Contains(page, "<img") || !strings.Contains(page, "&lt;script&gt;alert(1)") {
		t.Errorf("the page takes a text for markup:\n%s", page)
	}
	first, second := strings.Index(page, "482101 is your code"), strings.Index(page, "alert(1)")
	if first < 0 || second < 0 || second > first {
		t.Error("the newest text is not the first")
	}
	if !strings.Contains(page, `<span class="digits">482101</span>`) || !strings.Contains(page, `data-carrier="vonage">vonage</span>`) {
		t.Error("the page does not tell the code and the carrier apart")
	}
	_, one := call(t, "GET", base+"/?to=%2B447700900001", "")
	if !strings.Contains(one, "482101 is your code") || strings.Contains(one, "alert(1)") {
		t.Error("the page of one phone shows another's text, or not its own")
	}
}

func TestPageHasNothingInline(t *testing.T) {
	t.Parallel()
	_, base := start(t, carriers.Options{})
	res, err := http.Get(base + "/")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	policy := res.Header.Get("Content-Security-Policy")
	if strings.Contains(policy, "unsafe") || !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") {
		t.Errorf("the policy is %q", policy)
	}
	_, page := call(t, "GET", base+"/", "")
	if bad := regexp.MustCompile(`<style|\sstyle=|\son[a-z]+=|<script[^>]*>[^<]|javascript:`).FindString(page); bad != "" {
		t.Errorf("the page has %q inline", bad)
	}
	for _, name := range regexp.MustCompile(`(?:src|href)="(/page/[^"]+)"`).FindAllStringSubmatch(page, -1) {
		if status, text := call(t, "GET", base+name[1], ""); status != http.StatusOK || text == "" {
			t.Errorf("%s = %d", name[1], status)
		}
	}
}

func TestPageWorksWithoutItsScript(t *testing.T) {
	t.Parallel()
	s, base := start(t, carriers.Options{Carriers: carriers.Carriers})
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	buttons := regexp.MustCompile(`name="preset" value="([a-z]+)"`)
	_, page := call(t, "GET", base+"/", "")
	names := buttons.FindAllStringSubmatch(page, -1)
	if len(names) < 20 {
		t.Fatalf("the page has %d buttons", len(names))
	}
	for _, name := range names {
		for _, c := range carriers.Carriers {
			if status, body := call(t, "POST", base+"/page/behave", "carrier="+string(c)+"&preset="+name[1], form...); status != http.StatusSeeOther {
				t.Errorf("%s = %d %s", name[1], status, body)
			}
		}
		_, page := call(t, "GET", base+"/", "")
		if got := strings.Count(page, `value="`+name[1]+`" aria-pressed="true"`); got != len(carriers.Carriers) || strings.Count(page, `aria-pressed="true"`) != got {
			t.Errorf("after %s the page shows it as pressed %d times", name[1], got)
		}
	}
	if status, _ := call(t, "POST", base+"/page/reset", "", form...); status != http.StatusSeeOther || s.Behaviour(carriers.Twilio).Mode != carriers.Accept {
		t.Errorf("reset = %d", status)
	}
}

// told is one server-sent event.
type told struct{ name, id, data string }

// follow opens the stream of a page.
func follow(t *testing.T, ctx context.Context, address, after string) <-chan told {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if after != "" {
		r.Header.Set("Last-Event-ID", after)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatalf("the stream is %q", got)
	}
	events := make(chan told, 64)
	go func() {
		defer close(events)
		defer res.Body.Close()
		var e told
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			switch name, value, _ := strings.Cut(lines.Text(), ": "); name {
			case "event":
				e.name = value
			case "id":
				e.id = value
			case "data":
				e.data = value
			case "":
				events <- e
				e = told{}
			}
		}
	}()
	return events
}

// await returns the next event of a name.
func await(t *testing.T, events <-chan told, name string) told {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		select {
		case e, ok := <-events:
			if !ok {
				t.Fatalf("the stream ended before %s", name)
			}
			if e.name == name {
				return e
			}
		case <-limit:
			t.Fatalf("there was no event %s", name)
		}
	}
}

func TestPageFollowsTextsAndCarriers(t *testing.T) {
	t.Parallel()
	s, base := start(t, carriers.Options{})
	deliver(t, base, "447700900001", "before the page")
	_, page := call(t, "GET", base+"/", "")
	place := regexp.MustCompile(`data-place="([^"]+)"`).FindStringSubmatch(page)[1]
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events := follow(t, ctx, base+"/page/stream?after="+place, "")
	await(t, events, "carriers")
	deliver(t, base, "447700900002", "482101 after the page")
	texts := await(t, events, "texts")
	var got []struct{ To, Body, Code, Carrier string }
	if err := json.Unmarshal([]byte(texts.data), &got); err != nil || len(got) != 1 || got[0].To != "+447700900002" || got[0].Code != "482101" || got[0].Carrier != "vonage" {
		t.Fatalf("the page was told %s, want the one new text", texts.data)
	}
	if err := s.Behave(carriers.Twilio, carriers.Behaviour{Mode: carriers.Hang}); err != nil {
		t.Fatal(err)
	}
	for e := await(t, events, "carriers"); !strings.Contains(e.data, "Hangs"); e = await(t, events, "carriers") {
	}

	// A page that lost its connection goes on where it was, and one of another life of
	// the journal begins anew.
	deliver(t, base, "447700900003", "while away")
	if e := await(t, follow(t, ctx, base+"/page/stream", texts.id), "texts"); !strings.Contains(e.data, "while away") || strings.Contains(e.data, "482101") {
		t.Errorf("the page that came back was told %s", e.data)
	}
	if err := s.Reset(); err != nil {
		t.Fatal(err)
	}
	await(t, events, "reset")
	deliver(t, base, "447700900004", "the first again")
	if e := await(t, events, "texts"); !strings.Contains(e.data, "the first again") {
		t.Errorf("after the reset the page was told %s", e.data)
	}
	if e := <-follow(t, ctx, base+"/page/stream", "f00.0.2"); e.name != "reset" {
		t.Errorf("the page of another run was told %s, want a reset", e.name)
	}

	one := follow(t, ctx, base+"/page/stream?to=%2B447700900005", "")
	await(t, one, "carriers")
	deliver(t, base, "447700900004", "not for that phone")
	deliver(t, base, "447700900005", "for that phone")
	if e := await(t, one, "texts"); !strings.Contains(e.data, "for that phone") || strings.Contains(e.data, "not for") {
		t.Errorf("the page of one phone was told %s", e.data)
	}

	s.Close() // ends the streams
	for range events {
	}
}

func TestAnOpenPageDoesNotHoldUpTheEnd(t *testing.T) {
	t.Parallel()
	s := carriers.New(carriers.Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	server := &web.Server{Name: "phones", Listener: l, Handler: s.Handler(), Logger: slog.New(slog.DiscardHandler)}
	ended := make(chan error, 1)
	go func() {
		ended <- run.All(ctx, run.Component{Name: "carriers", Run: s.Run}, run.Component{Name: "phones", Run: server.Run})
	}()
	events := follow(t, t.Context(), "http://"+l.Addr().String()+"/page/stream", "")
	await(t, events, "carriers")
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second): // the server itself would wait for ten
		t.Error("the end waits for the page")
	}
}

func TestPagesThatFollowAreBounded(t *testing.T) {
	t.Parallel()
	_, base := start(t, carriers.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 64 {
		<-follow(t, ctx, base+"/page/stream", "")
	}
	if status, _ := call(t, "GET", base+"/page/stream", ""); status != http.StatusServiceUnavailable {
		t.Errorf("the 65th page got %d, want 503", status)
	}
}
