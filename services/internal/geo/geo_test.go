package geo_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"latchkey.dev/services/internal/geo"
	"latchkey.dev/services/internal/geo/geotest"
)

func TestCountriesOfAddresses(t *testing.T) {
	t.Parallel()
	path, now := filepath.Join(t.TempDir(), "countries.mmdb"), time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	geotest.Write(t, path, now, map[string]string{"203.0.113.0/24": "CA", "2001:db8::/32": "FR", "198.51.100.0/24": "nowhere"})
	c, err := geo.Open(path, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	is := func(address, want string) {
		t.Helper()
		var a netip.Addr
		if address != "" {
			a = netip.MustParseAddr(address)
		}
		if got := c.Of(a); got != want {
			t.Errorf("%q is in %q, want %q", address, got, want)
		}
	}
	is("203.0.113.9", "CA")
	is("::ffff:203.0.113.9", "CA")
	is("2001:db8::1", "FR")
	is("192.0.2.1", "")
	is("198.51.100.1", "")
	is("", "")

	// Another file is there a minute later, one that is half written never.
	geotest.Write(t, path, now.Add(time.Hour), map[string]string{"203.0.113.0/24": "DE"})
	is("203.0.113.9", "CA")
	now = now.Add(time.Minute)
	is("203.0.113.9", "DE")
	if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Minute)
	is("203.0.113.9", "DE")
}

func TestWhatIsNoDatabaseOfCountries(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "none.mmdb")
	if _, err := geo.Open(path, time.Now); err == nil {
		t.Error("a file that is not there was opened")
	}
	if err := os.WriteFile(path, []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := geo.Open(path, time.Now); err == nil {
		t.Error("a file that is no database was opened")
	}
	if c, err := geo.Open("", time.Now); err != nil || c.Of(netip.MustParseAddr("203.0.113.9")) != "" {
		t.Errorf("without a file: %v", err)
	}
}
