package event_test

import (
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"latchkey.dev/schema"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/bustest"
)

var (
	oneOf  = regexp.MustCompile(`CONSTRAINT (\w+) CHECK \(\w+ IN \(([^)]*)\)\)`)
	quoted = regexp.MustCompile(`'([^']*)'`)
)

// sqlSets returns the closed sets of the main database by the names of their
// constraints; where a later migration makes one anew, that one.
func sqlSets(t testing.TB) map[string][]string {
	t.Helper()
	names, err := fs.Glob(schema.Main, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	sets := map[string][]string{}
	for _, name := range names { // in the order of their numbers
		b, err := fs.ReadFile(schema.Main, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range oneOf.FindAllStringSubmatch(string(b), -1) {
			sets[m[1]] = nil
			for _, v := range quoted.FindAllStringSubmatch(m[2], -1) {
				sets[m[1]] = append(sets[m[1]], v[1])
			}
		}
	}
	return sets
}

// tables returns the types that each service may write to its event table.
func tables(t testing.TB) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for name, types := range sqlSets(t) {
		if service, ok := strings.CutSuffix(name, "_event_type"); ok {
			slices.Sort(types)
			out[service] = types
		}
	}
	if len(out) != 5 {
		t.Fatalf("%d event tables were found, want 5", len(out))
	}
	return out
}

func TestTheDatabaseKnowsTheSameTypes(t *testing.T) {
	t.Parallel()
	var all []string
	for _, types := range tables(t) {
		all = append(all, types...)
	}
	slices.Sort(all)
	if got, want := slices.Compact(all), slices.Sorted(maps.Keys(event.Kinds)); !slices.Equal(got, want) {
		t.Errorf("the event tables take %q\nthe types are %q", got, want)
	}
}

// A schema allows as sources the services that may write the type, and no other.
func TestSourcesAreTheTablesOwners(t *testing.T) {
	t.Parallel()
	owners := tables(t)
	for typ, s := range schemas(t) {
		for _, source := range []string{"/login", "/dispatcher", "/verifier", "/console", "/auditor"} {
			env := object(t, golden(t, typ))
			env["source"] = source
			may := slices.Contains(owners[source[1:]], typ)
			if ok := valid(t, s, env) == nil; ok != may {
				t.Errorf("%s from %s: valid is %v, its table takes it is %v", typ, source, ok, may)
			}
		}
	}
}

type reference struct {
	Ref string `yaml:"$ref"`
}

// asyncAPI is the part of an AsyncAPI 3.0 document that is checked.
type asyncAPI struct {
	Version  string `yaml:"asyncapi"`
	Channels map[string]struct {
		Address    string
		Parameters map[string]reference
		Messages   map[string]reference
	}
	Operations map[string]struct {
		Action  string
		Channel reference
		Tags    []struct{ Name string }
	}
	Components struct {
		Messages map[string]struct {
			Payload struct{ Schema reference }
		}
	}
}

func readAsyncAPI(t testing.TB) (doc asyncAPI) {
	t.Helper()
	b, err := fs.ReadFile(schema.Events, "asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Version != "3.0.0" {
		t.Fatalf("AsyncAPI %q, want 3.0.0", doc.Version)
	}
	return doc
}

func TestAsyncAPINamesExactlyTheTypes(t *testing.T) {
	t.Parallel()
	doc := readAsyncAPI(t)
	types := slices.Sorted(maps.Keys(event.Kinds))
	var channels, messages, everything []string
	for name, c := range doc.Channels {
		if name == "everything" {
			for n, m := range c.Messages {
				if m.Ref != "#/components/messages/"+n {
					t.Errorf("everything says %s of %s", m.Ref, n)
				}
				everything = append(everything, "latchkey."+n)
			}
			continue
		}
		channels = append(channels, "latchkey."+name)
		if want := "latchkey." + name + ".{account}"; c.Address != want || c.Parameters["account"].Ref == "" {
			t.Errorf("%s has the address %s, want %s", name, c.Address, want)
		}
		if len(c.Messages) != 1 || c.Messages["event"].Ref != "#/components/messages/"+name {
			t.Errorf("%s carries %v", name, c.Messages)
		}
	}
	for name, m := range doc.Components.Messages {
		messages = append(messages, "latchkey."+name)
		if m.Payload.Schema.Ref != "./"+name+".json" {
			t.Errorf("the message %s is described by %s", name, m.Payload.Schema.Ref)
		}
	}
	for what, got := range map[string][]string{"channels": channels, "messages": messages, "everything": everything} {
		if slices.Sort(got); !slices.Equal(got, types) {
			t.Errorf("%s are of the types %q\nwant %q", what, got, types)
		}
	}
}

// Who sends and who receives is as the database and the bus have it: each service sends
// what its table takes, may publish it, and receives only if it has a consumer.
func TestAsyncAPISaysWhoSendsAndReceives(t *testing.T) {
	t.Parallel()
	doc := readAsyncAPI(t)
	sends := map[string][]string{}
	receivers := map[string]bool{}
	for name, op := range doc.Operations {
		channel := strings.TrimPrefix(op.Channel.Ref, "#/channels/")
		c, ok := doc.Channels[channel]
		if !ok || len(op.Tags) != 1 || !strings.HasSuffix(name, "."+channel) {
			t.Errorf("%s is about %s, by %v", name, op.Channel.Ref, op.Tags)
			continue
		}
		service := op.Tags[0].Name
		rights := bus.Rights(service)
		switch op.Action {
		case "send":
			sends[service] = append(sends[service], "latchkey."+channel)
			subject := strings.Replace(c.Address, "{account}", account.String(), 1)
			if !slices.ContainsFunc(rights.Publish, func(allowed string) bool { return covers(allowed, subject) }) {
				t.Errorf("%s: %s may not publish %s", name, service, subject)
			}
		case "receive":
			receivers[service] = true
		default:
			t.Errorf("%s neither sends nor receives", name)
		}
	}
	for service, want := range tables(t) {
		if slices.Sort(sends[service]); !slices.Equal(sends[service], want) {
			t.Errorf("%s sends %q\nits table takes %q", service, sends[service], want)
		}
	}
	for _, service := range bus.Services() {
		pulls := slices.ContainsFunc(bus.Rights(service).Publish, func(s string) bool {
			return strings.HasPrefix(s, "$JS.API.CONSUMER.MSG.NEXT."+bus.Stream+".")
		})
		if pulls != receivers[service] {
			t.Errorf("%s has a consumer is %v, receives is %v", service, pulls, receivers[service])
		}
	}
}

// What a durable consumer is said to receive is what it is made to filter, no more and no
// less: an event that nobody gives to its consumer would never be worked on.
func TestAsyncAPISaysWhatEachConsumerReceives(t *testing.T) {
	t.Parallel()
	doc := readAsyncAPI(t)
	said := map[string][]string{}
	for name, op := range doc.Operations {
		if durable, channel, ok := strings.Cut(name, "."); ok && op.Action == "receive" {
			said[durable] = append(said[durable], strings.Replace(doc.Channels[channel].Address, "{account}", "*", 1))
		}
	}
	stream, err := bustest.Start(t).Admin(t).Stream(t.Context(), bus.Stream)
	if err != nil {
		t.Fatal(err)
	}
	made := map[string][]string{}
	for c := range stream.ListConsumers(t.Context()).Info() {
		made[c.Config.Durable] = c.Config.FilterSubjects
		if len(c.Config.FilterSubjects) == 0 {
			made[c.Config.Durable] = []string{c.Config.FilterSubject}
		}
	}
	for _, durable := range []string{bus.DispatcherSend, bus.VerifierJudge, bus.AuditorOrder} {
		slices.Sort(said[durable])
		slices.Sort(made[durable])
		if !slices.Equal(said[durable], made[durable]) || len(made[durable]) == 0 {
			t.Errorf("%s is said to receive %q and filters %q", durable, said[durable], made[durable])
		}
	}
	if len(said) != len(made) {
		t.Errorf("%d consumers receive and %d are made", len(said), len(made))
	}
}

// covers reports whether a NATS subject with wildcards takes in another without.
func covers(allowed, subject string) bool {
	a, s := strings.Split(allowed, "."), strings.Split(subject, ".")
	for i, token := range a {
		if token == ">" {
			return len(s) > i
		}
		if i >= len(s) || token != "*" && token != s[i] {
			return false
		}
	}
	return len(a) == len(s)
}
