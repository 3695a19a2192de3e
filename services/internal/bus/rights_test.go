package bus_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/bustest"
)

// mayPublish says by hand, subject by subject, who may: the table of the threat model.
var mayPublish = map[string][]string{
	"latchkey.code.requested.a1":          {bus.Login},
	"latchkey.text.requested.a1":          {bus.Login},
	"latchkey.code.entered.a1":            {bus.Login},
	"latchkey.login.succeeded.a1":         {bus.Login},
	"latchkey.login.refused.a1":           {bus.Login},
	"latchkey.device.named.a1":            {bus.Login},
	"latchkey.device.revoked.a1":          {bus.Login, bus.Console},
	"latchkey.member.created.a1":          {bus.Login, bus.Console},
	"latchkey.sms.accepted.a1":            {bus.Dispatcher},
	"latchkey.sms.delivered.a1":           {bus.Dispatcher},
	"latchkey.notice.sent.a1":             {bus.Dispatcher},
	"latchkey.device.registered.a1":       {bus.Verifier},
	"latchkey.code.rejected.a1":           {bus.Verifier},
	"latchkey.code.expired.a1":            {bus.Verifier},
	"latchkey.number.proved.a1":           {bus.Verifier},
	"latchkey.notice.abandoned.a1":        {bus.Dispatcher},
	"latchkey.notice.requested.a1":        {bus.Login, bus.Verifier, bus.Console},
	"latchkey.account.option_changed.a1":  {bus.Console},
	"latchkey.provider.pinned.a1":         {bus.Console},
	"latchkey.audit.checkpoint.a1":        {bus.Auditor},
	"latchkey.something.else.a1":          {},
	"latchkey.code.requested.a1.and.more": {},

	"_INBOX_login.wake.x":             {bus.Verifier},
	"_INBOX_dispatcher.x":             {},
	"_INBOX_verifier.x":               {},
	"_INBOX_auditor.x":                {},
	"_INBOX_console.x":                {},
	"_INBOX_provisioner.x":            {},
	"$SYS.REQ.SERVER.PING":            {},
	"$JS.API.INFO":                    {},
	"$JS.API.STREAM.LIST":             {},
	"$JS.API.STREAM.NAMES":            {},
	"$JS.API.STREAM.MSG.GET.LATCHKEY": {},
	"$JS.API.DIRECT.GET.LATCHKEY":     {},

	"$JS.API.CONSUMER.MSG.NEXT.LATCHKEY.dispatcher-send": {bus.Dispatcher},
	"$JS.API.CONSUMER.MSG.NEXT.LATCHKEY.verifier-judge":  {bus.Verifier},
	"$JS.API.CONSUMER.MSG.NEXT.LATCHKEY.auditor-order":   {bus.Auditor},
	"$JS.API.CONSUMER.INFO.LATCHKEY.dispatcher-send":     {bus.Dispatcher, bus.Provisioner},
	"$JS.API.CONSUMER.INFO.LATCHKEY.verifier-judge":      {bus.Verifier, bus.Provisioner},
	"$JS.API.CONSUMER.INFO.LATCHKEY.auditor-order":       {bus.Auditor, bus.Provisioner},
	"$JS.ACK.LATCHKEY.dispatcher-send.1.1.1.1.0":         {bus.Dispatcher},
	"$JS.ACK.LATCHKEY.verifier-judge.1.1.1.1.0":          {bus.Verifier},
	"$JS.ACK.LATCHKEY.auditor-order.1.1.1.1.0":           {bus.Auditor},
	"$JS.ACK._.h.LATCHKEY.dispatcher-send.1.1.1.1.0":     {bus.Dispatcher},
	"$JS.ACK._.h.LATCHKEY.verifier-judge.1.1.1.1.0":      {bus.Verifier},
	"$JS.ACK._.h.LATCHKEY.auditor-order.1.1.1.1.0":       {bus.Auditor},

	"$JS.API.STREAM.INFO.LATCHKEY":                     {bus.Provisioner},
	"$JS.API.STREAM.CREATE.LATCHKEY":                   {bus.Provisioner},
	"$JS.API.STREAM.UPDATE.LATCHKEY":                   {bus.Provisioner},
	"$JS.API.STREAM.CREATE.OTHER":                      {},
	"$JS.API.CONSUMER.CREATE.LATCHKEY.dispatcher-send": {bus.Provisioner},
	"$JS.API.STREAM.DELETE.LATCHKEY":                   {},
	"$JS.API.STREAM.PURGE.LATCHKEY":                    {},
	"$JS.API.STREAM.MSG.DELETE.LATCHKEY":               {},
	"$JS.API.STREAM.RESTORE.LATCHKEY":                  {},
	"$JS.API.STREAM.SNAPSHOT.LATCHKEY":                 {},
	"$JS.API.CONSUMER.DELETE.LATCHKEY.auditor-order":   {},
	"$JS.API.CONSUMER.PAUSE.LATCHKEY.auditor-order":    {},
}

// refusals collects the subjects that the server refused to a connection.
type refusals struct{ errs chan error }

// until returns the refused subjects up to the refusal of last, which must be refused.
func (r refusals) until(t *testing.T, last string) map[string]bool {
	t.Helper()
	got := map[string]bool{}
	for {
		select {
		case err := <-r.errs:
			if !errors.Is(err, nats.ErrPermissionViolation) {
				t.Fatalf("got %v, want a permission violation", err)
			}
			_, quoted, _ := strings.Cut(err.Error(), `"`)
			subject, _, _ := strings.Cut(quoted, `"`)
			got[subject] = true
			if subject == last {
				return got
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%q was not refused", last)
		}
	}
}

func TestEveryCredentialMayDoItsOwnAndNothingElse(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	for _, service := range bus.Services() {
		t.Run(service, func(t *testing.T) {
			r := refusals{make(chan error, 1000)}
			nc := b.Raw(t, service, func(err error) { r.errs <- err })
			for subject := range mayPublish {
				if err := nc.Publish(subject, []byte("x")); err != nil {
					t.Fatalf("%s: %v", subject, err)
				}
			}
			if err := nc.Publish("the.end", nil); err != nil {
				t.Fatal(err)
			}
			refused := r.until(t, "the.end")
			for subject, who := range mayPublish {
				if allowed := slices.Contains(who, service); allowed == refused[subject] {
					t.Errorf("publishing to %s: refused is %v, want %v", subject, refused[subject], !allowed)
				}
			}

			own := bus.InboxPrefix(service) + ".x"
			probes := []string{own, "latchkey.>", ">", "_INBOX.>", "$JS.>", "$JS.ACK.>", "$SYS.>"}
			for _, other := range bus.Services() {
				if other != service {
					probes = append(probes, bus.InboxPrefix(other)+".>")
				}
			}
			for _, subject := range append(slices.Clone(probes), "the.end") {
				if _, err := nc.SubscribeSync(subject); err != nil {
					t.Fatalf("%s: %v", subject, err)
				}
			}
			refused = r.until(t, "the.end")
			for _, subject := range probes {
				if refused[subject] == (subject == own) {
					t.Errorf("subscribing to %s: refused is %v", subject, refused[subject])
				}
			}
		})
	}
}

func TestAnUnknownServiceMayDoNothing(t *testing.T) {
	t.Parallel()
	p := bus.Rights("stranger")
	if len(p.Publish) != 0 || len(p.Subscribe) != 0 || !slices.Contains(p.DenyPublish, ">") {
		t.Errorf("Rights = %+v, want none", p)
	}
}

func TestNobodyMayDestroyTheStreamEvenWithItsRights(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	js := b.Admin(t) // may publish everything
	stream, err := js.Stream(t.Context(), bus.Stream)
	if err != nil {
		t.Fatal(err)
	}
	p := bus.NewPublisher(b.Connect(t, bus.Login), time.Now)
	if err := p.Publish(t.Context(), messages(1, "latchkey.code.requested.a1")); err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err == nil {
		t.Error("the stream could be purged")
	}
	if err := stream.DeleteMsg(t.Context(), 1); err == nil {
		t.Error("a message could be deleted")
	}
	config := stream.CachedInfo().Config
	config.DenyPurge, config.DenyDelete = false, false
	if _, err := js.UpdateStream(t.Context(), config); err == nil {
		t.Error("the protection could be taken off")
	}
}

func ExampleRights() {
	for _, subject := range bus.Rights(bus.Dispatcher).Publish {
		fmt.Println(subject)
	}
	// Output:
	// latchkey.sms.>
	// latchkey.spend.reached.*
	// latchkey.conversion.fallen.*
	// latchkey.notice.sent.*
	// latchkey.notice.abandoned.*
	// $JS.API.CONSUMER.INFO.LATCHKEY.dispatcher-send
	// $JS.API.CONSUMER.MSG.NEXT.LATCHKEY.dispatcher-send
	// $JS.ACK.LATCHKEY.dispatcher-send.>
	// $JS.ACK.*.*.LATCHKEY.dispatcher-send.>
}
