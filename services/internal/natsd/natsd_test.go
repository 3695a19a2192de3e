package natsd_test

import (
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/natsd"
)

// user makes a credential, and the option that connects with it.
func user(t *testing.T, rights bus.Permissions) (natsd.User, nats.Option) {
	t.Helper()
	seed, err := bus.NewSeed()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := nkeys.FromSeed([]byte(seed.Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	public, err := bus.PublicKey(seed)
	if err != nil {
		t.Fatal(err)
	}
	return natsd.User{PublicKey: public, Rights: rights}, nats.Nkey(public, pair.Sign)
}

var all = bus.Permissions{Publish: []string{">"}, Subscribe: []string{">"}}

func start(t *testing.T, o natsd.Options) *natsd.Server {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	s, err := natsd.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

func connect(t *testing.T, s *natsd.Server, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(s.ClientURL(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func TestAStreamSurvivesARestart(t *testing.T) {
	t.Parallel()
	u, as := user(t, all)
	o := natsd.Options{Dir: t.TempDir(), Port: -1, Users: []natsd.User{u}}
	s := start(t, o)
	js, err := jetstream.New(connect(t, s, as))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s.x", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	s.Shutdown()
	s.Shutdown() // twice is safe

	if js, err = jetstream.New(connect(t, start(t, o), as)); err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	if m, err := stream.GetMsg(t.Context(), 1); err != nil || string(m.Data) != "kept" {
		t.Errorf("after the restart the message is %v, %v", m, err)
	}
}

func TestOnlyLoopbackAndOnlyKnownUsers(t *testing.T) {
	t.Parallel()
	u, _ := user(t, all)
	_, stranger := user(t, all)
	s := start(t, natsd.Options{Dir: t.TempDir(), Port: -1, Users: []natsd.User{u}})
	at, err := url.Parse(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	if ip := net.ParseIP(at.Hostname()); !ip.IsLoopback() {
		t.Errorf("listens on %s", at.Host)
	}
	for name, opts := range map[string][]nats.Option{"nobody": nil, "a stranger": {stranger}, "a password": {nats.UserInfo("admin", "admin")}} {
		if nc, err := nats.Connect(s.ClientURL(), opts...); err == nil {
			nc.Close()
			t.Errorf("%s could connect", name)
		}
	}
}

func TestNoRightsAreNoRights(t *testing.T) {
	t.Parallel()
	u, as := user(t, bus.Permissions{})
	s := start(t, natsd.Options{Dir: t.TempDir(), Port: -1, Users: []natsd.User{u}})
	refused := make(chan string, 10)
	nc := connect(t, s, as, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err.Error() }))
	if err := nc.Publish("x", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.SubscribeSync("y"); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{`Publish to "x"`, `Subscription to "y"`} {
		select {
		case got := <-refused:
			if !strings.Contains(got, what) {
				t.Errorf("refused with %q, want %s", got, what)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s was not refused", what)
		}
	}
}

func TestNoMoreThanAMegabyteAMessage(t *testing.T) {
	t.Parallel()
	u, as := user(t, all)
	nc := connect(t, start(t, natsd.Options{Dir: t.TempDir(), Port: -1, Users: []natsd.User{u}}), as)
	if got := nc.MaxPayload(); got != 1<<20 {
		t.Errorf("takes messages of %d bytes, want 1 MiB", got)
	}
}

func TestWrongOptionsAreSaidAllAtOnce(t *testing.T) {
	t.Parallel()
	_, err := natsd.Start(natsd.Options{Port: 70000, SyncInterval: -1, Users: []natsd.User{{PublicKey: "x"}}})
	if err == nil {
		t.Fatal("started")
	}
	for _, want := range []string{"Dir", "Port", "SyncInterval", "PublicKey"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

func TestATakenPortIsAnError(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	s, err := natsd.Start(natsd.Options{Dir: t.TempDir(), Port: n, Logger: slog.New(slog.DiscardHandler)})
	if err == nil {
		s.Shutdown()
		t.Fatal("started on a taken port")
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("took %v to say so", took)
	}
}
