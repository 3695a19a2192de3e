package console

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzReadSheet holds that whatever is sent either is refused with a line, or is rows of
// texts that the database can keep; and that what an export writes comes back the same.
func FuzzReadSheet(f *testing.F) {
	for _, s := range []string{"role,user_id\nprovider,ada\n", "\ufeffid;role\r\n;client\r\n", "role\n\"a\nb\"\n", "role,role\n", "user_id\n'=1+1\n", "", "\xff", "role\n\"", "a\x00", "role;phone,email\n\n;;,\n", "user_id\n''\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		s := readSheet(file)
		if len(s.faults) == 0 && len(s.rows) == 0 {
			t.Fatal("a file without people is taken")
		}
		lines := bytes.Count(file, []byte("\n")) + 1
		for _, x := range s.faults {
			if x.Line < 0 || x.Line > lines || x.Code == "" || x.Detail == "" || !utf8.ValidString(x.Column) || strings.ContainsAny(x.Column, "\x00\r\n\x1b") {
				t.Fatalf("said %+v of a file of %d lines", x, lines)
			}
		}
		last := 0
		for _, r := range s.rows {
			if r.line <= last || r.line > lines {
				t.Fatalf("line %d follows line %d of %d", r.line, last, lines)
			}
			last = r.line
			for _, cell := range []string{r.id, r.role, r.userID, r.phone, r.email, r.language} {
				if !utf8.ValidString(cell) || strings.Contains(cell, "\x00") || len(cell) > 2*maxCell || strings.TrimSpace(cell) != cell {
					t.Fatalf("the cell %q was read", cell)
				}
				back := readSheet([]byte("user_id,role\n" + inert(cell) + ",x\n"))
				if want := strings.ReplaceAll(cell, "\r\n", "\n"); len(cell) <= maxCell-2 && (len(back.rows) != 1 || back.rows[0].userID != want) {
					t.Fatalf("%q comes back as %+v", cell, back)
				}
			}
		}
	})
}

// No spreadsheet takes a cell of an export for a formula, whichever way it parts cells.
func TestExportedCellsAreNoFormulas(t *testing.T) {
	t.Parallel()
	for _, cell := range []string{"=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "＝1", "'=1", "''", "ada", "ada;=1+1", "ada,=1+1", "ada\t=1", `a";=1+1`, `","=1`} {
		written := inert(cell)
		for _, comma := range []rune{',', ';', '\t'} {
			r := csv.NewReader(strings.NewReader(written + string(comma) + `"x"`))
			r.Comma = comma
			cells, err := r.Read()
			if err != nil || len(cells) != 2 {
				t.Fatalf("%q is parted by %q as %q, %v", written, comma, cells, err)
			}
			if strings.IndexAny(cells[0], formula) == 0 {
				t.Errorf("%q opens as %q", cell, cells[0])
			}
			if plain(cells[0]) != strings.ReplaceAll(cell, "\r\n", "\n") {
				t.Errorf("%q comes back as %q", cell, plain(cells[0]))
			}
		}
	}
}
