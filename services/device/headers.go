package device

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxHeader bounds what is looked at in any one header, in bytes.
const maxHeader = 1024

// Headers are the request headers that tell about a browser.
type Headers struct {
	UserAgent       string // User-Agent
	Brands          string // Sec-CH-UA
	Platform        string // Sec-CH-UA-Platform
	PlatformVersion string // Sec-CH-UA-Platform-Version; browsers send it from their second request on
}

// The names of systems and browsers that something here depends on.
const (
	windows  = "Windows"
	macOS    = "macOS"
	iOS      = "iOS"
	android  = "Android"
	linux    = "Linux"
	chromeOS = "ChromeOS"
	safari   = "Safari"
	webKit   = "WKWebView"
)

// FromHeaders reads the facets of a browser: from Client Hints where they say who and
// on what, else from the User-Agent.
func FromHeaders(h Headers) Facets {
	if f, ok := fromHints(h); ok {
		return f
	}
	return fromUserAgent(h.UserAgent[:min(len(h.UserAgent), maxHeader)])
}

// fromHints reads the brand list of Sec-CH-UA (a structured field list: wicg.github.io/ua-client-hints).
func fromHints(h Headers) (Facets, bool) {
	platform := strings.Trim(h.Platform, `"`)
	if len(h.Brands) > maxHeader || len(platform) > 64 || platform == "" || h.Brands == "" || h.PlatformVersion == "" {
		return Facets{}, false
	}
	f := Facets{OS: system(platform), Hints: true}
	f.OSMajor = hintedMajor(f.OS, strings.Trim(h.PlatformVersion, `"`))
	for brand := range strings.SplitSeq(h.Brands, ",") {
		who, version, ok := strings.Cut(strings.TrimSpace(brand), ";v=")
		who = strings.Trim(who, `"`)
		if !ok || strings.ContainsAny(who, "()/:;_?.") || strings.Contains(who, "Not") {
			continue // a made-up brand, there so that nobody relies on the list's order
		}
		// Chromium names itself beside the browser that is made of it; the browser counts. Of
		// two others (Edge and what is built on it) the longer name is the browser: the order says nothing.
		if f.Browser == "" || f.Browser == "Chromium" || who != "Chromium" && len(family(who)) > len(f.Browser) {
			f.Browser, f.BrowserMajor = family(who), major(strings.Trim(version, `"`))
		}
	}
	return f, f.Browser != ""
}

// hintedMajor makes a system's major, as people know it, of Sec-CH-UA-Platform-Version.
// Windows gives the version of its interfaces there (learn.microsoft.com, "Detect Windows 11
// using User-Agent Client Hints"): 13 and more is Windows 11, 1 to 10 is Windows 10, 0.1 is 7,
// and 0.2 and 0.3 are 8. Linux gives its kernel's, and ChromeOS one that rises with its browser
// every month: neither is a major upgrade of the system.
func hintedMajor(os, version string) int {
	n := major(version)
	switch os {
	case linux, chromeOS:
		return 0
	case windows:
		switch {
		case n >= 13:
			return 11
		case n >= 1 && n <= 10:
			return 10
		case strings.HasPrefix(version, "0.1"):
			return 7
		case strings.HasPrefix(version, "0.2"), strings.HasPrefix(version, "0.3"):
			return 8
		}
		return 0
	}
	return n
}

// system gives the names of one operating system one name.
func system(who string) string {
	switch who {
	case "Mac OS X", "Mac OS":
		return macOS
	case "Chrome OS", "Chromium OS":
		return chromeOS
	case "Ubuntu", "Fedora", "Debian", "Linux Mint", "Kubuntu", "Gentoo", "SUSE", "Red Hat", "CentOS", "Arch Linux", "Mageia", "Slackware":
		return linux
	}
	return name(who)
}

// families are the names that one browser has on several systems.
var families = map[string]string{
	"Google Chrome": "Chrome", "Headless Chrome": "Chrome", "HeadlessChrome": "Chrome", "Chrome Mobile": "Chrome", "Chrome Mobile iOS": "Chrome",
	"Microsoft Edge": "Edge", "Edge Mobile": "Edge",
	"Firefox Mobile": "Firefox", "Firefox iOS": "Firefox",
	"Opera Mobile": "Opera", "Opera iOS": "Opera", "Opera Touch": "Opera",
	"Mobile Safari": safari, "Mobile Safari UI/WKWebView": webKit, "Chrome Mobile WebView": "Android WebView",
	"YaBrowser": "Yandex Browser",
}

// family gives the names of one browser one name.
func family(who string) string {
	if f, ok := families[who]; ok {
		return f
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
