package awssms_test

import (
	"testing"

	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/awssms"
	"latchkey.dev/services/sms/carriers"
	"latchkey.dev/services/sms/smstest"
)

func options(l smstest.Line) awssms.Options {
	return awssms.Options{Region: carriers.DemoAWSRegion, AccessKeyID: carriers.DemoAWSKeyID, SecretAccessKey: secret.New(carriers.DemoAWSSecret), From: "Latchkey",
		ConfigurationSet: "texts", SNSTopic: carriers.DemoAWSTopic, BaseURL: l.BaseURL, SNSOrigin: l.BaseURL, Transport: l.Transport, Receipts: l.Receipts}
}

func TestExercise(t *testing.T) {
	smstest.Exercise(t, smstest.Provider{
		Carrier: carriers.AWS,
		New:     func(l smstest.Line) (smstest.Adapter, error) { return awssms.New(options(l)) },
		Refusals: map[string]sms.Outcome{
			"ThrottlingException":                  {Ending: sms.RefusedElsewhere, Reason: sms.ReasonThrottled},
			"MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT": {Ending: sms.RefusedElsewhere, Reason: sms.ReasonQuota, VendorCode: "MONTHLY_SPEND_LIMIT_REACHED_FOR_"},
			"ACCOUNT_DISABLED":                     {Ending: sms.RefusedElsewhere, Reason: sms.ReasonQuota},
			"AccessDeniedException":                {Ending: sms.RefusedElsewhere, Reason: sms.ReasonMisconfigured},
			"UnrecognizedClientException":          {Ending: sms.RefusedElsewhere, Reason: sms.ReasonMisconfigured},
			"ResourceNotFoundException":            {Ending: sms.RefusedElsewhere, Reason: sms.ReasonMisconfigured},
			"COUNTRY_NOT_ENABLED":                  {Ending: sms.RefusedElsewhere, Reason: sms.ReasonMisconfigured},
			"INVALID_PARAMETER":                    {Ending: sms.RefusedElsewhere, Reason: sms.ReasonBadNumber},
			"OTHER":                                {Ending: sms.RefusedElsewhere, Reason: sms.ReasonRefused},
			"DESTINATION_PHONE_NUMBER_OPTED_OUT":   {Ending: sms.RefusedNever, Reason: sms.ReasonOptedOut, VendorCode: "DESTINATION_PHONE_NUMBER_OPTED_O"},
			"InternalServerException":              {Ending: sms.Ambiguous, Reason: sms.ReasonProviderError},
		},
		Throttled: "ThrottlingException",
		Failed:    "TEXT_UNREACHABLE",
		UserAgent: "aws-sdk-go-v2/",
		Silent:    true,
		Account:   "at most 50 USD a month",
		Secrets:   []string{carriers.DemoAWSSecret},
	})
}
