package carriers

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/google/uuid"
)

// AWSAccount is an account at AWS End User Messaging SMS.
type AWSAccount struct {
	Region, AccessKeyID, SecretAccessKey string // DemoAWSRegion, DemoAWSKeyID, DemoAWSSecret
	// Topic is the ARN of the SNS topic to which every configuration set reports; DemoAWSTopic.
	Topic string
	// Subscriber is the address that is subscribed to the topic, and is asked to confirm that
	// before the first event; "" is nobody.
	Subscriber string
	// SignatureVersion is by which SNS signs: "1", which it is unless set, or "2".
	SignatureVersion string
}

// What the simulated AWS takes unless Options say otherwise.
const (
	DemoAWSRegion = "eu-central-1"
	DemoAWSKeyID  = "AKIADEMODEMODEMODEMO"
	DemoAWSSecret = "demo/secret/access/key/of/40/characters0"
	DemoAWSTopic  = "arn:aws:sns:eu-central-1:123456789012:latchkey"
)

func (a AWSAccount) whole() AWSAccount {
	a.Region, a.AccessKeyID = cmp.Or(a.Region, DemoAWSRegion), cmp.Or(a.AccessKeyID, DemoAWSKeyID)
	a.SecretAccessKey, a.Topic = cmp.Or(a.SecretAccessKey, DemoAWSSecret), cmp.Or(a.Topic, DemoAWSTopic)
	a.SignatureVersion = cmp.Or(a.SignatureVersion, "1")
	return a
}

// awsAPI is the API SMS and Voice, version 2
// (https://docs.aws.amazon.com/pinpoint/latest/apireference_smsvoicev2/Welcome.html), of
// which it has SendTextMessage and DescribeSpendLimits.
type awsAPI struct {
	s *Simulator
	o AWSAccount
}

var awsVendor = vendor{carrier: AWS, name: "AWS", paths: []string{"POST /{$}"}, suspended: "ACCOUNT_DISABLED", barred: "DESTINATION_PHONE_NUMBER_OPTED_OUT",
	protocol: func(s *Simulator) protocol { return awsAPI{s, s.o.AWS.whole()} },
	besides: func(s *Simulator) map[string]http.HandlerFunc {
		return map[string]http.HandlerFunc{"GET " + snsCertificatePath: serveCertificate, "GET " + snsConfirmPath: s.sns.serveConfirm}
	}}

const (
	awsKind   = "application/x-amz-json-1.0"
	awsTarget = "PinpointSMSVoiceV2."
	awsName   = "sms-voice" // in signatures
	awsSkew   = 5 * time.Minute
	awsMax    = 1600 // characters of a text
	awsPairs  = 5    // pairs of a text's context
)

// awsReasons are the exceptions that have a reason, by it. Others are ValidationException's.
var awsReasons = map[string]string{
	"ACCOUNT_DISABLED":                                            "AccessDeniedException",
	"INSUFFICIENT_ACCOUNT_REPUTATION":                             "AccessDeniedException",
	"DESTINATION_PHONE_NUMBER_OPTED_OUT":                          "ConflictException",
	"DESTINATION_PHONE_NUMBER_NOT_VERIFIED":                       "ConflictException",
	"DESTINATION_COUNTRY_BLOCKED_BY_PROTECT_CONFIGURATION":        "ConflictException",
	"DESTINATION_PHONE_NUMBER_BLOCKED_BY_PROTECT_NUMBER_OVERRIDE": "ConflictException",
	"NO_ORIGINATION_IDENTITIES_FOUND":                             "ConflictException",
	"MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT":                        "ServiceQuotaExceededException",
}

// awsText is SendTextMessage's request.
type awsText struct {
	DestinationPhoneNumber string
	OriginationIdentity    string
	MessageBody            string
	MessageType            string
	ConfigurationSetName   string
	TimeToLive             *int
	Context                map[string]string
}

var awsNumber = regexp.MustCompile(`^\+?[1-9][0-9]{1,18}$`)

func (a awsAPI) read(r *http.Request) (order, *answer) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return order{}, a.error("ValidationException", "INVALID_REQUEST", "")
	}
	if wrong := a.unsigned(r, body); wrong != "" {
		return order{}, a.error(wrong, "", "")
	}
	switch strings.TrimPrefix(r.Header.Get("X-Amz-Target"), awsTarget) {
	case "SendTextMessage":
	case "DescribeSpendLimits":
		limits := asJSON(http.StatusOK, map[string]any{"SpendLimits": []any{
			map[string]any{"Name": "TEXT_MESSAGE_MONTHLY_SPEND_LIMIT", "EnforcedLimit": 50, "MaxLimit": 100, "Overridden": true}}})
		limits.kind, limits.aside = awsKind, true
		return order{}, &limits
	default:
		return order{}, a.error("UnknownOperationException", "", "")
	}
	var in awsText
	if json.Unmarshal(body, &in) != nil {
		return order{}, a.error("SerializationException", "", "")
	}
	switch ttl := in.TimeToLive; {
	case !awsNumber.MatchString(in.DestinationPhoneNumber):
		return order{}, a.error("ValidationException", "INVALID_PARAMETER", "DestinationPhoneNumber")
	case in.MessageBody == "" || utf8.RuneCountInString(in.MessageBody) > awsMax:
		return order{}, a.error("ValidationException", "INVALID_PARAMETER", "MessageBody")
	case in.OriginationIdentity == "" || len(in.OriginationIdentity) > maxSender:
		return order{}, a.error("ConflictException", "NO_ORIGINATION_IDENTITIES_FOUND", "")
	case in.MessageType != "TRANSACTIONAL" && in.MessageType != "PROMOTIONAL":
		return order{}, a.error("ValidationException", "INVALID_PARAMETER", "MessageType")
	case ttl != nil && (*ttl < 5 || *ttl > 259200):
		return order{}, a.error("ValidationException", "INVALID_PARAMETER", "TimeToLive")
	case len(in.Context) > awsPairs:
		return order{}, a.error("ValidationException", "INVALID_PARAMETER", "Context")
	}
	o := order{id: uuid.NewString(), to: "+" + strings.TrimPrefix(in.DestinationPhoneNumber, "+"), from: in.OriginationIdentity, body: in.MessageBody,
		parts: segments(in.MessageBody), context: in.Context, origin: "http://" + r.Host}
	if in.ConfigurationSetName != "" {
		o.callback = a.o.Subscriber
	}
	return o, nil
}

var awsAuthorization = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=([^/,]+)/[0-9]{8}/([a-z0-9-]+)/([a-z-]+)/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=[0-9a-f]{64}$`)

// unsigned is the name of the exception for a request whose signature is not right, "" for
// one that is (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html): the
// SDK's own signer signs it again, and both must come to the same.
func (a awsAPI) unsigned(r *http.Request, body []byte) string {
	parts := awsAuthorization.FindStringSubmatch(r.Header.Get("Authorization"))
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	switch {
	case parts == nil || err != nil:
		return "MissingAuthenticationTokenException"
	case parts[1] != a.o.AccessKeyID:
		return "UnrecognizedClientException"
	case parts[2] != a.o.Region || parts[3] != awsName || time.Since(at).Abs() > awsSkew:
		return "InvalidSignatureException"
	}
	again, err := http.NewRequestWithContext(r.Context(), r.Method, "http://"+r.Host+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return "InvalidSignatureException"
	}
	for _, name := range strings.Split(parts[4], ";") {
		if values := r.Header.Values(name); name != "content-length" && len(values) > 0 {
			again.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	sum := sha256.Sum256(body)
	err = v4.NewSigner().SignHTTP(r.Context(), aws.Credentials{AccessKeyID: a.o.AccessKeyID, SecretAccessKey: a.o.SecretAccessKey},
		again, hex.EncodeToString(sum[:]), awsName, a.o.Region, at)
	if err != nil || !same(again.Header.Get("Authorization"), r.Header.Get("Authorization")) {
		return "InvalidSignatureException"
	}
	return ""
}

func (a awsAPI) accepted(o order) answer {
	out := asJSON(http.StatusOK, map[string]string{"MessageId": o.id})
	out.kind = awsKind
	return out
}

// refused takes the name of an exception, or a reason of one.
func (a awsAPI) refused(code string, _ order) answer {
	if strings.HasSuffix(code, "Exception") {
		return *a.error(code, "", "")
	}
	field := ""
	if code == "INVALID_PARAMETER" {
		field = "DestinationPhoneNumber"
	}
	return *a.error(cmp.Or(awsReasons[code], "ValidationException"), code, field)
}

func (a awsAPI) throttled(order) answer { return *a.error("ThrottlingException", "", "") }
func (a awsAPI) empty() answer {
	return answer{status: http.StatusOK, kind: awsKind, body: []byte("{}")}
}

func (a awsAPI) error(name, reason, field string) *answer {
	said := map[string]any{"__type": "com.amazonaws.pinpointsmsvoicev2#" + name, "Message": "Refused by the simulator"}
	if reason != "" {
		said["Reason"] = reason
	}
	if field != "" {
		said["Fields"] = []map[string]string{{"Name": field, "Message": "The value is not valid."}}
	}
	status := http.StatusBadRequest
	if name == "InternalServerException" {
		status = http.StatusInternalServerError
	}
	out := asJSON(status, said)
	out.kind = awsKind
	return &out
}

// awsAbsent is the type of the event of a phone that could not be reached.
const awsAbsent = "TEXT_UNREACHABLE"

// receipts are events of the text's configuration set
// (https://docs.aws.amazon.com/sms-voice/latest/userguide/configuration-sets-event-format.html),
// which SNS brings to the subscriber: queued, then delivered or unreachable.
func (a awsAPI) receipts(o order, b Behaviour) report {
	last := "TEXT_DELIVERED"
	if b.Receipt == ReceiptFailed {
		last = awsAbsent
	}
	// SNS comes again after a 429 or 5xx
	// (https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html).
	out := report{tries: maxTries, insist: true}
	for _, kind := range arranged(b, "TEXT_QUEUED", last) {
		event, err := json.Marshal(map[string]any{"eventType": kind, "eventVersion": "1.0", "eventTimestamp": o.at.UnixMilli(), "isFinal": kind == last,
			"originationPhoneNumber": o.from, "destinationPhoneNumber": o.to, "messageId": o.id, "messageRequestTimestamp": o.at.UnixMilli(),
			"messageType": "TRANSACTIONAL", "messageStatus": strings.TrimPrefix(kind, "TEXT_"), "context": o.context, "totalMessageParts": o.parts})
		if err != nil {
			panic(err) // the types above can all be written
		}
		out.requests = append(out.requests, func(ctx context.Context) (*http.Request, error) {
			if b.Receipt == ReceiptForged {
				return a.forged(ctx, o, event)
			}
			if err := a.subscribe(ctx, o); err != nil {
				return nil, err
			}
			return a.post(ctx, o, a.message("Notification", string(event), o))
		})
	}
	return out
}
