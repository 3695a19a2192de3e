// Package event is everything the services say to each other and to the archive:
// CloudEvents 1.0 in JSON (github.com/cloudevents/spec), one Go type an event type.
//
// An event is encoded once; those bytes are what the database keeps, what the bus
// carries and what the archive hashes. Changes are additive only.
package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"
)

// MaxSize is the largest encoded event, in bytes.
const MaxSize = 64 << 10

// prefix begins every type, and with it every subject of the stream.
const prefix = "latchkey."

// Data is what an event of one type tells.
type Data interface {
	// Type is the CloudEvents type, as "latchkey.code.requested".
	Type() string
	// Subject is the id of what the event is about: a challenge, else a member or an account;
	// Nil where it is none of them.
	Subject() uuid.UUID
}

// Event is one event with the bytes it was written as.
type Event struct {
	ID      uuid.UUID // UUIDv7; also the Nats-Msg-Id
	Type    string
	Source  string // "/login"
	Time    time.Time
	Account uuid.UUID
	Data    Data
	Body    []byte // the exact bytes; do not change them
}

// BusSubject is the NATS subject of the event: its type and its account.
func (e Event) BusSubject() string { return BusSubject(e.Type, e.Account) }

// BusSubject is the NATS subject of events of a type in an account.
func BusSubject(typ string, account uuid.UUID) string { return typ + "." + account.String() }

// envelope is an event on the wire.
type envelope struct {
	SpecVersion     string          `json:"specversion"`
	ID              uuid.UUID       `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         uuid.UUID       `json:"subject"`
	Time            time.Time       `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	Account         uuid.UUID       `json:"account"`
	Data            json.RawMessage `json:"data"`
}

// New makes an event of service's, with a fresh id and now as its time.
func New(service string, account uuid.UUID, now time.Time, d Data) (Event, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Event{}, fmt.Errorf("making an event id: %w", err)
	}
	return NewWithID(id, service, account, now, d)
}

// NewWithID is New with an id of the caller's choice, a UUIDv7.
func NewWithID(id uuid.UUID, service string, account uuid.UUID, now time.Time, d Data) (Event, error) {
	data, err := json.Marshal(d)
	if err != nil {
		return Event{}, fmt.Errorf("encoding %s: %w", d.Type(), err)
	}
	e := Event{ID: id, Type: d.Type(), Source: "/" + service, Time: now.UTC(), Account: account, Data: d}
	e.Body, err = json.Marshal(envelope{SpecVersion: "1.0", ID: id, Source: e.Source, Type: e.Type, Subject: d.Subject(),
		Time: e.Time, DataContentType: "application/json", Account: account, Data: data})
	if err != nil {
		return Event{}, fmt.Errorf("encoding %s: %w", e.Type, err)
	}
	if len(e.Body) > MaxSize {
		return Event{}, fmt.Errorf("encoding %s: %d bytes, more than %d", e.Type, len(e.Body), MaxSize)
	}
	return e, nil
}

// ErrUnknownType says that an event is well formed but of a type this version does not know.
var ErrUnknownType = errors.New("unknown event type")

// Decode reads an event strictly: an unknown field, a second value, a foreign
// specversion, a time that is not in UTC or a size over MaxSize is an error;
// ErrUnknownType an unknown type. The event keeps body, which must not be changed; its
// Data is a pointer to one of the types of this package.
func Decode(body []byte) (Event, error) {
	if len(body) > MaxSize {
		return Event{}, fmt.Errorf("decoding an event: %d bytes, more than %d", len(body), MaxSize)
	}
	var env envelope
	if err := strict(body, &env); err != nil {
		return Event{}, fmt.Errorf("decoding an event: %w", err)
	}
	if !env.ours() {
		return Event{}, errors.New("decoding an event: not a CloudEvents 1.0 event of ours")
	}
	d := newData(env.Type)
	if d == nil {
		return Event{}, fmt.Errorf("decoding an event: %w", ErrUnknownType)
	}
	if err := strict(env.Data, d); err != nil {
		return Event{}, fmt.Errorf("decoding %s: %w", env.Type, err)
	}
	if d.Subject() != env.Subject {
		return Event{}, fmt.Errorf("decoding %s: its subject is not what its data is about", env.Type)
	}
	return Event{ID: env.ID, Type: env.Type, Source: env.Source, Time: env.Time.UTC(), Account: env.Account, Data: d, Body: body}, nil
}

// ours reports whether NewWithID could have written the envelope. Null is no data: it
// would leave every field empty.
func (e envelope) ours() bool {
	_, offset := e.Time.Zone()
	return e.SpecVersion == "1.0" && e.DataContentType == "application/json" && e.ID != uuid.Nil &&
		!e.Time.IsZero() && offset == 0 && len(e.Source) > 1 && e.Source[0] == '/' &&
		strings.HasPrefix(e.Type, prefix) && len(e.Data) > 0 && string(e.Data) != "null"
}

func strict(body []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("more than one JSON value")
	}
	return nil
}
