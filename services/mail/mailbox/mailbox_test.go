package mailbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/email"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/mail"
	"latchkey.dev/services/mail/mailbox"
)

func start(t *testing.T) *mailbox.Server {
	t.Helper()
	s, err := mailbox.Start(mailbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func address(t *testing.T, text string) email.Address {
	t.Helper()
	a, err := email.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func sender(t *testing.T, s *mailbox.Server) *mail.SMTP {
	t.Helper()
	host, port, err := net.SplitHostPort(s.Address())
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	out, err := mail.NewSMTP(mail.Options{Host: host, Port: n, Security: mail.Clear, From: address(t, "latchkey@maple.example"), Name: "Maple"})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func message(t *testing.T) mail.Message {
	return mail.Message{ID: uuid.MustParse("019a5b3c-7d00-7000-8000-000000000001"), To: address(t, "ada@example.org"),
		Subject: "Neues Gerät\r\nBcc: eve@example.org", Text: "Zeile eins\nhttps://login.maple.example/not-me/" + strings.Repeat("x", 80) + "\n.\nüber alles\n"}
}

// What is sent arrives whole, once, and no value begins a header of its own.
func TestAMessageArrives(t *testing.T) {
	t.Parallel()
	s := start(t)
	m := message(t)
	if out := sender(t, s).Send(t.Context(), m); out.Ending != mail.Accepted {
		t.Fatalf("sending: %+v", out)
	}
	got, err := s.Wait(t.Context(), "ADA@example.org", 1)
	if err != nil {
		t.Fatal(err)
	}
	if got.Text != m.Text || got.Subject != "Neues Gerät  Bcc: eve@example.org" || got.ID != m.ID.String()+"@maple.example" ||
		got.From != `"Maple" <latchkey@maple.example>` {
		t.Errorf("it arrived as %+v", got)
	}
	if all, _ := s.Mails("", 0); len(all) != 1 {
		t.Errorf("%d mails, want 1: nobody else got it", len(all))
	}
}

// The endings follow from what the server does, and it comes back.
func TestFaults(t *testing.T) {
	t.Parallel()
	for mode, want := range map[mailbox.Mode]mail.Outcome{
		mailbox.Refuse: {Ending: mail.Never, Reason: "refused", Code: 550},
		mailbox.Defer:  {Ending: mail.Later, Reason: "refused", Code: 451},
		mailbox.Hang:   {Ending: mail.Later, Reason: "timeout"},
		mailbox.Down:   {Ending: mail.Later, Reason: "unreachable"},
	} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			s := start(t)
			out := sender(t, s)
			if err := s.Behave(mode); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			if got := out.Send(ctx, message(t)); got != want {
				t.Errorf("%s: %+v, want %+v", mode, got, want)
			}
			if err := s.Behave(mailbox.Accept); err != nil {
				t.Fatal(err)
			}
			if got := out.Send(t.Context(), message(t)); got.Ending != mail.Accepted {
				t.Errorf("after %s: %+v", mode, got)
			}
			if all, _ := s.Mails("", 0); len(all) != 1 {
				t.Errorf("%d mails, want 1", len(all))
			}
		})
	}
}

// The page shows a mail's link, and the control API waits for mails and sets the mode.
func TestPageAndControl(t *testing.T) {
	t.Parallel()
	s := start(t)
	mux := http.NewServeMux()
	s.Routes(func(pattern string, serve func(http.ResponseWriter, *http.Request) error) {
		mux.Handle(pattern, web.Handler{Logger: slog.New(slog.DiscardHandler), Serve: serve})
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	ask := func(method, path, body string) (int, []byte) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, b
	}
	if status, _ := ask("PUT", "/control/mail/behaviour", `{"mode":"explode"}`); status != http.StatusBadRequest {
		t.Errorf("an unknown mode: %d", status)
	}
	if status, _ := ask("PUT", "/control/mail/behaviour", `{"mode":"accept"}`); status != http.StatusOK {
		t.Errorf("a known mode: %d", status)
	}
	m := message(t)
	m.Text = "<script>alert(1)</script> see https://login.maple.example/not-me/abc now"
	if out := sender(t, s).Send(t.Context(), m); out.Ending != mail.Accepted {
		t.Fatalf("sending: %+v", out)
	}
	status, b := ask("GET", "/control/mail?to=ada@example.org&wait=10", "")
	var got mailbox.Mails
	if err := json.Unmarshal(b, &got); err != nil || status != http.StatusOK || len(got.Mails) != 1 || got.Mails[0].To != "ada@example.org" {
		t.Errorf("the mails of Ada: %d %s %v", status, b, err)
	}
	if status, b := ask("GET", "/control/mail?to=eve@example.org", ""); status != http.StatusOK || !bytes.Contains(b, []byte(`"mails":[]`)) {
		t.Errorf("the mails of Eve: %d %s", status, b)
	}
	status, b = ask("GET", "/mail", "")
	if status != http.StatusOK || !bytes.Contains(b, []byte(`href="https://login.maple.example/not-me/abc"`)) || bytes.Contains(b, []byte("<script>alert")) {
		t.Errorf("the page: %d %s", status, b)
	}
}

// A check says whether the server takes us, and leaves no mail.
func TestACheckSendsNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	by := sender(t, s)
	if err := by.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Behave(mailbox.Down); err != nil {
		t.Fatal(err)
	}
	if err := by.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot be reached") {
		t.Errorf("a server that is down: %v", err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0") // connects, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	mute, err := mail.NewSMTP(mail.Options{Host: "127.0.0.1", Port: silent.Addr().(*net.TCPAddr).Port, Security: mail.Clear, From: address(t, "latchkey@maple.example")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer stop()
	if err := mute.Check(ctx); err == nil || !strings.Contains(err.Error(), "in time") {
		t.Errorf("a server that says nothing: %v", err)
	}
	if mails, _ := s.Mails("", 0); len(mails) != 0 {
		t.Errorf("%d mails", len(mails))
	}
}
