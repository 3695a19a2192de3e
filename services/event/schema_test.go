package event_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"latchkey.dev/schema"
	"latchkey.dev/services/device"
	"latchkey.dev/services/event"
	"latchkey.dev/services/sms"
)

const base = "https://latchkey.dev/schema/events/"

// schemas compiles every schema, by type, with formats asserted and nothing fetched.
func schemas(t testing.TB) map[string]*jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.AssertContent()
	c.UseLoader(jsonschema.SchemeURLLoader{})
	names, err := fs.Glob(schema.Events, "*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := c.AddResource(base+name, read(t, name)); err != nil {
			t.Fatal(err)
		}
	}
	out := map[string]*jsonschema.Schema{}
	for _, name := range names {
		s, err := c.Compile(base + name)
		if err != nil {
			t.Fatal(err)
		}
		if name != "envelope.json" {
			out["latchkey."+strings.TrimSuffix(name, ".json")] = s
		}
	}
	return out
}

// read returns a contract's JSON, numbers as they are written.
func read(t testing.TB, name string) any {
	t.Helper()
	b, err := fs.ReadFile(schema.Events, name)
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return v
}

// in returns what lies at a path of keys.
func in(t testing.TB, v any, path ...string) any {
	t.Helper()
	for _, k := range path {
		m, ok := v.(map[string]any)
		if !ok || m[k] == nil {
			t.Fatalf("there is no %s of %s", k, strings.Join(path, "/"))
		}
		v = m[k]
	}
	return v
}

func valid(t testing.TB, s *jsonschema.Schema, v any) error {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	read, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(read)
}

func keys(v any) []string { return slices.Sorted(maps.Keys(v.(map[string]any))) }

func TestEveryTypeHasASchemaAndTheReverse(t *testing.T) {
	t.Parallel()
	if got, want := slices.Sorted(maps.Keys(schemas(t))), slices.Sorted(maps.Keys(event.Kinds)); !slices.Equal(got, want) {
		t.Errorf("the schemas are %q\nthe types %q", got, want)
	}
}

func TestWhatIsWrittenIsAsTheSchemaSays(t *testing.T) {
	t.Parallel()
	all := schemas(t)
	for typ, s := range all {
		if err := valid(t, s, json.RawMessage(golden(t, typ))); err != nil {
			t.Errorf("%s: %v", typ, err)
		}
	}
	for _, x := range sparse {
		if e := x.event(t); valid(t, all[e.Type], json.RawMessage(e.Body)) != nil {
			t.Errorf("%s\n%v", e.Body, valid(t, all[e.Type], json.RawMessage(e.Body)))
		}
	}
}

// The golden events have every field there is, the empty ones just those that must be:
// with them each schema is held to the Go type, field by field.
func TestSchemasHaveTheFieldsOfTheTypes(t *testing.T) {
	t.Parallel()
	for typ, empty := range event.Kinds {
		b, err := json.Marshal(empty())
		if err != nil {
			t.Fatal(err)
		}
		data := in(t, read(t, short(typ)+".json"), "properties", "data")
		var required []string
		for _, k := range in(t, data, "required").([]any) {
			required = append(required, k.(string))
		}
		slices.Sort(required)
		if want := keys(object(t, b)); !slices.Equal(required, want) {
			t.Errorf("%s requires %q, the type always has %q", typ, required, want)
		}
		if got, want := keys(in(t, data, "properties")), keys(object(t, golden(t, typ))["data"]); !slices.Equal(got, want) {
			t.Errorf("%s allows %q, the type can have %q", typ, got, want)
		}
	}
}

func TestSchemasRefuseWhatIsMissingOrExtra(t *testing.T) {
	t.Parallel()
	for typ, s := range schemas(t) {
		empty, err := json.Marshal(event.Kinds[typ]())
		if err != nil {
			t.Fatal(err)
		}
		always := object(t, empty)
		refused := func(what string, change func(env, data map[string]any)) {
			if valid(t, s, json.RawMessage(changed(t, typ, change))) == nil {
				t.Errorf("%s is valid with %s", typ, what)
			}
		}
		whole := object(t, golden(t, typ))
		for field := range whole {
			refused("no "+field, func(env, _ map[string]any) { delete(env, field) })
			refused("null for "+field, func(env, _ map[string]any) { env[field] = nil })
		}
		for field := range whole["data"].(map[string]any) {
			refused("null for data/"+field, func(_, data map[string]any) { data[field] = nil })
			if _, must := always[field]; must {
				refused("no data/"+field, func(_, data map[string]any) { delete(data, field) })
			}
		}
		refused("an extra field", func(env, _ map[string]any) { env["extra"] = "x" })
		refused("an extra field of data", func(_, data map[string]any) { data["extra"] = "x" })
		refused("another type", func(env, _ map[string]any) { env["type"] = "latchkey.code.forgotten" })
		other := "/auditor"
		if strings.HasPrefix(typ, "latchkey.audit.") {
			other = "/login"
		}
		refused("a service that may not say it", func(env, _ map[string]any) { env["source"] = other })
		refused("a time that is not UTC", func(env, _ map[string]any) { env["time"] = "2026-11-24T09:30:15+01:00" })
		refused("an id of another version", func(env, _ map[string]any) { env["id"] = "9b2d2c53-58c5-4e0c-a6f6-0d3a1a0f6f0e" })
	}
	number := schemas(t)["latchkey.member.number_changed"]
	for what, change := range map[string]func(env, data map[string]any){
		"a number of no country": func(_, data map[string]any) { delete(data, "country") },
		"a country of no number": func(_, data map[string]any) { data["has_number"] = false },
	} {
		if valid(t, number, json.RawMessage(changed(t, "latchkey.member.number_changed", change))) == nil {
			t.Errorf("%s is valid", what)
		}
	}
}

// secretLike is a run of digits as long as a code or a number, however it is written.
var secretLike = regexp.MustCompile(`(?:\d[ ().-]*){6,}`)

// No event can tell a number or a code: the golden ones do not, and no field of any schema
// would take one. Only a vendor's own status code may be six digits long.
func TestNoEventCanHoldANumberOrACode(t *testing.T) {
	t.Parallel()
	for typ, s := range schemas(t) {
		env := object(t, golden(t, typ))
		leaves(env["data"], "data", nil, func(at string, was any, put func(any)) {
			if n, ok := was.(float64); ok && n > 99_999 {
				t.Errorf("%s holds %v at %s", typ, n, at)
			}
			if w, ok := was.(string); ok && !sealedOrID(at, w) && secretLike.MatchString(w) {
				t.Errorf("%s holds %q at %s", typ, w, at)
			}
			for _, secret := range []any{"+16044410142", "16044410142", "604-441-0142", "(604) 441-0142", "482913", "482 913", 482913, 16044410142} {
				if digits, ok := secret.(string); ok && strings.HasSuffix(at, "/vendor_code") && !strings.ContainsAny(digits, "+ (") {
					continue
				}
				put(secret)
				if valid(t, s, env) == nil {
					t.Errorf("%s can hold %v at %s", typ, secret, at)
				}
			}
			put(was)
		})
		if err := valid(t, s, env); err != nil {
			t.Errorf("%s is not as it was: %v", typ, err)
		}
	}
}

// sealedOrID reports whether digits are there by chance: in an id, or in base64.
func sealedOrID(at, v string) bool {
	return strings.HasSuffix(at, "/thumbprint") || strings.HasSuffix(at, "/details") || strings.Contains(v, "-7000-8000-")
}

// Every closed set of the schemas is the one that the database or the code holds to.
func TestClosedSetsAreThoseOfTheCode(t *testing.T) {
	t.Parallel()
	sets := sqlSets(t)
	var failures []string
	for _, r := range sms.Reasons {
		if r != sms.ReasonOK {
			failures = append(failures, string(r))
		}
	}
	var roles []string
	for _, r := range device.Roles {
		roles = append(roles, string(r))
	}
	var endings []string
	for _, e := range sms.Endings {
		endings = append(endings, string(e))
	}
	without := func(set []string, not ...string) []string {
		return slices.DeleteFunc(slices.Clone(set), func(s string) bool { return slices.Contains(not, s) })
	}
	data := func(field string) []string { return []string{"properties", "data", "properties", field} }
	changes := []string{string(device.NewOS), string(device.NewBrowser), string(device.BrowserUpgrade)}
	for _, tc := range []struct {
		file string
		path []string
		want []string
	}{
		{"envelope", []string{"$defs", "role"}, sets["member_role"]},
		{"envelope", []string{"$defs", "role"}, roles},
		{"envelope", []string{"$defs", "origin"}, sets["challenge_origin"]},
		{"envelope", []string{"$defs", "device_kind"}, sets["challenge_device_kind"]},
		{"envelope", []string{"$defs", "device_kind"}, sets["device_kind"]},
		{"envelope", []string{"$defs", "failure"}, failures},
		{"envelope", []string{"$defs", "change"}, changes},
		{"code.requested", data("reason"), append([]string{"unknown_device", "prove_number"}, changes...)},
		{"code.requested", data("purpose"), sets["challenge_purpose"]},
		{"code.rejected", data("result"), without(sets["verdict_result"], "registered", "proved")},
		{"device.revoked", data("reason"), sets["device_revoke_reason"]},
		{"envelope", []string{"$defs", "notice_kind"}, sets["notice_kind"]},
		{"envelope", []string{"$defs", "channel"}, sets["notice_channel"]},
		{"notice.abandoned", data("reason"), without(sets["notice_ending"], "sent")},
		{"sms.undelivered", data("status"), without(sets["receipt_status"], "delivered", "in_transit", "unknown")},
		{"account.created", data("kind"), sets["account_kind"]},
		{"provider.tested", data("ending"), endings},
	} {
		var got []string
		for _, v := range in(t, in(t, read(t, tc.file+".json"), tc.path...), "enum").([]any) {
			got = append(got, v.(string))
		}
		want := slices.Clone(tc.want)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s %s is %q, want %q", tc.file, strings.Join(tc.path, "/"), got, want)
		}
	}
	policy := in(t, read(t, "account.option_changed.json"), append(data("after"), "pattern")...).(string)
	for _, p := range sets["account_upgrade_policy"] {
		if !regexp.MustCompile(policy).MatchString(p) {
			t.Errorf("account.option_changed cannot tell of the policy %s", p)
		}
	}
}
