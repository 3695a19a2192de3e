package schema_test

import (
	"encoding/json"
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

// Each event schema says where it lives, so that its references resolve anywhere, and
// every event type takes the shared envelope.
func TestEventSchemasNameThemselves(t *testing.T) {
	t.Parallel()
	names, err := fs.Glob(schema.Events, "*.json")
	if err != nil || len(names) < 2 {
		t.Fatalf("%d schemas, %v", len(names), err)
	}
	for _, name := range names {
		b, err := fs.ReadFile(schema.Events, name)
		if err != nil {
			t.Fatal(err)
		}
		var s struct {
			Schema      string `json:"$schema"`
			ID          string `json:"$id"`
			Ref         string `json:"$ref"`
			Title       string
			Description string
		}
		if err := json.Unmarshal(b, &s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if s.Schema != "https://json-schema.org/draft/2020-12/schema" || s.ID != "https://latchkey.dev/schema/events/"+name || s.Description == "" {
			t.Errorf("%s is the schema %s in %s, %q", name, s.ID, s.Schema, s.Description)
		}
		if typ := strings.TrimSuffix(name, ".json"); typ != "envelope" && (s.Ref != "envelope.json" || s.Title != typ) {
			t.Errorf("%s is titled %s and takes %q for its envelope", name, s.Title, s.Ref)
		}
	}
}
