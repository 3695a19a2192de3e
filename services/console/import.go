package console

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	queries "latchkey.dev/queries/console"
	"latchkey.dev/services/access"
	"latchkey.dev/services/device"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/web"
)

// An import makes and changes people from a file, by the rules of a single save. People whom
// it makes get no password: each of a thousand generated ones would have to be handed to its
// owner from one file, which is then worth stealing, and hashing them takes longer than all
// the rest. Who has none cannot sign in; a person chooses one by a link, or gets one by a reset.

var (
	errFileTooLarge = web.NewProblem(http.StatusRequestEntityTooLarge, "file-too-large", "The file is too large", fmt.Sprintf("A file has at most %d MiB.", MaxImportBytes>>20))
	errBadImport    = web.NewProblem(http.StatusUnprocessableEntity, "bad-import", "Nothing was imported", "Some lines of the file cannot be imported. A dry run lists them.")
	errImportStops  = web.NewProblem(http.StatusConflict, "import-stopped", "The import stopped", "Somebody changed people of this file meanwhile, so that a line cannot be imported any more. Those before it are saved. See the dry run, and import the file again: what was done is not done twice.")
	errImportBusy   = web.NewProblem(http.StatusTooManyRequests, "busy", "Busy", "Other files are being imported. Try again in a moment.").After(10 * time.Second)
)

const (
	importGroup    = 500 // people a transaction
	importTries    = 4
	importDays     = 30 // for which a line of a file is remembered
	importsAtATime = 2
)

// ImportReport says what an import does, or did.
type ImportReport struct {
	DryRun        bool       `json:"dry_run"`
	Rows          int        `json:"rows"`
	Created       int        `json:"created"`
	Updated       int        `json:"updated"`
	Unchanged     int        `json:"unchanged"`
	Repeated      int        `json:"repeated"`            // made by the same file within the last 30 days, and left alone
	Registrations int        `json:"registrations_ended"` // by changed numbers
	Ignored       []string   `json:"ignored_columns,omitempty"`
	Faults        []RowFault `json:"faults,omitempty"` // by line
}

// add counts a group of rows.
func (r *ImportReport) add(g ImportReport) {
	r.Created, r.Updated, r.Unchanged = r.Created+g.Created, r.Updated+g.Updated, r.Unchanged+g.Unchanged
	r.Repeated, r.Registrations = r.Repeated+g.Repeated, r.Registrations+g.Registrations
}

// CheckImport is an import's dry run: it judges every row and writes nothing.
func (c *Console) CheckImport(ctx context.Context, by access.Actor, file []byte) (ImportReport, error) {
	release, err := c.mayImport(by, file)
	if err != nil {
		return ImportReport{}, err
	}
	defer release()
	report, _, err := c.checkImport(ctx, by, file)
	return report, err
}

// Import makes and changes people, after all rows were judged. One that breaks off is sent
// again: it makes nobody twice, and goes on where it stopped. The report says what was done
// also beside an error, and what is wrong beside a problem of the type bad-import.
func (c *Console) Import(ctx context.Context, by access.Actor, file []byte) (ImportReport, error) {
	release, err := c.mayImport(by, file)
	if err != nil {
		return ImportReport{}, err
	}
	defer release()
	checked, s, err := c.checkImport(ctx, by, file)
	if err != nil {
		return ImportReport{}, err
	}
	if len(checked.Faults) > 0 {
		return checked, errBadImport
	}
	done := ImportReport{Rows: checked.Rows, Ignored: checked.Ignored}
	digest := sha256.Sum256(file)
	for rows := range slices.Chunk(s.rows, importGroup) {
		g, err := c.importRows(ctx, by, digest, rows)
		if err != nil {
			return done, err
		}
		done.add(g)
	}
	return done, nil
}

// mayImport admits an import, a few at a time: each takes a core and some memory.
func (c *Console) mayImport(by access.Actor, file []byte) (release func(), err error) {
	if !by.In(access.Import) {
		return nil, errForbidden
	}
	if len(file) > MaxImportBytes {
		return nil, errFileTooLarge
	}
	select {
	case c.imports <- struct{}{}:
		return func() { <-c.imports }, nil
	default:
		return nil, errImportBusy
	}
}

// checkImport judges a file, a group at a time.
func (c *Console) checkImport(ctx context.Context, by access.Actor, file []byte) (ImportReport, sheet, error) {
	r, err := c.rules(ctx, by.Account)
	if err != nil {
		return ImportReport{}, sheet{}, err
	}
	s := readSheet(file)
	report := ImportReport{DryRun: true, Rows: len(s.rows), Ignored: s.ignored, Faults: s.faults}
	j := c.judging(by, r, sha256.Sum256(file))
	for rows := range slices.Chunk(s.rows, importGroup) {
		g, err := j.judge(ctx, rows)
		if err != nil {
			return report, s, err
		}
		report.add(g.counts)
		if len(g.renumbered) > 0 {
			n, err := c.q.DeviceCount(ctx, queries.DeviceCountParams{MemberIds: g.renumbered, AccountID: by.Account})
			if err != nil {
				return report, s, fmt.Errorf("counting registrations: %w", err)
			}
			report.Registrations += int(n)
		}
	}
	if err := j.keepOwner(ctx); err != nil {
		return report, s, err
	}
	report.Faults = append(report.Faults, j.faults...)
	slices.SortStableFunc(report.Faults, func(a, b RowFault) int { return a.Line - b.Line })
	return report, s, nil
}

// importRows writes a group of rows in one transaction. Rows of which somebody changed what
// they are about are judged again.
func (c *Console) importRows(ctx context.Context, by access.Actor, digest [sha256.Size]byte, rows []sheetRow) (ImportReport, error) {
	for try := 1; ; try++ {
		r, err := c.rules(ctx, by.Account) // options may have changed
		if err != nil {
			return ImportReport{}, err
		}
		j := c.judging(by, r, digest)
		g, err := j.judge(ctx, rows)
		if err != nil {
			return ImportReport{}, err
		}
		if len(j.faults) > 0 {
			return ImportReport{}, errImportStops
		}
		if err := c.sealAll(g); err != nil {
			return ImportReport{}, err
		}
		counts, err := c.writeGroup(ctx, by, g)
		if err == nil {
			return counts, nil
		}
		if p := new(web.Problem); errors.As(err, &p) && p.Type == errLastOwner.Type {
			return ImportReport{}, errImportStops
		}
		if try == importTries || !overtaken(err) {
			return ImportReport{}, fmt.Errorf("importing people: %w", err)
		}
	}
}

// overtaken reports whether a change was refused because another one came first.
func overtaken(err error) bool {
	p := new(web.Problem)
	return userIDTaken(err) || errors.As(err, &p) && p.Type == errChanged.Type || lockTimedOut(err)
}

// sealAll closes what is kept of the people of a group, on all cores: it takes longer than
// all else that an import does.
func (c *Console) sealAll(g *group) error {
	for _, n := range g.made {
		if n.Role == device.Client {
			n.UserID = makeUserID()
		}
	}
	workers := runtime.GOMAXPROCS(0)
	errs := make([]error, workers)
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := w; i < len(g.made) && errs[w] == nil; i += workers {
				errs[w] = c.seal(g.made[i])
			}
			for i := w; i < len(g.updates) && errs[w] == nil; i += workers {
				errs[w] = c.sealUpdate(&g.updates[i])
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// writeGroup writes a group and returns what it did.
func (c *Console) writeGroup(ctx context.Context, by access.Actor, g *group) (counts ImportReport, err error) {
	if len(g.made)+len(g.updates) == 0 {
		return g.counts, nil
	}
	if err := c.keepKeys(ctx, g.made); err != nil {
		return counts, err
	}
	err = c.changeAndTell(ctx, by.Account, func(db *queries.Queries) ([]event.Data, error) {
		made, told, err := insertMembers(ctx, db, by, g.made, importDays)
		if err != nil {
			return nil, err
		}
		changes, err := c.writeUpdates(ctx, db, by, g.updates)
		counts = g.counts
		counts.Created, counts.Repeated = len(made), counts.Repeated+len(g.made)-len(made)
		for _, d := range changes {
			if _, is := d.(event.DeviceRevoked); is {
				counts.Registrations++
			}
		}
		return append(told, changes...), err
	})
	return counts, err
}

// group is some rows of a file, judged.
type group struct {
	made       []*newcomer
	updates    []updating
	renumbered [][16]byte // whose registrations end
	counts     ImportReport
}

// judging judges the rows of one file, group by group.
type judging struct {
	c      *Console
	by     access.Actor
	rules  rules
	digest [sha256.Size]byte

	faults  []RowFault
	ids     map[uuid.UUID]int // the line that is about a person
	names   map[string]int    // the line that has a user ID
	demoted map[uuid.UUID]int // the line by which an active owner is none any more
}

func (c *Console) judging(by access.Actor, r rules, digest [sha256.Size]byte) *judging {
	return &judging{c: c, by: by, rules: r, digest: digest, ids: map[uuid.UUID]int{}, names: map[string]int{}, demoted: map[uuid.UUID]int{}}
}

// once names a line, whoever imports the file.
func (j *judging) once(line int) once {
	key := j.c.o.People.Index("idempotency-key", "import\x00"+string(j.digest[:])+"\x00"+strconv.Itoa(line))
	return once{key, key} // the file is part of the name
}

// meant is whom a row is about.
type meant struct {
	id     uuid.UUID // Nil of somebody new
	member *member   // nil where nobody of the account has the id
	name   string    // the user ID as it is compared
	owner  uuid.UUID // who has the user ID, in whichever account; Nil for nobody
}

// judge judges rows.
func (j *judging) judge(ctx context.Context, rows []sheetRow) (*group, error) {
	all, err := j.whoIsMeant(ctx, rows)
	if err != nil {
		return nil, err
	}
	g := &group{}
	for i := range rows {
		f := j.row(g, &rows[i], all[i])
		for _, one := range f[:min(len(f), maxRowFaults)] {
			j.faults = append(j.faults, RowFault{Line: rows[i].line, Column: one.Field, Code: one.Code, Detail: one.Detail})
		}
	}
	return g, j.leaveOutRepeated(ctx, g)
}

// whoIsMeant finds whom rows are about: by their ids, else by their user IDs.
func (j *judging) whoIsMeant(ctx context.Context, rows []sheetRow) ([]meant, error) {
	all := make([]meant, len(rows))
	p := queries.UserIDMatchParams{}
	for i, r := range rows {
		all[i].id, _ = uuid.Parse(r.id) // row judges it
		if r.userID != "" {
			p.Lines, p.UserIds = append(p.Lines, int32(i)), append(p.UserIds, r.userID)
		}
	}
	if len(p.Lines) > 0 {
		found, err := j.c.q.UserIDMatch(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("looking for user IDs: %w", err)
		}
		for _, f := range found {
			m := &all[f.Line]
			m.name = f.Name
			if f.ID == nil {
				continue
			}
			m.owner = *f.ID
			if rows[f.Line].id == "" && uuid.UUID(*f.AccountID) == j.by.Account {
				m.id = m.owner
			}
		}
	}
	ids := map[[16]byte][]int{}
	for i, m := range all {
		if m.id != uuid.Nil {
			ids[m.id] = append(ids[m.id], i)
		}
	}
	if len(ids) == 0 {
		return all, nil
	}
	read, err := j.c.q.MemberRead(ctx, queries.MemberReadParams{Ids: slices.Collect(maps.Keys(ids)), AccountID: j.by.Account, ActorID: j.by.ID})
	if err != nil {
		return nil, fmt.Errorf("reading members: %w", err)
	}
	for _, r := range read {
		for _, i := range ids[r.ID] {
			all[i].member = &member{r}
		}
	}
	return all, nil
}
