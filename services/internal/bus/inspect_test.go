package bus_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/bustest"
)

func TestInspectFindsWhatWasNotProvisioned(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	js := b.Admin(t)
	inspect := func() bus.Found {
		t.Helper()
		f, err := bus.Inspect(t.Context(), bus.Options{URL: b.URL(), Service: bus.Provisioner, NKeySeed: b.Seed(bus.Provisioner)})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	find := func(what string, want ...string) bus.Found {
		t.Helper()
		f := inspect()
		if !slices.Equal(f.Differs, want) {
			t.Errorf("%s: %q, want %q", what, f.Differs, want)
		}
		return f
	}
	f := find("as provisioned")
	if f.Now.Before(f.Asked.Add(-time.Second)) || f.Now.After(f.Answered.Add(time.Second)) {
		t.Errorf("the server's clock says %v, asked %v, answered %v", f.Now, f.Asked, f.Answered)
	}
	c, err := js.Consumer(t.Context(), bus.Stream, bus.VerifierJudge)
	if err != nil {
		t.Fatal(err)
	}
	odd := c.CachedInfo().Config
	odd.FilterSubjects, odd.FilterSubject = nil, "latchkey.code.requested.*"
	if _, err := js.UpdateConsumer(t.Context(), bus.Stream, odd); err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteConsumer(t.Context(), bus.Stream, bus.DispatcherSend); err != nil {
		t.Fatal(err)
	}
	find("odd consumers", "there is no consumer dispatcher-send", "the consumer verifier-judge hears other subjects")
	if err := js.DeleteStream(t.Context(), bus.Stream); err != nil {
		t.Fatal(err)
	}
	find("no stream", "there is no stream LATCHKEY")
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: bus.Stream, Subjects: []string{"latchkey.>"}, Storage: jetstream.MemoryStorage}); err != nil {
		t.Fatal(err)
	}
	if f := inspect(); len(f.Differs) != 4 || f.Differs[0] != "the stream LATCHKEY keeps messages in another way" {
		t.Errorf("another stream: %q", f.Differs)
	}
}

func TestProbeTriesOnce(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	for _, s := range bus.Services() {
		if err := bus.Probe(t.Context(), bus.Options{URL: b.URL(), Service: s, NKeySeed: b.Seed(s)}); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	stranger, err := bus.NewSeed()
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.Probe(t.Context(), bus.Options{URL: b.URL(), Service: bus.Login, NKeySeed: stranger}); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("a stranger: %v", err)
	}
	b.Stop()
	if err := bus.Probe(t.Context(), bus.Options{URL: b.URL(), Service: bus.Login, NKeySeed: b.Seed(bus.Login)}); err == nil {
		t.Error("a bus that is down answered")
	}
	done, stop := context.WithCancel(t.Context())
	stop()
	if _, err := bus.Inspect(done, bus.Options{URL: b.URL(), Service: bus.Provisioner, NKeySeed: b.Seed(bus.Provisioner)}); err == nil {
		t.Error("a bus that is down was inspected")
	}
}
