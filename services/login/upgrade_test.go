package login_test

import (
	"net/http"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/internal/geo"
	"latchkey.dev/services/internal/geo/geotest"
	"latchkey.dev/services/login"
)

// A person is told which upgrade it was that a code is asked for, on the page and by the API.
func TestAnUpgradeIsNamed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	h.member(map[string]any{"role": "provider", "user_id": "ada", "password": password, "phone": "604 441 0142"})
	key := newDevice(t)
	in := func(windows string, chrome int) (int, map[string]any) {
		return h.call("POST", "/v1/sign-ins", map[string]any{"user_id": "ada", "password": password, "software": "web"},
			"DPoP", h.proof(key, "POST", h.url+"/v1/sign-ins", uuid.Nil), "Sec-CH-UA-Platform", `"Windows"`, "Sec-CH-UA-Platform-Version", `"`+windows+`"`,
			"Sec-CH-UA", `"Google Chrome";v="`+strconv.Itoa(chrome)+`", "Chromium";v="`+strconv.Itoa(chrome)+`", "Not/A)Brand";v="24"`)
	}
	_, out := in("14.0.0", 137)
	h.register(out["challenge"].(map[string]any)["id"].(string))
	if status, out := in("15.0.0", 138); status != http.StatusOK {
		t.Errorf("a service release of Windows and the browser's next version: %d %v", status, out)
	}
	status, out := in("15.0.0", 143)
	c, _ := out["challenge"].(map[string]any)
	if status != http.StatusAccepted || c["reason"] != "browser_upgraded" || c["from"] != "Chrome 138" || c["to"] != "Chrome 143" {
		t.Errorf("a leap of the browser: %d %v", status, out)
	}

	b := h.browser()
	b.signIn("ada", password)
	h.register(strings.TrimPrefix(b.at, "/check/"))
	h.exec(`UPDATE device SET seen_facets = '{"browser": "Firefox", "browser_major": 133}' WHERE kind = 'bearer'`)
	b.agent = "Mozilla/5.0 (X11; Linux x86_64; rv:146.0) Gecko/20100101 Firefox/146.0"
	b.signIn("ada", password)
	reads(t, b.open(b.at), "Your browser was upgraded from Firefox 133 to Firefox 146")
}

// It is kept from which country a device was last used, by the address that its proxy tells.
func TestTheCountryOfTheLastUseIsKept(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "countries.mmdb")
	geotest.Write(t, file, time.Now(), map[string]string{"203.0.113.0/24": "CA", "2001:db8::/32": "FR"})
	h := newHouse(t, "pro", true).another(time.Minute, func(o *login.Options) {
		o.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		var err error
		if o.Countries, err = geo.Open(file, time.Now); err != nil {
			t.Fatal(err)
		}
	})
	h.member(ada)
	key := newDevice(t)
	in := func(from string) map[string]any {
		t.Helper()
		_, out := h.call("POST", "/v1/sign-ins", map[string]any{"user_id": "ada", "password": password, "software": "web"},
			"DPoP", h.proof(key, "POST", h.url+"/v1/sign-ins", uuid.Nil), "X-Forwarded-For", from, "User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:146.0) Gecko/20100101 Firefox/146.0")
		return out
	}
	h.register(in("203.0.113.7")["challenge"].(map[string]any)["id"].(string))
	for _, c := range []struct{ from, want string }{{"203.0.113.7", "CA"}, {"2001:db8::7", "FR"}, {"192.0.2.7", ""}} {
		h.exec("UPDATE device SET seen_at = now() - interval '2 hours'")
		if out := in(c.from); out["session"] == nil {
			t.Fatalf("a sign-in from %s: %v", c.from, out)
		}
		if n := h.count("SELECT count(*) FROM device WHERE coalesce(seen_country, '') = $1 AND seen_at > now() - interval '1 hour'", c.want); n != 1 {
			t.Errorf("after a sign-in from %s the country is not %q", c.from, c.want)
		}
	}
}

// A key that is registered for one software is not for another, for the same person.
func TestWebAndMobileAreRegisteredApart(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	h.member(map[string]any{"role": "provider", "user_id": "ada", "password": password, "phone": "604 441 0142"})
	key := newDevice(t)
	in := func(software string) (int, map[string]any) {
		return h.call("POST", "/v1/sign-ins", map[string]any{"user_id": "ada", "password": password, "software": software},
			"DPoP", h.proof(key, "POST", h.url+"/v1/sign-ins", uuid.Nil))
	}
	for _, software := range []string{"web", "mobile"} {
		status, out := in(software)
		if status != http.StatusAccepted {
			t.Fatalf("a first sign-in to %s: %d %v", software, status, out)
		}
		h.register(out["challenge"].(map[string]any)["id"].(string))
		status, out = in(software)
		if status != http.StatusOK {
			t.Fatalf("a second sign-in to %s: %d %v", software, status, out)
		}
		token := out["session"].(map[string]any)["token"].(string)
		if _, s := h.call("GET", "/v1/session", nil, "Authorization", "Bearer "+token); s["software"] != software {
			t.Errorf("the session of %s says %v", software, s)
		}
	}
}
