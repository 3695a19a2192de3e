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

// Check makes the one request of an sms.Checker by do, on a Call, and reads the JSON of
// its answer into v. Its errors are as sms.Checker asks for.
func Check(ctx context.Context, base http.RoundTripper, v any, do func(*http.Client) error) error {
	var got Answer
	call := Begin(ctx, base, func(a Answer) error { got = a; return nil })
	defer call.End()
	func() {
		defer func() { _ = recover() }() // an SDK's, of an answer that is judged below
		_ = do(call.Client())
	}()
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
	switch {
	case got.Status == http.StatusUnauthorized || got.Status == http.StatusForbidden:
		return errRefusedUs
	case got.Status != http.StatusOK:
		return fmt.Errorf("the provider answered with HTTP %d", got.Status)
	case json.Unmarshal(got.Body, v) != nil:
		return errNoSense
	}
	return nil
}
