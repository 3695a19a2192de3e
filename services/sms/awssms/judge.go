package awssms

import (
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/pinpointsmsvoicev2/types"

	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/wire"
)

// answer is what is read of SendTextMessage's result and of an error
// (https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html).
type answer struct {
	MessageID string `json:"MessageId"`
	Type      string `json:"__type"`
	Reason    string
	Fields    []struct{ Name string }
}

var errNoVerdict = errors.New("the answer says nothing about the text")

// judge reads an answer. Its error means that the answer cannot be trusted.
func judge(a wire.Answer) (sms.Outcome, error) {
	var got answer
	readable := json.Unmarshal(a.Body, &got) == nil
	if a.Status == http.StatusOK {
		reference := wire.Token(got.MessageID, wire.MaxReference)
		if !readable || reference == "" {
			return sms.Outcome{}, errNoVerdict
		}
		return sms.Outcome{Ending: sms.Accepted, Reason: sms.ReasonOK, Reference: reference}, nil
	}
	name := exception(a, got)
	if !readable || name == "" || a.Status < 400 {
		return wire.ByStatus(a), nil
	}
	out := refusal(name, got, a)
	out.VendorCode, out.RetryAfter = code(name, got.Reason), wire.RetryAfter(a.Header)
	return out, nil
}

// exception is the name of an error without its namespace and the address after it.
func exception(a wire.Answer, got answer) string {
	name := got.Type
	if header := a.Header.Get("X-Amzn-ErrorType"); header != "" {
		name = header
	}
	name, _, _ = strings.Cut(name, ":")
	return wire.Token(name[strings.LastIndexByte(name, '#')+1:], wire.MaxReference)
}

var reasonName = regexp.MustCompile(`^[A-Z_]{1,64}$`)

// code is an exception's reason, or its name where it has none. Reasons have up to 64
// characters: their beginnings tell them apart.
func code(name, reason string) string {
	if reasonName.MatchString(reason) {
		name = reason
	}
	return name[:min(len(name), wire.MaxCode)]
}

// refusal reads an error. Where AWS itself failed, its name does not say that nothing was
// sent: the HTTP status decides.
func refusal(name string, got answer, a wire.Answer) sms.Outcome {
	if _, throttled := retry.DefaultThrottleErrorCodes[name]; throttled && (a.Status < 500 || a.Status == http.StatusServiceUnavailable) {
		return elsewhere(sms.ReasonThrottled)
	}
	if a.Status >= 500 || a.Status == http.StatusRequestTimeout {
		return wire.ByStatus(a)
	}
	switch name {
	case "ServiceQuotaExceededException":
		return elsewhere(sms.ReasonQuota)
	case "AccessDeniedException":
		if got.Reason != "" { // the account itself is barred: disabled, or of bad reputation
			return elsewhere(sms.ReasonQuota)
		}
	case "ConflictException":
		return conflict(types.ConflictExceptionReason(got.Reason))
	case "ValidationException":
		return invalid(got)
	case "InternalServerException":
		return sms.Outcome{Ending: sms.Ambiguous, Reason: sms.ReasonProviderError}
	}
	// ResourceNotFoundException, and all that is wrong with the key or the signature.
	return sms.Outcome{Ending: sms.RefusedElsewhere, Reason: wire.ByStatus(a).Reason}
}

func elsewhere(why sms.Reason) sms.Outcome {
	return sms.Outcome{Ending: sms.RefusedElsewhere, Reason: why}
}

func conflict(reason types.ConflictExceptionReason) sms.Outcome {
	switch reason {
	case types.ConflictExceptionReasonDestinationPhoneNumberOptedOut:
		return sms.Outcome{Ending: sms.RefusedNever, Reason: sms.ReasonOptedOut}
	case types.ConflictExceptionReasonDestinationPhoneNumberBlockedByProtectNumberOverride:
		return elsewhere(sms.ReasonRefused)
	}
	// An account in the sandbox, a country that it blocks, a sender that fits not.
	return elsewhere(sms.ReasonMisconfigured)
}

func invalid(got answer) sms.Outcome {
	if types.ValidationExceptionReason(got.Reason) == types.ValidationExceptionReasonOther {
		return elsewhere(sms.ReasonRefused)
	}
	aboutNumber := slices.ContainsFunc(got.Fields, func(f struct{ Name string }) bool { return strings.EqualFold(f.Name, "DestinationPhoneNumber") })
	if aboutNumber {
		return elsewhere(sms.ReasonBadNumber) // AWS has no such number in its plan; another may
	}
	return elsewhere(sms.ReasonMisconfigured)
}
