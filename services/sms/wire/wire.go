// Package wire carries one request of a vendor's SDK over HTTP, within the bounds that
// every sms.Sender keeps: one request, no redirect, a deadline, a bounded answer, and
// the knowledge whether the request may have left.
package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"latchkey.dev/services/sms"
)

// MaxAnswer is how much of an answer is read, in bytes. A longer answer is no answer.
const MaxAnswer = 64 << 10

// maxRetryAfter bounds how long a provider can ask to be left alone.
const maxRetryAfter = time.Hour

// Transport returns a base transport for Call: connections are kept, TLS is 1.2 at
// least, and answers come uncompressed, so that MaxAnswer counts what is held in memory.
func Transport() *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: sms.MaxAttempt, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: sms.MaxAttempt,
		ForceAttemptHTTP2:   true,
		MaxIdleConns:        256,
		MaxIdleConnsPerHost: 128,
		IdleConnTimeout:     60 * time.Second,
		DisableCompression:  true,
	}
}

// Answer is a vendor's whole answer.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Call is the one request of one Send. Make one with Begin, hand Client to the SDK,
// and look at Failure when the SDK is done.
type Call struct {
	ctx    context.Context
	cancel context.CancelFunc
	base   http.RoundTripper
	check  func(Answer) error

	asked    atomic.Bool // the SDK made a request
	begun    atomic.Bool // some of it may have left
	answered bool        // a whole answer passed check
}

// Begin starts a call that ends at the earlier of ctx's deadline and sms.MaxAttempt.
// check sees the answer before the SDK does; if it returns an error, the SDK gets
// the error instead, and never decodes what would break it.
func Begin(ctx context.Context, base http.RoundTripper, check func(Answer) error) *Call {
	c := &Call{base: base, check: check}
	c.ctx, c.cancel = context.WithTimeout(ctx, sms.MaxAttempt)
	return c
}

// End frees what the call holds.
func (c *Call) End() { c.cancel() }

// Client returns the HTTP client for the SDK. It follows no redirect and makes one request.
func (c *Call) Client() *http.Client {
	return &http.Client{
		Transport:     c,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

var (
	errSecond  = errors.New("the one request of this call was made already")
	errTooLong = errors.New("the answer is longer than " + strconv.Itoa(MaxAnswer) + " bytes")
)

// RoundTrip makes the request with the call's own deadline, whatever context the SDK gave it.
func (c *Call) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.asked.Swap(true) {
		closeBody(r)
		return nil, errSecond
	}
	// WroteHeaders is told before the first byte goes to the connection, WroteRequest
	// after the last: a request cut short between the two may still have arrived, so
	// the first of them counts. The transport asks for another connection (GetConn)
	// only when it is sure that the server processed nothing.
	ctx := httptrace.WithClientTrace(c.ctx, &httptrace.ClientTrace{
		GetConn:      func(string) { c.begun.Store(false) },
		WroteHeaders: func() { c.begun.Store(true) },
	})
	if err := c.ctx.Err(); err != nil {
		closeBody(r)
		return nil, err
	}
	res, err := c.base.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, MaxAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > MaxAnswer:
		return nil, errTooLong
	}
	if err := c.check(Answer{Status: res.StatusCode, Header: res.Header, Body: body}); err != nil {
		return nil, err
	}
	c.answered = true
	res.Body = io.NopCloser(strings.NewReader(string(body)))
	return res, nil
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		r.Body.Close()
	}
}

// Answered reports whether a whole answer came and check found it good.
func (c *Call) Answered() bool { return c.answered }

// Failure is the outcome of a call that has no answer we understand.
func (c *Call) Failure() sms.Outcome {
	switch {
	case !c.asked.Load():
		return sms.Outcome{Ending: sms.RefusedElsewhere, Reason: sms.ReasonMisconfigured}
	case !c.begun.Load():
		return sms.Outcome{Ending: sms.RefusedElsewhere, Reason: sms.ReasonUnreachable}
	case c.ctx.Err() != nil:
		return sms.Outcome{Ending: sms.Ambiguous, Reason: sms.ReasonTimeout}
	default:
		return sms.Outcome{Ending: sms.Ambiguous, Reason: sms.ReasonBadAnswer}
	}
}

// ByStatus is the outcome of an answer of which the HTTP status alone is understood.
// Only statuses by which a server says that it did not process the request count as a
// refusal: behind a 500 or a 504 the text may be on its way.
func ByStatus(a Answer) sms.Outcome {
	out := sms.Outcome{Ending: sms.RefusedElsewhere, VendorCode: "http-" + strconv.Itoa(a.Status), RetryAfter: RetryAfter(a.Header)}
	switch {
	case a.Status == http.StatusTooManyRequests:
		out.Reason = sms.ReasonThrottled
	case a.Status == http.StatusServiceUnavailable:
		out.Reason = sms.ReasonProviderError
	case a.Status == http.StatusPaymentRequired:
		out.Reason = sms.ReasonQuota
	case a.Status == http.StatusRequestTimeout:
		out.Ending, out.Reason = sms.Ambiguous, sms.ReasonTimeout
	case a.Status >= 500:
		out.Ending, out.Reason = sms.Ambiguous, sms.ReasonProviderError
	case a.Status >= 400:
		out.Reason = sms.ReasonMisconfigured
	default:
		out.Ending, out.Reason = sms.Ambiguous, sms.ReasonBadAnswer
	}
	return out
}

// RetryAfter reads the header of that name in seconds (RFC 9110 section 10.2.3), at most an hour.
func RetryAfter(h http.Header) time.Duration {
	s, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || s < 0 {
		return 0
	}
	return min(time.Duration(min(s, 1<<20))*time.Second, maxRetryAfter)
}

// Token returns s if it is fit for VendorCode or Reference (1 to limit bytes of
// [A-Za-z0-9._-]), else "": what a vendor writes there must not carry a number or a code
// by accident of a longer text.
func Token(s string, limit int) string {
	if len(s) > limit {
		return ""
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return ""
		}
	}
	return s
}

// MaxReference bounds a vendor's id of a text, in bytes.
const MaxReference = 64

// MaxCode bounds a vendor's code, in bytes.
const MaxCode = 32
