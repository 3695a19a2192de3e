package device

import "strconv"

// Facets are what a major upgrade changes: the browser and the operating system.
// The zero value says that nothing is known.
type Facets struct {
	Browser      string `json:"browser,omitempty"`
	BrowserMajor int    `json:"browser_major,omitempty"`
	OS           string `json:"os,omitempty"`
	OSMajor      int    `json:"os_major,omitempty"`
	// Hints says that they come from Client Hints, which tell more than a User-Agent: of the
	// two only what both tell alike is compared.
	Hints bool `json:"hints,omitempty"`
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
	// From and To say what changed, as "Chrome 137" and "Chrome 143", as far as is known.
	From, To string
}

// Compare decides whether now is still the device last seen as seen. jump is how many
// browser majors Evergreen bears at once. What is not known on either side is no change,
// and where only one side comes from hints, neither is what a User-Agent hides or freezes.
func Compare(p Policy, jump int, seen, now Facets) Decision {
	alike := seen.Hints == now.Hints
	desktopSite := seen.OS != now.OS && sameMachine[[2]string{min(seen.OS, now.OS), max(seen.OS, now.OS)}]
	sameBrowser := seen.Browser == now.Browser
	switch {
	case known(seen.OS, now.OS) && seen.OS != now.OS && !desktopSite,
		alike && !desktopSite && seen.OSMajor > 0 && now.OSMajor > 0 && seen.OSMajor != now.OSMajor:
		return Decision{NewOS, p != Off, told(seen.OS, seen.OSMajor), told(now.OS, now.OSMajor)}
	case alike && known(seen.Browser, now.Browser) && !sameBrowser:
		return Decision{NewBrowser, p != Off, told(seen.Browser, seen.BrowserMajor), told(now.Browser, now.BrowserMajor)}
	case (alike || sameBrowser) && seen.BrowserMajor > 0 && now.BrowserMajor > 0 && seen.BrowserMajor != now.BrowserMajor:
		steps := abs(step(now) - step(seen))
		return Decision{BrowserUpgrade, p == Strict || p == Evergreen && steps > jump,
			told(seen.Browser, seen.BrowserMajor), told(now.Browser, now.BrowserMajor)}
	}
	return Decision{}
}

// sameMachine are the systems that a browser of one device names by turns: asked for the
// desktop's version of a page, an iPad says that it is a Mac, and an Android that it is Linux.
// A device's key cannot move from the one to the other.
var sameMachine = map[[2]string]bool{{iOS, macOS}: true, {android, linux}: true}

// step counts the majors of a browser one by one: Safari went from 18 to 26.
func step(f Facets) int {
	if f.Browser == safari && f.BrowserMajor >= 26 {
		return f.BrowserMajor - 7
	}
	return f.BrowserMajor
}

// Names returns what people call the browser and the system, as "Firefox 153" and "Windows
// 11"; "" is not known.
func (f Facets) Names() (browser, system string) {
	return told(f.Browser, f.BrowserMajor), told(f.OS, f.OSMajor)
}

// told names a browser or a system with its major, as far as they are known.
func told(who string, major int) string {
	if who == "" || major == 0 {
		return who
	}
	return who + " " + strconv.Itoa(major)
}

// After returns what to keep of a device that was seen and is the same now: what is not
// known now stays as it was known, and a request without hints takes nothing from what
// hints told.
func (f Facets) After(seen Facets) Facets {
	switch {
	case seen.Hints && !f.Hints:
		if f.Browser == seen.Browser && f.BrowserMajor > 0 {
			seen.BrowserMajor = f.BrowserMajor
		}
		return seen
	case f.OS == "" || f.OS == seen.OS && f.OSMajor == 0 && f.Hints == seen.Hints:
		f.OS, f.OSMajor = seen.OS, seen.OSMajor
	}
	if f.Browser == "" || f.Browser == seen.Browser && f.BrowserMajor == 0 {
		f.Browser, f.BrowserMajor = seen.Browser, seen.BrowserMajor
	}
	return f
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
