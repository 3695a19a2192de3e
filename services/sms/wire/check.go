package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"latchkey.dev/services/sms"
)

var (
	errRefusedUs   = errors.New("the provider does not take the credentials")
	errUnreachable = errors.New("the provider cannot be reached: no connection came about")
	errSilent      = errors.New("the provider did not answer in time")
	errNoSense     = errors.New("the provider's answer cannot be read: is its address right?")
	errOurs        = errors.New("the request could not be made: is the address right?")
)

// Check makes the one request of an sms.Checker by do, on a Call, and has read judge its
// answer. Its errors, and read's, are as sms.Checker asks for.
func Check(ctx context.Context, base http.RoundTripper, read func(Answer) error, do func(*http.Client)) error {
	var got Answer
	call := Begin(ctx, base, func(a Answer) error { got = a; return nil })
	defer call.End()
	call.bear(do)
	if !call.Answered() {
		switch call.Failure().Reason {
		case sms.ReasonMisconfigured:
			return errOurs
		case sms.ReasonUnreachable:
			return errUnreachable
		case sms.ReasonTimeout:
			return errSilent
		}
		return errNoSense
	}
	return read(got)
}

// Into reads an answer's JSON into v, as a Check does where HTTP says all else.
func Into(v any) func(Answer) error {
	return func(a Answer) error {
		switch {
		case a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden:
			return errRefusedUs
		case a.Status != http.StatusOK:
			return fmt.Errorf("the provider answered with HTTP %d", a.Status)
		case json.Unmarshal(a.Body, v) != nil:
			return errNoSense
		}
		return nil
	}
}
