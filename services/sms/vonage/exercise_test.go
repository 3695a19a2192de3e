package vonage_test

import (
	"testing"

	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/carriers"
	"latchkey.dev/services/sms/smstest"
	"latchkey.dev/services/sms/vonage"
)

func TestExercise(t *testing.T) {
	smstest.Exercise(t, smstest.Provider{
		Carrier: carriers.Vonage,
		New: func(l smstest.Line) (smstest.Adapter, error) {
			return vonage.New(vonage.Options{APIKey: carriers.DemoVonageKey, APISecret: secret.New(carriers.DemoVonageSecret), From: "Latchkey",
				BaseURL: l.BaseURL, Transport: l.Transport, Receipts: l.Receipts})
		},
		Refusals: map[string]sms.Outcome{
			"1":  {Ending: sms.RefusedElsewhere, Reason: sms.ReasonThrottled},
			"4":  {Ending: sms.RefusedElsewhere, Reason: sms.ReasonMisconfigured},
			"5":  {Ending: sms.RefusedElsewhere, Reason: sms.ReasonProviderError},
			"6":  {Ending: sms.RefusedElsewhere, Reason: sms.ReasonBadNumber},
			"7":  {Ending: sms.RefusedNever, Reason: sms.ReasonOptedOut},
			"9":  {Ending: sms.RefusedElsewhere, Reason: sms.ReasonQuota},
			"99": {Ending: sms.RefusedElsewhere, Reason: sms.ReasonRefused},
		},
		Throttled: "1",
		Failed:    "2",
		UserAgent: "vonage-go/",
		Secrets:   []string{carriers.DemoVonageSecret},
	})
}
