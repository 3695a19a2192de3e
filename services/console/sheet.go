package console

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What an imported file may have. A cell is longer than any field may be.
const (
	MaxImportBytes = 4 << 20
	MaxImportRows  = 20_000
	maxCell        = 512 // bytes
	maxRowFaults   = 5   // of one line
)

// The columns of a file of people, in the order of an export. What stands in the latter ones
// is shown there, and not read by an import.
var (
	readColumns  = []string{"id", "role", "user_id", "phone", "email", "language"}
	shownColumns = []string{"has_password", "devices", "locked", "deactivated", "created_at"}
)

// What stands in a cell in place of a value.
const (
	clears = "-" // removes what is there: an empty cell leaves it alone
	onFile = "…" // an address that an export does not show; leaves it alone
)

// sheetRow is one person of an imported file: its cells by their columns, without spaces
// around them.
type sheetRow struct {
	line                                     int
	id, role, userID, phone, email, language string
}

// cell returns where a column of the row is kept.
func (r *sheetRow) cell(column string) *string {
	return map[string]*string{"id": &r.id, "role": &r.role, "user_id": &r.userID, "phone": &r.phone, "email": &r.email, "language": &r.language}[column]
}

// sheet is a file of people.
type sheet struct {
	rows    []sheetRow
	ignored []string // columns that an export shows, and nobody reads
	faults  []RowFault
}

// RowFault says why a line of a file cannot be imported.
type RowFault struct {
	Line      int    `json:"line"`             // where the row begins, from 1; 0 of the whole file
	Column    string `json:"column,omitempty"` // "" of the whole line
	Code      string `json:"code"`             // stable: programs and translations decide by it
	Detail    string `json:"detail"`           // a plain sentence for a person
	OtherLine int    `json:"other_line,omitempty"`
}

func (s *sheet) add(line int, column, code, detail string) {
	s.faults = append(s.faults, RowFault{Line: line, Column: column, Code: code, Detail: detail})
}

// readSheet reads a file of people: UTF-8 with or without a byte order mark, cells parted by
// commas or semicolons and quoted as RFC 4180 has it, a line of column names first. What is
// wrong with it stands in its faults; one that cannot be read to its end has no rows.
func readSheet(file []byte) (s sheet) {
	file = bytes.TrimPrefix(file, []byte("\ufeff"))
	if at := badText(file); at >= 0 {
		s.add(1+bytes.Count(file[:at], []byte("\n")), "", "not_utf8", "This is not text in UTF-8. Save the file as CSV in UTF-8.")
		return s
	}
	r := csv.NewReader(bytes.NewReader(file))
	r.Comma, r.FieldsPerRecord, r.ReuseRecord = separator(file), -1, true
	header, err := r.Read()
	if err != nil {
		s.unreadable(err)
		return s
	}
	columns := s.readHeader(header)
	if len(s.faults) > 0 {
		return s
	}
	for n := 0; ; {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			s.unreadable(err)
			return s
		}
		if !slices.ContainsFunc(cells, func(c string) bool { return strings.TrimSpace(c) != "" }) {
			continue // a spreadsheet saves empty lines
		}
		line, _ := r.FieldPos(0)
		if n++; n > MaxImportRows {
			s.rows = nil
			s.add(line, "", "too_many_rows", fmt.Sprintf("A file has at most %d people.", MaxImportRows))
			return s
		}
		s.readRow(line, columns, cells)
	}
	if len(s.faults) == 0 && len(s.rows) == 0 {
		s.add(0, "", "no_rows", noRows)
	}
	return s
}

const noRows = "There is nobody in this file."

// badText is where a file is not the text of a table, -1 if it is.
func badText(file []byte) int {
	for i := 0; i < len(file); {
		c, n := utf8.DecodeRune(file[i:])
		if c == utf8.RuneError && n <= 1 || c == 0 {
			return i
		}
		i += n
	}
	return -1
}

// separator is what parts the names in the first line.
func separator(file []byte) rune {
	first, _, _ := bytes.Cut(file, []byte("\n"))
	if bytes.Count(first, []byte(";")) > bytes.Count(first, []byte(",")) {
		return ';'
	}
	return ','
}

// unreadable says where a file ends to be a table.
func (s *sheet) unreadable(err error) {
	if errors.Is(err, io.EOF) {
		s.add(0, "", "no_rows", noRows)
		return
	}
	s.rows = nil
	line := 0
	if e := new(csv.ParseError); errors.As(err, &e) {
		line = e.StartLine
	}
	s.add(line, "", "bad_quotes", "The quotes of this line are not closed, or stand in the middle of a cell.")
}

// readHeader reads the names of the columns.
func (s *sheet) readHeader(cells []string) []string {
	columns := make([]string, len(cells))
	for i, name := range cells {
		name = strings.ToLower(strings.TrimSpace(name))
		columns[i] = name
		switch {
		case slices.Contains(columns[:i], name):
			s.add(1, shownName(name), "column_twice", "This column comes twice.")
		case slices.Contains(shownColumns, name):
			s.ignored = append(s.ignored, name)
		case !slices.Contains(readColumns, name):
			s.add(1, shownName(name), "unknown_column", "There is no such column. The first line names the columns: "+strings.Join(readColumns, ", ")+".")
		}
	}
	if len(s.faults) > 10 {
		s.faults = s.faults[:10] // that is no table of people
	}
	return columns
}

// shownName is a name out of a file, fit to be repeated.
func shownName(name string) string {
	name = strings.Map(func(c rune) rune {
		if !unicode.IsGraphic(c) {
			return '?'
		}
		return c
	}, name)
	if runes := []rune(name); len(runes) > 40 {
		return string(runes[:40]) + "…"
	}
	return name
}

// readRow reads one person.
func (s *sheet) readRow(line int, columns, cells []string) {
	if len(cells) != len(columns) {
		s.add(line, "", "cell_count", "This line has more or fewer cells than the first one names.")
		return
	}
	row := sheetRow{line: line}
	for i, name := range columns {
		into := row.cell(name)
		switch {
		case into == nil: // shown, not read
		case len(cells[i]) > maxCell:
			s.add(line, name, "cell_too_long", "This is longer than anything that belongs here.")
			return
		default:
			*into = strings.Clone(strings.TrimSpace(plain(cells[i])))
		}
	}
	row.role, row.language = strings.ToLower(row.role), strings.ToLower(row.language)
	s.rows = append(s.rows, row)
}

// formula are the characters that make a spreadsheet take a cell for a formula (OWASP, "CSV
// Injection"), their wide forms among them.
const formula = "=+-@\t\r\n＝＋－＠"

// inert is a cell as an export writes it: in quotes, so that no program parts it otherwise
// than it was joined, and with an apostrophe before what a spreadsheet would run.
func inert(cell string) string {
	if strings.IndexAny(cell, formula+"'") == 0 {
		cell = "'" + cell
	}
	return `"` + strings.ReplaceAll(cell, `"`, `""`) + `"`
}

// plain takes the apostrophe away that inert has put before a cell.
func plain(cell string) string {
	if rest, ok := strings.CutPrefix(cell, "'"); ok && strings.IndexAny(rest, formula+"'") == 0 {
		return rest
	}
	return cell
}
