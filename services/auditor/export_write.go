package auditor

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/device"
	"latchkey.dev/services/internal/details"
	"latchkey.dev/services/words"
)

// write writes the export in its format. Events stream: an export has no largest size.
func (x *export) write(ctx context.Context, w io.Writer) error {
	out := bufio.NewWriterSize(w, 32<<10)
	do := x.writeJSON
	if x.in.Format == details.HTML {
		do = x.writeHTML
	}
	if err := do(ctx, out); err != nil {
		return err
	}
	return out.Flush()
}

// writeJSON writes one object: what begin read, and the events as its last field.
func (x *export) writeJSON(ctx context.Context, w *bufio.Writer) error {
	head, err := json.MarshalIndent(x.head, "", " ")
	if err != nil {
		return fmt.Errorf("writing an export: %w", err)
	}
	w.Write(bytes.TrimSuffix(head, []byte("\n}")))
	w.WriteString(",\n \"events\": [")
	sep := "\n  "
	err = x.events(ctx, func(e exportedEvent) error {
		b, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("writing an event: %w", err)
		}
		w.WriteString(sep)
		sep = ",\n  "
		_, err = w.Write(b)
		return err
	})
	if err != nil {
		return err
	}
	_, err = w.WriteString("\n ]\n}\n")
	return err
}

//go:embed export.html
var exportHTML string

// exportTemplates are the page that a person reads, in every language. What is a name in the
// data stays one: the same export says the same in all.
var exportTemplates = func() map[words.Language]*template.Template {
	all := map[words.Language]*template.Template{}
	for _, l := range words.Languages {
		all[l] = template.Must(template.New("export").Funcs(l.Funcs()).Funcs(template.FuncMap{
			"lang":   func() string { return string(l) },
			"time":   showTime,
			"words":  func(s string) string { return strings.ReplaceAll(s, "_", " ") },
			"role":   func(r string) string { return l.Say(roleWords[device.Role(r)]) },
			"who":    showWho,
			"hex":    hex.EncodeToString,
			"fields": showFields,
		}).Parse(exportHTML))
	}
	return all
}()

var roleWords = map[device.Role]string{
	device.Owner: "people:role.owner", device.Administrator: "people:role.administrator", device.Supervisor: "people:role.supervisor",
	device.Provider: "people:role.provider", device.Client: "people:role.client",
}

func (x *export) writeHTML(ctx context.Context, w *bufio.Writer) error {
	page := exportTemplates[x.lang]
	if err := page.ExecuteTemplate(w, "head", x.head); err != nil {
		return fmt.Errorf("writing an export: %w", err)
	}
	if err := x.events(ctx, func(e exportedEvent) error { return page.ExecuteTemplate(w, "event", e) }); err != nil {
		return err
	}
	return page.ExecuteTemplate(w, "foot", nil)
}

// showWho is a person's user ID, or the id of somebody who has none.
func showWho(userID *string, id uuid.UUID) string {
	if userID != nil {
		return *userID
	}
	return id.String()
}

// showTime shows a time that may be missing.
func showTime(t any) string {
	switch t := t.(type) {
	case time.Time:
		return t.UTC().Format("2006-01-02 15:04:05 UTC")
	case *time.Time:
		if t != nil {
			return showTime(*t)
		}
	}
	return ""
}

// field is a name with its value, both to be read by a person.
type field struct{ Name, Value string }

// showFields lists the fields of an object by name; it takes a json.RawMessage or a map of them.
func showFields(of any) (all []field) {
	object, ok := of.(map[string]json.RawMessage)
	if raw, isRaw := of.(json.RawMessage); isRaw {
		ok = json.Unmarshal(raw, &object) == nil
	}
	if !ok {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		value := string(object[name])
		var text string
		if json.Unmarshal(object[name], &text) == nil {
			value = text
		}
		all = append(all, field{strings.ReplaceAll(name, "_", " "), value})
	}
	return all
}
