package webhook_test

import (
	"testing"

	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/carriers"
	"latchkey.dev/services/sms/smstest"
	"latchkey.dev/services/sms/webhook"
)

func TestExercise(t *testing.T) {
	smstest.Exercise(t, smstest.Provider{
		Carrier: carriers.Webhook,
		New: func(l smstest.Line) (smstest.Adapter, error) {
			return webhook.New(webhook.Options{URL: l.BaseURL + carriers.WebhookPath, Secrets: []secret.String{secret.New(carriers.DemoWebhookSecret)},
				Transport: l.Transport, Receipts: l.Receipts})
		},
		Refusals: map[string]sms.Outcome{
			"stopped":        {Ending: sms.RefusedNever, Reason: sms.ReasonOptedOut},
			"no-such-number": {Ending: sms.RefusedNever, Reason: sms.ReasonBadNumber},
			"suspended":      {Ending: sms.RefusedElsewhere, Reason: sms.ReasonQuota},
			"no-route":       {Ending: sms.RefusedElsewhere, Reason: sms.ReasonBadNumber},
			"maintenance":    {Ending: sms.RefusedElsewhere, Reason: sms.ReasonProviderError},
			"busy":           {Ending: sms.RefusedElsewhere, Reason: sms.ReasonThrottled},
			"other":          {Ending: sms.RefusedElsewhere, Reason: sms.ReasonRefused},
		},
		Throttled: "busy",
		Failed:    "absent",
		UserAgent: "latchkey",
		Silent:    true,
		Secrets:   []string{carriers.DemoWebhookSecret},
	})
}
