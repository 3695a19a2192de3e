package carriers_test

import (
	"context"
	"net/http"
	"net/http/httptest"
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

func TestTextsReachThePhoneAndReceiptsComeBack(t *testing.T) {
	t.Parallel()
	for _, c := range carriers.Carriers {
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
