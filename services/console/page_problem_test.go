package console

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"latchkey.dev/services/internal/web"
)

// programs are the problems that only programs meet: no page shows one.
var programs = []string{"bad-idempotency-key", "bad-query", "idempotency-key-reused", "precondition-required", "unsupported-media-type", "last-provider", "provider-not-in-order", "provider-drained", "bad-order"}

// onForms are the problems that the page of their form tells, by what is wrong in it.
var onForms = []string{"bad-options", "bad-import", "import-stopped", "user-id-taken"}

// A problem that a page can show has sentences in every language.
func TestEveryProblemOfAPageHasSentences(t *testing.T) {
	t.Parallel()
	made := map[string]bool{}
	for _, dir := range []string{".", "../internal/page", "../internal/web", "../internal/password"} {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			source, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`Problem\(http\.\w+, "([a-z-]+)"`).FindAllStringSubmatch(string(source), -1) {
				made[m[1]] = true
			}
		}
	}
	if len(made) < 25 {
		t.Fatalf("only %d problems are found", len(made))
	}
	for name := range made {
		_, page := problems[name]
		_, said := refusalWords["/problems/"+name]
		_, option := optionsRefused["/problems/"+name]
		if !page && !said && !option && !slices.Contains(onForms, name) && !slices.Contains(programs, name) {
			t.Errorf("no page has a sentence for %s", name)
		}
	}
	for _, name := range slices.Concat(programs, onForms) {
		if !made[name] {
			t.Errorf("nothing makes the problem %s", name)
		}
	}
	for name := range problems {
		if !made[name] {
			t.Errorf("nothing makes the problem %s", name)
		}
	}
}

// programFaults are of the import's file, told with its line, and of orders of providers, which no page asks for.
var programFaults = []string{"twice", "none", "unknown", "not_configured_there"}

// What is wrong with a field has a sentence in every language.
func TestEveryFaultOfAFieldHasASentence(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range files {
		source, err := os.ReadFile(name)
		if err != nil || strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, m := range regexp.MustCompile(`(?:\.add\("\w+", |Code: )"([a-z_0-9]+)"`).FindAllStringSubmatch(string(source), -1) {
			found++
			code := m[1]
			_, form := faultWords[code]
			_, option := optionsFaults[code]
			_, file := importFaultWords[code]
			if !form && !option && !file && !slices.Contains(programFaults, code) {
				t.Errorf("%s: the fault %s has no sentence", name, code)
			}
		}
	}
	if found < 20 {
		t.Fatalf("only %d faults are found", found)
	}
	german := &visit{r: httptest.NewRequest("GET", "/options", nil)}
	german.r.Header.Set("Accept-Language", "de")
	if said := german.optionsRefusal(&web.Problem{Faults: []web.Fault{{Code: "bad_jump"}, {Code: "bad_cooldown"}}}); !strings.Contains(said, "1 bis 100") || !strings.Contains(said, "0 bis 168") {
		t.Errorf("two faults are told as %q", said)
	}
}
