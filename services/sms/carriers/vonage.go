package carriers

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"latchkey.dev/services/code"
)

// vonage is the SMS API (https://developer.vonage.com/en/api/sms). It answers 200 to
// everything; the status of each message says what became of it.
type vonage struct{ s *Simulator }

var vonageVendor = vendor{carrier: Vonage, name: "Vonage", paths: []string{"POST /sms/json"}, suspended: "8", barred: "7",
	protocol: func(s *Simulator) protocol { return vonage{s} },
	besides: func(s *Simulator) map[string]http.HandlerFunc {
		return map[string]http.HandlerFunc{"GET /account/get-balance": vonage{s}.balance}
	}}

// balance is that part of the Account API (https://developer.vonage.com/en/api/account#getAccountBalance).
func (v vonage) balance(w http.ResponseWriter, r *http.Request) {
	key, secret, _ := r.BasicAuth()
	if !same(key, v.s.o.VonageKey) || !same(secret, v.s.o.VonageSecret) {
		write(w, asJSON(http.StatusUnauthorized, map[string]string{"error-code": "401", "error-code-label": "authentication failed"}))
		return
	}
	write(w, answer{status: http.StatusOK, body: []byte(`{"value":` + vonageBalance + `,"autoReload":false}`)})
}

type vonageAnswer struct {
	Count    string          `json:"message-count"`
	Messages []vonageMessage `json:"messages"`
}

type vonageMessage struct {
	To        string `json:"to,omitempty"`
	ID        string `json:"message-id,omitempty"`
	Status    string `json:"status"`
	ErrorText string `json:"error-text,omitempty"`
	Balance   string `json:"remaining-balance,omitempty"`
	Price     string `json:"message-price,omitempty"`
	Network   string `json:"network,omitempty"`
	ClientRef string `json:"client-ref,omitempty"`
}

// What the published examples say, for every text: the simulator keeps no accounts.
const (
	vonageBalance = "3.14159265"
	vonagePrice   = "0.03330000"
	vonageNetwork = "12345"
)

const (
	vonageMaxText = 3200 // characters; longer ones are status 12
	vonageMaxRef  = 40   // characters of client-ref
)

// vonageErrors are the texts of the statuses (https://developer.vonage.com/en/api-errors/sms).
var vonageErrors = map[string]string{
	"1": "Throttled", "2": "Missing Parameters", "3": "Invalid Parameters", "4": "Invalid Credentials", "5": "Internal Error",
	"6": "Invalid Message", "7": "Number Barred", "8": "Partner Account Barred", "9": "Partner Quota Violation",
	"10": "Too Many Existing Binds", "11": "Account Not Enabled For HTTP", "12": "Message Too Long", "14": "Invalid Signature",
	"15": "Invalid Sender Address", "22": "Invalid Network Code", "23": "Invalid Callback Url", "29": "Non-Whitelisted Destination",
	"32": "Signature And API Secret Disallowed", "33": "Number De-activated",
}

// read takes the form that the vendor's SDK sends.
func (v vonage) read(r *http.Request) (order, *answer) {
	if r.ParseForm() != nil {
		return order{}, v.error("3", "")
	}
	get := r.PostForm.Get
	for _, name := range []string{"api_key", "api_secret", "from", "to", "text"} {
		if get(name) == "" {
			return order{}, v.error("2", "Missing "+name+" param")
		}
	}
	o := order{from: get("from"), clientRef: get("client-ref"), body: get("text")}
	switch to := get("to"); {
	case !same(get("api_key"), v.s.o.VonageKey) || !same(get("api_secret"), v.s.o.VonageSecret):
		return order{}, v.error("4", "")
	case !digits(to, 7, 15), utf8.RuneCountInString(o.clientRef) > vonageMaxRef, len(o.from) > maxSender:
		return order{}, v.error("3", "")
	case utf8.RuneCountInString(o.body) > vonageMaxText:
		return order{}, v.error("12", "")
	default:
		o.to = "+" + to
	}
	if o.callback = get("callback"); o.callback != "" && !reportable(o.callback) {
		return order{}, v.error("23", "")
	}
	if report := get("status-report-req"); report != "true" && report != "1" {
		o.callback = "" // the account itself has no webhook here
	}
	if get("type") != "unicode" {
		o.body = lossy(o.body)
	}
	o.parts = segments(o.body)
	o.id = v.s.vonageID()
	return o, nil
}

// lossy is what a phone shows of a text that was sent as GSM-7 and is not.
func lossy(text string) string {
	if _, ok := code.Septets(text); ok {
		return text
	}
	return strings.Map(func(r rune) rune {
		if _, ok := code.Septets(string(r)); !ok {
			return '?'
		}
		return r
	}, text)
}

// vonageID makes an id as the vendor's look: 16 hexadecimal digits.
func (s *Simulator) vonageID() string {
	return fmt.Sprintf("0A%06X%08X", s.run&0xFFFFFF, s.ids.Add(1)&0xFFFFFFFF)
}

func (v vonage) accepted(o order) answer {
	a := vonageAnswer{Count: strconv.Itoa(o.parts)}
	for i := range o.parts {
		a.Messages = append(a.Messages, vonageMessage{To: o.to[1:], ID: part(o.id, i), Status: "0", Balance: vonageBalance, Price: vonagePrice,
			Network: vonageNetwork, ClientRef: o.clientRef})
	}
	return asJSON(http.StatusOK, a)
}

// part names the parts of a long text apart.
func part(id string, i int) string {
	if i == 0 {
		return id
	}
	return fmt.Sprintf("%s%02X", id, i)
}

func (v vonage) refused(code string, _ order) answer { return *v.error(code, "") }
func (v vonage) throttled(order) answer              { return *v.error("1", "") }
func (v vonage) empty() answer {
	return asJSON(http.StatusOK, vonageAnswer{Count: "0", Messages: []vonageMessage{}})
}

func (v vonage) error(status, text string) *answer {
	if text == "" {
		text = vonageErrors[status]
	}
	a := asJSON(http.StatusOK, vonageAnswer{Count: "1", Messages: []vonageMessage{{Status: status, ErrorText: text}}})
	return &a
}

// vonageReceipt is a delivery receipt
// (https://developer.vonage.com/en/messaging/sms/guides/delivery-receipts), its names in
// the order of the published example.
type vonageReceipt struct {
	MSISDN    string `json:"msisdn"`
	To        string `json:"to"`
	Network   string `json:"network-code"`
	ID        string `json:"messageId"`
	Price     string `json:"price"`
	Status    string `json:"status"`
	SCTS      string `json:"scts"`
	ErrCode   string `json:"err-code"`
	APIKey    string `json:"api-key"`
	ClientRef string `json:"client-ref,omitempty"`
	Timestamp string `json:"message-timestamp"`
	// Unix, Nonce and Sig come with signatures alone.
	Unix  string `json:"timestamp,omitempty"`
	Nonce string `json:"nonce,omitempty"`
	Sig   string `json:"sig,omitempty"`

	at time.Time
}

// vonageAbsent is the err-code of a phone that could not be reached for now.
const vonageAbsent = "2"

// receipts are one for each part; where their order is turned around, an intermediate
// one besides.
func (v vonage) receipts(o order, b Behaviour) report {
	status, code := "delivered", "0"
	if b.Receipt == ReceiptFailed {
		status, code = "failed", vonageAbsent
	}
	var all []vonageReceipt
	for i := range o.parts {
		r := vonageReceipt{MSISDN: o.to[1:], To: o.from, Network: vonageNetwork, ID: part(o.id, i), Price: vonagePrice, Status: status, ErrCode: code,
			APIKey: v.s.o.VonageKey, ClientRef: o.clientRef, SCTS: o.at.UTC().Format("0601021504"), Timestamp: o.at.UTC().Format(time.DateTime), at: o.at}
		if b.Reorder {
			early := r
			early.Status, early.ErrCode = "accepted", "0"
			all = append(all, early)
		}
		all = append(all, r)
	}
	address, secret := o.callback, v.s.o.VonageSignature
	if b.Receipt == ReceiptForged && secret != "" {
		secret = "not-" + secret // the address is right: the signature must tell
	} else if b.Receipt == ReceiptForged {
		address = falsified(address)
	}
	out := report{tries: maxTries, insist: true}
	for _, r := range arranged(b, all...) {
		out.requests = append(out.requests, func(ctx context.Context) (*http.Request, error) {
			return r.request(ctx, v.s.o.VonageReceipts, address, secret, v.s.o.VonageMethod)
		})
	}
	return out
}

// fields are the receipt's parameters, signed where there is a secret.
func (r vonageReceipt) fields(secret, method string) (map[string]string, error) {
	if secret != "" {
		r.Unix, r.Nonce = strconv.FormatInt(r.at.Unix(), 10), rand.Text()
	}
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	var fields map[string]string
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, err
	}
	if secret != "" {
		fields["sig"] = VonageSignature(secret, method, fields)
	}
	return fields, nil
}

// VonageSignature is the signature of parameters
// (https://developer.vonage.com/en/getting-started/concepts/signing-messages).
func VonageSignature(secret, method string, fields map[string]string) string {
	hash := sha256.New
	if method == "sha512hmac" {
		hash = sha512.New
	}
	mac := hmac.New(hash, []byte(secret))
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if name != "sig" {
			fmt.Fprintf(mac, "&%s=%s", name, strings.NewReplacer("&", "_", "=", "_").Replace(fields[name]))
		}
	}
	return fmt.Sprintf("%X", mac.Sum(nil))
}

// request is the receipt by the method to which the account is set.
func (r vonageReceipt) request(ctx context.Context, method, address, secret, by string) (*http.Request, error) {
	fields, err := r.fields(secret, by)
	if err != nil {
		return nil, err
	}
	if method == PostJSON {
		text, err := json.Marshal(fields)
		if err != nil {
			return nil, err
		}
		return newRequest(ctx, http.MethodPost, address, "application/json", bytes.NewReader(text))
	}
	form := url.Values{}
	for name, value := range fields {
		form.Set(name, value)
	}
	if method == http.MethodPost {
		return newRequest(ctx, http.MethodPost, address, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
	}
	mark := "?"
	if strings.Contains(address, "?") {
		mark = "&"
	}
	return newRequest(ctx, http.MethodGet, address+mark+form.Encode(), "", nil)
}
