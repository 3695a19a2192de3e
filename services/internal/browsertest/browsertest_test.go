package browsertest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestMissingBrowserIsSaidInASentence(t *testing.T) {
	t.Setenv(Env, "/nowhere/chromium")
	if path, err := program(); err == nil || !strings.Contains(err.Error(), "make chromium") || !strings.Contains(err.Error(), Env) {
		t.Errorf("%q, %v: want what to install, and how to name it", path, err)
	}
}

// The strictest policy keeps no barrier from being found, nor do scripts that are off.
func TestBarriersAreFound(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'")
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write([]byte(`<!doctype html><html lang="en"><title>Barriers</title><main><h1>Barriers</h1><p><font color="#eee">Pale on white</font></p><select><option>One</option></select></main>`))
	}))
	t.Cleanup(server.Close)
	tab := Start(t).Profile()
	for _, scripts := range []string{"on", "off"} {
		if scripts == "off" {
			tab.WithoutScript()
		}
		tab.Open(server.URL)
		found := tab.barriers()
		for _, rule := range []string{"serious color-contrast", "critical select-name"} {
			if !strings.Contains(found, rule) {
				t.Errorf("with scripts %s, %s is not found in %q", scripts, rule, found)
			}
		}
	}
}
