// Package awssms sends texts through AWS End User Messaging SMS with the vendor's SDK.
//
// Each Send gives the SDK a client of its own on a wire.Call, with retries off, reads the
// answer before the SDK does, and judges by what it read.
package awssms

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/pinpointsmsvoicev2"
	"github.com/aws/aws-sdk-go-v2/service/pinpointsmsvoicev2/types"

	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/wire"
)

// Options say which account sends, and how.
type Options struct {
	// Name is the provider's name in receipt addresses; "" is "aws".
	Name string
	// Region is where the account's senders are, as eu-central-1.
	Region string
	// AccessKeyID names the key that signs requests; SecretAccessKey is its secret. It needs
	// the actions sms-voice:SendTextMessage and, for Check, sms-voice:DescribeSpendLimits.
	AccessKeyID     string
	SecretAccessKey secret.String
	// From is the origination identity: a number, a sender ID or a pool, by its id or ARN.
	From string
	// ConfigurationSet names the configuration set whose events are receipts; "" is none.
	ConfigurationSet string
	// ProtectConfiguration is the id of the rules of countries that hold; "" is the account's own.
	ProtectConfiguration string
	// SNSTopic is the ARN of the topic that the configuration set reports to, which has the
	// address Receipts.Base/Name subscribed over HTTPS. Without it no receipt is authentic.
	SNSTopic string
	// BaseURL is where the API is; "" is the vendor's.
	BaseURL string
	// SNSOrigin is where SNS has its signing certificates and confirms subscriptions, as
	// https://host; "" is the vendor's own, in the topic's region.
	SNSOrigin string
	// Transport carries the requests and is shared between them; nil is wire.Transport().
	Transport http.RoundTripper
	// Receipts is where receipts go; the zero value asks for none.
	Receipts sms.Callback
}

// The API's own patterns (https://docs.aws.amazon.com/pinpoint/latest/apireference_smsvoicev2/API_SendTextMessage.html).
var (
	region     = regexp.MustCompile(`^[a-z]{2,3}(-[a-z]+)+-[0-9]{1,2}$`)
	accessKey  = regexp.MustCompile(`^[A-Za-z0-9_]{16,128}$`)
	identity   = regexp.MustCompile(`^[A-Za-z0-9_:/+-]{1,256}$`)
	configName = regexp.MustCompile(`^[A-Za-z0-9_:/-]{1,256}$`)
	topicARN   = regexp.MustCompile(`^arn:(aws|aws-cn|aws-us-gov):sns:([a-z]{2,3}(?:-[a-z]+)+-[0-9]{1,2}):[0-9]{12}:[A-Za-z0-9_-]{1,256}$`)
)

func (o Options) validate() error {
	var errs []error
	wrong := func(is bool, what string) {
		if is {
			errs = append(errs, errors.New(what))
		}
	}
	wrong(!region.MatchString(o.Region), "region: must be as eu-central-1")
	wrong(!accessKey.MatchString(o.AccessKeyID), "access key id: must be 16 to 128 letters and digits")
	wrong(o.SecretAccessKey.Empty(), "secret access key: is missing")
	wrong(!identity.MatchString(o.From), "from: must be a number, sender ID or pool, by its id or ARN")
	wrong(o.ConfigurationSet != "" && !configName.MatchString(o.ConfigurationSet), "configuration set: must be a name or an ARN")
	wrong(o.ProtectConfiguration != "" && !configName.MatchString(o.ProtectConfiguration), "protect configuration: must be an id or an ARN")
	wrong(o.SNSTopic != "" && !topicARN.MatchString(o.SNSTopic), "SNS topic: must be the ARN of a standard topic")
	wrong(o.SNSTopic != "" && o.ConfigurationSet == "", "SNS topic: needs a configuration set that reports to it")
	wrong(o.BaseURL != "" && !address(o.BaseURL), "base URL: must be an http or https address without a query")
	wrong(o.SNSOrigin != "" && !address(o.SNSOrigin), "SNS origin: must be an http or https address without a query")
	return errors.Join(append(errs, o.Receipts.Validate())...)
}

func address(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.RawQuery == ""
}

// Sender sends through one AWS account.
type Sender struct {
	o      Options
	client *sdk.Client
	sns    *sns
}

var (
	_ sms.Sender        = (*Sender)(nil)
	_ sms.ReceiptParser = (*Sender)(nil)
	_ sms.Checker       = (*Sender)(nil)
)

// New returns a sender, or every wrong field of the options.
func New(o Options) (*Sender, error) {
	if o.Name == "" {
		o.Name = "aws"
	}
	if o.Transport == nil {
		o.Transport = wire.Transport()
	}
	o.BaseURL, o.SNSOrigin = strings.TrimSuffix(o.BaseURL, "/"), strings.TrimSuffix(o.SNSOrigin, "/")
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("aws: %w", err)
	}
	options := sdk.Options{Region: o.Region, Credentials: static(o), Retryer: aws.NopRetryer{}}
	if o.BaseURL != "" {
		options.BaseEndpoint = &o.BaseURL
	}
	return &Sender{o: o, client: sdk.New(options), sns: newSNS(o)}, nil
}

// static is the one key; nothing is taken from the environment.
func static(o Options) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: o.AccessKeyID, SecretAccessKey: o.SecretAccessKey.Reveal(), Source: "file"}, nil
	})
}

// carrying lets a client make the one request of an operation.
func carrying(client *http.Client) func(*sdk.Options) {
	return func(o *sdk.Options) { o.HTTPClient = client }
}

// The keys under which an event brings back what Send wrote.
const (
	contextAttempt = "latchkey-attempt"
	contextToken   = "latchkey-token"
)

// The bounds of TimeToLive.
const (
	minLife = 5 * time.Second
	maxLife = 72 * time.Hour
)

// Send implements sms.Sender. The API says nothing of segments; its events do.
func (s *Sender) Send(ctx context.Context, m sms.Message) sms.Outcome {
	return wire.Send(ctx, s.o.Transport, judge, func(client *http.Client) {
		// The call has ctx's end already; the SDK, ended before its request, would tell nothing.
		_, _ = s.client.SendTextMessage(context.WithoutCancel(ctx), s.input(m), carrying(client)) // judge has read what it reads
	})
}

func (s *Sender) input(m sms.Message) *sdk.SendTextMessageInput {
	in := &sdk.SendTextMessageInput{
		DestinationPhoneNumber: aws.String(m.To.E164()),
		MessageBody:            aws.String(m.Body.Reveal()),
		OriginationIdentity:    &s.o.From,
		MessageType:            types.MessageTypeTransactional,
	}
	if s.o.ConfigurationSet != "" {
		in.ConfigurationSetName = &s.o.ConfigurationSet
	}
	if s.o.ProtectConfiguration != "" {
		in.ProtectConfigurationId = &s.o.ProtectConfiguration
	}
	if m.Validity > 0 {
		in.TimeToLive = aws.Int32(int32(min(max(m.Validity, minLife), maxLife) / time.Second))
	}
	if s.o.Receipts.Enabled() && s.o.SNSTopic != "" {
		in.Context = map[string]string{contextAttempt: m.AttemptID.String(), contextToken: s.o.Receipts.Token(s.o.Name, m.AttemptID)}
	}
	return in
}
