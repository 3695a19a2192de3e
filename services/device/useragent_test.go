package device_test

import (
	_ "embed"
	"fmt"
	"strings"
	"testing"

	"latchkey.dev/services/device"
)

//go:embed testdata/user-agents.tsv
var userAgents string

// corpus are User-Agents as browsers send them, each with the facets that it must give.
func corpus(t testing.TB) (all map[string]device.Facets) {
	t.Helper()
	all = map[string]device.Facets{}
	for line := range strings.Lines(userAgents) {
		c := strings.Split(strings.TrimSpace(line), "\t")
		if strings.HasPrefix(c[0], "#") {
			continue
		}
		var want device.Facets
		var err error
		if len(c) == 5 {
			want.Browser, want.OS = c[0], c[2]
			_, err = fmt.Sscan(c[1]+" "+c[3], &want.BrowserMajor, &want.OSMajor)
		}
		if len(c) != 5 || err != nil {
			t.Fatalf("a bad line: %q", line)
		}
		all[c[4]] = want
	}
	if len(all) < 150 {
		t.Fatalf("%d User-Agents", len(all))
	}
	return all
}

func TestUserAgents(t *testing.T) {
	t.Parallel()
	for ua, want := range corpus(t) {
		if got := device.FromHeaders(device.Headers{UserAgent: ua}); got != want {
			t.Errorf("%s\n got %+v\nwant %+v", ua, got, want)
		}
	}
}

// BenchmarkUserAgentUnseen is what a User-Agent costs that nobody sent lately.
func BenchmarkUserAgentUnseen(b *testing.B) {
	n := 0
	for b.Loop() {
		n++
		device.FromHeaders(device.Headers{UserAgent: fmt.Sprintf("%s x/%d", chrome137Win, n)})
	}
}

// BenchmarkUserAgentSeen is what every other one costs.
func BenchmarkUserAgentSeen(b *testing.B) {
	for b.Loop() {
		device.FromHeaders(device.Headers{UserAgent: chrome137Win})
	}
}

func TestPrepare(t *testing.T) {
	t.Parallel()
	if err := device.Prepare(); err != nil {
		t.Error(err)
	}
}
