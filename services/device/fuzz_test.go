package device_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"latchkey.dev/services/device"
)

// FuzzFacetsKeep holds that facets are the same after the database had them: whatever a
// browser says of itself, it stays the device that it was.
func FuzzFacetsKeep(f *testing.F) {
	f.Add(chrome137Win, `"Google Chrome";v="137"`, `"Windows"`, `"15.0"`)
	f.Add("Mozilla/5.0 \xff\xfe Firefox/140.0", "", "", "")
	f.Add("", "\"a\xff\";v=\"1\"", "\"\xff\"", `"1"`)
	f.Add("", `"`+strings.Repeat("é", 40)+`";v="1"`, `"é"`, `"1"`)
	f.Fuzz(func(t *testing.T, ua, brands, platform, version string) {
		for _, now := range []device.Facets{
			device.FromHeaders(device.Headers{UserAgent: ua, Brands: brands, Platform: platform, PlatformVersion: version}),
			device.Facets{Browser: ua, BrowserMajor: len(ua), OS: platform, OSMajor: -len(platform)}.Bounded(),
		} {
			b, err := json.Marshal(now)
			if err != nil {
				t.Fatal(err)
			}
			var seen device.Facets
			if err := json.Unmarshal(b, &seen); err != nil {
				t.Fatal(err)
			}
			if d := device.Compare(device.Strict, 1, seen, now); d.AskAgain || seen != now {
				t.Errorf("%+v is kept as %+v, and then a code is asked for again", now, seen)
			}
			for _, s := range []string{now.Browser, now.OS} {
				if len(s) > maxFamily || !utf8.ValidString(s) || strings.Contains(s, "\x00") {
					t.Errorf("%q cannot be kept", s)
				}
			}
		}
	})
}
