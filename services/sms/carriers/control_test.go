package carriers_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"latchkey.dev/services/sms/carriers"
)

// call makes one request and returns its status and body. header are pairs.
func call(t *testing.T, method, address, body string, header ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// into reads an answer's JSON.
func into[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// asJSON are the headers of a JSON body.
var asJSON = []string{"Content-Type", "application/json"}

// deliver brings a text by Vonage.
func deliver(t *testing.T, base, to, text string) {
	t.Helper()
	if status, _, body := ask(t, base+"/sms/json", "", "", vonageForm(map[string][]string{"to": {to}, "text": {text}})); status != http.StatusOK || !strings.Contains(string(body), `"status":"0"`) {
		t.Fatalf("HTTP %d %s", status, body)
	}
}

func TestControlSteersACarrier(t *testing.T) {
	t.Parallel()
	s, base := start(t, carriers.Options{})
	status, body := call(t, "PUT", base+"/control/carriers/vonage/behaviour", `{"mode":"refuse","code":"9","next":1}`, asJSON...)
	if got := into[carriers.State](t, body); status != http.StatusOK || got.Behaviour.Mode != carriers.Refuse || got.Behaviour.Receipt != carriers.ReceiptDelivered {
		t.Fatalf("PUT = %d %s", status, body)
	}
	if _, _, body := ask(t, base+"/sms/json", "", "", vonageForm(nil)); !strings.Contains(string(body), "Partner Quota Violation") {
		t.Errorf("the carrier answers %s, want status 9", body)
	}
	deliver(t, base, "447700900000", "the next is taken")
	status, body = call(t, "GET", base+"/control/carriers/vonage", "")
	if got := into[carriers.State](t, body); status != http.StatusOK || got.Stats != (carriers.Stats{Requests: 2, Taken: 1, Refused: 1}) {
		t.Errorf("GET = %d %s; want 2 asked, 1 taken, 1 refused", status, body)
	}
	status, body = call(t, "GET", base+"/control/carriers", "")
	if got := into[[]carriers.State](t, body); status != http.StatusOK || len(got) != 2 || got[1].Carrier != carriers.Twilio || got[1].Behaviour.Mode != carriers.Accept {
		t.Errorf("GET all = %d %s", status, body)
	}
	if status, body := call(t, "POST", base+"/control/reset", ""); status != http.StatusNoContent {
		t.Errorf("reset = %d %s", status, body)
	}
	if s.Behaviour(carriers.Vonage).Mode != carriers.Accept || s.Stats(carriers.Vonage) != (carriers.Stats{}) || len(s.Journal()) != 0 {
		t.Error("the reset left something")
	}
}

func TestControlListsTheJournal(t *testing.T) {
	t.Parallel()
	_, base := start(t, carriers.Options{})
	for i, to := range []string{"447700900001", "447700900002", "447700900001"} {
		deliver(t, base, to, "text "+string(rune('1'+i)))
	}
	for query, want := range map[string]string{
		"": "text 1 text 2 text 3", "?since=1": "text 2 text 3", "?since=3": "", "?limit=2": "text 1 text 2",
		"?to=%2B447700900001": "text 1 text 3", "?to=%2B447700900001&since=1": "text 3", "?to=%2B447700900009": "",
	} {
		status, body := call(t, "GET", base+"/control/texts"+query, "")
		got := into[carriers.Texts](t, body)
		var words []string
		for _, text := range got.Texts {
			words = append(words, text.Body)
		}
		if status != http.StatusOK || strings.Join(words, " ") != want || got.Last != 3 {
			t.Errorf("%s: %d %s, want %q", query, status, body, want)
		}
	}
}

func TestControlWaitsForATextToANumber(t *testing.T) {
	t.Parallel()
	s, base := start(t, carriers.Options{})
	address := base + "/control/texts/+447700900001/2"
	if status, _ := call(t, "GET", address, ""); status != http.StatusNotFound {
		t.Errorf("before = %d, want 404", status)
	}
	type result struct {
		status int
		body   string
	}
	got := make(chan result)
	go func() {
		status, body := call(t, "GET", address+"?wait=60", "")
		got <- result{status, body}
	}()
	deliver(t, base, "447700900001", "first")
	deliver(t, base, "447700900002", "another phone's")
	deliver(t, base, "447700900001", "second")
	if r := <-got; r.status != http.StatusOK || into[carriers.Text](t, r.body).Body != "second" {
		t.Errorf("waited for %d %s, want the second text", r.status, r.body)
	}
	if text, err := s.WaitText(within(t, time.Minute), "+447700900001", 1); err != nil || text.Body != "first" {
		t.Errorf("WaitText = %+v, %v", text, err)
	}
	if _, err := s.WaitText(within(t, 10*time.Millisecond), "+447700900001", 3); err == nil {
		t.Error("WaitText found a text that was not sent")
	}
}

func TestControlAnswersBadRequestsWithAProblem(t *testing.T) {
	t.Parallel()
	s, base := start(t, carriers.Options{})
	behaviour := base + "/control/carriers/vonage/behaviour"
	for name, tc := range map[string]struct {
		method, address, body string
		header                []string
		status                int
	}{
		"no such carrier":        {"GET", base + "/control/carriers/acme", "", nil, 404},
		"no such carrier to set": {"PUT", base + "/control/carriers/acme/behaviour", "{}", asJSON, 404},
		"no JSON":                {"PUT", behaviour, "{", asJSON, 400},
		"not said to be JSON":    {"PUT", behaviour, "{}", nil, 415},
		"unknown field":          {"PUT", behaviour, `{"mood":"bad"}`, asJSON, 400},
		"unknown mode":           {"PUT", behaviour, `{"mode":"explode"}`, asJSON, 400},
		"unknown receipt":        {"PUT", behaviour, `{"receipt":"maybe"}`, asJSON, 400},
		"refuse without a code":  {"PUT", behaviour, `{"mode":"refuse"}`, asJSON, 400},
		"a code that is text":    {"PUT", behaviour, `{"mode":"refuse","code":"\r\nX"}`, asJSON, 400},
		"redirect to nowhere":    {"PUT", behaviour, `{"mode":"redirect","code":"javascript:1"}`, asJSON, 400},
		"broken but well":        {"PUT", behaviour, `{"mode":"broken","code":"200"}`, asJSON, 400},
		"a code for nothing":     {"PUT", behaviour, `{"mode":"hang","code":"1"}`, asJSON, 400},
		"down for the next":      {"PUT", behaviour, `{"mode":"down","next":1}`, asJSON, 400},
		"a delay for ever":       {"PUT", behaviour, `{"delay_ms":9999999999}`, asJSON, 400},
		"a negative rate":        {"PUT", behaviour, `{"mode":"throttle","rate":-1}`, asJSON, 400},
		"many duplicates":        {"PUT", behaviour, `{"duplicates":11}`, asJSON, 400},
		"more than all":          {"PUT", behaviour, `{"fraction":1.1}`, asJSON, 400},
		"a huge body":            {"PUT", behaviour, `{"code":"` + strings.Repeat("1", 20_000) + `"}`, asJSON, 413},
		"since what":             {"GET", base + "/control/texts?since=-1", "", nil, 400},
		"too many":               {"GET", base + "/control/texts?limit=1001", "", nil, 400},
		"none":                   {"GET", base + "/control/texts?limit=0", "", nil, 400},
		"to whom":                {"GET", base + "/control/texts?to=me", "", nil, 400},
		"which number":           {"GET", base + "/control/texts/me/1", "", nil, 400},
		"which text":             {"GET", base + "/control/texts/+447700900001/0", "", nil, 400},
		"waiting for ever":       {"GET", base + "/control/texts/+447700900001/1?wait=61", "", nil, 400},
		"nothing here":           {"GET", base + "/nothing", "", nil, 404},
		"another method":         {"DELETE", base + "/control/texts", "", nil, 404},
		"no such button":         {"POST", base + "/page/behave", "carrier=vonage&preset=x", []string{"Content-Type", "application/x-www-form-urlencoded"}, 400},
		"a button of nobody":     {"POST", base + "/page/behave", "carrier=x&preset=hang", []string{"Content-Type", "application/x-www-form-urlencoded"}, 404},
		"a phone of nobody":      {"GET", base + "/?to=1", "", nil, 400},
		"a stream of nobody":     {"GET", base + "/page/stream?to=1", "", nil, 400},
	} {
		status, body := call(t, tc.method, tc.address, tc.body, tc.header...)
		problem := into[struct {
			Type, Title, Detail string
			Status              int
		}](t, body)
		if status != tc.status || problem.Status != status || !strings.HasPrefix(problem.Type, "/problems/") || problem.Title == "" || problem.Detail == "" {
			t.Errorf("%s: %d %s, want a problem with status %d", name, status, body, tc.status)
		}
	}
	if got := s.Behaviour(carriers.Vonage); got.Mode != carriers.Accept {
		t.Errorf("the carrier's mode is %s after bad requests", got.Mode)
	}
}

func TestOtherSitesAreKeptOut(t *testing.T) {
	t.Parallel()
	s, base := start(t, carriers.Options{Hosts: []string{"carriers.example.com"}})
	deliver(t, base, "447700900001", "a secret of this machine")
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	for name, tc := range map[string]struct {
		method, path, body string
		header             []string
		status             int
	}{
		"a form of another site":     {"POST", "/page/behave", "carrier=vonage&preset=hang", append(form, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"), 403},
		"an old browser's":           {"POST", "/control/reset", "", []string{"Origin", "https://evil.example"}, 403},
		"a script of another site":   {"PUT", "/control/carriers/vonage/behaviour", `{"mode":"hang"}`, append(asJSON, "Origin", "https://evil.example"), 403},
		"a name turned to us":        {"GET", "/", "", []string{"Host", "evil.example"}, 421},
		"a name turned, the journal": {"GET", "/control/texts", "", []string{"Host", "evil.example:8082"}, 421},
		"a name turned, the stream":  {"GET", "/page/stream", "", []string{"Host", "evil.example"}, 421},
		"our page":                   {"POST", "/page/behave", "carrier=vonage&preset=slow", append(form, "Origin", base, "Sec-Fetch-Site", "same-origin"), 303},
		"localhost":                  {"GET", "/control/texts", "", []string{"Host", "localhost:8082"}, 200},
		"a name of the network":      {"GET", "/control/texts", "", []string{"Host", "carriers:8082"}, 200},
		"a name that we were given":  {"GET", "/control/texts", "", []string{"Host", "Carriers.Example.com"}, 200},
		"IPv6":                       {"GET", "/control/texts", "", []string{"Host", "[::1]:8082"}, 200},
		"a program":                  {"PUT", "/control/carriers/twilio/behaviour", `{}`, asJSON, 200},
	} {
		status, body := call(t, tc.method, base+tc.path, tc.body, tc.header...)
		if status != tc.status {
			t.Errorf("%s: %d %s, want %d", name, status, body, tc.status)
		}
		if status > 400 && strings.Contains(body, "a secret") {
			t.Errorf("%s shows the text", name)
		}
	}
	if len(s.Journal()) != 1 || s.Behaviour(carriers.Vonage).Mode != carriers.Accept || s.Behaviour(carriers.Vonage).DelayMS != 2000 {
		t.Errorf("another site changed something: %+v", s.Behaviour(carriers.Vonage))
	}
}
