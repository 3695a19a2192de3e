package smpp

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/linxGnu/gosmpp/data"
	"github.com/linxGnu/gosmpp/pdu"

	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/phone"
	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/carriers"
)

func started(t *testing.T, account carriers.SMPPAccount, change func(*Options), take func(context.Context, sms.Receipt) error) (*carriers.Simulator, *Sender) {
	t.Helper()
	sim := carriers.New(carriers.Options{Carriers: []carriers.Carrier{carriers.SMPP}, SMPP: account})
	t.Cleanup(sim.Close)
	address, err := sim.Listen(carriers.SMPP, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Address: address, Plaintext: true, SystemID: carriers.DemoSMPPSystemID, Password: secret.New(carriers.DemoSMPPPassword), From: "+15005550006"}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var kept sync.WaitGroup
	kept.Go(func() { _ = s.Run(ctx, take) })
	t.Cleanup(kept.Wait)
	t.Cleanup(cancel)
	return sim, s
}

func await(t *testing.T, s *Sender) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.Await(ctx); err != nil {
		t.Fatal(err)
	}
}

func text(t *testing.T) sms.Message {
	t.Helper()
	to, err := phone.Parse("+12025550143", "")
	if err != nil {
		t.Fatal(err)
	}
	return sms.Message{AttemptID: uuid.New(), To: to, Body: sms.NewBody("1234"), Validity: 5 * time.Minute}
}

// A report that could not be kept comes again, and its id is that of the answer in either
// way of writing ids.
func TestAReportIsAcknowledgedOnceItIsKept(t *testing.T) {
	t.Parallel()
	for name, hex := range map[string]bool{AsIs: false, HexToDecimal: true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := make(chan sms.Receipt, 8)
			refused := false
			sim, s := started(t, carriers.SMPPAccount{HexIDs: hex}, func(o *Options) { o.MessageIDs = name }, func(_ context.Context, r sms.Receipt) error {
				got <- r
				if !refused { // reports of one text come one after another
					refused = true
					return errors.New("the database is away")
				}
				return nil
			})
			await(t, s)
			out := s.Send(t.Context(), text(t))
			if out.Ending != sms.Accepted {
				t.Fatalf("Send = %+v", out)
			}
			for i := range 2 {
				select {
				case r := <-got:
					if r.Reference != out.Reference || r.Status != sms.Delivered || r.AttemptID != uuid.Nil || r.At.IsZero() {
						t.Errorf("report %d is %+v, want one of %s", i, r, out.Reference)
					}
				case <-time.After(20 * time.Second):
					t.Fatalf("report %d did not come", i)
				}
			}
			if n := sim.Stats(carriers.SMPP).ReceiptsRefused; n != 1 {
				t.Errorf("%d reports were refused, want the first", n)
			}
		})
	}
}

func TestAnIdleConnectionIsKept(t *testing.T) {
	t.Parallel()
	_, s := started(t, carriers.SMPPAccount{}, func(o *Options) { o.EnquireEvery = 20 * time.Millisecond }, nil)
	await(t, s)
	s.mu.Lock()
	on := s.bound
	s.mu.Unlock()
	for deadline := time.Now().Add(20 * time.Second); ; {
		on.mu.Lock()
		asked := on.last
		on.mu.Unlock()
		if asked >= 3 {
			break
		}
		if time.Now().After(deadline) || on.ended() {
			t.Fatal("it is not enquired after, or did not live through it")
		}
	}
	if err := on.alive(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWhoIsNotKnownIsToldSo(t *testing.T) {
	t.Parallel()
	_, s := started(t, carriers.SMPPAccount{Password: "another"}, nil, nil)
	if err := s.Await(t.Context()); !errors.Is(err, errRefused) {
		t.Errorf("Await = %v, want errRefused", err)
	}
	if out := s.Send(t.Context(), text(t)); out.Ending != sms.RefusedElsewhere || out.Reason != sms.ReasonMisconfigured || out.VendorCode != "0x0000000e" {
		t.Errorf("Send = %+v, want a misconfigured account", out)
	}
	if _, err := s.Check(t.Context()); !errors.Is(err, errRefused) {
		t.Errorf("Check = %v, want errRefused", err)
	}
}

func TestWithoutRunNothingIsSent(t *testing.T) {
	t.Parallel()
	s, err := New(Options{Address: "127.0.0.1:1", SystemID: "a", Password: secret.New("b"), From: "12345"})
	if err != nil {
		t.Fatal(err)
	}
	if out := s.Send(t.Context(), text(t)); out != unreachable {
		t.Errorf("Send = %+v, want unreachable", out)
	}
	if _, err := s.Check(t.Context()); !errors.Is(err, errUnreachable) {
		t.Errorf("Check = %v, want errUnreachable", err)
	}
}

// By default it speaks TLS: to a server that does not, nothing is said in clear.
func TestTLSUnlessPlaintext(t *testing.T) {
	t.Parallel()
	sim, s := started(t, carriers.SMPPAccount{}, func(o *Options) { o.Plaintext = false }, nil)
	if _, err := s.Check(t.Context()); !errors.Is(err, errUnreachable) {
		t.Errorf("Check = %v, want errUnreachable", err)
	}
	if out := s.Send(t.Context(), text(t)); out != unreachable || sim.Stats(carriers.SMPP).Requests != 0 {
		t.Errorf("Send = %+v, want unreachable", out)
	}
}

func TestNewNamesEveryWrongField(t *testing.T) {
	t.Parallel()
	_, err := New(Options{Address: "x", SystemID: "a b", Password: secret.New("too long a password"), SystemType: "a b", From: "+", Window: -1, MessageIDs: "octal", EnquireEvery: -1})
	for _, want := range []string{"address", "system id", "password", "system type", "from", "window", "message ids", "enquire every"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, want a word about %q", err, want)
		}
	}
}

func TestSplitPartsNoPair(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text  string
		parts []int // octets
	}{
		"160 septets":              {strings.Repeat("a", 160), []int{160}},
		"161 septets":              {strings.Repeat("a", 161), []int{153, 8}},
		"an escape at the seam":    {strings.Repeat("a", 152) + "€" + strings.Repeat("a", 20), []int{152, 22}},
		"70 units":                 {strings.Repeat("ж", 70), []int{140}},
		"a surrogate at the seam":  {strings.Repeat("ж", 66) + "💬" + strings.Repeat("ж", 10), []int{132, 24}},
		"80 astral, 160 units":     {strings.Repeat("💬", 80), []int{132, 132, 56}},
		"not to be sent: 11 parts": {strings.Repeat("ж", 67*10+1), nil},
	} {
		parts, _, err := split(tc.text)
		if (err != nil) != (tc.parts == nil) {
			t.Errorf("%s: %v", name, err)
		}
		var got []int
		for _, p := range parts {
			got = append(got, len(p))
		}
		if len(got) != len(tc.parts) {
			t.Errorf("%s: %v, want %v", name, got, tc.parts)
			continue
		}
		for i := range got {
			if got[i] != tc.parts[i] {
				t.Errorf("%s: %v, want %v", name, got, tc.parts)
			}
		}
	}
}

func TestValidityIsARelativeTime(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{0: "", time.Millisecond: "000000000001000R", 5 * time.Minute: "000000000500000R",
		26 * time.Hour: "000001020000000R", 9999 * time.Hour: "000030000000000R"} {
		if got := validity(d); got != want {
			t.Errorf("validity(%v) = %q, want %q", d, got, want)
		}
	}
}

func report(text string, class byte, fields ...pdu.Field) *pdu.DeliverSM {
	d := pdu.NewDeliverSM().(*pdu.DeliverSM)
	d.EsmClass = class
	_ = d.Message.SetMessageDataWithEncoding([]byte(text), data.GSM7BIT)
	for _, f := range fields {
		d.RegisterOptionalParam(f)
	}
	return d
}

func TestRead(t *testing.T) {
	t.Parallel()
	const published = "id:0123456789 sub:001 dlvrd:001 submit date:0610191530 done date:0610191531 stat:DELIVRD err:000 text:stat:EXPIRED id:9"
	at := time.Date(2006, 10, 19, 15, 31, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		d    *pdu.DeliverSM
		want sms.Receipt
		ok   bool
	}{
		"by its text":   {report(published, 4), sms.Receipt{Reference: "0123456789", Status: sms.Delivered, Code: "000", At: at}, true},
		"by its fields": {report("", 4, pdu.Field{Tag: pdu.TagReceiptedMessageID, Data: []byte("7F\x00")}, pdu.Field{Tag: pdu.TagMessageStateOption, Data: []byte{8}}), sms.Receipt{Reference: "7F", Status: sms.Rejected}, true},
		"of the way":    {report("id:1 stat:ENROUTE", intermediate), sms.Receipt{Reference: "1", Status: sms.InTransit}, true},
		"in no order":   {report("err:012 STAT:UNDELIV ID:5", 4), sms.Receipt{Reference: "5", Status: sms.Undelivered, Code: "012"}, true},
		"an odd state":  {report("id:5 stat:PERHAPS err:+12025550143", 4), sms.Receipt{Reference: "5", Status: sms.Unknown}, true},
		"a text to us":  {report(published, 0), sms.Receipt{}, false},
	} {
		if got, ok := read(tc.d); got != tc.want || ok != tc.ok {
			t.Errorf("%s: read = %+v, %v; want %+v, %v", name, got, ok, tc.want, tc.ok)
		}
	}
	if _, ok := read(report("stat:DELIVRD", 4)); ok {
		t.Error("a report of no text passed")
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("id:1 stat:DELIVRD err:000 text:"), byte(4))
	b := pdu.NewBuffer(nil)
	report("id:1 stat:DELIVRD", 0x44, pdu.Field{Tag: pdu.TagReceiptedMessageID, Data: []byte("1\x00")}).Marshal(b)
	f.Add(b.Bytes(), byte(4))
	f.Fuzz(func(t *testing.T, text []byte, class byte) {
		if d, err := parse(text); err == nil {
			_, _ = read(d)
		}
		if len(text) > 140 {
			return
		}
		if got, ok := read(report(string(text), class)); ok && (got.Reference == "" || got.Status == "" || len(got.Code) > 32) {
			t.Errorf("read = %+v, beyond its bounds", got)
		}
	})
}
