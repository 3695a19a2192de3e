package schema_test

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"latchkey.dev/schema"
)

// Every migration runs as the owner and leaves the role as it found it, so that no
// table ever belongs to the deployment's administrator.
func TestMigrationsRunAsTheOwner(t *testing.T) {
	t.Parallel()
	name := regexp.MustCompile(`^[0-9]{3}_[a-z_]+\.sql$`)
	for where, files := range map[string]fs.FS{"main": schema.Main, "keys": schema.Keys} {
		entries, err := fs.ReadDir(files, ".")
		if err != nil || len(entries) == 0 {
			t.Fatalf("%s: %d migrations, %v", where, len(entries), err)
		}
		for _, e := range entries {
			b, err := fs.ReadFile(files, e.Name())
			if err != nil {
				t.Fatal(err)
			}
			text := string(b)
			if !name.MatchString(e.Name()) || strings.Count(text, "SET LOCAL ROLE latchkey_owner;") != 1 || !strings.HasSuffix(text, "RESET ROLE;\n") {
				t.Errorf("%s/%s does not run as latchkey_owner from its name to its end", where, e.Name())
			}
		}
	}
	if !strings.Contains(schema.Roles, "latchkey_owner NOLOGIN") {
		t.Error("the owner may log in")
	}
}
