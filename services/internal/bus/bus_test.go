package bus_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/bustest"
	"latchkey.dev/services/internal/secret"
)

func messages(n int, subject string) []bus.Message {
	msgs := make([]bus.Message, n)
	for i := range msgs {
		msgs[i] = bus.Message{ID: uuid.Must(uuid.NewV7()), Subject: subject, Data: fmt.Appendf(nil, `{"n":%d}`, i),
			Header: map[string]string{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}
	}
	return msgs
}

// eventually waits until ok, and fails the test if that takes 20 s.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited 20 s: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// receive waits for a value, and fails the test if that takes 20 s.
func receive[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(20 * time.Second):
		t.Fatalf("waited 20 s: %s", what)
		panic("unreachable")
	}
}

func streamLength(t *testing.T, b *bustest.Bus) uint64 {
	t.Helper()
	s, err := b.Admin(t).Stream(t.Context(), bus.Stream)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

func TestPublishIsAcknowledgedAndKeepsOneOfEach(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	reg := prometheus.NewRegistry()
	c, err := bus.Connect(t.Context(), bus.Options{URL: b.URL(), NKeySeed: b.Seed(bus.Login), Service: bus.Login, Registerer: reg})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p := bus.NewPublisher(c, time.Now)
	msgs := messages(100, "latchkey.code.requested.a1")
	for range 2 { // the second time they are duplicates, which is success
		if err := p.Publish(t.Context(), msgs); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range msgs {
		if !p.Acked(m.ID) {
			t.Errorf("%s is not remembered as acknowledged", m.ID)
		}
	}
	if p.Acked(uuid.New()) {
		t.Error("an id that nobody published is remembered")
	}
	if n := streamLength(t, b); n != 100 {
		t.Errorf("the stream holds %d messages, want 100", n)
	}
	want := `
# HELP latchkey_bus_published_total Messages by how their publishing ended. Failed ones are published again by the sweeper.
# TYPE latchkey_bus_published_total counter
latchkey_bus_published_total{outcome="duplicate"} 100
latchkey_bus_published_total{outcome="failed"} 0
latchkey_bus_published_total{outcome="not_sent"} 0
latchkey_bus_published_total{outcome="stored"} 100
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "latchkey_bus_published_total"); err != nil {
		t.Error(err)
	}
}

func TestOneBadMessageFailsAlone(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	p := bus.NewPublisher(b.Connect(t, bus.Login), time.Now)
	msgs := messages(3, "latchkey.code.requested.a1")
	msgs[0].Data = make([]byte, bus.MaxMessage+1)
	msgs[1].Data = make([]byte, 2<<20) // more than the server takes at all
	err := p.Publish(t.Context(), msgs)
	if err == nil || !strings.Contains(err.Error(), msgs[0].ID.String()) || strings.Contains(err.Error(), msgs[2].ID.String()) {
		t.Errorf("Publish = %v, want errors about the large ones", err)
	}
	if p.Acked(msgs[0].ID) || p.Acked(msgs[1].ID) || !p.Acked(msgs[2].ID) {
		t.Error("not exactly the good message is acknowledged")
	}
}

func TestAForbiddenSubjectIsNeverAcknowledged(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	p := bus.NewPublisher(b.Connect(t, bus.Dispatcher), time.Now)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	msgs := messages(1, "latchkey.device.registered.a1")
	if err := p.Publish(ctx, msgs); err == nil || p.Acked(msgs[0].ID) {
		t.Errorf("the dispatcher registered a device: %v", err)
	}
	if n := streamLength(t, b); n != 0 {
		t.Errorf("the stream holds %d messages, want none", n)
	}
}

func TestWhileTheBusIsDownPublishingFailsAtOnce(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	c := b.Connect(t, bus.Login)
	p := bus.NewPublisher(c, time.Now)
	b.Stop()
	eventually(t, "the connection is seen to be lost", func() bool { return !c.Connected() })

	msgs := messages(1000, "latchkey.code.requested.a1")
	var mu sync.Mutex
	told := map[uuid.UUID]int{}
	start := time.Now()
	p.PublishAsync(msgs, func(id uuid.UUID, err error) {
		mu.Lock()
		defer mu.Unlock()
		if told[id]++; !errors.Is(err, bus.ErrDown) {
			t.Errorf("%s: %v, want ErrDown", id, err)
		}
	})
	if took := time.Since(start); took > 500*time.Millisecond {
		t.Errorf("1,000 failures took %v", took)
	}
	if err := c.Notify("_INBOX_login.x", nil); !errors.Is(err, bus.ErrDown) {
		t.Errorf("Notify = %v, want ErrDown", err)
	}
	mu.Lock()
	for _, m := range msgs {
		if told[m.ID] != 1 {
			t.Errorf("%s was reported %d times", m.ID, told[m.ID])
		}
	}
	mu.Unlock()

	b.Restart()
	eventually(t, "publishing works again", func() bool { return p.Publish(t.Context(), msgs) == nil })
}

func TestEachMessageIsReportedOnceThroughARestart(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	p := bus.NewPublisher(b.Connect(t, bus.Login), time.Now)
	var mu sync.Mutex
	told, acked := map[uuid.UUID]int{}, 0
	const rounds, each = 40, 50
	published := make(chan struct{})
	go func() {
		defer close(published)
		for range rounds {
			p.PublishAsync(messages(each, "latchkey.code.requested.a1"), func(id uuid.UUID, err error) {
				mu.Lock()
				defer mu.Unlock()
				told[id]++
				if err == nil {
					acked++
				}
			})
			time.Sleep(5 * time.Millisecond) // spread them over the restart
		}
	}()
	b.Restart()
	<-published
	eventually(t, "every message is reported", func() bool { mu.Lock(); defer mu.Unlock(); return len(told) == rounds*each })
	mu.Lock()
	defer mu.Unlock()
	for id, n := range told {
		if n != 1 {
			t.Errorf("%s was reported %d times", id, n)
		}
	}
	if n := streamLength(t, b); n < uint64(acked) {
		t.Errorf("%d were acknowledged, the stream holds %d", acked, n)
	}
}

func TestConnectingWhileTheBusIsDown(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	b.Stop()
	start := time.Now()
	c := b.Connect(t, bus.Login)
	if took := time.Since(start); took > 3*time.Second || c.Connected() {
		t.Errorf("Connect took %v, connected is %v", took, c.Connected())
	}
	p := bus.NewPublisher(c, time.Now)
	msgs := messages(1, "latchkey.code.requested.a1")
	if err := p.Publish(t.Context(), msgs); !errors.Is(err, bus.ErrDown) {
		t.Errorf("Publish = %v, want ErrDown", err)
	}
	in, err := c.Inbox() // a subscription from before the first connection
	if err != nil {
		t.Fatal(err)
	}
	b.Restart()
	eventually(t, "the bus is found", func() bool { return p.Publish(t.Context(), msgs) == nil })
	woken, cancel := in.Await("x")
	defer cancel()
	if err := b.Connect(t, bus.Verifier).Notify(in.Subject("x"), []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if got := string(receive(t, "a wake-up", woken)); got != "hello" {
		t.Errorf("woken with %q", got)
	}
}

func TestAnOutageIsNoErrorOfTheProgram(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	var out bytes.Buffer
	c, err := bus.Connect(t.Context(), bus.Options{URL: b.URL(), NKeySeed: b.Seed(bus.Login), Service: bus.Login,
		Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	out.Reset()
	for _, r := range []struct {
		err   error
		level string
	}{
		{&net.OpError{Op: "write", Net: "tcp", Err: syscall.ECONNRESET}, "WARN"},
		{fmt.Errorf("flushing: %w", os.ErrDeadlineExceeded), "WARN"},
		{nats.ErrPermissionViolation, "ERROR"},
		{errors.New("something else"), "ERROR"},
	} {
		c.Report(r.err)
		if line := out.String(); !strings.Contains(line, "level="+r.level+" ") {
			t.Errorf("%v is logged as %q, want level %s", r.err, line, r.level)
		}
		out.Reset()
	}
}

func TestConnectRefusesWrongOptions(t *testing.T) {
	t.Parallel()
	seed, err := bus.NewSeed()
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]bus.Options{
		"no url":     {NKeySeed: seed, Service: bus.Login},
		"no service": {NKeySeed: seed, URL: "nats://127.0.0.1:1"},
		"no seed":    {URL: "nats://127.0.0.1:1", Service: bus.Login},
		"bad seed":   {URL: "nats://127.0.0.1:1", Service: bus.Login, NKeySeed: secret.New("SUAx")},
	} {
		if _, err := bus.Connect(t.Context(), o); err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "SUAx") {
			t.Errorf("%s: the error shows the seed: %v", name, err)
		}
	}
}

func TestAStrangerIsNotLetIn(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	seed, err := bus.NewSeed()
	if err != nil {
		t.Fatal(err)
	}
	c, err := bus.Connect(t.Context(), bus.Options{URL: b.URL(), NKeySeed: seed, Service: bus.Login})
	if err != nil {
		t.Fatalf("Connect = %v; a credential that is not known yet must not end a service", err)
	}
	defer c.Close()
	if err := bus.NewPublisher(c, time.Now).Publish(t.Context(), messages(1, "latchkey.code.requested.a1")); !errors.Is(err, bus.ErrDown) {
		t.Errorf("Publish = %v, want ErrDown", err)
	}
}

func TestInboxWakesThoseWhoAwaitTheToken(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	login, verifier := b.Connect(t, bus.Login), b.Connect(t, bus.Verifier)
	in, err := login.Inbox()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	a1, cancel := in.Await("a")
	defer cancel()
	a2, cancel := in.Await("a")
	defer cancel()
	other, cancel := in.Await("b")
	defer cancel()
	gone, cancel := in.Await("a")
	cancel()
	for _, v := range []string{"first", "second"} {
		if err := verifier.Notify(in.Subject("a"), []byte(v)); err != nil {
			t.Fatal(err)
		}
	}
	if got := string(receive(t, "a wake-up", a1)) + string(receive(t, "a wake-up", a2)); got != "firstfirst" {
		t.Errorf("woken with %q, want the first wake-up for both", got)
	}
	if len(other)+len(gone) != 0 {
		t.Error("somebody else was woken")
	}
}

func TestRememberedIDsAreForgottenByAgeAndNumber(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	r := bus.NewRemembered(func() time.Time { return now }, 10*time.Minute, 100)
	id := uuid.New()
	r.Add(id)
	now = now.Add(10 * time.Minute)
	if !r.Has(id) {
		t.Error("forgotten within ten minutes")
	}
	now = now.Add(3 * time.Minute)
	if r.Has(id) {
		t.Error("remembered after thirteen minutes")
	}
	r.Add(id)
	now = now.Add(24 * time.Hour)
	if r.Has(id) {
		t.Error("remembered after a quiet day")
	}
	var ids []uuid.UUID
	for range 1000 {
		ids = append(ids, uuid.New())
		r.Add(ids[len(ids)-1])
	}
	kept := 0
	for _, id := range ids {
		if r.Has(id) {
			kept++
		}
	}
	if kept > 100 || kept < 80 || !r.Has(ids[999]) {
		t.Errorf("%d of 1,000 are remembered, want the last 80 to 100", kept)
	}
}
