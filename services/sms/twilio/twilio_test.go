package twilio

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/wire"
)

var attempt = uuid.MustParse("0197a1f0-0000-7000-8000-000000000001")

const sid = "SM0123456789abcdef0123456789abcdef"

func sender(t testing.TB) *Sender {
	t.Helper()
	s, err := New(Options{AccountSID: "AC" + strings.Repeat("a", 32), AuthToken: secret.New("t0ken"), From: "+15005550006",
		Receipts: sms.Callback{Base: "https://r.example.com/receipts", Key: secret.New("0123456789abcdef")}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNewNamesEveryWrongField(t *testing.T) {
	t.Parallel()
	_, err := New(Options{AccountSID: "x", From: "a", MessagingServiceSID: "b", BaseURL: "x", Receipts: sms.Callback{Base: "x"}})
	for _, want := range []string{"account SID", "auth token", "exactly one", "messaging service SID", "base URL", "receipt address"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, want a word about %q", err, want)
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status int
		body   string
		want   sms.Outcome
	}{
		"queued":            {201, `{"sid":"` + sid + `","status":"queued","num_segments":"2","error_code":null}`, sms.Outcome{Ending: sms.Accepted, Reason: sms.ReasonOK, Reference: sid, Segments: 2}},
		"by a service":      {201, `{"sid":"` + sid + `","status":"accepted","num_segments":"0"}`, sms.Outcome{Ending: sms.Accepted, Reason: sms.ReasonOK, Reference: sid}},
		"failed at once":    {201, `{"sid":"` + sid + `","status":"failed","error_code":30002}`, sms.Outcome{Ending: sms.RefusedElsewhere, Reason: sms.ReasonQuota, Reference: sid, VendorCode: "30002"}},
		"landline":          {400, `{"code":21614,"message":"+1555","status":400}`, sms.Outcome{Ending: sms.RefusedNever, Reason: sms.ReasonBadNumber, VendorCode: "21614"}},
		"unknown code, 400": {400, `{"code":29999,"status":400}`, sms.Outcome{Ending: sms.RefusedElsewhere, Reason: sms.ReasonRefused, VendorCode: "29999"}},
		"unknown code, 403": {403, `{"code":29999,"status":403}`, sms.Outcome{Ending: sms.RefusedElsewhere, Reason: sms.ReasonMisconfigured, VendorCode: "29999"}},
		"code with a 500":   {500, `{"code":21610,"status":500}`, sms.Outcome{Ending: sms.Ambiguous, Reason: sms.ReasonProviderError, VendorCode: "21610"}},
		"html with a 502":   {502, `<html>`, sms.Outcome{Ending: sms.Ambiguous, Reason: sms.ReasonProviderError, VendorCode: "http-502"}},
		"redirect":          {307, `{"code":21610}`, sms.Outcome{Ending: sms.Ambiguous, Reason: sms.ReasonBadAnswer, VendorCode: "http-307"}},
	} {
		got, err := judge(wire.Answer{Status: tc.status, Body: []byte(tc.body)})
		if err != nil || got != tc.want {
			t.Errorf("%s: judge = %+v, %v; want %+v", name, got, err, tc.want)
		}
	}
	for name, body := range map[string]string{"null": "null", "no sid": `{"status":"queued"}`, "odd sid": `{"sid":"SM1","status":"queued"}`,
		"odd status": `{"sid":"` + sid + `","status":"perhaps"}`, "status is a number": `{"sid":"` + sid + `","status":201}`, "html": "<html>"} {
		if got, err := judge(wire.Answer{Status: 201, Body: []byte(body)}); err == nil {
			t.Errorf("%s: judge = %+v, want an error", name, got)
		}
	}
}

func TestClassifyFollowsTheVendorsDictionary(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]sms.Outcome{
		21211: {Ending: sms.RefusedNever, Reason: sms.ReasonBadNumber},
		21610: {Ending: sms.RefusedNever, Reason: sms.ReasonOptedOut},
		21614: {Ending: sms.RefusedNever, Reason: sms.ReasonBadNumber},
		21214: {Ending: sms.RefusedElsewhere, Reason: sms.ReasonBadNumber},
		21408: {Ending: sms.RefusedElsewhere, Reason: sms.ReasonMisconfigured},
		20003: {Ending: sms.RefusedElsewhere, Reason: sms.ReasonMisconfigured},
		20429: {Ending: sms.RefusedElsewhere, Reason: sms.ReasonThrottled},
		14107: {Ending: sms.RefusedElsewhere, Reason: sms.ReasonThrottled},
		30001: {Ending: sms.RefusedElsewhere, Reason: sms.ReasonThrottled},
		30002: {Ending: sms.RefusedElsewhere, Reason: sms.ReasonQuota},
		30007: {Ending: sms.RefusedElsewhere, Reason: sms.ReasonRefused},
	} {
		if got := classify(code); got != want {
			t.Errorf("classify(%d) = %+v, want %+v", code, got, want)
		}
	}
}

// signed is a report as Twilio would send it to an address, signed with token.
func signed(address, token string, form url.Values) *http.Request {
	r := httptest.NewRequest("POST", address, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	text := address
	names := make([]string, 0, len(form))
	for name := range form {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		text += name + form.Get(name)
	}
	mac := hmac.New(sha1.New, []byte(token))
	mac.Write([]byte(text))
	r.Header.Set("X-Twilio-Signature", base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return r
}

func TestParseReceipt(t *testing.T) {
	t.Parallel()
	s := sender(t)
	address := s.o.Receipts.URL("twilio", attempt)
	form := url.Values{"MessageSid": {sid}, "MessageStatus": {"undelivered"}, "ErrorCode": {"30003"}, "To": {"+15551234567"}}
	want := sms.Receipt{AttemptID: attempt, Reference: sid, Status: sms.Undelivered, Code: "30003"}
	if got, err := s.ParseReceipt(signed(address, "t0ken", form)); err != nil || got != want {
		t.Errorf("ParseReceipt = %+v, %v; want %+v", got, err, want)
	}

	behindProxy := signed(address, "t0ken", form)
	behindProxy.Host, behindProxy.URL.Host = "10.0.0.1:8080", "10.0.0.1:8080"
	if _, err := s.ParseReceipt(behindProxy); err != nil {
		t.Errorf("behind a proxy: ParseReceipt = %v, want nil", err)
	}

	changed := signed(address, "t0ken", form)
	changed.Body = signed(address, "t0ken", url.Values{"MessageStatus": {"delivered"}}).Body
	unsigned := signed(address, "t0ken", form)
	unsigned.Header.Del("X-Twilio-Signature")
	plainText := signed(address, "t0ken", form)
	plainText.Header.Set("Content-Type", "text/plain")
	for name, tc := range map[string]struct {
		r    *http.Request
		want error
	}{
		"another token":       {signed(address, "0ther", form), sms.ErrForged},
		"changed on the way":  {changed, sms.ErrForged},
		"unsigned":            {unsigned, sms.ErrForged},
		"for another attempt": {signed(s.o.Receipts.Base+"/twilio/"+uuid.NewString()+"/abc", "t0ken", form), sms.ErrForged},
		"no status":           {signed(address, "t0ken", url.Values{"MessageSid": {sid}}), sms.ErrMalformed},
		"not a form":          {plainText, sms.ErrMalformed},
		"read by GET":         {httptest.NewRequest("GET", address, nil), sms.ErrMalformed},
		"very long":           {signed(address, "t0ken", url.Values{"x": {strings.Repeat("y", wire.MaxAnswer)}}), sms.ErrMalformed},
	} {
		if _, err := s.ParseReceipt(tc.r); !errors.Is(err, tc.want) {
			t.Errorf("%s: ParseReceipt = %v, want %v", name, err, tc.want)
		}
	}
}

func TestStatusIsClosed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]sms.Status{"delivered": sms.Delivered, "undelivered": sms.Undelivered, "failed": sms.Rejected,
		"queued": sms.InTransit, "sent": sms.InTransit, "new": sms.Unknown} {
		if got := status(text); got != want {
			t.Errorf("status(%q) = %q, want %q", text, got, want)
		}
	}
}

func FuzzParseReceipt(f *testing.F) {
	s := sender(f)
	address := s.o.Receipts.URL("twilio", attempt)
	f.Add("MessageStatus", "delivered", "MessageSid", sid)
	f.Add("MessageStatus", "failed", "ErrorCode", "30003 +1555")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string) {
		got, err := s.ParseReceipt(signed(address, "t0ken", url.Values{name1: {value1}, name2: {value2}}))
		switch {
		case err != nil && !errors.Is(err, sms.ErrForged) && !errors.Is(err, sms.ErrMalformed):
			t.Errorf("ParseReceipt = %v, want one of the two errors", err)
		case err == nil && (got.AttemptID != attempt || len(got.Code) > wire.MaxCode || got.Status == ""):
			t.Errorf("ParseReceipt = %+v, beyond its bounds", got)
		}
	})
}
