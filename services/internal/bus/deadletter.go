package bus

import (
	"context"

	"github.com/google/uuid"
)

// Reason is why a message became a dead letter; a closed set, and a metric label.
type Reason string

// The reasons there are.
const (
	NoID        Reason = "no_id"       // it carries no event id, so no service of ours sent it
	Undecodable Reason = "undecodable" // it is no event, or not as its type has to be
	UnknownType Reason = "unknown_type"
	Refused     Reason = "refused" // it contradicts what the database holds
)

// Reasons lists every Reason.
func Reasons() []Reason { return []Reason{NoID, Undecodable, UnknownType, Refused} }

// Letter is a message that a consumer cannot handle, with all that is known of it.
type Letter struct {
	Durable    string
	Subject    string
	StreamSeq  uint64
	ID         uuid.UUID // uuid.Nil for NoID
	Headers    map[string][]string
	Data       []byte // MaxMessage at most
	Reason     Reason
	Deliveries int
}

// DeadLetter keeps letters until somebody reads them. Burying one letter twice is
// possible and must do no harm.
type DeadLetter interface {
	Bury(ctx context.Context, l Letter) error
}
