package browsertest

import (
	"strings"
	"testing"
)

func TestMissingBrowserIsSaidInASentence(t *testing.T) {
	t.Setenv(Env, "/nowhere/chromium")
	if path, err := program(); err == nil || !strings.Contains(err.Error(), "make chromium") || !strings.Contains(err.Error(), Env) {
		t.Errorf("%q, %v: want what to install, and how to name it", path, err)
	}
}
