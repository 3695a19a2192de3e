package event_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/event"
)

// changed is the golden event of a type after change, encoded again.
func changed(t testing.TB, typ string, change func(envelope, data map[string]any)) []byte {
	t.Helper()
	env := object(t, golden(t, typ))
	change(env, env["data"].(map[string]any))
	b, err := json.Marshal(env)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDecodeIsStrict(t *testing.T) {
	t.Parallel()
	const typ = "latchkey.code.entered"
	good := golden(t, typ)
	set := func(field string, v any) []byte {
		return changed(t, typ, func(env, _ map[string]any) { env[field] = v })
	}
	drop := func(field string) []byte {
		return changed(t, typ, func(env, _ map[string]any) { delete(env, field) })
	}
	for name, body := range map[string][]byte{
		"nothing":             nil,
		"no JSON":             []byte("code entered"),
		"null":                []byte("null"),
		"a list":              []byte("[]"),
		"half an event":       good[:len(good)/2],
		"two events":          append(bytes.Clone(good), good...),
		"a trailing word":     append(bytes.Clone(good), "x"...),
		"an unknown field":    set("extra", 1),
		"unknown data":        changed(t, typ, func(_, data map[string]any) { data["extra"] = 1 }),
		"data of two kinds":   changed(t, typ, func(_, data map[string]any) { data["request"] = 2 }),
		"a number for an id":  changed(t, typ, func(_, data map[string]any) { data["entry"] = 7 }),
		"another specversion": set("specversion", "0.3"),
		"no specversion":      drop("specversion"),
		"other content":       set("datacontenttype", "text/plain"),
		"no id":               drop("id"),
		"a nil id":            set("id", uuid.Nil),
		"no time":             drop("time"),
		"a time of its own":   set("time", "2026-11-24T09:30:15+01:00"),
		"a bad time":          set("time", "yesterday"),
		"no source":           drop("source"),
		"an odd source":       set("source", "login"),
		"no data":             drop("data"),
		"null data":           changed(t, typ, func(env, _ map[string]any) { env["data"], env["subject"] = nil, uuid.Nil }),
		"a list as data":      set("data", []int{1}),
		"a wrong subject":     set("subject", uuid.New()),
		"no subject":          drop("subject"),
		"a foreign type":      set("type", "com.example.code.entered"),
		"a bad account":       set("account", "a1"),
	} {
		e, err := event.Decode(body)
		if err == nil || errors.Is(err, event.ErrUnknownType) {
			t.Errorf("%s: Decode = %v, want an error of its own", name, err)
		}
		if e.Data != nil || e.Body != nil {
			t.Errorf("%s: an event comes with the error", name)
		}
	}
	if _, err := event.Decode(good); err != nil {
		t.Errorf("the event that all these were made of: %v", err)
	}
}

// A later version's types are no poison: a reader may tell them from broken events.
func TestAnUnknownTypeIsSaidToBeOne(t *testing.T) {
	t.Parallel()
	for _, typ := range []string{"latchkey.code.forgotten", "latchkey.code.requested.more", "latchkey."} {
		body := changed(t, "latchkey.code.entered", func(env, _ map[string]any) { env["type"] = typ })
		if _, err := event.Decode(body); !errors.Is(err, event.ErrUnknownType) {
			t.Errorf("%s: %v, want ErrUnknownType", typ, err)
		}
	}
}

func TestSizeIsBounded(t *testing.T) {
	t.Parallel()
	body := golden(t, "latchkey.code.entered")
	full := append(bytes.Clone(body), bytes.Repeat([]byte(" "), event.MaxSize-len(body))...)
	if _, err := event.Decode(full); err != nil {
		t.Errorf("an event of %d bytes: %v", len(full), err)
	}
	if _, err := event.Decode(append(full, ' ')); err == nil {
		t.Errorf("an event of %d bytes was read", len(full)+1)
	}
	large := event.LoginRefused{Member: &member, Software: "web", Origin: "sign_in", Reason: "locked", Details: make([]byte, event.MaxSize)}
	if e, err := event.New("login", account, at, large); err == nil || e.Body != nil {
		t.Errorf("an event of %d bytes was written", len(e.Body))
	}
}

// A time that JSON cannot say is an error, not an event that nobody can read.
func TestATimeOutOfRangeIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := event.New("login", account, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), event.PasswordChanged{Member: member}); err == nil {
		t.Error("an event of the year 10000 was written")
	}
}

// FuzzDecode holds that nothing panics, and that what is read can be written, and then
// reads and writes the same.
func FuzzDecode(f *testing.F) {
	for typ := range event.Kinds {
		f.Add(golden(f, typ))
	}
	for _, x := range sparse {
		f.Add(x.event(f).Body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		first, err := event.Decode(body)
		if err != nil {
			return
		}
		again := func(e event.Event) event.Event {
			e, err := event.NewWithID(e.ID, strings.TrimPrefix(e.Source, "/"), e.Account, e.Time, e.Data)
			if err != nil {
				t.Fatalf("what was read cannot be written: %v\n%s", err, body)
			}
			return e
		}
		if len(body) > event.MaxSize/6 {
			return // escaped, it may be six times as long: too large to be written
		}
		written := again(first)
		second, err := event.Decode(written.Body)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, written.Body)
		}
		if second.ID != first.ID || second.Type != first.Type || second.Source != first.Source || !second.Time.Equal(first.Time) ||
			second.Account != first.Account || second.Data.Subject() != first.Data.Subject() {
			t.Fatalf("%+v became %+v", first, second)
		}
		if b := again(second).Body; !bytes.Equal(b, written.Body) {
			t.Fatalf("written the second time it is\n%s\nthe first time it was\n%s", b, written.Body)
		}
	})
}

func BenchmarkNew(b *testing.B) {
	data := examples[0].data
	b.ReportAllocs()
	for b.Loop() {
		if _, err := event.New("login", account, at, data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	body := golden(b, examples[0].data.Type())
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := event.Decode(body); err != nil {
			b.Fatal(err)
		}
	}
}
