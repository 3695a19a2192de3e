// Package mail hands messages for people to the mail server of an installation.
//
// The mailbox below it is the simulated one, for demonstrations and tests.
package mail

import (
	"context"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/email"
)

// MaxAttempt is the longest one Send may take, whatever its context allows.
const MaxAttempt = 20 * time.Second

// Message is one message to one address.
type Message struct {
	ID      uuid.UUID // of what it tells: a repetition has the same Message-ID, so that mailboxes may see that
	To      email.Address
	Subject string
	Text    string // plain, with \n at the ends of lines; it may hold a link that is a secret
}

// Ending says what became of an attempt.
type Ending string

const (
	// Accepted: the mail server has it.
	Accepted Ending = "accepted"
	// Later: it was not taken, or nobody knows; another try may do.
	Later Ending = "later"
	// Never: the mail server refuses this address or this message for good.
	Never Ending = "never"
)

// Outcome is what a mail server answered.
type Outcome struct {
	Ending Ending
	Reason string // ok, refused, unreachable, timeout, misconfigured: never words of the answer, which may repeat the address
	Code   int    // SMTP's reply code, 0 where there was none
}

// Sender hands messages to a mail server.
//
// Send makes one attempt, and returns before the earlier of ctx's deadline and MaxAttempt.
// It is safe for concurrent use.
type Sender interface {
	Send(ctx context.Context, m Message) Outcome
}
