package login

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	queries "latchkey.dev/queries/login"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/words"
)

// programs are the problems that only programs meet: no page shows one.
var programs = []string{"api-key", "bad-address", "bad-member", "invalid-proof", "member-erased", "no-more-texts", "no-session", "not-a-code", "number-required",
	"password-must-change", "proof-replayed", "too-soon", "unsupported-media-type", "use-dpop-nonce", "user-id-taken"}

// A problem that a page can show has sentences in every language, and no other has.
func TestEveryProblemOfAPageHasSentences(t *testing.T) {
	t.Parallel()
	made := map[string]bool{}
	for _, dir := range []string{".", "../internal/page", "../internal/web", "../internal/password"} {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			source, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			for _, m := range regexp.MustCompile(`Problem\(http\.\w+, "([a-z-]+)"`).FindAllStringSubmatch(string(source), -1) {
				made[m[1]] = true
			}
		}
	}
	if len(made) < 30 {
		t.Fatalf("only %d problems are found", len(made))
	}
	for name := range made {
		if _, ok := problems[name]; ok == slices.Contains(programs, name) {
			t.Errorf("%s is for pages: %v, and for programs alone: %v", name, ok, !ok)
		}
	}
	for name := range problems {
		if name, _, _ := strings.Cut(name, " "); !made[name] {
			t.Errorf("nothing makes the problem %s", name)
		}
	}
}

func asProblem(t *testing.T, err error) *web.Problem {
	t.Helper()
	p := new(web.Problem)
	if !errors.As(err, &p) {
		t.Fatalf("%v is no problem", err)
	}
	return p
}

// A refusal says whom to ask, and from when codes are sent.
func TestRefusalsNameTheContact(t *testing.T) {
	t.Parallel()
	for lang, when := range map[words.Language]string{words.English: "1 August 2026, 15:04 UTC", words.French: "1er août 2026, 15:04 UTC",
		words.Spanish: "1 de agosto de 2026, 15:04 UTC", words.German: "1. August 2026, 15:04 UTC"} {
		for _, contact := range []string{"Ada <b>", ""} {
			for why, standing := range map[string]standing{"": noNumber, "country_not_allowed": refused, "number_cooldown": refused, "member_locked": refused} {
				err := answer{standing: standing, why: why, member: &queries.CheckReadRow{Contact: contact, CoolAt: time.Date(2026, 8, 1, 15, 4, 0, 0, time.UTC)}}.problem()
				said := detailIn(lang, asProblem(t, err))
				if contact != "" && !strings.Contains(said, contact) || strings.Contains(said, "{{") {
					t.Errorf("%s: %q does not say to ask %q", lang, said, contact)
				}
				if lang != words.English && strings.Contains(said, "the owner") {
					t.Errorf("%s: %q has English in it", lang, said)
				}
				if why == "number_cooldown" && !strings.Contains(said, when) {
					t.Errorf("%s: %q does not say %s", lang, said, when)
				}
			}
		}
	}
}
