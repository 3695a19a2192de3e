package carriers_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/phone"
	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/carriers"
	"latchkey.dev/services/sms/twilio"
	"latchkey.dev/services/sms/vonage"
)

// number is a number for tests, valid and nobody's.
const number = "+12025550143"

// adapter is a Sender that reads receipts too.
type adapter interface {
	sms.Sender
	sms.ReceiptParser
}

// adapters are both senders, pointed at a simulator.
func adapters(t testing.TB, base string, receipts sms.Callback) map[carriers.Carrier]adapter {
	t.Helper()
	v, err := vonage.New(vonage.Options{APIKey: carriers.DemoVonageKey, APISecret: secret.New(carriers.DemoVonageSecret), From: "Latchkey", BaseURL: base, Receipts: receipts})
	if err != nil {
		t.Fatal(err)
	}
	w, err := twilio.New(twilio.Options{AccountSID: carriers.DemoTwilioSID, AuthToken: secret.New(carriers.DemoTwilioToken), From: "+15005550006", BaseURL: base, Receipts: receipts})
	if err != nil {
		t.Fatal(err)
	}
	return map[carriers.Carrier]adapter{carriers.Vonage: v, carriers.Twilio: w}
}

// start makes a simulator and the address of its one port.
func start(t testing.TB, o carriers.Options) (*carriers.Simulator, string) {
	t.Helper()
	s := carriers.New(o)
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	t.Cleanup(s.Close)
	return s, server.URL
}

func message(t testing.TB, to, body string) sms.Message {
	t.Helper()
	n, err := phone.Parse(to, "")
	if err != nil {
		t.Fatal(err)
	}
	return sms.Message{AttemptID: uuid.New(), To: n, Body: sms.NewBody(body)}
}

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestALineRefusesConnectionsWhileDown(t *testing.T) {
	t.Parallel()
	s := carriers.New(carriers.Options{})
	t.Cleanup(s.Close)
	address, err := s.Listen(carriers.Vonage, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Listen(carriers.Vonage, "127.0.0.1:0"); err == nil {
		t.Error("a second line was opened")
	}
	if _, err := s.Listen("acme", "127.0.0.1:0"); err == nil {
		t.Error("a line was opened for a carrier that there is not")
	}
	if _, err := s.Listen(carriers.Twilio, address); err == nil {
		t.Error("two lines have one address")
	}
	for range 3 {
		if err := s.Behave(carriers.Vonage, carriers.Behaviour{Mode: carriers.Down}); err != nil {
			t.Fatal(err)
		}
		if conn, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Dial = %v, %v while down, want a refused connection", conn, err)
		}
		if err := s.Behave(carriers.Vonage, carriers.Behaviour{}); err != nil {
			t.Fatal(err)
		}
		deliver(t, "http://"+address, "447700900001", "up again")
	}
	if err := s.Behave(carriers.Vonage, carriers.Behaviour{Mode: carriers.Down}); err != nil {
		t.Fatal(err)
	}
	if err := s.Reset(); err != nil {
		t.Fatal(err)
	}
	deliver(t, "http://"+address, "447700900001", "up by a reset")
	s.Close()
	if _, err := net.Dial("tcp", address); err == nil {
		t.Error("the line is open after Close")
	}
}

func TestALineOpensShutWhereTheCarrierIsDown(t *testing.T) {
	t.Parallel()
	s := carriers.New(carriers.Options{})
	t.Cleanup(s.Close)
	if err := s.Behave(carriers.Twilio, carriers.Behaviour{Mode: carriers.Down}); err != nil {
		t.Fatal(err)
	}
	address, err := s.Listen(carriers.Twilio, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Dial = %v, want a refused connection", err)
	}
}

func TestADownCarrierDropsConnectionsOfTheOnePort(t *testing.T) {
	t.Parallel()
	s, base := start(t, carriers.Options{})
	if err := s.Behave(carriers.Vonage, carriers.Behaviour{Mode: carriers.Down}); err != nil {
		t.Fatal(err)
	}
	if res, err := http.PostForm(base+"/sms/json", vonageForm(nil)); err == nil {
		res.Body.Close()
		t.Errorf("a carrier that is down answers %d", res.StatusCode)
	}
	if status, _ := call(t, "GET", base+"/control/carriers", ""); status != http.StatusOK {
		t.Error("the control API is down with it")
	}
}

func TestBehaviourForAPartOfTheRequests(t *testing.T) {
	t.Parallel()
	s, base := start(t, carriers.Options{})
	refused := func(n int, b carriers.Behaviour) (all []int) {
		t.Helper()
		if err := s.Behave(carriers.Vonage, b); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if _, _, body := ask(t, base+"/sms/json", "", "", vonageForm(nil)); !strings.Contains(string(body), `"status":"0"`) {
				all = append(all, i)
			}
		}
		return all
	}
	if got := refused(4, carriers.Behaviour{Mode: carriers.Refuse, Code: "5", Next: 2}); !slices.Equal(got, []int{0, 1}) {
		t.Errorf("the next 2 of 4: %v were refused", got)
	}
	some := carriers.Behaviour{Mode: carriers.Refuse, Code: "5", Fraction: 0.3, Seed: 7}
	first := refused(100, some)
	if n := len(first); n < 15 || n > 45 {
		t.Errorf("three in ten: %d of 100 were refused", n)
	}
	if again := refused(100, some); !slices.Equal(first, again) {
		t.Error("the same seed draws other requests")
	}
	if got := refused(5, carriers.Behaviour{Mode: carriers.Throttle, Rate: 2.5e-3}); !slices.Equal(got, []int{1, 2, 3, 4}) {
		t.Errorf("throttled: %v were refused, want all but the first", got)
	}
	if got := refused(3, carriers.Behaviour{Mode: carriers.Throttle}); len(got) != 3 {
		t.Errorf("throttled to nothing: %v were refused", got)
	}
}

func TestReceiptsComeAgainAsTheVendorsDo(t *testing.T) {
	t.Parallel()
	for _, c := range carriers.Usual {
		t.Run(string(c), func(t *testing.T) {
			t.Parallel()
			_, base := start(t, carriers.Options{})
			got := make(chan string, 9)
			receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				w.WriteHeader(http.StatusServiceUnavailable)
				got <- string(body)
			}))
			t.Cleanup(receiver.Close)
			a := adapters(t, base, sms.Callback{Base: receiver.URL, Key: secret.New("0123456789abcdef")})[c]
			if out := a.Send(t.Context(), message(t, number, "1234")); out.Ending != sms.Accepted {
				t.Fatalf("Send = %+v", out)
			}
			var two [2]string
			for i := range two {
				select {
				case two[i] = <-got:
				case <-within(t, 20*time.Second).Done():
					t.Fatal("a receipt did not come")
				}
			}
			// Vonage sends the one again that was not taken; Twilio goes on to the next.
			if again := two[0] == two[1]; again != (c == carriers.Vonage) {
				t.Errorf("the receipts were %q", two)
			}
		})
	}
}

func TestCloseEndsWhatIsHeld(t *testing.T) {
	t.Parallel()
	s, base := start(t, carriers.Options{})
	if err := s.Behave(carriers.Vonage, carriers.Behaviour{Mode: carriers.HangAfterAccept, ReceiptDelayMS: 600_000}); err != nil {
		t.Fatal(err)
	}
	if err := s.Behave(carriers.Twilio, carriers.Behaviour{DelayMS: 600_000}); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		http.PostForm(base+"/sms/json", vonageForm(map[string][]string{"callback": {base + "/nobody"}, "status-report-req": {"true"}}))
	})
	all.Go(func() {
		ask(t, base+twilioPath, carriers.DemoTwilioSID, carriers.DemoTwilioToken, twilioForm(nil))
	})
	all.Go(func() { call(t, "GET", base+"/control/texts/+447700900009/1?wait=60", "") })
	if _, err := s.WaitText(within(t, 20*time.Second), "+447700900000", 1); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s.Close() // again is safe
	all.Wait()
}

func TestTextsReachThePhoneAndReceiptsComeBack(t *testing.T) {
	t.Parallel()
	for _, c := range carriers.Usual {
		t.Run(string(c), func(t *testing.T) {
			t.Parallel()
			s, base := start(t, carriers.Options{})
			type parsed struct {
				sms.Receipt
				err error
			}
			got := make(chan parsed, 8)
			var a adapter
			receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				receipt, err := a.ParseReceipt(r)
				got <- parsed{receipt, err}
			}))
			t.Cleanup(receiver.Close)
			a = adapters(t, base, sms.Callback{Base: receiver.URL + "/receipts", Key: secret.New("0123456789abcdef")})[c]

			m := message(t, number, "123456 is your code")
			out := a.Send(t.Context(), m)
			if out.Ending != sms.Accepted || out.Reference == "" || out.Segments != 1 {
				t.Fatalf("Send = %+v, want accepted with a reference", out)
			}
			text, err := s.WaitText(within(t, 10*time.Second), number, 1)
			if err != nil {
				t.Fatal(err)
			}
			if text.Body != "123456 is your code" || text.Carrier != c || text.Reference != out.Reference {
				t.Errorf("the phone shows %+v, want the words that were sent", text)
			}
			for {
				r := <-got
				if r.err != nil || r.AttemptID != m.AttemptID || r.Reference != out.Reference {
					t.Fatalf("receipt %+v, want one of the attempt", r)
				}
				if r.Status == sms.Delivered {
					return
				}
			}
		})
	}
}

func TestOnlyTheCarriersThatAreAskedForRun(t *testing.T) {
	t.Parallel()
	s, base := start(t, carriers.Options{Carriers: []carriers.Carrier{carriers.Twilio, "acme"}})
	_, page := call(t, "GET", base+"/", "")
	if !strings.Contains(page, `data-carrier="twilio"`) || strings.Contains(page, `data-carrier="vonage"`) {
		t.Errorf("the page does not show twilio alone:\n%s", page)
	}
	if _, body := call(t, "GET", base+"/control/carriers", ""); len(into[[]carriers.State](t, body)) != 1 {
		t.Errorf("the carriers are %s", body)
	}
	if status, _, _ := ask(t, base+"/sms/json", "", "", vonageForm(nil)); status != http.StatusNotFound {
		t.Errorf("vonage answers %d", status)
	}
	if s.Behave(carriers.Vonage, carriers.Behaviour{}) == nil {
		t.Error("a carrier that does not run was told how to behave")
	}
	_, usual := start(t, carriers.Options{})
	if _, body := call(t, "GET", usual+"/control/carriers", ""); len(into[[]carriers.State](t, body)) != 2 {
		t.Errorf("the usual carriers are %s", body)
	}
}
