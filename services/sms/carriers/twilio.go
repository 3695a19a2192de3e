package carriers

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// twilio is the Messages API (https://www.twilio.com/docs/messaging/api/message-resource).
type twilio struct{ s *Simulator }

var twilioVendor = vendor{carrier: Twilio, name: "Twilio", paths: []string{"POST /" + twilioVersion + "/Accounts/{sid}/Messages.json"},
	suspended: "20005", barred: "21610", protocol: func(s *Simulator) protocol { return twilio{s} },
	besides: func(s *Simulator) map[string]http.HandlerFunc {
		return map[string]http.HandlerFunc{"GET /" + twilioVersion + "/Accounts/{sid}/Balance.json": twilio{s}.balance}
	}}

// balance is the Balance resource (https://www.twilio.com/docs/usage/api/balance).
func (t twilio) balance(w http.ResponseWriter, r *http.Request) {
	sid, token, _ := r.BasicAuth()
	switch {
	case !same(sid, t.s.o.TwilioSID) || !same(token, t.s.o.TwilioToken):
		write(w, *t.error(20003, ""))
	case r.PathValue("sid") != sid:
		write(w, *t.error(20404, ""))
	default:
		write(w, asJSON(http.StatusOK, map[string]string{"account_sid": sid, "balance": "7.50", "currency": "USD"}))
	}
}

// twilioMessage is a Message that was just made.
type twilioMessage struct {
	AccountSID   string            `json:"account_sid"`
	APIVersion   string            `json:"api_version"`
	Body         string            `json:"body"`
	Created      string            `json:"date_created"`
	Sent         *string           `json:"date_sent"`
	Updated      string            `json:"date_updated"`
	Direction    string            `json:"direction"`
	ErrorCode    *int              `json:"error_code"`
	ErrorMessage *string           `json:"error_message"`
	From         *string           `json:"from"`
	ServiceSID   *string           `json:"messaging_service_sid"`
	NumMedia     string            `json:"num_media"`
	NumSegments  string            `json:"num_segments"`
	Price        *string           `json:"price"`
	PriceUnit    *string           `json:"price_unit"`
	SID          string            `json:"sid"`
	Status       string            `json:"status"`
	Sub          map[string]string `json:"subresource_uris"`
	To           string            `json:"to"`
	URI          string            `json:"uri"`
}

// twilioError is an error (https://www.twilio.com/docs/usage/twilios-response).
type twilioError struct {
	Code     int    `json:"code"`
	Message  string `json:"message"`
	MoreInfo string `json:"more_info"`
	Status   int    `json:"status"`
}

const (
	twilioVersion = "2010-04-01"
	twilioMaxText = 1600 // characters; longer ones are error 21617
	twilioDocs    = "https://www.twilio.com/docs/errors/"
)

// twilioErrors are the words of the error codes (https://www.twilio.com/docs/api/errors)
// and the HTTP status of those that do not answer 400. %s is the number.
var twilioErrors = map[int]struct {
	status  int
	message string
}{
	10001: {403, "Account is not active"},
	14107: {429, "Message rate exceeded"},
	20003: {401, "Authenticate"},
	20005: {403, "Account not active"},
	20404: {404, "The requested resource was not found"},
	20429: {429, "Too Many Requests"},
	20503: {503, "Service Unavailable"},
	21211: {400, "The 'To' number %s is not a valid phone number."},
	21408: {403, "Permission to send an SMS has not been enabled for the region indicated by the 'To' number: %s."},
	21602: {400, "Message body is required."},
	21603: {400, "A 'From' phone number is required."},
	21604: {400, "A 'To' phone number is required."},
	21606: {400, "The From phone number is not a valid, SMS-capable inbound phone number or short code for your account."},
	21610: {400, "Attempt to send to unsubscribed recipient"},
	21611: {429, "This 'From' number has exceeded the maximum number of queued messages"},
	21612: {400, "The message From/To pair violates a blacklist rule or cannot be routed: %s."},
	21614: {400, "'To' number is not a valid mobile number"},
	21617: {400, "The concatenated message body exceeds the 1600 character limit"},
	21609: {400, "The 'StatusCallback' URL is not a valid URL."},
}

// read takes the form that the vendor's SDK sends, with HTTP basic authentication.
func (t twilio) read(r *http.Request) (order, *answer) {
	parsed := r.ParseForm()
	sid, token, _ := r.BasicAuth()
	switch {
	case !same(sid, t.s.o.TwilioSID) || !same(token, t.s.o.TwilioToken):
		return order{}, t.error(20003, "")
	case r.PathValue("sid") != sid:
		return order{}, t.error(20404, "")
	case parsed != nil:
		return order{}, t.error(21602, "")
	}
	get := r.PostForm.Get
	o := order{to: get("To"), from: get("From"), body: get("Body"), callback: get("StatusCallback")}
	if service := get("MessagingServiceSid"); service != "" {
		o.from, o.service = service, true
	}
	switch {
	case o.to == "":
		return order{}, t.error(21604, "")
	case o.from == "" || len(o.from) > maxSender:
		return order{}, t.error(21603, "")
	case o.body == "":
		return order{}, t.error(21602, "")
	case utf8.RuneCountInString(o.body) > twilioMaxText:
		return order{}, t.error(21617, "")
	case !strings.HasPrefix(o.to, "+") || !digits(o.to[1:], 7, 15):
		return order{}, t.error(21211, o.to)
	case o.callback != "" && !reportable(o.callback):
		return order{}, t.error(21609, "")
	}
	o.parts = segments(o.body)
	o.id = fmt.Sprintf("SM%016x%016x", t.s.run, t.s.ids.Add(1))
	return o, nil
}

func (t twilio) accepted(o order) answer {
	path := "/" + twilioVersion + "/Accounts/" + t.s.o.TwilioSID + "/Messages/" + o.id
	at := o.at.UTC().Format("Mon, 02 Jan 2006 15:04:05 -0700")
	m := twilioMessage{AccountSID: t.s.o.TwilioSID, APIVersion: twilioVersion, Body: o.body, Created: at, Updated: at, Direction: "outbound-api",
		From: &o.from, NumMedia: "0", NumSegments: strconv.Itoa(o.parts), SID: o.id, Status: "queued", To: o.to,
		Sub: map[string]string{"media": path + "/Media.json"}, URI: path + ".json"}
	if o.service { // which picks the sender later
		m.From, m.ServiceSID, m.Status, m.NumSegments = nil, &o.from, "accepted", "0"
	}
	return asJSON(http.StatusCreated, m)
}

func (t twilio) refused(code string, o order) answer {
	n, _ := strconv.Atoi(code)
	return *t.error(n, o.to)
}

func (t twilio) throttled(order) answer { return *t.error(20429, "") }
func (t twilio) empty() answer          { return answer{status: http.StatusCreated, body: []byte("{}\n")} }

func (t twilio) error(code int, to string) *answer {
	known, ok := twilioErrors[code]
	if !ok {
		known.status, known.message = http.StatusBadRequest, "Error "+strconv.Itoa(code)
	}
	message := known.message
	if strings.Contains(message, "%s") {
		message = fmt.Sprintf(message, shorten(to, 32))
	}
	a := asJSON(known.status, twilioError{Code: code, Message: message, MoreInfo: twilioDocs + strconv.Itoa(code), Status: known.status})
	return &a
}

// twilioAbsent is the error code of a phone that could not be reached.
const twilioAbsent = "30003"

// receipts are status callbacks
// (https://www.twilio.com/docs/messaging/guides/outbound-message-status-in-status-callbacks):
// sent, then delivered or undelivered.
func (t twilio) receipts(o order, b Behaviour) report {
	last := "delivered"
	if b.Receipt == ReceiptFailed {
		last = "undelivered"
	}
	address, token := o.callback, t.s.o.TwilioToken
	if b.Receipt == ReceiptForged {
		address, token = falsified(address), "not-"+token
	}
	out := report{tries: 2}
	for _, status := range arranged(b, "sent", last) {
		form := url.Values{"ApiVersion": {twilioVersion}, "AccountSid": {t.s.o.TwilioSID}, "MessageSid": {o.id}, "SmsSid": {o.id},
			"MessageStatus": {status}, "SmsStatus": {status}, "To": {o.to}, "From": {o.from}}
		switch status {
		case "delivered":
			form.Set("RawDlrDoneDate", o.at.UTC().Format("0601021504"))
		case "undelivered":
			form.Set("ErrorCode", twilioAbsent)
		}
		out.requests = append(out.requests, func(ctx context.Context) (*http.Request, error) {
			r, err := newRequest(ctx, http.MethodPost, address, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
			if err == nil {
				r.Header.Set("X-Twilio-Signature", twilioSignature(token, address, form))
			}
			return r, err
		})
	}
	return out
}
