package e2e

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/up"
)

// F21: whatever is published with login's own credential and is almost an event, it becomes
// a dead letter, or does nothing; and people go on registering meanwhile. (What is no event
// at all, on every subject, is TestPoisonOnEverySubject's.)
func TestAlmostEventsDoNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(*up.Options) {})
	stream := must(w.bus.Admin(t).Stream(t.Context(), bus.Stream))(t)
	login := must(jetstream.New(w.bus.Raw(t, bus.Login, nil)))(t)
	account := uuid.New()
	publish := func(subject, id string, data []byte) {
		t.Helper()
		m := &nats.Msg{Subject: subject, Data: data}
		if id != "" {
			m.Header = nats.Header{nats.MsgIdHdr: {id}}
		}
		must(login.PublishMsg(t.Context(), m))(t)
	}
	made := func(d event.Data) map[string]any {
		e := must(event.New("login", account, time.Now(), d))(t)
		var v map[string]any
		if err := json.Unmarshal(e.Body, &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	challenge, member := uuid.Must(uuid.NewV7()), uuid.New()
	letters := 0
	for typ, good := range map[string]func() event.Data{
		"latchkey.code.requested": func() event.Data {
			return event.CodeRequested{Challenge: challenge, Member: member, Software: "web", Purpose: "register", Origin: "sign_in", DeviceKind: "key", Thumbprint: make([]byte, 32), Reason: "unknown_device", Country: "CA", ValidS: 300}
		},
		"latchkey.text.requested": func() event.Data { return event.TextRequested{Challenge: challenge, Member: member, Request: 2} },
		"latchkey.code.entered": func() event.Data {
			return event.CodeEntered{Challenge: challenge, Member: member, Entry: uuid.Must(uuid.NewV7())}
		},
	} {
		subject := typ + "." + account.String()
		for _, body := range [][]byte{nil, []byte("{"), []byte("null"), []byte("[]"), []byte(`"x"`), []byte("\x00\xff"), []byte(`{"type":"` + typ + `"}`), slices.Repeat([]byte("["), 50_000), slices.Repeat([]byte("x"), 100_000)} {
			publish(subject, uuid.NewString(), body)
			letters++
		}
		for _, change := range []func(v, data map[string]any){
			func(v, _ map[string]any) { v["type"] = "latchkey.code.forgotten" },
			func(v, _ map[string]any) { v["specversion"] = "9.9" },
			func(v, _ map[string]any) { v["extra"] = 1 },
			func(v, _ map[string]any) { v["subject"] = uuid.NewString() },
			func(v, _ map[string]any) { v["time"] = "yesterday" },
			func(v, _ map[string]any) { v["data"] = nil },
			func(_, data map[string]any) { data["challenge"] = "x" },
			func(_, data map[string]any) { data["extra"] = "x" },
			func(_, data map[string]any) { data["member"] = 7 },
		} {
			v := made(good())
			change(v, v["data"].(map[string]any))
			publish(subject, v["id"].(string), must(json.Marshal(v))(t))
			letters++
		}
		v := made(good())
		publish(subject, "", must(json.Marshal(v))(t)) // no id
		letters++
		publish(subject, v["id"].(string), must(json.Marshal(v))(t)) // of rows that are not there: no letter
	}
	for _, request := range []int{-1, 0, 1, 4, 99, 1 << 40} { // texts that nobody asked for, in no challenge
		v := made(event.TextRequested{Challenge: challenge, Member: member, Request: request})
		publish("latchkey.text.requested."+account.String(), v["id"].(string), must(json.Marshal(v))(t))
	}

	begun := time.Now()
	p := w.person(1)
	p.live(w.first)
	w.until("every malformed message is a dead letter", func() bool {
		return w.count("SELECT count(*) FROM dead_letter WHERE consumer <> 'auditor-order'") >= letters
	})
	w.caughtUp(stream)
	t.Logf("a life and %d dead letters in %s", letters, time.Since(begun).Round(time.Millisecond))
	if n := w.count("SELECT count(*) FROM dead_letter WHERE consumer <> 'auditor-order'"); n != letters {
		t.Errorf("%d dead letters, want %d", n, letters)
	}
	if n := w.count("SELECT max(deliveries) FROM dead_letter WHERE consumer <> 'auditor-order'"); n > 3 {
		t.Errorf("a message was delivered %d times before it was put aside", n)
	}
	if devices, texts := w.count("SELECT count(*) FROM device"), w.first.count()+w.second.count(); devices != 1 || texts != 1 {
		t.Errorf("%d devices and %d texts, want those of the one person", devices, texts)
	}

	// A text that an open challenge's person did not ask for is not sent either.
	q := w.person(2)
	c, _ := q.open(1)
	for _, request := range []int{-1, 0, 2, 3, 4, 65537, 1 << 40} {
		v := made(event.TextRequested{Challenge: c, Member: q.id, Request: request})
		publish("latchkey.text.requested."+account.String(), v["id"].(string), must(json.Marshal(v))(t))
	}
	w.caughtUp(stream)
	if texts := w.first.count() + w.second.count(); texts != 2 {
		t.Errorf("%d texts, want the two that were asked for", texts)
	}
}
