package twilio_test

import (
	"testing"

	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/carriers"
	"latchkey.dev/services/sms/smstest"
	"latchkey.dev/services/sms/twilio"
)

func TestExercise(t *testing.T) {
	smstest.Exercise(t, smstest.Provider{
		Carrier: carriers.Twilio,
		New: func(l smstest.Line) (smstest.Adapter, error) {
			return twilio.New(twilio.Options{AccountSID: carriers.DemoTwilioSID, AuthToken: secret.New(carriers.DemoTwilioToken), From: "+15005550006",
				BaseURL: l.BaseURL, Transport: l.Transport, Receipts: l.Receipts})
		},
		Refusals: map[string]sms.Outcome{
			"20429": {Ending: sms.RefusedElsewhere, Reason: sms.ReasonThrottled},
			"20003": {Ending: sms.RefusedElsewhere, Reason: sms.ReasonMisconfigured},
			"21408": {Ending: sms.RefusedElsewhere, Reason: sms.ReasonMisconfigured},
			"21211": {Ending: sms.RefusedNever, Reason: sms.ReasonBadNumber},
			"21614": {Ending: sms.RefusedNever, Reason: sms.ReasonBadNumber},
			"21610": {Ending: sms.RefusedNever, Reason: sms.ReasonOptedOut},
			"21612": {Ending: sms.RefusedElsewhere, Reason: sms.ReasonBadNumber},
			"20005": {Ending: sms.RefusedElsewhere, Reason: sms.ReasonQuota},
			"20503": {Ending: sms.RefusedElsewhere, Reason: sms.ReasonProviderError},
			"29999": {Ending: sms.RefusedElsewhere, Reason: sms.ReasonRefused},
		},
		Throttled: "20429",
		Failed:    "30003",
		Account:   "7.50 USD",
		UserAgent: "twilio-go/",
		Secrets:   []string{carriers.DemoTwilioToken},
	})
}
