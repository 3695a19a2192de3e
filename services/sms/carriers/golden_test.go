package carriers_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"latchkey.dev/services/sms/carriers"
)

// published reads one of the vendors' examples.
func published(t *testing.T, name string) any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, text)
}

func decode(t *testing.T, text []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// hold compares an answer with an example: the same names, and the same values but for
// the named ones, of which form is a pattern. A pattern of "-" leaves the name out.
func hold(t *testing.T, at string, got, example any, forms map[string]string) {
	t.Helper()
	switch example := example.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			t.Errorf("%s is %v, want an object", at, got)
			return
		}
		for name, value := range example {
			form, free := forms[name]
			if form == "-" {
				continue
			}
			mine, ok := object[name]
			switch {
			case !ok:
				t.Errorf("%s has no %s, want %v", at, name, value)
			case !free:
				hold(t, at+"."+name, mine, value, forms)
			case !regexp.MustCompile("^(?:" + form + ")$").MatchString(fmt.Sprint(mine)):
				t.Errorf("%s.%s is %v, want the form %s", at, name, mine, form)
			}
		}
		for name := range object {
			if _, ok := example[name]; !ok {
				t.Errorf("%s has %s, which the example has not", at, name)
			}
		}
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(example) {
			t.Errorf("%s is %v, want a list of %d", at, got, len(example))
			return
		}
		for i := range example {
			hold(t, at+"[]", list[i], example[i], forms)
		}
	default:
		if !reflect.DeepEqual(got, example) {
			t.Errorf("%s is %#v, want %#v", at, got, example)
		}
	}
}

// fresh keeps no connections, which a carrier that goes down would cut.
var fresh = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// ask posts a form as an SDK does.
func ask(t *testing.T, address, user, password string, form url.Values) (status int, kind string, body []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if user != "" {
		r.SetBasicAuth(user, password)
	}
	res, err := fresh.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err = io.ReadAll(res.Body); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("Content-Type"), body
}

func vonageForm(change url.Values) url.Values {
	form := url.Values{"api_key": {carriers.DemoVonageKey}, "api_secret": {carriers.DemoVonageSecret}, "from": {"AcmeInc"}, "to": {"447700900000"},
		"text": {"Hello World!"}, "client-ref": {"my-personal-reference"}}
	for name, values := range change {
		form[name] = values
	}
	return form
}

func TestVonageAnswersAsPublished(t *testing.T) {
	t.Parallel()
	_, base := start(t, carriers.Options{})
	for _, tc := range []struct {
		example string
		form    url.Values
		forms   map[string]string
	}{
		// account-ref is for accounts that asked the vendor for it.
		{"vonage_accepted.json", vonageForm(nil), map[string]string{"message-id": "0A[0-9A-F]{14,15}", "account-ref": "-"}},
		{"vonage_refused.json", vonageForm(url.Values{"to": {""}}), nil},
	} {
		status, kind, body := ask(t, base+"/sms/json", "", "", tc.form)
		if status != http.StatusOK || !strings.HasPrefix(kind, "application/json") {
			t.Errorf("%s: HTTP %d, %s", tc.example, status, kind)
		}
		hold(t, tc.example, decode(t, body), published(t, tc.example), tc.forms)
	}
}

func TestVonageRefusesWhatItsDocumentationRefuses(t *testing.T) {
	t.Parallel()
	s, base := start(t, carriers.Options{})
	for name, tc := range map[string]struct {
		change url.Values
		status string
		text   string
	}{
		"no key":             {url.Values{"api_key": nil}, "2", "Missing api_key param"},
		"no text":            {url.Values{"text": nil}, "2", "Missing text param"},
		"another secret":     {url.Values{"api_secret": {"x"}}, "4", "Invalid Credentials"},
		"another key":        {url.Values{"api_key": {"x"}}, "4", "Invalid Credentials"},
		"a number with +":    {url.Values{"to": {"+447700900000"}}, "3", "Invalid Parameters"},
		"a long reference":   {url.Values{"client-ref": {strings.Repeat("r", 41)}}, "3", "Invalid Parameters"},
		"a long text":        {url.Values{"text": {strings.Repeat("t", 3201)}}, "12", "Message Too Long"},
		"a strange callback": {url.Values{"callback": {"ftp://x"}}, "23", "Invalid Callback Url"},
		"a huge request":     {url.Values{"text": {strings.Repeat("t", 70_000)}}, "3", "Invalid Parameters"},
	} {
		status, _, body := ask(t, base+"/sms/json", "", "", vonageForm(tc.change))
		want := map[string]any{"message-count": "1", "messages": []any{map[string]any{"status": tc.status, "error-text": tc.text}}}
		if status != http.StatusOK || !reflect.DeepEqual(decode(t, body), any(want)) {
			t.Errorf("%s: HTTP %d %s, want status %s, %q", name, status, body, tc.status, tc.text)
		}
	}
	if stats := s.Stats(carriers.Vonage); stats.Refused != 9 || stats.Taken != 0 || len(s.Journal()) != 0 {
		t.Errorf("stats %+v, %d texts; want 9 refused and none", stats, len(s.Journal()))
	}
}

func TestVonageShowsWhatGSMCannotCarry(t *testing.T) {
	t.Parallel()
	s, base := start(t, carriers.Options{})
	ask(t, base+"/sms/json", "", "", vonageForm(url.Values{"text": {"Код 1"}, "type": {"text"}}))
	ask(t, base+"/sms/json", "", "", vonageForm(url.Values{"text": {"Код 1"}, "type": {"unicode"}}))
	if got := s.Journal(); len(got) != 2 || got[0].Body != "??? 1" || got[1].Body != "Код 1" {
		t.Errorf("the phone got %+v", got)
	}
}

const twilioPath = "/2010-04-01/Accounts/" + carriers.DemoTwilioSID + "/Messages.json"

func twilioForm(change url.Values) url.Values {
	form := url.Values{"To": {"+15558675310"}, "From": {"+15017122661"}, "Body": {"McAvoy or Stewart? These timelines can get so confusing."}}
	for name, values := range change {
		form[name] = values
	}
	return form
}

func TestTwilioAnswersAsPublished(t *testing.T) {
	t.Parallel()
	_, base := start(t, carriers.Options{})
	const sid, uri = "SM[0-9a-f]{32}", "/2010-04-01/Accounts/AC[0-9a-f]{32}/Messages/SM[0-9a-f]{32}"
	const date = "[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} [+]0000"
	for _, tc := range []struct {
		example string
		form    url.Values
		status  int
		forms   map[string]string
	}{
		// The example was not sent by a service, yet names one, and was sent, yet is queued.
		{"twilio_message.json", twilioForm(nil), http.StatusCreated, map[string]string{"account_sid": "AC[0-9a-f]{32}", "sid": sid, "date_created": date,
			"date_updated": date, "date_sent": "<nil>", "messaging_service_sid": "<nil>", "uri": uri + "[.]json", "media": uri + "/Media[.]json"}},
		{"twilio_error.json", twilioForm(url.Values{"To": {"5551234567"}}), http.StatusBadRequest, nil},
	} {
		status, kind, body := ask(t, base+twilioPath, carriers.DemoTwilioSID, carriers.DemoTwilioToken, tc.form)
		if status != tc.status || !strings.HasPrefix(kind, "application/json") {
			t.Errorf("%s: HTTP %d, %s", tc.example, status, kind)
		}
		hold(t, tc.example, decode(t, body), published(t, tc.example), tc.forms)
	}
}

func TestTwilioByAService(t *testing.T) {
	t.Parallel()
	_, base := start(t, carriers.Options{})
	service := "MG" + strings.Repeat("a", 32)
	status, _, body := ask(t, base+twilioPath, carriers.DemoTwilioSID, carriers.DemoTwilioToken, twilioForm(url.Values{"From": nil, "MessagingServiceSid": {service}}))
	got, _ := decode(t, body).(map[string]any)
	if status != http.StatusCreated || got["status"] != "accepted" || got["num_segments"] != "0" || got["messaging_service_sid"] != service || got["from"] != nil {
		t.Errorf("HTTP %d %s", status, body)
	}
}

func TestTwilioRefusesWhatItsDocumentationRefuses(t *testing.T) {
	t.Parallel()
	s, base := start(t, carriers.Options{})
	another := "AC" + strings.Repeat("f", 32)
	for name, tc := range map[string]struct {
		path, user, password string
		change               url.Values
		status, code         int
	}{
		"another token":      {twilioPath, carriers.DemoTwilioSID, "x", nil, 401, 20003},
		"nobody":             {twilioPath, "", "", nil, 401, 20003},
		"another account":    {strings.ReplaceAll(twilioPath, carriers.DemoTwilioSID, another), carriers.DemoTwilioSID, carriers.DemoTwilioToken, nil, 404, 20404},
		"no To":              {twilioPath, carriers.DemoTwilioSID, carriers.DemoTwilioToken, url.Values{"To": nil}, 400, 21604},
		"no From":            {twilioPath, carriers.DemoTwilioSID, carriers.DemoTwilioToken, url.Values{"From": nil}, 400, 21603},
		"no Body":            {twilioPath, carriers.DemoTwilioSID, carriers.DemoTwilioToken, url.Values{"Body": nil}, 400, 21602},
		"a long Body":        {twilioPath, carriers.DemoTwilioSID, carriers.DemoTwilioToken, url.Values{"Body": {strings.Repeat("b", 1601)}}, 400, 21617},
		"a strange callback": {twilioPath, carriers.DemoTwilioSID, carriers.DemoTwilioToken, url.Values{"StatusCallback": {"x"}}, 400, 21609},
		"a huge request":     {twilioPath, carriers.DemoTwilioSID, carriers.DemoTwilioToken, url.Values{"Body": {strings.Repeat("b", 70_000)}}, 400, 21602},
	} {
		status, _, body := ask(t, base+tc.path, tc.user, tc.password, twilioForm(tc.change))
		got, _ := decode(t, body).(map[string]any)
		if status != tc.status || got["code"] != float64(tc.code) || got["status"] != float64(tc.status) || got["message"] == "" {
			t.Errorf("%s: HTTP %d %s; want %d, code %d", name, status, body, tc.status, tc.code)
		}
	}
	if got := s.Journal(); len(got) != 0 {
		t.Errorf("the phone got %+v, want nothing", got)
	}
}

// The example is that of the vendor's own library, twilio-go client/request_validator_test.go.
func TestTwilioSignsAsPublished(t *testing.T) {
	t.Parallel()
	form := url.Values{"Digits": {"1234"}, "CallSid": {"CA1234567890ABCDE"}, "To": {"+18005551212"}, "Caller": {"+14158675309"}, "From": {"+14158675309"},
		"ReasonConferenceEnded": {"test"}, "Reason": {"Participant"}}
	if got, want := carriers.TwilioSignature("12345", "https://mycompany.com/myapp.php?foo=1&bar=2", form), "vOEb5UThFn24KEfnOFLQY2AE5FY="; got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

// receipt is a receipt as it came.
type receipt struct {
	method, kind string
	fields       map[string]any
}

// take starts a receiver and sends one text with its address as the callback.
func take(t *testing.T, o carriers.Options, c carriers.Carrier, n int) []receipt {
	t.Helper()
	got := make(chan receipt, 8)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		kind := r.Header.Get("Content-Type")
		fields := map[string]any{}
		if kind == "application/json" {
			_ = json.NewDecoder(r.Body).Decode(&fields)
		} else {
			_ = r.ParseForm()
			for name := range r.Form {
				fields[name] = r.Form.Get(name)
			}
		}
		got <- receipt{r.Method, kind, fields}
	}))
	t.Cleanup(receiver.Close)
	_, base := start(t, o)
	if c == carriers.Vonage {
		ask(t, base+"/sms/json", "", "", vonageForm(url.Values{"callback": {receiver.URL + "/dlr"}, "status-report-req": {"true"}}))
	} else {
		ask(t, base+twilioPath, carriers.DemoTwilioSID, carriers.DemoTwilioToken, twilioForm(url.Values{"StatusCallback": {receiver.URL + "/status"}}))
	}
	var all []receipt
	for range n {
		select {
		case r := <-got:
			all = append(all, r)
		case <-within(t, 10*time.Second).Done():
			t.Fatal("the receipt did not come")
		}
	}
	return all
}

func TestVonageReportsAsPublished(t *testing.T) {
	t.Parallel()
	for form, want := range map[string][2]string{carriers.PostJSON: {"POST", "application/json"}, "POST": {"POST", "application/x-www-form-urlencoded"}, "GET": {"GET", ""}} {
		got := take(t, carriers.Options{VonageReceipts: form}, carriers.Vonage, 1)[0]
		if got.method != want[0] || got.kind != want[1] {
			t.Errorf("%s: the receipt came by %s, %q; want %v", form, got.method, got.kind, want)
		}
		// timestamp, nonce and sig are for accounts that have signatures switched on. The
		// time is that of the specification; the example's has another form.
		hold(t, form, any(got.fields), published(t, "vonage_receipt.json"), map[string]string{"messageId": "0A[0-9A-F]{14}", "scts": "[0-9]{10}",
			"message-timestamp": "[0-9-]{10} [0-9:]{8}", "timestamp": "-", "nonce": "-", "sig": "-"})
	}
}

// The names are those of https://www.twilio.com/docs/messaging/guides/track-outbound-message-status.
func TestTwilioReportsSentThenDelivered(t *testing.T) {
	t.Parallel()
	got := take(t, carriers.Options{}, carriers.Twilio, 2)
	for i, status := range []string{"sent", "delivered"} {
		r := got[i]
		if r.method != "POST" || r.fields["MessageStatus"] != status || r.fields["SmsStatus"] != status || r.fields["AccountSid"] != carriers.DemoTwilioSID ||
			r.fields["To"] != "+15558675310" || r.fields["From"] != "+15017122661" || r.fields["ApiVersion"] != "2010-04-01" || r.fields["MessageSid"] != r.fields["SmsSid"] {
			t.Errorf("receipt %d is %+v, want status %s", i, r, status)
		}
		for _, name := range []string{"ErrorCode", "Body"} {
			if _, ok := r.fields[name]; ok {
				t.Errorf("receipt %d has %s", i, name)
			}
		}
	}
}
