package awssms_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/phone"
	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/awssms"
	"latchkey.dev/services/sms/carriers"
	"latchkey.dev/services/sms/smstest"
)

// posted are the bodies that the simulated SNS posts about one text, and a sender that can
// check them.
func posted(t *testing.T, a carriers.AWSAccount, change func(*awssms.Options)) (*awssms.Sender, uuid.UUID, []string) {
	t.Helper()
	bodies := make(chan string, 8)
	var sender *awssms.Sender
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies <- string(body)
		if strings.Contains(string(body), "SubscriptionConfirmation") {
			if _, err := parse(sender, string(body)); !errors.Is(err, sms.ErrNoReport) {
				t.Errorf("a subscription: %v", err)
			}
		}
	}))
	t.Cleanup(server.Close)
	a.Subscriber = server.URL + "/receipts/aws"
	s := carriers.New(carriers.Options{Carriers: []carriers.Carrier{carriers.AWS}, AWS: a})
	t.Cleanup(s.Close)
	address, err := s.Listen(carriers.AWS, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := options(smstest.Line{BaseURL: "http://" + address, Receipts: sms.Callback{Base: server.URL + "/receipts", Key: secret.New("0123456789abcdef")}})
	if sender, err = awssms.New(o); err != nil {
		t.Fatal(err)
	}
	to, _ := phone.Parse("+12025550143", "")
	m := sms.Message{AttemptID: uuid.New(), To: to, Body: sms.NewBody("1234"), Validity: time.Minute}
	if out := sender.Send(t.Context(), m); out.Ending != sms.Accepted {
		t.Fatalf("Send = %+v", out)
	}
	var all []string
	for range 3 { // the subscription, queued, delivered
		select {
		case body := <-bodies:
			all = append(all, body)
		case <-time.After(20 * time.Second):
			t.Fatalf("SNS posted %d messages", len(all))
		}
	}
	if change == nil {
		return sender, m.AttemptID, all
	}
	change(&o)
	if sender, err = awssms.New(o); err != nil {
		t.Fatal(err)
	}
	return sender, m.AttemptID, all
}

func parse(s *awssms.Sender, body string) (sms.Receipt, error) {
	return s.ParseReceipt(httptest.NewRequest("POST", "/receipts/aws", strings.NewReader(body)))
}

func TestBothSignatureVersionsAreRead(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"1", "2"} {
		s, attempt, bodies := posted(t, carriers.AWSAccount{SignatureVersion: version}, nil)
		got, err := parse(s, bodies[2])
		if err != nil || got.AttemptID != attempt || got.Status != sms.Delivered || got.At.IsZero() || got.Reference == "" {
			t.Errorf("version %s: ParseReceipt = %+v, %v", version, got, err)
		}
	}
}

func TestOnlyTheTopicsOwnMessagesPass(t *testing.T) {
	t.Parallel()
	s, _, bodies := posted(t, carriers.AWSAccount{}, nil)
	good := bodies[2]
	for name, tc := range map[string]struct {
		body string
		want error
	}{
		"changed":                {strings.Replace(good, "TEXT_DELIVERED", "TEXT_BLOCKED", 1), sms.ErrForged},
		"of another topic":       {strings.Replace(good, carriers.DemoAWSTopic, carriers.DemoAWSTopic+"2", 1), sms.ErrForged},
		"another version":        {strings.Replace(good, `"SignatureVersion":"1"`, `"SignatureVersion":"3"`, 1), sms.ErrForged},
		"certificate elsewhere":  {strings.Replace(good, `"SigningCertURL":"http://127.0.0.1`, `"SigningCertURL":"http://127.0.0.1.example`, 1), sms.ErrForged},
		"certificate not SNS's":  {strings.Replace(good, "SimpleNotificationService-0", "Other-0", 1), sms.ErrForged},
		"no JSON":                {"x", sms.ErrMalformed},
		"an event without cover": {`{"eventType":"TEXT_DELIVERED"}`, sms.ErrForged},
		"too long":               {good + strings.Repeat(" ", 1<<20), sms.ErrMalformed},
	} {
		if got, err := parse(s, tc.body); !errors.Is(err, tc.want) {
			t.Errorf("%s: ParseReceipt = %+v, %v; want %v", name, got, err, tc.want)
		}
	}
	if _, err := s.ParseReceipt(httptest.NewRequest("GET", "/receipts/aws", nil)); !errors.Is(err, sms.ErrMalformed) {
		t.Errorf("by GET: %v", err)
	}
}

func TestAuthenticIsNotEnough(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*awssms.Options)
		want   error
	}{
		"without a topic, nothing passes":               {func(o *awssms.Options) { o.SNSTopic = "" }, sms.ErrForged},
		"a token of another key":                        {func(o *awssms.Options) { o.Receipts.Key = secret.New("another key of bytes") }, sms.ErrForged},
		"a token of another provider":                   {func(o *awssms.Options) { o.Name = "second" }, sms.ErrForged},
		"SNS's own origin unless another is configured": {func(o *awssms.Options) { o.SNSOrigin = "" }, sms.ErrForged},
	} {
		s, _, bodies := posted(t, carriers.AWSAccount{}, tc.change)
		if got, err := parse(s, bodies[2]); !errors.Is(err, tc.want) {
			t.Errorf("%s: ParseReceipt = %+v, %v; want %v", name, got, err, tc.want)
		}
	}
}

func TestACertificateThatIsNotToBeHadIsLater(t *testing.T) {
	t.Parallel()
	s, _, bodies := posted(t, carriers.AWSAccount{}, func(o *awssms.Options) {
		o.Transport = roundTrip(func(*http.Request) (*http.Response, error) { return nil, io.EOF })
	})
	for _, body := range bodies {
		if _, err := parse(s, body); !errors.Is(err, sms.ErrLater) {
			t.Errorf("ParseReceipt = %v, want ErrLater", err)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestCheckAsksForTheSpendLimit(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		account carriers.AWSAccount
		b       carriers.Behaviour
		want    string
		err     string
	}{
		"works":       {want: "at most 50 USD a month"},
		"another key": {account: carriers.AWSAccount{SecretAccessKey: "another"}, err: "AWS does not take the access key (InvalidSignatureException)"},
		"broken":      {b: carriers.Behaviour{Mode: carriers.Broken}, err: "AWS answered with HTTP status 500"},
		"down":        {b: carriers.Behaviour{Mode: carriers.Down}, err: "the provider cannot be reached: no connection came about"},
	} {
		s := carriers.New(carriers.Options{Carriers: []carriers.Carrier{carriers.AWS}, AWS: tc.account})
		t.Cleanup(s.Close)
		address, err := s.Listen(carriers.AWS, "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Behave(carriers.AWS, tc.b); err != nil {
			t.Fatal(err)
		}
		sender, err := awssms.New(options(smstest.Line{BaseURL: "http://" + address}))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		got, err := sender.Check(ctx)
		cancel()
		if got != tc.want || (err == nil) != (tc.err == "") || err != nil && err.Error() != tc.err {
			t.Errorf("%s: Check = %q, %v; want %q, %s", name, got, err, tc.want, tc.err)
		}
	}
}

func TestNewNamesEveryWrongField(t *testing.T) {
	t.Parallel()
	_, err := awssms.New(awssms.Options{Region: "Frankfurt", AccessKeyID: "x", From: "a b", ProtectConfiguration: "a b", SNSTopic: "texts", BaseURL: "x", SNSOrigin: "y", Receipts: sms.Callback{Base: "x"}})
	for _, want := range []string{"region", "access key id", "secret access key", "from", "protect configuration", "ARN of a standard topic", "needs a configuration set", "base URL", "SNS origin", "receipt address"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, want a word about %q", err, want)
		}
	}
}
