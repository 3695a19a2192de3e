package login_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"latchkey.dev/services/login"
)

// hashed is how many passwords were hashed: what a sign-in costs.
func (h *house) hashed() (n int) {
	h.t.Helper()
	families, err := h.options.Registerer.(*prometheus.Registry).Gather()
	if err != nil {
		h.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "latchkey_password_hashes_total" {
			n += int(f.GetMetric()[0].GetCounter().GetValue())
		}
	}
	return n
}

// C8: whoever asks learns nothing of who exists: the same answer, headers and all, and the
// same number of hashes, before the limit and after it.
func TestUnknownPeopleLookAndCostTheSame(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	h.member(map[string]any{"role": "provider", "user_id": "ada", "password": password, "phone": "604 441 0142"})
	gone := h.member(map[string]any{"role": "provider", "user_id": "bob", "password": password})
	h.member(map[string]any{"role": "provider", "user_id": "cleo"}) // signs in elsewhere
	h.exec("UPDATE member SET deactivated_at = now() WHERE id = $1", gone)
	k := newDevice(t)
	for try := range 12 {
		var first string
		for _, user := range []string{"ada", "bob", "cleo", "nobody", "nobody' OR 1=1"} {
			before := h.hashed()
			body := fmt.Appendf(nil, `{"user_id":%q,"password":"wrong password!","software":"web"}`, user)
			status, header, b := h.send("POST", "/v1/sign-ins", body, "DPoP", h.proof(k, "POST", h.url+"/v1/sign-ins", [16]byte{}))
			header.Del("Date")
			header.Del("DPoP-Nonce")
			got := fmt.Sprint(status, " ", header, " ", string(b), " for ", h.hashed()-before, " hashes")
			if first == "" {
				first = got
			}
			if got != first {
				t.Errorf("try %d: %s is answered %s\nand ada %s", try, user, got, first)
			}
		}
		if try < 10 && !strings.HasPrefix(first, "401 ") || try >= 10 && !strings.HasPrefix(first, "429 ") {
			t.Errorf("try %d: %s", try, first)
		}
	}
}

// However a guesser asks, in whatever case or all at once, no more passwords of a member
// are compared than the limit says.
func TestPasswordGuessesAreCounted(t *testing.T) {
	t.Parallel()
	for name, user := range map[string]func(int) string{
		"one after another": func(int) string { return "adalovelace" },
		"in other cases": func(i int) string {
			b := []byte("adalovelace")
			for bit := range b {
				if i>>bit&1 != 0 {
					b[bit] -= 'a' - 'A'
				}
			}
			return string(b)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, "pro", false)
			h.member(map[string]any{"role": "provider", "user_id": "AdaLovelace", "password": password})
			k, before := newDevice(t), h.hashed()
			for i := range 25 {
				if status, out := h.signIn(k, user(i), "wrong password!"); (status != http.StatusUnauthorized) != (i >= 10) {
					t.Errorf("guess %d: %d %v", i, status, out)
				}
			}
			if n := h.hashed() - before; n != 10 {
				t.Errorf("%d passwords were compared, want 10", n)
			}
			want(t, "the right password", 429, "throttled")(h.signIn(k, "adalovelace", password))
			h.exec("UPDATE limit_counter SET window_start = window_start - interval '8 minutes'")
			want(t, "the right password after eight minutes", 429, "throttled")(h.signIn(k, "adalovelace", password))
			h.exec("UPDATE limit_counter SET window_start = window_start - interval '3 minutes'")
			want(t, "the right password after eleven minutes", 200, "")(h.signIn(k, "adalovelace", password))
		})
	}
	t.Run("all at once", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, "pro", false)
		h.member(map[string]any{"role": "provider", "user_id": "ada", "password": password})
		k, before := newDevice(t), h.hashed()
		var proofs []string
		for range 200 {
			proofs = append(proofs, h.proof(k, "POST", h.url+"/v1/sign-ins", [16]byte{}))
		}
		var wg sync.WaitGroup
		for _, proof := range proofs {
			wg.Go(func() {
				status, out := h.call("POST", "/v1/sign-ins", map[string]any{"user_id": "ada", "password": "wrong password!", "software": "web"}, "DPoP", proof)
				if status != http.StatusUnauthorized && status != http.StatusTooManyRequests {
					t.Errorf("a guess: %d %v", status, out)
				}
			})
		}
		wg.Wait()
		if n := h.hashed() - before; n > 10 {
			t.Errorf("%d passwords were compared, want 10 at most", n)
		}
	})
}

// A person is no guesser: right passwords are not counted, from wherever they come.
func TestRightPasswordsAreNotCounted(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", false)
	h.member(map[string]any{"role": "provider", "user_id": "ada", "password": password})
	k := newDevice(t)
	for range 3 {
		for range 9 {
			h.signIn(k, "ada", "wrong password!")
		}
		want(t, "the right password", 200, "")(h.signIn(k, "Ada", password))
	}
	for range 73 {
		want(t, "the right password", 200, "")(h.signIn(k, "ada", password))
	}
	// 27 wrong ones came from this address, of a hundred that it has.
	for i := range 73 {
		want(t, "a wrong password", 401, "bad-credentials")(h.signIn(k, fmt.Sprint("user", i), "wrong password!"))
	}
	want(t, "one too many from this address", 429, "throttled")(h.signIn(k, "zoe", "wrong password!"))
}

// A stolen session cannot be used to guess the password at leisure.
func TestOldPasswordGuessesAreCounted(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", false)
	h.member(map[string]any{"role": "provider", "user_id": "ada", "password": password})
	_, out := h.signIn(newDevice(t), "ada", password)
	own := []string{"Authorization", "Bearer " + out["session"].(map[string]any)["token"].(string)}
	change := func(old string) (int, map[string]any) {
		return h.call("PUT", "/v1/password", map[string]any{"old_password": old, "new_password": "staple the battery"}, own...)
	}
	for range 10 {
		want(t, "a wrong old password", 403, "wrong-password")(change("wrong password!"))
	}
	want(t, "the right one after ten", 429, "throttled")(change(password))
}

// Whoever has one IPv6 address has all of its /64: they share their guesses.
func TestGuessesOfOneNetworkAreOnes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", false).another(time.Minute, func(o *login.Options) { o.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	networks := func(addresses ...string) int {
		h.exec("DELETE FROM limit_counter")
		k := newDevice(t)
		for _, a := range addresses {
			want(t, "a wrong password", 401, "bad-credentials")(h.call("POST", "/v1/sign-ins", map[string]any{"user_id": "ada", "password": "wrong password!", "software": "web"},
				"DPoP", h.proof(k, "POST", h.url+"/v1/sign-ins", uuid.Nil), "X-Forwarded-For", a))
		}
		return h.count("SELECT count(DISTINCT key_digest) FROM limit_counter WHERE scope = 'password_address'")
	}
	if n := networks("2001:db8:1:2::3", "2001:db8:1:2:ffff::9"); n != 1 {
		t.Errorf("two addresses of one network count as %d", n)
	}
	if n := networks("2001:db8:1:2::3", "2001:db8:1:3::3", "192.0.2.1", "192.0.2.2", "::ffff:192.0.2.2"); n != 4 {
		t.Errorf("four networks count as %d", n)
	}
}

// Behind a proxy that is not named, one guesser would use up the limit of all: it is told.
func TestAnUnnamedProxyIsTold(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", false)
	for proxies, told := range map[string]bool{"": true, "10.0.0.0/8": false} {
		var log bytes.Buffer
		o := h.options
		o.Origin, o.Registerer, o.Logger = "https://login.example", nil, slog.New(slog.NewTextHandler(&log, nil))
		if proxies != "" {
			o.Proxies = []netip.Prefix{netip.MustParsePrefix(proxies)}
		}
		if _, err := login.New(o); err != nil || strings.Contains(log.String(), "no proxy is named") != told {
			t.Errorf("proxies %q: %v, told %q", proxies, err, log.String())
		}
	}
}
