package auditor

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	queries "latchkey.dev/queries/auditor"
)

// Format is how a replay prints events.
type Format string

// The formats there are.
const (
	// JSONL is a line of JSON an event: its place, its leaf hash, the service that wrote
	// it, and the event. A fault is a line with "fault".
	JSONL Format = "jsonl"
	// CloudEvents is the JSON batch format of CloudEvents 1.0: one array of the events,
	// byte by byte as they were written. It has no room for faults: they are left out, and
	// only Replayed tells of them.
	CloudEvents Format = "cloudevents"
	// Table is for people: place, time, type, what it is about.
	Table Format = "table"
)

// Formats lists every Format.
func Formats() []Format { return []Format{JSONL, CloudEvents, Table} }

// printer writes what a replay sees. row is nil for a missing place.
type printer interface {
	event(row queries.LeafPageRow, s summary) error
	fault(f Fault, row *queries.LeafPageRow) error
	end() error
}

func newPrinter(f Format, w io.Writer) (printer, error) {
	b := bufio.NewWriter(w)
	switch f {
	case JSONL, "":
		enc := json.NewEncoder(b)
		enc.SetEscapeHTML(false)
		return &jsonLines{b, enc}, nil
	case CloudEvents:
		return &batch{w: b}, nil
	case Table:
		return &table{w: b}, nil
	}
	return nil, fmt.Errorf("%q is no format of a replay: there are %v", f, Formats())
}

// line is a line of JSONL.
type line struct {
	Index   int64           `json:"index"`
	Hash    string          `json:"leaf_hash,omitempty"`
	Service string          `json:"service,omitempty"`
	Event   json.RawMessage `json:"event,omitempty"`
	Fault   string          `json:"fault,omitempty"`
	ID      *uuid.UUID      `json:"event_id,omitempty"` // of a fault, whose event is not to be trusted
	Bytes   []byte          `json:"bytes,omitempty"`    // of a fault: base64 of what the table holds
}

type jsonLines struct {
	w   *bufio.Writer
	enc *json.Encoder
}

func (j *jsonLines) event(row queries.LeafPageRow, _ summary) error {
	l := line{Index: row.Index, Hash: hex.EncodeToString(row.Hash), Service: of(row.Service)}
	if l.Event = row.Body; !json.Valid(row.Body) {
		l.Event, l.Bytes = nil, row.Body
	}
	return j.enc.Encode(l)
}

func (j *jsonLines) fault(f Fault, row *queries.LeafPageRow) error {
	l := line{Index: f.Index, Fault: f.What}
	if row != nil {
		id := uuid.UUID(row.EventID)
		l.ID, l.Hash, l.Service, l.Bytes = &id, hex.EncodeToString(row.Hash), of(row.Service), row.Body
	}
	return j.enc.Encode(l)
}

func (j *jsonLines) end() error { return j.w.Flush() }

type batch struct {
	w *bufio.Writer
	n int
}

func (b *batch) event(row queries.LeafPageRow, _ summary) error {
	sep := ",\n"
	if b.n++; b.n == 1 {
		sep = "[\n"
	}
	if _, err := b.w.WriteString(sep); err != nil {
		return err
	}
	_, err := b.w.Write(row.Body)
	return err
}

func (b *batch) fault(Fault, *queries.LeafPageRow) error { return nil }

func (b *batch) end() error {
	closing := "\n]\n"
	if b.n == 0 {
		closing = "[]\n"
	}
	if _, err := b.w.WriteString(closing); err != nil {
		return err
	}
	return b.w.Flush()
}

type table struct {
	w     *bufio.Writer
	began bool
}

const tableLine = "%8s  %-24s  %-33s  %-36s  %s\n"

func (t *table) head() error {
	if t.began {
		return nil
	}
	t.began = true
	_, err := fmt.Fprintf(t.w, tableLine, "place", "time", "type", "account", "about")
	return err
}

func (t *table) event(row queries.LeafPageRow, s summary) error {
	if err := t.head(); err != nil {
		return err
	}
	// Quoted where it could play with a terminal; ours never needs it.
	_, err := fmt.Fprintf(t.w, tableLine, fmt.Sprint(row.Index), s.Time.UTC().Format("2006-01-02T15:04:05.000Z"), plain(s.Type), s.Account.String(), plain(s.Subject))
	return err
}

func (t *table) fault(f Fault, _ *queries.LeafPageRow) error {
	if err := t.head(); err != nil {
		return err
	}
	about := ""
	if f.Event != uuid.Nil {
		about = "event " + f.Event.String() + " of " + timeOf(f.Event).UTC().Format(time.RFC3339)
	}
	_, err := fmt.Fprintf(t.w, "%8d  FAULT: %s  %s\n", f.Index, f.What, about)
	return err
}

func (t *table) end() error { return t.w.Flush() }

func plain(s string) string {
	for _, r := range s {
		if r < ' ' || r > '~' {
			return fmt.Sprintf("%q", s)
		}
	}
	return s
}

func of(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
