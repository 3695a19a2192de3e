package services

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "latchkey.dev/services/"

// The layers, from the bottom. What is in none of them is a service.
var (
	domain   = []string{"access", "code", "device", "email", "event", "factor", "notice", "phone", "routing", "words"}
	assembly = []string{"bench", "cmd", "e2e", "example", "up"}
)

// What the others may not touch, and who may: a pattern of packages, without the module.
var reserved = []struct {
	what string
	// imported is by whom it may be imported, tests included; linked, whose programs may
	// hold it at all. An empty pattern is not looked at.
	imported, linked string
	why              string
}{
	{"github.com/vonage/vonage-go-sdk", `sms/vonage`, `sms/(vonage|configured)|cmd/(internal/)?(dispatcher|up)|cmd/latchkey(/.*)?|up/local|e2e/.*`, "only its adapter speaks to Vonage's SDK, and only the dispatcher sends"},
	{"github.com/twilio/twilio-go", `sms/twilio`, `sms/(twilio|configured)|cmd/(internal/)?(dispatcher|up)|cmd/latchkey(/.*)?|up/local|e2e/.*`, "only its adapter speaks to Twilio's SDK, and only the dispatcher sends"},
	{"github.com/aws/aws-sdk-go-v2/service", `sms/awssms`, `sms/(awssms|configured)|cmd/(internal/)?(dispatcher|up)|cmd/latchkey(/.*)?|up/local|e2e/.*`, "only its adapter speaks to AWS's SDK, and only the dispatcher sends"},
	{"github.com/aws/aws-sdk-go-v2", `sms/(awssms|carriers)`, `sms/(awssms|configured|carriers|smstest)|cmd/(internal/)?(dispatcher|up|carriers|bench)|cmd/latchkey(/.*)?|up(/local)?|(bench|e2e)(/.*)?`, "only its adapter speaks to AWS's SDK, and the simulated carrier checks its signatures"},
	{"github.com/linxGnu/gosmpp", `sms/(smpp|carriers)`, `sms/(smpp|configured|carriers|smstest)|cmd/(internal/)?(dispatcher|up|carriers|bench)|cmd/latchkey(/.*)?|up(/local)?|(bench|e2e)(/.*)?`, "only its adapter speaks SMPP, and the simulated carrier"},
	{"github.com/nats-io/nats-server/v2", `internal/natsd`, `internal/(natsd|bustest)|up(/local)?|cmd/latchkey(/.*)?|cmd/internal/up|(bench|e2e)(/.*)?`, "services speak to the bus; only the embedded default is one"},
	{module + "sms/carriers", `sms/(carriers|smstest|vonage|twilio|awssms|smpp|webhook)|up(/local)?|cmd/latchkey(/.*)?|cmd/internal/(carriers|bench|up)|(bench|e2e|example)(/.*)?`, `sms/(carriers|smstest)|up(/local)?|cmd/latchkey(/.*)?|cmd/internal/(carriers|bench|up)|(bench|e2e)(/.*)?`, "a service that runs for real has no simulated carrier in it"},
	{"github.com/wneessen/go-mail", `mail`, `mail(/.*)?|dispatcher|sms/configured|cmd/(internal/)?(dispatcher|up)|cmd/latchkey(/.*)?|(up|bench|e2e)(/.*)?`, "only the seam speaks to the SMTP library, and only the dispatcher sends"},
	{"github.com/emersion/go-smtp", `mail/mailbox`, `mail/mailbox|up(/local)?|cmd/latchkey(/.*)?|cmd/internal/(bench|up)|(bench|e2e)(/.*)?`, "a service that runs for real has no simulated mail server in it"},
	{"github.com/chromedp/chromedp", ``, `internal/browsertest`, "browsers are for tests"},
}

// pkg is what go list says of a package.
type pkg struct {
	ImportPath, Name                         string
	Imports, TestImports, XTestImports, Deps []string
}

// path is the package without the module, top the first part of it.
func (p pkg) path() string { return strings.TrimPrefix(p.ImportPath, module) }
func (p pkg) top() string  { return top(p.ImportPath) }

// all are the imports of the package and of its tests.
func (p pkg) all() []string { return slices.Concat(p.Imports, p.TestImports, p.XTestImports) }

func top(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, module), "/")
	return first
}

func ours(path string) bool { return strings.HasPrefix(path, module) }

// service is the service that a package belongs to, "" for none.
func service(path string) string {
	if name := top(path); ours(path) && name != "internal" && name != "sms" && name != "mail" && !slices.Contains(domain, name) && !slices.Contains(assembly, name) {
		return name
	}
	return ""
}

// within reports whether a package is another or lies below it.
func within(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }

func packages(t *testing.T) []pkg {
	t.Helper()
	// go test remembers a result until a file that the test opened has changed, and does
	// not see what go list opens: so every folder is opened here.
	if err := filepath.WalkDir(".", func(_ string, _ fs.DirEntry, err error) error { return err }); err != nil {
		t.Fatal(err)
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Name,Imports,TestImports,XTestImports,Deps", "./...")
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for in := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := in.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if ours(p.ImportPath) {
			all = append(all, p)
		}
	}
	if len(all) < 20 {
		t.Fatalf("go list knows %d packages", len(all))
	}
	return all
}

func TestWhoMayImportWhom(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		for _, i := range p.all() {
			switch mine := service(p.ImportPath); {
			case mine != "" && service(i) != "" && service(i) != mine:
				t.Errorf("%s imports %s: services never import each other, they tell each other events", p.path(), i)
			case mine == "" && service(i) != "" && !slices.Contains(assembly, p.top()):
				t.Errorf("%s imports %s: only programs and tests of the whole put services together", p.path(), i)
			}
			if ours(i) && slices.Contains(assembly, top(i)) && !slices.Contains(assembly, p.top()) {
				t.Errorf("%s imports %s, which is above it", p.path(), i)
			}
		}
		for _, i := range p.Imports {
			switch mine := service(p.ImportPath); {
			case mine != "" && strings.HasPrefix(i, "latchkey.dev/queries/") && !within(i, "latchkey.dev/queries/"+mine):
				t.Errorf("%s imports %s: a service asks its own queries alone", p.path(), i)
			case slices.Contains(domain, p.top()) && strings.HasPrefix(i, "latchkey.dev/") && !slices.Contains(domain, top(i)) && i != module+"internal/secret":
				t.Errorf("%s imports %s: the domain knows only itself and secret", p.path(), i)
			case slices.Contains(domain, p.top()) && slices.Contains([]string{"net/http", "net", "os", "database/sql"}, i):
				t.Errorf("%s imports %s: the domain does no I/O", p.path(), i)
			case p.top() == "internal" && ours(i) && top(i) == "sms":
				t.Errorf("%s imports %s: machinery has no business words", p.path(), i)
			case p.top() == "sms" && strings.HasPrefix(i, "latchkey.dev/") && !slices.Contains(append(domain, "sms"), top(i)) &&
				!slices.Contains([]string{module + "internal/secret", module + "internal/web", module + "internal/config"}, i):
				t.Errorf("%s imports %s: the seam stands on the domain", p.path(), i)
			}
		}
	}
}

func TestReservedPackages(t *testing.T) {
	t.Parallel()
	all := packages(t)
	for _, r := range reserved {
		imported, linked := regexp.MustCompile(`^(?:`+r.imported+`)$`), regexp.MustCompile(`^(?:`+r.linked+`)$`)
		touches := func(path string) bool { return within(path, r.what) }
		for _, p := range all {
			if r.imported != "" && slices.ContainsFunc(p.all(), touches) && !imported.MatchString(p.path()) {
				t.Errorf("%s imports %s: %s", p.path(), r.what, r.why)
			}
			if slices.ContainsFunc(p.Deps, touches) && !linked.MatchString(p.path()) {
				t.Errorf("%s links %s: %s", p.path(), r.what, r.why)
			}
		}
	}
}

// What is for tests imports testing, and no program of ours holds it. (A library may import it
// for its own reasons, as the cache of the User-Agent parser does.)
func TestProgramsHoldNothingForTests(t *testing.T) {
	t.Parallel()
	forTests := regexp.MustCompile(`^(?:.*test|internal/storetest/.*)$`)
	all, imports := packages(t), map[string]bool{}
	for _, p := range all {
		imports[p.ImportPath] = slices.Contains(p.Imports, "testing")
		if imports[p.ImportPath] && !forTests.MatchString(p.path()) {
			t.Errorf("%s imports testing", p.path())
		}
	}
	for _, p := range all {
		for _, d := range p.Deps {
			if imports[d] && !forTests.MatchString(p.path()) {
				t.Errorf("%s links %s, which is for tests", p.path(), d)
			}
		}
	}
}

// TestTestHelpersAreInNoProgram goes by names: a package that ends in test is for tests.
func TestTestHelpersAreInNoProgram(t *testing.T) {
	t.Parallel()
	helper := func(path string) bool { return ours(path) && strings.HasSuffix(path, "test") }
	for _, p := range packages(t) {
		// withpostgres is a program for tests.
		if p.Name != "main" || within(p.ImportPath, module+"internal/storetest") {
			continue
		}
		if i := slices.IndexFunc(p.Deps, helper); i >= 0 {
			t.Errorf("the program %s links %s", p.path(), p.Deps[i])
		}
	}
}

// TestTheMapIsWhole: doc.go names everything that there is on the first level, and
// below sms.
func TestTheMapIsWhole(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packages(t) {
		name := p.top()
		if name == "sms" {
			name = p.path()
		}
		if !regexp.MustCompile(`\b` + regexp.QuoteMeta(name) + `\b`).Match(text) {
			t.Errorf("doc.go does not name %s", name)
		}
	}
}
