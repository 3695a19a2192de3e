package smstest

import (
	"strings"
	"testing"

	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/carriers"
)

// check: a sender that can prove its credentials tells right ones, wrong ones and a vendor
// that is away apart, sends no text for it, and gives nothing away.
func (p Provider) check(t *testing.T) {
	t.Parallel()
	right := p.rig(t, p.Options, sms.Callback{})
	checker, ok := right.sender.(sms.Checker)
	if !ok {
		return
	}
	if account, err := checker.Check(within(t, soon)); err != nil || account != p.Account {
		t.Errorf("Check = %q, %v; want %q", account, err, p.Account)
	}
	right.arrived(t, 0, 0)

	fails := func(what string, s Adapter) {
		t.Helper()
		account, err := s.(sms.Checker).Check(within(t, soon))
		if err == nil || account != "" {
			t.Errorf("%s: Check = %q, %v; want an error", what, account, err)
			return
		}
		for _, secret := range p.Secrets {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error %q has a secret", what, err)
			}
		}
	}
	fails("another account", p.rig(t, others, sms.Callback{}).sender)
	for what, b := range map[string]carriers.Behaviour{"unreachable": {Mode: carriers.Down}, "broken": {Mode: carriers.Broken}} {
		if p.Connected && b.Mode == carriers.Broken { // it still answers whether it is there
			continue
		}
		right.behave(t, b)
		fails(what, right.sender)
	}
}
