package device_test

import (
	"testing"

	"latchkey.dev/services/device"
)

func TestCompare(t *testing.T) {
	t.Parallel()
	base := device.Facets{Browser: "Chrome", BrowserMajor: 137, OS: "Windows", OSMajor: 10, Hints: true}
	with := func(change func(*device.Facets)) device.Facets { f := base; change(&f); return f }
	none := device.Facets{}
	for _, tc := range []struct {
		name              string
		seen, now         device.Facets
		change            device.Change
		from, to          string
		evergreen, strict bool
	}{
		{"the same", base, base, device.Unchanged, "", "", false, false},
		{"the browser's own step", base, with(func(f *device.Facets) { f.BrowserMajor++ }), device.BrowserUpgrade, "Chrome 137", "Chrome 138", false, true},
		{"four majors", base, with(func(f *device.Facets) { f.BrowserMajor += 4 }), device.BrowserUpgrade, "Chrome 137", "Chrome 141", false, true},
		{"five majors", base, with(func(f *device.Facets) { f.BrowserMajor += 5 }), device.BrowserUpgrade, "Chrome 137", "Chrome 142", true, true},
		{"an older browser", base, with(func(f *device.Facets) { f.BrowserMajor -= 9 }), device.BrowserUpgrade, "Chrome 137", "Chrome 128", true, true},
		{"a new OS major", base, with(func(f *device.Facets) { f.OSMajor = 11 }), device.NewOS, "Windows 10", "Windows 11", true, true},
		{"another OS", base, with(func(f *device.Facets) { f.OS, f.OSMajor = "Linux", 0 }), device.NewOS, "Windows 10", "Linux", true, true},
		{"another browser", base, with(func(f *device.Facets) { f.Browser = "Edge" }), device.NewBrowser, "Chrome 137", "Edge 137", true, true},
		{"hints went", base, with(func(f *device.Facets) { f.Hints, f.OSMajor = false, 0 }), device.Unchanged, "", "", false, false},
		{"hints came, and another name with them", device.Facets{Browser: "Chrome", BrowserMajor: 137, OS: "Windows"}, with(func(f *device.Facets) { f.Browser = "Brave" }), device.Unchanged, "", "", false, false},
		{"hints went and the browser leapt", base, device.Facets{Browser: "Chrome", BrowserMajor: 143, OS: "Windows"}, device.BrowserUpgrade, "Chrome 137", "Chrome 143", true, true},
		{"nothing known now", base, none, device.Unchanged, "", "", false, false},
		{"nothing known before", none, base, device.Unchanged, "", "", false, false},
		{"an iPad asked for the desktop's page", device.Facets{Browser: "Safari", BrowserMajor: 18, OS: "iOS", OSMajor: 18}, device.Facets{Browser: "Safari", BrowserMajor: 18, OS: "macOS"}, device.Unchanged, "", "", false, false},
		{"Safari's leap over seven numbers is one step", device.Facets{Browser: "Safari", BrowserMajor: 18, OS: "macOS"}, device.Facets{Browser: "Safari", BrowserMajor: 26, OS: "macOS"}, device.BrowserUpgrade, "Safari 18", "Safari 26", false, true},
		{"an app on a new system", device.Facets{Browser: "Maple", BrowserMajor: 7, OS: "Android", OSMajor: 15}, device.Facets{Browser: "Maple", BrowserMajor: 7, OS: "Android", OSMajor: 16}, device.NewOS, "Android 15", "Android 16", true, true},
	} {
		for policy, asks := range map[device.Policy]bool{device.Evergreen: tc.evergreen, device.Strict: tc.strict, device.Off: false} {
			if got, want := device.Compare(policy, 4, tc.seen, tc.now), (device.Decision{Change: tc.change, AskAgain: asks, From: tc.from, To: tc.to}); got != want {
				t.Errorf("%s under %s: %+v, want %+v", tc.name, policy, got, want)
			}
		}
	}
}

// A service release of Windows 11 is no major upgrade of it, and Windows 11 after 10 is one.
func TestHintedSystems(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		platform, version, os string
		major                 int
	}{
		{"Windows", "0.1.0", "Windows", 7}, {"Windows", "0.3.0", "Windows", 8}, {"Windows", "1.0.0", "Windows", 10}, {"Windows", "10.0.0", "Windows", 10},
		{"Windows", "13.0.0", "Windows", 11}, {"Windows", "14.0.0", "Windows", 11}, {"Windows", "15.0.0", "Windows", 11}, {"Windows", "19.0.0", "Windows", 11},
		{"macOS", "14.5.0", "macOS", 14}, {"macOS", "26.1.0", "macOS", 26}, {"Android", "16.0.0", "Android", 16},
		{"Linux", "6.8.0", "Linux", 0}, {"Chrome OS", "16093.68.0", "ChromeOS", 0}, {"Chromium OS", "16093.68.0", "ChromeOS", 0},
	} {
		got := device.FromHeaders(device.Headers{Platform: `"` + tc.platform + `"`, PlatformVersion: `"` + tc.version + `"`, Brands: `"Chromium";v="143", "Not A(Brand";v="99"`})
		if got.OS != tc.os || got.OSMajor != tc.major || !got.Hints {
			t.Errorf("%s %s: %+v", tc.platform, tc.version, got)
		}
	}
}

// What a request does not tell is not forgotten of a device that told it before.
func TestAfter(t *testing.T) {
	t.Parallel()
	hinted := device.Facets{Browser: "Brave", BrowserMajor: 137, OS: "Windows", OSMajor: 11, Hints: true}
	if got := (device.Facets{Browser: "Chrome", BrowserMajor: 138, OS: "Windows"}).After(hinted); got != hinted {
		t.Errorf("a request without hints leaves %+v", got)
	}
	now := hinted
	now.BrowserMajor, now.OSMajor = 138, 0
	want := hinted
	want.BrowserMajor = 138
	if got := now.After(hinted); got != want {
		t.Errorf("a system that is not told leaves %+v, want %+v", got, want)
	}
	if got := (device.Facets{}).After(hinted); got != hinted {
		t.Errorf("a silent request leaves %+v", got)
	}
}
