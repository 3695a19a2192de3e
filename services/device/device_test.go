package device_test

import (
	"fmt"
	"testing"

	"latchkey.dev/services/device"
)

// Rules 1 to 5 of the product, every combination.
func TestRequired(t *testing.T) {
	t.Parallel()
	n := 0
	for _, role := range device.Roles {
		for bits := range 8 {
			o := device.Options{TwoFactor: bits&1 != 0, Demographics: bits&2 != 0}
			number := bits&4 != 0
			n++

			want := device.NoNumber
			if number {
				want = device.Registration
			}
			if got := device.Required(device.StandaloneMobile, o, role, number); got != want {
				t.Errorf("standalone %s %+v number=%v: %s, want %s", role, o, number, got, want)
			}

			want = device.NotRequired
			switch fmt.Sprint(role == device.Client, o.TwoFactor, o.Demographics, number) {
			case "false true true true", "false true false true", "true true true true":
				want = device.Registration
			}
			if got := device.Required(device.Pro, o, role, number); got != want {
				t.Errorf("pro %s %+v number=%v: %s, want %s", role, o, number, got, want)
			}
		}
	}
	if n != 40 {
		t.Fatalf("%d combinations, want 40", n)
	}
}

const (
	chrome137Win = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 Safari/537.36"
	chrome138Win = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.7204.92 Safari/537.36"
	edge138Win   = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36 Edg/138.0.0.0"
	safari18iOS  = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
	firefox140   = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
)

func TestFromHeaders(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		h    device.Headers
		want device.Facets
	}{
		{"Chrome", device.Headers{UserAgent: chrome137Win}, device.Facets{Browser: "Chrome", BrowserMajor: 137, OS: "Windows"}},
		{"Edge", device.Headers{UserAgent: edge138Win}, device.Facets{Browser: "Edge", BrowserMajor: 138, OS: "Windows"}},
		{"Safari", device.Headers{UserAgent: safari18iOS}, device.Facets{Browser: "Safari", BrowserMajor: 18, OS: "iOS", OSMajor: 18}},
		{"Firefox", device.Headers{UserAgent: firefox140}, device.Facets{Browser: "Firefox", BrowserMajor: 140, OS: "Linux"}},
		{"hints on Windows 11", device.Headers{UserAgent: chrome137Win, Platform: `"Windows"`, PlatformVersion: `"15.0.0"`,
			Brands: `"Google Chrome";v="137", "Chromium";v="137", "Not/A)Brand";v="24"`},
			device.Facets{Browser: "Chrome", BrowserMajor: 137, OS: "Windows", OSMajor: 11, Hints: true}},
		{"hints of Chromium alone", device.Headers{Platform: `"Linux"`, PlatformVersion: `"6.8.0"`, Brands: `"Chromium";v="156", "Not A(Brand";v="99"`},
			device.Facets{Browser: "Chromium", BrowserMajor: 156, OS: "Linux", Hints: true}},
		{"nothing", device.Headers{}, device.Facets{}},
	} {
		if got := device.FromHeaders(tc.h); got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}

func FuzzFromHeaders(f *testing.F) {
	f.Add(chrome137Win, `"Google Chrome";v="137"`, `"Windows"`, `"15.0"`)
	f.Fuzz(func(t *testing.T, ua, brands, platform, version string) {
		got := device.FromHeaders(device.Headers{UserAgent: ua, Brands: brands, Platform: platform, PlatformVersion: version})
		if got.BrowserMajor < 0 || got.OSMajor < 0 || len(got.Browser) > maxFamily {
			t.Errorf("%+v", got)
		}
	})
}

const maxFamily = 64

func TestNames(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		f               device.Facets
		browser, system string
	}{
		{device.Facets{Browser: "Firefox", BrowserMajor: 153, OS: "Linux"}, "Firefox 153", "Linux"},
		{device.FromHeaders(device.Headers{Brands: `"Google Chrome";v="137"`, Platform: `"Windows"`, PlatformVersion: `"15.0.0"`}), "Chrome 137", "Windows 11"},
		{device.Facets{OS: "Android", OSMajor: 16}, "", "Android 16"},
		{device.Facets{}, "", ""},
	} {
		if browser, system := tc.f.Names(); browser != tc.browser || system != tc.system {
			t.Errorf("%+v is called %q and %q, want %q and %q", tc.f, browser, system, tc.browser, tc.system)
		}
	}
}
