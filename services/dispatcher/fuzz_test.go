package dispatcher

import (
	"os"
	"path/filepath"
	"testing"

	"latchkey.dev/services/event"
)

// FuzzRequestOf holds that only the two events that ask for a text lead to work, for the
// challenge that they name, whatever else is on the stream.
func FuzzRequestOf(f *testing.F) {
	files, err := filepath.Glob("../event/testdata/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("%d golden events, %v", len(files), err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := event.Decode(body)
		if err != nil {
			return
		}
		r, ok := RequestOf(e)
		if asks := e.Type == "latchkey.code.requested" || e.Type == "latchkey.text.requested"; ok != asks || ok && r.Challenge != e.Data.Subject() {
			t.Errorf("%s leads to %+v, %v", e.Type, r, ok)
		}
	})
}
