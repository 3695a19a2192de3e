package wire

import (
	"context"
	"net/http"

	"latchkey.dev/services/sms"
)

// Send makes the one request of an sms.Sender by do, on a Call. judge reads the answer before
// the SDK does; its error means that the answer cannot be trusted.
func Send(ctx context.Context, base http.RoundTripper, judge func(Answer) (sms.Outcome, error), do func(*http.Client)) (out sms.Outcome) {
	call := Begin(ctx, base, func(a Answer) (err error) {
		out, err = judge(a)
		return err
	})
	defer call.End()
	call.bear(do)
	if !call.Answered() {
		return call.Failure()
	}
	return out
}

// bear runs an SDK. A panic of it comes after the answer was judged, or there is none.
func (c *Call) bear(do func(*http.Client)) {
	defer func() { _ = recover() }()
	do(c.Client())
}
