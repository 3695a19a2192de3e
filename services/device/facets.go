package device

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/mileusna/useragent"
)

// Facets are what a major upgrade changes: the browser and the operating system.
// The zero value says that nothing is known.
type Facets struct {
	Browser      string `json:"browser,omitempty"`
	BrowserMajor int    `json:"browser_major,omitempty"`
	OS           string `json:"os,omitempty"`
	OSMajor      int    `json:"os_major,omitempty"`
	// Hints says that they come from Client Hints, which tell more than a User-Agent:
	// hints are compared with hints only.
	Hints bool `json:"hints,omitempty"`
}

// maxHeader bounds what is looked at in any one header, in bytes.
const maxHeader = 1024

// Headers are the request headers that tell about a browser.
type Headers struct {
	UserAgent       string // User-Agent
	Brands          string // Sec-CH-UA
	Platform        string // Sec-CH-UA-Platform
	PlatformVersion string // Sec-CH-UA-Platform-Version
}

// FromHeaders reads the facets of a browser: from Client Hints where they say who and
// on what, else from the User-Agent.
func FromHeaders(h Headers) Facets {
	if f, ok := fromHints(h); ok {
		return f
	}
	ua := h.UserAgent
	if len(ua) > maxHeader {
		ua = ua[:maxHeader]
	}
	p := useragent.Parse(ua)
	return Facets{Browser: family(p.Name), BrowserMajor: major(p.Version), OS: name(p.OS), OSMajor: major(p.OSVersion)}
}

// fromHints reads the brand list of Sec-CH-UA (a structured field list: wicg.github.io/ua-client-hints).
func fromHints(h Headers) (Facets, bool) {
	platform := strings.Trim(h.Platform, `"`)
	if len(h.Brands) > maxHeader || len(platform) > 64 || platform == "" || h.Brands == "" || h.PlatformVersion == "" {
		return Facets{}, false
	}
	f := Facets{OS: name(platform), OSMajor: major(strings.Trim(h.PlatformVersion, `"`)), Hints: true}
	for brand := range strings.SplitSeq(h.Brands, ",") {
		who, version, ok := strings.Cut(strings.TrimSpace(brand), ";v=")
		who = strings.Trim(who, `"`)
		if !ok || strings.ContainsAny(who, "()/:;_?.") || strings.Contains(who, "Not") {
			continue // a made-up brand, there so that nobody relies on the list's order
		}
		// Chromium names itself beside the browser that is made of it; the browser counts.
		if f.Browser == "" || f.Browser == "Chromium" {
			f.Browser, f.BrowserMajor = family(who), major(strings.Trim(version, `"`))
		}
	}
	return f, f.Browser != ""
}

// family gives the names of one browser one name.
func family(who string) string {
	switch who {
	case "Google Chrome", "Chrome", "Headless Chrome":
		return "Chrome"
	case "Microsoft Edge", "Edge":
		return "Edge"
	}
	return name(who)
}

// maxName bounds the name of a browser or a system, in bytes.
const maxName = 64

// name cuts a name to its bound, between characters, and leaves out what JSON or the
// database could not keep: what is kept must be what is compared later.
func name(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "")
	if len(s) <= maxName {
		return s
	}
	end := maxName
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

func major(version string) int {
	digits, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || n > 1_000_000 {
		return 0
	}
	return n
}

// Policy is an account's answer to major upgrades.
type Policy string

const (
	// Evergreen, the default, bears a browser's automatic steps.
	Evergreen Policy = "evergreen"
	// Strict asks again at every new major.
	Strict Policy = "strict"
	// Off never asks again.
	Off Policy = "off"
)

// Change says what became of a device between two looks at it.
type Change string

const (
	Unchanged      Change = ""
	NewOS          Change = "new_os"           // another operating system, or a new major of it
	NewBrowser     Change = "new_browser"      // another browser family
	BrowserUpgrade Change = "browser_upgraded" // a new major of the same browser
)

// Decision says whether a registered device is still the same.
type Decision struct {
	// Change is the greatest change seen; it may be one that does not ask again.
	Change Change
	// AskAgain says that the registration ends and a code is due.
	AskAgain bool
}

// Compare decides whether now is still the device last seen as seen. jump is how many
// browser majors Evergreen bears at once. What is not known on either side, or was
// learnt another way (hints against a User-Agent), is no change.
func Compare(p Policy, jump int, seen, now Facets) Decision {
	if seen.Hints != now.Hints {
		return Decision{}
	}
	switch {
	case known(seen.OS, now.OS) && seen.OS != now.OS,
		seen.OSMajor > 0 && now.OSMajor > 0 && seen.OSMajor != now.OSMajor:
		return Decision{NewOS, p != Off}
	case known(seen.Browser, now.Browser) && seen.Browser != now.Browser:
		return Decision{NewBrowser, p != Off}
	case seen.BrowserMajor > 0 && now.BrowserMajor > 0 && seen.BrowserMajor != now.BrowserMajor:
		return Decision{BrowserUpgrade, p == Strict || p == Evergreen && abs(now.BrowserMajor-seen.BrowserMajor) > jump}
	}
	return Decision{}
}

func known(a, b string) bool { return a != "" && b != "" }

func abs(n int) int { return max(n, -n) }

// Bounded returns facets that a client told of itself, with names and numbers cut to
// what any real browser or system has.
func (f Facets) Bounded() Facets {
	f.Browser, f.OS = name(f.Browser), name(f.OS)
	f.BrowserMajor, f.OSMajor = min(max(f.BrowserMajor, 0), 1_000_000), min(max(f.OSMajor, 0), 1_000_000)
	return f
}
