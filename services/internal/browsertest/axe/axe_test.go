package axe

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheRegistryIsTheOneNpmIsToldOf(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	user, global := filepath.Join(dir, "user"), filepath.Join(dir, "global")
	for file, text := range map[string]string{user: "fund=false\nregistry = \"https://user.example/npm/\"\n", global: "registry=https://global.example\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	none := filepath.Join(dir, "none")
	for want, environ := range map[string][]string{
		"https://named.example":    {"NPM_CONFIG_REGISTRY=https://named.example/", "npm_config_userconfig=" + user},
		"https://user.example/npm": {"npm_config_userconfig=" + user, "npm_config_globalconfig=" + global},
		"https://global.example":   {"npm_config_userconfig=" + none, "npm_config_globalconfig=" + global},
		publicRegistry:             {"npm_config_userconfig=" + none, "npm_config_globalconfig=" + none},
	} {
		if got := registry(environ); got != want {
			t.Errorf("%v: %s, want %s", environ, got, want)
		}
	}
}

func TestAnotherPackageIsRefused(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/axe-core/-/axe-core-"+version+".tgz" {
			w.Write([]byte("not the package"))
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(server.Close)
	if _, err := fetch(t.Context(), server.URL); err == nil || !strings.Contains(err.Error(), "digest differs") {
		t.Errorf("another package: %v", err)
	}
	if _, err := fetch(t.Context(), server.URL+"/nowhere"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("no package: %v", err)
	}
}
