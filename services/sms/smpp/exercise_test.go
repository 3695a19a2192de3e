package smpp_test

import (
	"strings"
	"testing"

	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/carriers"
	"latchkey.dev/services/sms/smpp"
	"latchkey.dev/services/sms/smstest"
)

func options(base string) smpp.Options {
	return smpp.Options{Address: strings.TrimPrefix(base, "http://"), Plaintext: true, SystemID: carriers.DemoSMPPSystemID,
		Password: secret.New(carriers.DemoSMPPPassword), From: "Latchkey"}
}

func TestExercise(t *testing.T) {
	smstest.Exercise(t, smstest.Provider{
		Carrier:   carriers.SMPP,
		Connected: true,
		New:       func(l smstest.Line) (smstest.Adapter, error) { return smpp.New(options(l.BaseURL)) },
		Refusals: map[string]sms.Outcome{
			"0x00000058": {Ending: sms.RefusedElsewhere, Reason: sms.ReasonThrottled},
			"0x00000014": {Ending: sms.RefusedElsewhere, Reason: sms.ReasonThrottled},
			"0x0000000b": {Ending: sms.RefusedElsewhere, Reason: sms.ReasonBadNumber},
			"0x0000000a": {Ending: sms.RefusedElsewhere, Reason: sms.ReasonMisconfigured},
			"0x00000008": {Ending: sms.RefusedElsewhere, Reason: sms.ReasonProviderError},
			"0x00000045": {Ending: sms.RefusedElsewhere, Reason: sms.ReasonRefused},
			"0x00000400": {Ending: sms.RefusedElsewhere, Reason: sms.ReasonRefused},
		},
		Throttled: "0x00000058",
		Failed:    "001",
		UserAgent: "SMPP/3.4",
		Secrets:   []string{carriers.DemoSMPPPassword},
	})
}
