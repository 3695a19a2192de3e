package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"latchkey.dev/services/internal/secret"
)

func TestStringIsNeverPrinted(t *testing.T) {
	t.Parallel()
	const canary = "correct-horse"
	s := secret.New(canary)
	holder := struct{ Password secret.String }{s}
	inside := &struct {
		o struct{ password secret.String }
	}{}
	inside.o.password = s

	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "secret", s, "holder", holder)
	js, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	all := log.String() + string(js)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		all += fmt.Sprintf(verb, s) + fmt.Sprintf(verb, holder) + fmt.Sprintf(verb, &s) + fmt.Sprintf(verb, inside)
	}
	for _, leak := range []string{canary, fmt.Sprintf("%x", canary)} {
		if strings.Contains(all, leak) {
			t.Errorf("the secret shows as %q in %s", leak, all)
		}
	}
	if s.Reveal() != canary {
		t.Errorf("Reveal() = %q, want %q", s.Reveal(), canary)
	}
}

func TestFromFileDropsTheLineEnd(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte("s3cret\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := secret.FromFile(path)
	if err != nil || got.Reveal() != "s3cret" {
		t.Errorf("FromFile = %q, %v; want s3cret", got.Reveal(), err)
	}
}
