package vonage_test

import (
	"testing"

	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/carriers"
	"latchkey.dev/services/sms/smstest"
	"latchkey.dev/services/sms/vonage"
)

// With signed receipts the same holds, by both methods.
func TestExerciseSigned(t *testing.T) {
	for _, method := range []string{vonage.MethodSHA256, vonage.MethodSHA512} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			smstest.Provider{
				Carrier: carriers.Vonage,
				New: func(l smstest.Line) (smstest.Adapter, error) {
					return vonage.New(vonage.Options{APIKey: carriers.DemoVonageKey, APISecret: secret.New(carriers.DemoVonageSecret), From: "Latchkey",
						BaseURL: l.BaseURL, Transport: l.Transport, Receipts: l.Receipts, SignatureSecret: secret.New("a signature secret"), SignatureMethod: method})
				},
				Options: carriers.Options{VonageSignature: "a signature secret", VonageMethod: method},
				Failed:  "2",
			}.Receipts(t)
		})
	}
}

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
		Account:   "3.14 EUR",
		UserAgent: "vonage-go/",
		Secrets:   []string{carriers.DemoVonageSecret},
	})
}
