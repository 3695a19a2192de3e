package event

import "github.com/google/uuid"

// What is told of texts and of the providers that carry them.

// SMSAttempt is what every event about one attempt tells.
type SMSAttempt struct {
	Challenge uuid.UUID `json:"challenge"`
	Attempt   uuid.UUID `json:"attempt"`
	AttemptNo int       `json:"attempt_no"`
	Request   int       `json:"request"`
	Text      int       `json:"text"`
	Provider  string    `json:"provider"`
	Country   string    `json:"country"`
}

// Subject is the challenge.
func (a SMSAttempt) Subject() uuid.UUID { return a.Challenge }

// SMSAttempted: a text is about to be handed to a provider.
type SMSAttempted struct {
	SMSAttempt
	Rescued bool `json:"rescued,omitempty"` // it repeats one that a crash left without an end
	// Why the provider was chosen: order, pin, failover, overflow, trial, probe or reserve. "" of a rescued one.
	Why string `json:"why,omitempty"`
}

// SMSAnswer is what a provider answered.
type SMSAnswer struct {
	SMSAttempt
	Reason     string `json:"reason"` // sms.Reason
	VendorCode string `json:"vendor_code,omitempty"`
	TookMS     int    `json:"took_ms"`
}

// SMSAccepted: the provider took the text.
type SMSAccepted struct{ SMSAnswer }

// SMSRefused: the provider did not take it; Never says that no provider can.
type SMSRefused struct {
	SMSAnswer
	Never bool `json:"never,omitempty"`
}

// SMSUnanswered: it is not known whether the provider took it.
type SMSUnanswered struct{ SMSAnswer }

// SpendReached: an account has spent so much on texts to a country, in an hour or a day, that
// operators are told (alarm), or that no more are sent until its end (stop).
type SpendReached struct {
	Account uuid.UUID `json:"account"`
	Country string    `json:"country"`
	Span    string    `json:"span"`    // hour, day
	Level   string    `json:"level"`   // alarm, stop
	Percent int       `json:"percent"` // spent, of the limit: 9999 at most
}

// ConversionFallen: of the texts of an hour to numbers with one prefix fewer than half were
// typed in (REQUIREMENTS A5).
type ConversionFallen struct {
	Country  string `json:"country"`
	Prefix   string `json:"prefix"` // at most five digits of E.164, without the +
	Accepted int    `json:"accepted"`
	Typed    int    `json:"typed"`
}

// SMSAbandoned: a requested text will not be sent any more.
type SMSAbandoned struct {
	Challenge uuid.UUID `json:"challenge"`
	Request   int       `json:"request"`
	Reason    string    `json:"reason"` // too_late, never_deliverable, no_text_left, closed
}

// SMSReceipt is what a provider reported afterwards.
type SMSReceipt struct {
	SMSAttempt
	VendorCode string `json:"vendor_code,omitempty"`
}

// SMSDelivered: the provider says that the text reached the phone.
type SMSDelivered struct{ SMSReceipt }

// SMSUndelivered: the provider says that it did not.
type SMSUndelivered struct {
	SMSReceipt
	Status string `json:"status"` // sms.Status
}

// ProviderPinned: a provider is asked before all others, in the place of one that was pinned there.
type ProviderPinned struct {
	Provider string `json:"provider"`
	Country  string `json:"country,omitempty"` // absent: every country without a pin of its own
	By       string `json:"by"`
}

// ProviderDrained: a provider gets no new text.
type ProviderDrained struct {
	Provider string `json:"provider"`
	Country  string `json:"country,omitempty"` // absent: everywhere
	Forced   bool   `json:"forced,omitempty"`  // nobody is left to carry texts there
	By       string `json:"by"`
}

// ProviderResumed: what was decided of a provider holds no more.
type ProviderResumed struct {
	Provider string   `json:"provider"`
	Country  string   `json:"country,omitempty"`
	Rules    []string `json:"rules"` // that were taken away: pin, drain
	By       string   `json:"by"`
}

// ProviderOrdered: the order in which providers are asked was replaced.
type ProviderOrdered struct {
	Providers []string `json:"providers"` // the first is asked first; none: as configured again
	Country   string   `json:"country,omitempty"`
	Forced    bool     `json:"forced,omitempty"`
	By        string   `json:"by"`
}

// ProviderTested: an operator sent one text to a number of the own choice, which is kept nowhere.
type ProviderTested struct {
	Provider string `json:"provider"`
	Country  string `json:"country"` // of the number, as phone.Number.Country
	Ending   string `json:"ending"`  // sms.Ending
	By       string `json:"by"`
}
