package console

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"latchkey.dev/services/access"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/words"
)

// maxUpload is what may come with the form: a file that is a little too large is told so on
// the page. A file that was checked comes back from the browser as text, since a page cannot
// fill its field for files, and nothing that a file names is kept here meanwhile.
const maxUpload = 2 * MaxImportBytes

// uploads says which forms come with files, and how large they may be beyond other forms, in bytes.
var uploads = map[string]int64{"POST /import": maxUpload}

// mostFaults is how many lines a page shows.
const mostFaults = 500

// importFaultWords are faults that a file alone has, or that are said otherwise of one.
var importFaultWords = map[string]string{
	"not_utf8": "import:fault.not_utf8", "no_rows": "import:fault.no_rows", "column_twice": "import:fault.column_twice", "unknown_column": "import:fault.unknown_column",
	"bad_quotes": "import:fault.bad_quotes", "too_many_rows": "import:fault.too_many_rows", "cell_count": "import:fault.cell_count", "cell_too_long": "import:fault.cell_too_long",
	"bad_id": "import:fault.bad_id", "nobody": "import:fault.nobody", "forbidden": "import:fault.forbidden",
	"bad_role": "import:fault.bad_role", "bad_language": "import:fault.bad_language", "last_owner": "people:refused.last_owner",
}

// fileFault is a line of what cannot be imported.
type fileFault struct {
	Line         int // 0 of the whole file
	Column, Says string
}

type importView struct {
	view
	Report  *ImportReport // nil: no file yet
	Columns string
	Rows    int // most people in a file
	MiB     int // its largest size
	Ignored string
	Lines   int // how many cannot be imported
	Faults  []fileFault
	More    int    // faults beyond
	Content string // the file that was checked; "" where it cannot be imported
	Writes  bool   // the import changes something
}

func (v *visit) importView() (data importView, err error) {
	if !v.who.In(access.Import) {
		return data, errForbidden
	}
	data.view, err = v.view(v.lang().Say("import:title"), "")
	data.Columns, data.Rows, data.MiB = strings.Join(readColumns, ", "), MaxImportRows, MaxImportBytes>>20
	return data, err
}

func (c *Console) importPage(v *visit) error {
	data, err := v.importView()
	if err != nil {
		return err
	}
	return render(v.w, http.StatusOK, "import", data)
}

// importForm judges a file, or imports one that was judged.
func (c *Console) importForm(v *visit) error {
	data, err := v.importView()
	if err != nil {
		return err
	}
	file, err := v.file()
	if err != nil {
		return err
	}
	status := http.StatusOK
	var report ImportReport
	if v.field("confirmed") == "yes" {
		if report, err = c.Import(v.r.Context(), v.who.Actor, file); err == nil {
			data.Notice = v.lang().Say("import:done")
		}
	} else {
		report, err = c.CheckImport(v.r.Context(), v.who.Actor, file)
	}
	if p := new(web.Problem); errors.As(err, &p) {
		status = p.Status
		switch p.Type {
		case errFileTooLarge.Type:
			data.Alert = v.lang().Say("import:too_large", "MiB", data.MiB)
			return render(v.w, status, "import", data)
		case errBadImport.Type: // what was right when it was checked is not any more
		case errImportBusy.Type:
			data.Alert = v.lang().Say("import:busy")
			report = ImportReport{DryRun: true}
		case errImportStops.Type:
			data.Alert = v.lang().Say("import:stopped", "Created", report.Created, "Updated", report.Updated)
			if report, err = c.CheckImport(v.r.Context(), v.who.Actor, file); err != nil {
				return err
			}
		default:
			return err
		}
	} else if err != nil {
		return err
	}
	data.show(v.lang(), report, file)
	return render(v.w, status, "import", data)
}

// show puts a report on the page, and the file too where it may be imported next.
func (data *importView) show(l words.Language, r ImportReport, file []byte) {
	data.Report, data.Ignored, data.Writes = &r, strings.Join(r.Ignored, ", "), r.Created+r.Updated > 0
	if len(r.Faults) == 0 && r.DryRun {
		data.Content = base64.StdEncoding.EncodeToString(file)
	}
	last := -1
	for i, f := range r.Faults {
		if f.Line != last {
			data.Lines++
		}
		if last = f.Line; i < mostFaults {
			data.Faults = append(data.Faults, fileFault{f.Line, f.Column, f.says(l)})
		}
	}
	data.More = len(r.Faults) - len(data.Faults)
}

// says says in a language what is wrong.
func (f RowFault) says(l words.Language) string {
	if f.Code == "twice" {
		return l.Say("import:fault.twice", "Line", f.OtherLine)
	}
	if key, ok := importFaultWords[f.Code]; ok {
		return l.Say(key)
	}
	if key, ok := faultWords[f.Code]; ok {
		return l.Say(key)
	}
	return f.Detail
}

// file returns the file of a form: one that was chosen, or the text of one that was checked.
// What it was called is not looked at.
func (v *visit) file() ([]byte, error) {
	if v.r.PostForm.Has("content") {
		b, err := base64.StdEncoding.DecodeString(v.field("content"))
		if err != nil {
			return nil, web.BadRequest
		}
		return b, nil
	}
	f, _, err := v.r.FormFile("file")
	if err != nil {
		return nil, web.BadRequest
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("reading a file: %w", err)
	}
	return b, nil
}

// importPages are the pages about people in files.
func (c *Console) importPages() []pageRoute {
	return []pageRoute{
		{"GET /import", c.importPage},
		{"POST /import", c.importForm},
	}
}
