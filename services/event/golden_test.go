package event_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/event"
)

var update = flag.Bool("update", false, "write the golden files anew: only for a type that nobody has published yet")

// id makes the ids of the examples: UUIDv7s that a reader can tell apart.
func id(n int) uuid.UUID { return uuid.MustParse(fmt.Sprintf("019a5b3c-7d00-7000-8000-%012x", n)) }

// filled makes n bytes that are plainly no secret.
func filled(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

var (
	account          = id(0xacc)
	challenge        = id(0xc4a)
	member           = id(0x3e3)
	dev              = id(0xdef)
	session          = id(0x5e5)
	entry            = id(0xe47)
	registrationCode = id(0x4ec)
	at               = time.Date(2026, 11, 24, 9, 30, 15, 123456000, time.UTC)

	attempt = event.SMSAttempt{Challenge: challenge, Attempt: id(0xa77), AttemptNo: 2, Request: 1, Text: 2, Provider: "vonage", Country: "CA"}
	failed  = event.SMSAnswer{SMSAttempt: attempt, Reason: "timeout", VendorCode: "504", TookMS: 4000}
)

// example is an event with the service that tells of it.
type example struct {
	service string
	data    event.Data
}

// examples holds each type once, with every field that it can have.
var examples = []example{
	{"login", event.CodeRequested{Challenge: challenge, Member: member, Software: "web", Purpose: "register", Origin: "sign_in", DeviceKind: "key",
		Thumbprint: filled(32), Reason: "unknown_device", Country: "CA", ValidS: 300, Details: filled(120)}},
	{"login", event.TextRequested{Challenge: challenge, Member: member, Request: 2}},
	{"login", event.CodeEntered{Challenge: challenge, Member: member, Entry: entry}},
	{"login", event.LoginSucceeded{Member: member, Software: "web", Origin: "sign_in", Device: &dev, Session: &session,
		AMR: []string{"pwd", "swk", "mfa"}, Upgraded: "browser_upgraded", Details: filled(120)}},
	{"login", event.LoginRefused{Member: &member, Software: "mobile-2", Origin: "device_check", Reason: "no_number", Details: filled(120)}},
	{"login", event.LoginEnded{Member: member, Session: session}},
	{"login", event.PasswordChanged{Member: member, Link: true}},
	{"login", event.DeviceNamed{Member: member, Device: dev}},
	{"login", event.DeviceRevoked{Member: member, Device: dev, Reason: "member", By: member.String()}},
	{"login", event.MemberCreated{Member: member, Role: "provider", HasNumber: true, Country: "CA", By: "key:" + id(0x4e4).String()}},
	{"console", event.MemberUpdated{Member: member, Role: "supervisor", By: "member:" + id(0x3e4).String(), Changed: []string{"role", "user_id"}}},
	{"login", event.NumberChanged{Member: member, Version: 2, HasNumber: true, Country: "001", By: "operator"}},
	{"dispatcher", event.SMSAttempted{SMSAttempt: attempt, Rescued: true, Why: "failover"}},
	{"dispatcher", event.SMSAccepted{SMSAnswer: event.SMSAnswer{SMSAttempt: attempt, Reason: "ok", VendorCode: "0", TookMS: 84}}},
	{"dispatcher", event.SMSRefused{SMSAnswer: event.SMSAnswer{SMSAttempt: attempt, Reason: "bad_number", VendorCode: "21614", TookMS: 91}, Never: true}},
	{"dispatcher", event.SMSUnanswered{SMSAnswer: failed}},
	{"dispatcher", event.ConversionFallen{Country: "CA", Prefix: "16044", Accepted: 40, Typed: 3}},
	{"dispatcher", event.SpendReached{Account: account, Country: "CA", Span: "hour", Level: "stop", Percent: 101}},
	{"dispatcher", event.SMSAbandoned{Challenge: challenge, Request: 1, Reason: "too_late"}},
	{"dispatcher", event.SMSDelivered{SMSReceipt: event.SMSReceipt{SMSAttempt: attempt, VendorCode: "delivered"}}},
	{"dispatcher", event.SMSUndelivered{SMSReceipt: event.SMSReceipt{SMSAttempt: attempt, VendorCode: "30005"}, Status: "undelivered"}},
	{"verifier", event.DeviceRegistered{Challenge: challenge, Member: member, Device: dev, Software: "web", Kind: "key", Thumbprint: filled(32), Text: 2, Entry: entry,
		Factor: "registration_code", RegistrationCode: &registrationCode}},
	{"verifier", event.NumberProved{Challenge: challenge, Member: member, Version: 2, Text: 1, Entry: entry}},
	{"verifier", event.CodeRejected{Challenge: challenge, Member: member, Entry: entry, Result: "wrong", TriesLeft: 4}},
	{"verifier", event.CodeExpired{Challenge: challenge, Member: member}},
	{"login", event.MemberLocked{Member: member, Notice: id(0x207)}},
	{"verifier", event.NoticeRequested{Notice: id(0x207), Member: member, Kind: "device_registered", Channel: "email", Device: &dev}},
	{"dispatcher", event.NoticeSent{Notice: id(0x207), Member: member, Kind: "device_registered", Channel: "text", Provider: "vonage", Tries: 2}},
	{"dispatcher", event.NoticeAbandoned{Notice: id(0x207), Member: member, Kind: "number_changed", Channel: "email", Reason: "too_late"}},
	{"console", event.AccountCreated{Account: account, Kind: "pro", By: "operator"}},
	{"console", event.KeyCreated{Account: account, Key: id(0x6e1), By: "operator"}},
	{"console", event.PeopleExported{Account: account, People: 12, Roles: []string{"administrator", "provider"}, Searched: true, NoNumber: true, NoDevice: true, Locked: true, Deactivated: true, By: "member:" + member.String()}},
	{"console", event.KeyRevoked{Account: account, Key: id(0x6e1), By: "operator"}},
	{"console", event.OptionChanged{Account: account, Option: "upgrade_policy", Before: "evergreen", After: "strict", By: "member:" + member.String()}},
	{"console", event.MemberDeactivated{Member: member, By: "member:" + id(0x3e4).String()}},
	{"console", event.MemberReactivated{Member: member, By: "key:" + id(0x4e4).String()}},
	{"console", event.MemberUnlocked{Member: member, By: "member:" + id(0x3e4).String()}},
	{"console", event.PasswordReset{Member: member, By: "operator"}},
	{"console", event.PasswordLinkMade{Member: member, By: "operator"}},
	{"console", event.RegistrationCodeMade{Member: member, RegistrationCode: id(0x4ec), NeedsApproval: true, By: "operator:night-shift"}},
	{"console", event.RegistrationCodeApproved{Member: member, RegistrationCode: id(0x4ec), By: "member:" + id(0x3e4).String()}},
	{"console", event.OperatorGranted{Member: member, By: "operator:night-shift"}},
	{"console", event.OperatorRevoked{Member: member, By: "operator"}},
	{"console", event.ProviderPinned{Provider: "twilio", Country: "CA", By: "operator:night-shift"}},
	{"console", event.ProviderDrained{Provider: "vonage", Country: "CA", Forced: true, By: "member:" + id(0x3e4).String()}},
	{"console", event.ProviderResumed{Provider: "vonage", Country: "CA", Rules: []string{"pin", "drain"}, By: "operator"}},
	{"console", event.ProviderOrdered{Providers: []string{"twilio", "vonage"}, Country: "CA", Forced: true, By: "operator"}},
	{"console", event.ProviderTested{Provider: "vonage", Country: "CA", Ending: "accepted", By: "operator"}},
	{"console", event.ClientAssigned{Member: member, Staff: id(0x57a), By: "member:" + id(0x3e4).String()}},
	{"console", event.ClientUnassigned{Member: member, Staff: id(0x57a), By: "operator"}},
	{"auditor", event.NumberShown{Member: member, By: "member:" + id(0x3e4).String()}},
	{"auditor", event.MemberExported{Member: member, Job: id(0x10b), Format: "html", By: "member:" + id(0x3e4).String()}},
	{"auditor", event.KeyDestroyed{Member: member, Job: id(0x10b)}},
	{"console", event.ExportRequested{Member: member, Job: id(0x10b), By: "member:" + id(0x3e4).String()}},
	{"console", event.MemberErased{Member: member, Job: id(0x10b), By: "operator"}},
}

// sparse holds the rare forms: what may be absent is absent.
var sparse = []example{
	{"login", event.CodeRequested{Challenge: challenge, Member: member, Software: "m", Purpose: "prove_number", Origin: "device_check", DeviceKind: "bearer",
		Thumbprint: make([]byte, 32), Reason: "new_os", Country: "GB", ValidS: 600}},
	{"login", event.LoginSucceeded{Member: member, Software: "web", Origin: "device_check", AMR: []string{"pwd"}}},
	{"login", event.LoginRefused{Software: "web", Origin: "sign_in", Reason: "bad_credentials"}}, // an unknown user ID
	{"console", event.MemberCreated{Member: member, Role: "client", By: "operator"}},
	{"console", event.MemberUpdated{Member: member, Role: "client", By: "operator"}},
	{"console", event.DeviceRevoked{Member: member, Device: dev, Reason: "product", By: "key:" + id(0x4e4).String()}},
	{"console", event.NumberChanged{Member: member, Version: 3, By: "operator"}},
	{"console", event.ProviderPinned{Provider: "twilio", By: "operator"}},
	{"console", event.ProviderDrained{Provider: "vonage", By: "operator"}},
	{"console", event.ProviderResumed{Provider: "vonage", Rules: []string{"drain"}, By: "operator"}},
	{"console", event.ProviderOrdered{Providers: []string{}, By: "operator"}},
	{"dispatcher", event.SMSAttempted{SMSAttempt: attempt}},
	{"dispatcher", event.SMSAccepted{SMSAnswer: event.SMSAnswer{SMSAttempt: attempt, Reason: "ok"}}},
	{"dispatcher", event.SMSRefused{SMSAnswer: event.SMSAnswer{SMSAttempt: attempt, Reason: "unreachable"}}},
	{"dispatcher", event.SMSUnanswered{SMSAnswer: event.SMSAnswer{SMSAttempt: attempt, Reason: "bad_answer"}}},
	{"dispatcher", event.SMSDelivered{SMSReceipt: event.SMSReceipt{SMSAttempt: attempt}}},
	{"dispatcher", event.SMSUndelivered{SMSReceipt: event.SMSReceipt{SMSAttempt: attempt}, Status: "expired"}},
	{"verifier", event.CodeRejected{Challenge: challenge, Member: member, Entry: entry, Result: "locked"}},
	{"login", event.NoticeRequested{Notice: id(0x207), Member: member, Kind: "number_changed", Channel: "text"}},
	{"dispatcher", event.NoticeSent{Notice: id(0x207), Member: member, Kind: "email_changed", Channel: "email", Tries: 1}},
	{"verifier", event.DeviceRegistered{Challenge: challenge, Member: member, Device: dev, Software: "web", Kind: "key", Thumbprint: filled(32), Entry: entry, Factor: "registration_code", RegistrationCode: &registrationCode}},
}

func (x example) encode() (event.Event, error) {
	return event.NewWithID(id(1), x.service, account, at, x.data)
}

func (x example) event(t testing.TB) event.Event {
	t.Helper()
	e, err := x.encode()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// short is a type as its files are named.
func short(typ string) string { return strings.TrimPrefix(typ, "latchkey.") }

func goldenFile(typ string) string { return filepath.Join("testdata", short(typ)+".json") }

func golden(t testing.TB, typ string) []byte {
	t.Helper()
	b, err := os.ReadFile(goldenFile(typ))
	if err != nil {
		t.Fatalf("%v: run go test ./event -update once for a new type", err)
	}
	return b
}

func TestMain(m *testing.M) {
	flag.Parse()
	if *update { // before any test reads them
		for _, x := range examples {
			e, err := x.encode()
			if err == nil {
				err = os.WriteFile(goldenFile(e.Type), e.Body, 0o644)
			}
			if err != nil {
				panic(err)
			}
		}
	}
	os.Exit(m.Run())
}

// What was once published must be written the same, byte for byte, by every later version.
func TestBytesAreStable(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, x := range examples {
		e := x.event(t)
		seen[e.Type] = true
		if want := golden(t, e.Type); !bytes.Equal(e.Body, want) {
			t.Errorf("%s is written as\n%s\nwant\n%s", e.Type, e.Body, want)
		}
	}
	for typ := range event.Kinds {
		if !seen[typ] {
			t.Errorf("%s has no example", typ)
		}
	}
	files, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if typ := "latchkey." + strings.TrimSuffix(f.Name(), ".json"); !f.IsDir() && event.Kinds[typ] == nil {
			t.Errorf("testdata/%s is of no type: published types are never removed", f.Name())
		}
	}
}

func TestWhatIsReadIsWhatWasWritten(t *testing.T) {
	t.Parallel()
	for _, x := range append(examples[:len(examples):len(examples)], sparse...) {
		want := x.event(t)
		got, err := event.Decode(want.Body)
		if err != nil {
			t.Errorf("%s: %v", want.Type, err)
			continue
		}
		if !bytes.Equal(got.Body, want.Body) {
			t.Errorf("%s does not keep its bytes", want.Type)
		}
		got.Data = reflect.ValueOf(got.Data).Elem().Interface().(event.Data)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s is read as\n%+v\nwant\n%+v", want.Type, got, want)
		}
	}
}

func TestNewGivesEachEventAnIDAndUTC(t *testing.T) {
	t.Parallel()
	east := time.FixedZone("east", 5*3600)
	seen := map[uuid.UUID]bool{}
	for range 1000 {
		e, err := event.New("login", account, at.In(east), event.PasswordChanged{Member: member, Link: true})
		if err != nil {
			t.Fatal(err)
		}
		if seen[e.ID] || e.ID.Version() != 7 {
			t.Fatalf("%s is no new UUIDv7", e.ID)
		}
		seen[e.ID] = true
		if !e.Time.Equal(at) || !bytes.Contains(e.Body, []byte(`"time":"2026-11-24T09:30:15.123456Z"`)) {
			t.Fatalf("the time is not told in UTC: %s", e.Body)
		}
		if want := "latchkey.login.password_changed." + account.String(); e.BusSubject() != want {
			t.Fatalf("BusSubject = %s, want %s", e.BusSubject(), want)
		}
	}
}

// leaves calls with for each string, number and boolean below v, with its place and what
// puts another value there.
func leaves(v any, at string, put func(any), with func(at string, v any, put func(any))) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			leaves(x, at+"/"+k, func(n any) { v[k] = n }, with)
		}
	case []any:
		for i, x := range v {
			leaves(x, fmt.Sprint(at, "/", i), func(n any) { v[i] = n }, with)
		}
	default:
		with(at, v, put)
	}
}

func object(t testing.TB, b []byte) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
