package device

import (
	"strings"
	"sync"

	"github.com/ua-parser/uap-go/uaparser"
	"go.yaml.in/yaml/v3"
)

// userAgents knows User-Agents by the kept rules of uap-core, without those about models of
// devices, which are the most. A User-Agent that was not seen lately is held against hundreds
// of expressions, which takes about a millisecond; the latest thousand are remembered.
var userAgents = sync.OnceValues(func() (*uaparser.Parser, error) {
	var rules uaparser.RegexDefinitions
	if err := yaml.Unmarshal(uaparser.DefinitionYaml, &rules); err != nil {
		return nil, err
	}
	rules.Device = nil
	return uaparser.New(uaparser.WithRegexDefinitions(rules), uaparser.WithMode(uaparser.EUserAgentLookUpMode|uaparser.EOsLookUpMode))
})

// Prepare gets the rules of User-Agents ready, which takes some tenths of a second: a service
// does it before anybody waits for it.
func Prepare() error {
	_, err := userAgents()
	return err
}

// fromUserAgent reads the facets that a User-Agent tells.
func fromUserAgent(ua string) Facets {
	p, err := userAgents()
	if err != nil || ua == "" {
		return Facets{} // the rules are compiled in, so there is no error; without them nothing is known
	}
	return facetsOf(ua, p.ParseUserAgent(ua), p.ParseOs(ua))
}

func facetsOf(ua string, browser *uaparser.UserAgent, os *uaparser.Os) Facets {
	f := Facets{}
	if browser.Family != "Other" {
		f.Browser, f.BrowserMajor = family(browser.Family), major(browser.Major)
	}
	if strings.Contains(ua, "Macintosh") && strings.Contains(ua, " Mobile/") && !strings.Contains(ua, "Version/") && !strings.Contains(ua, "iOS/") {
		f.Browser, f.BrowserMajor = webKit, 0 // a page within an app on an iPad, which uap-core takes for a mail
	}
	if os.Family == "Other" {
		return f
	}
	f.OS, f.OSMajor = system(os.Family), major(os.Major)
	if frozen(ua, f, os) {
		f.OSMajor = 0
	}
	if f.OS == iOS && f.Browser == safari && f.BrowserMajor >= 26 {
		f.OSMajor = f.BrowserMajor // the system's number stays at 18 there, and Safari has the same as its system
	}
	return f
}

// frozen reports that a User-Agent names a version of its system that it names for every
// later one as well: it tells nothing.
func frozen(ua string, f Facets, os *uaparser.Os) bool {
	switch f.OS {
	case windows:
		return f.OSMajor == 10
	case macOS:
		return f.OSMajor == 10
	case android:
		return f.OSMajor == 10 && strings.Contains(ua, "Android 10; K")
	case iOS:
		return f.OSMajor == 18 && (os.Minor == "6" || os.Minor == "7") && !strings.Contains(ua, "Version/18")
	case linux, chromeOS:
		return true
	}
	return false
}
