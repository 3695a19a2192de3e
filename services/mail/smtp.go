package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"latchkey.dev/services/email"
	"latchkey.dev/services/internal/secret"
)

// Security is how the connection to a mail server is protected.
type Security string

const (
	StartTLS Security = "starttls" // RFC 3207, and no message where the server offers none
	TLS      Security = "tls"      // from the first byte: RFC 8314
	Clear    Security = "none"     // to this machine alone, and without a password
)

// Options configure an SMTP. Host and From are required.
type Options struct {
	Host     string
	Port     int      // 587, 465 with TLS from the first byte, 25 in clear, if zero
	Security Security // StartTLS if empty
	Username string   // none: no authentication
	Password secret.String
	From     email.Address
	Name     string         // shown as the sender
	Roots    *x509.CertPool // who may vouch for the server: the system's if nil
}

// SMTP sends by a mail server (RFC 5321), one connection a message.
type SMTP struct {
	o       Options
	options []gomail.Option
}

var _ Sender = (*SMTP)(nil)

// NewSMTP returns an SMTP, or all that is wrong with its options. Nothing is opened.
func NewSMTP(o Options) (*SMTP, error) {
	var errs []error
	need := func(ok bool, what string) {
		if !ok {
			errs = append(errs, errors.New(what))
		}
	}
	need(o.Host != "", "host: is missing")
	need(!o.From.IsZero(), "from: is missing")
	need(o.Port >= 0 && o.Port <= 65535, "port: must be 1 to 65535")
	need((o.Username == "") == o.Password.Empty(), "username: needs a password, and a password it")
	need(!strings.ContainsAny(o.Name, "\r\n"), "name: must be one line")
	s := &SMTP{o: o}
	port := 587
	switch o.Security {
	case "", StartTLS:
		s.options = append(s.options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	case TLS:
		port = 465
		s.options = append(s.options, gomail.WithSSL())
	case Clear:
		port = 25
		need(Loopback(o.Host), "security: may be none only to this machine")
		need(o.Username == "", "username: may not be sent in clear")
		s.options = append(s.options, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		need(false, "security: must be starttls, tls or none")
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	if o.Port != 0 {
		port = o.Port
	}
	_, domain, _ := strings.Cut(o.From.Reveal(), "@")
	s.options = append(s.options, gomail.WithPort(port), gomail.WithHELO(domain), gomail.WithoutNoop(),
		gomail.WithTLSConfig(&tls.Config{ServerName: o.Host, RootCAs: o.Roots, MinVersion: tls.VersionTLS12}))
	if o.Username != "" {
		s.options = append(s.options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(o.Username), gomail.WithPassword(o.Password.Reveal()))
	}
	if _, err := s.client(MaxAttempt); err != nil {
		return nil, errors.New("mail: the options do not fit together")
	}
	return s, nil
}

// Loopback reports whether a host is this machine.
func Loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// client is good for one connection of a limited time: the library minds a context while it dials alone.
func (s *SMTP) client(limit time.Duration) (*gomail.Client, error) {
	return gomail.NewClient(s.o.Host, append(slices.Clone(s.options), gomail.WithTimeout(limit))...)
}

// Check connects to the server as Send does, with its TLS and the credentials, and sends
// nothing. An error is one sentence, with nothing of what the server said.
func (s *SMTP) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, MaxAttempt)
	defer cancel()
	until, _ := ctx.Deadline()
	client, err := s.client(time.Until(until))
	if err != nil {
		return errors.New("there is no time left")
	}
	if err := client.DialWithContext(ctx); err != nil {
		switch out := judge(ctx, err); {
		case out.Reason == "timeout":
			return errors.New("the mail server does not answer in time")
		case out.Code > 0:
			return fmt.Errorf("the mail server does not take us (%d)", out.Code)
		}
		return errors.New("the mail server cannot be reached, or offers no TLS that is to be trusted, or does not take the credentials")
	}
	_ = client.Close() // all that was asked for is known
	return nil
}

// Send hands a message over. What the library says in words stays here: it repeats addresses.
func (s *SMTP) Send(ctx context.Context, m Message) Outcome {
	ctx, cancel := context.WithTimeout(ctx, MaxAttempt)
	defer cancel()
	msg, err := s.write(m)
	if err != nil {
		return Outcome{Ending: Never, Reason: "refused"}
	}
	until, _ := ctx.Deadline()
	client, err := s.client(time.Until(until))
	if err != nil {
		return Outcome{Ending: Later, Reason: "timeout"} // there is no time left
	}
	err = client.DialAndSendWithContext(ctx, msg)
	if err == nil || msg.IsDelivered() { // what failed after the server took it changes nothing
		return Outcome{Ending: Accepted, Reason: "ok"}
	}
	return judge(ctx, err)
}

// judge says what an error means for the message.
func judge(ctx context.Context, err error) Outcome {
	out := Outcome{Ending: Later, Reason: "unreachable"}
	if failed := new(gomail.SendError); errors.As(err, &failed) {
		out.Code = failed.ErrorCode()
		aboutMessage := failed.Reason == gomail.ErrSMTPRcptTo || failed.Reason == gomail.ErrSMTPData || failed.Reason == gomail.ErrSMTPDataClose
		switch {
		case aboutMessage && out.Code >= 500:
			return Outcome{Ending: Never, Reason: "refused", Code: out.Code}
		case out.Code >= 500:
			out.Reason = "misconfigured" // it takes nothing from us
		case out.Code >= 400:
			out.Reason = "refused"
		}
	}
	var slow net.Error
	if ctx.Err() != nil || errors.As(err, &slow) && slow.Timeout() {
		out.Reason = "timeout"
	}
	return out
}

// write composes the message. The library encodes subject and name, so that no value begins
// another header (RFC 2047), and takes addresses that parse alone.
func (s *SMTP) write(m Message) (*gomail.Msg, error) {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := msg.FromFormat(s.o.Name, s.o.From.Reveal()); err != nil {
		return nil, err
	}
	if err := msg.To(m.To.Reveal()); err != nil {
		return nil, err
	}
	_, domain, _ := strings.Cut(s.o.From.Reveal(), "@")
	msg.SetMessageIDWithValue(m.ID.String() + "@" + domain)
	msg.SetDate()
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no out-of-office answers
	msg.Subject(oneLine(m.Subject))
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	return msg, nil
}

// oneLine keeps a value in its header.
func oneLine(s string) string { return strings.NewReplacer("\r", " ", "\n", " ").Replace(s) }
