package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	queries "latchkey.dev/queries/console"
	"latchkey.dev/services/access"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/details"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/words"
)

var (
	errManyJobs   = web.NewProblem(http.StatusTooManyRequests, "too-many-jobs", "Too many at once", "Many exports and erasures of this account are on their way. Wait until some are done.").After(time.Minute)
	errNotReady   = web.NewProblem(http.StatusConflict, "not-ready", "Not ready yet", "The export is still being prepared. Look again in a moment.").After(2 * time.Second)
	errNotConfirm = web.NewProblem(http.StatusUnprocessableEntity, "not-confirmed", "Not confirmed", "Send the person's user ID, or the id of somebody who has none, exactly as it is shown. An erasure cannot be taken back.")
)

// maxJobs bounds the exports and erasures of an account that are on their way.
const maxJobs = 100

// The kinds of jobs.
const (
	exportJob = "export"
	eraseJob  = "erase"
)

// ShowNumber opens a person's number and e-mail address. Each time is an event of the auditor's.
func (c *Console) ShowNumber(ctx context.Context, by access.Actor, id uuid.UUID) (details.Shown, error) {
	if _, err := c.readMember(ctx, by, id, access.ShowNumber); err != nil {
		return details.Shown{}, err
	}
	if c.o.Details == nil {
		return details.Shown{}, web.Unavailable
	}
	shown, err := c.o.Details.Show(ctx, details.ShowRequest{Account: by.Account, Member: id, By: by.By()})
	if err != nil {
		return details.Shown{}, fmt.Errorf("showing a number: %w", err)
	}
	return shown, nil
}

// RequestExport asks for everything that is held of a person, and returns the job that
// prepares it: the one on its way, if the actor asked for it already.
func (c *Console) RequestExport(ctx context.Context, by access.Actor, id uuid.UUID) (job uuid.UUID, err error) {
	err = c.changeMember(ctx, by, id, access.ExportPerson, func(db *queries.Queries, _ member) ([]event.Data, error) {
		made := false
		if job, made, err = newJob(ctx, db, by, id, exportJob); err != nil || !made {
			return nil, err
		}
		return []event.Data{event.ExportRequested{Member: id, Job: job, By: by.By()}}, nil
	})
	return job, err
}

// latestExport returns the newest export of a person that the actor asked for, while it can be
// read; Nil for none.
func (c *Console) latestExport(ctx context.Context, by access.Actor, id uuid.UUID) (uuid.UUID, error) {
	job, err := c.q.ExportLatest(ctx, queries.ExportLatestParams{MemberID: id, AccountID: by.Account, RequestedBy: by.By()})
	if errors.Is(err, pgx.ErrNoRows) {
		return uuid.Nil, nil
	}
	if err != nil {
		return uuid.Nil, fmt.Errorf("reading an export: %w", err)
	}
	return job, nil
}

// newJob asks for an export or an erasure, unless the actor's is on its way.
func newJob(ctx context.Context, db *queries.Queries, by access.Actor, member uuid.UUID, kind string) (job uuid.UUID, made bool, err error) {
	if err := db.PrivacyJobsLock(ctx, by.Account); err != nil {
		return uuid.Nil, false, err
	}
	open, err := db.PrivacyJobsOpen(ctx, by.Account)
	if err != nil {
		return uuid.Nil, false, err
	}
	if open >= maxJobs {
		return uuid.Nil, false, errManyJobs
	}
	if job, err = uuid.NewV7(); err != nil {
		return uuid.Nil, false, err
	}
	row, err := db.PrivacyJobInsert(ctx, queries.PrivacyJobInsertParams{ID: job, AccountID: by.Account, MemberID: member, Kind: kind, RequestedBy: by.By()})
	return row.ID, row.Made, err
}

// RequestErase erases a person, for good. The person is gone when it returns; the job that it
// returns has the auditor destroy the person's key, and remove what is kept of texts. confirm
// is the person's user ID, or the id of somebody who has none. Asked again by the same actor,
// it is the same job.
func (c *Console) RequestErase(ctx context.Context, by access.Actor, id uuid.UUID, confirm string) (job uuid.UUID, err error) {
	err = c.changeMember(ctx, by, id, access.Erase, func(db *queries.Queries, m member) ([]event.Data, error) {
		if confirm != m.confirms() {
			return nil, errNotConfirm
		}
		if err := c.keepOwner(ctx, db, by.Account, m); err != nil {
			return nil, err
		}
		ended, err := revoke(ctx, db, by, m, nil, "erased")
		if err != nil {
			return nil, err
		}
		if job, _, err = newJob(ctx, db, by, id, eraseJob); err != nil {
			return nil, err
		}
		if was, err := db.MemberForget(ctx, id); err != nil || !was {
			return nil, errors.Join(err, errors.New("nobody was there to be erased"))
		}
		return append(ended, event.MemberErased{Member: id, Job: job, By: by.By()}), nil
	})
	if errors.Is(err, web.NotFound) {
		return c.erasure(ctx, by, id)
	}
	return job, err
}

// erasure returns the job of a person whom the actor had erased.
func (c *Console) erasure(ctx context.Context, by access.Actor, id uuid.UUID) (uuid.UUID, error) {
	job, err := c.q.ErasureRead(ctx, queries.ErasureReadParams{MemberID: id, AccountID: by.Account, RequestedBy: by.By()})
	if errors.Is(err, pgx.ErrNoRows) {
		return uuid.Nil, web.NotFound
	}
	if err != nil {
		return uuid.Nil, fmt.Errorf("reading an erasure: %w", err)
	}
	return job, nil
}

// confirms is what somebody types who means this person.
func (m member) confirms() string {
	if m.UserID != nil {
		return *m.UserID
	}
	return uuid.UUID(m.ID).String()
}

// PrivacyJob is an export or an erasure.
type PrivacyJob struct {
	ID          uuid.UUID  `json:"id"`
	Member      uuid.UUID  `json:"member"`
	Kind        string     `json:"kind"` // export, erase
	RequestedAt time.Time  `json:"requested_at"`
	Progress    int        `json:"progress"` // percent
	Events      int        `json:"events"`   // found so far, of an export
	DoneAt      *time.Time `json:"done_at,omitempty"`
	Until       *time.Time `json:"until,omitempty"` // when an export that is done cannot be opened any more
}

// PrivacyJob returns a job to who asked for it, until a week after it is done. Of an export
// the actor must still be allowed to ask.
func (c *Console) PrivacyJob(ctx context.Context, by access.Actor, id uuid.UUID) (PrivacyJob, error) {
	row, err := c.q.PrivacyJobRead(ctx, queries.PrivacyJobReadParams{ID: id, AccountID: by.Account, RequestedBy: by.By()})
	if errors.Is(err, pgx.ErrNoRows) {
		return PrivacyJob{}, web.NotFound
	}
	if err != nil {
		return PrivacyJob{}, fmt.Errorf("reading a job: %w", err)
	}
	j := PrivacyJob{row.ID, row.MemberID, row.Kind, row.RequestedAt, int(row.Progress), int(row.Found), row.DoneAt, nil}
	if j.Kind == eraseJob {
		return j, nil
	}
	if j.DoneAt != nil {
		j.Until = &row.Until
	}
	_, err = c.readMember(ctx, by, j.Member, access.ExportPerson)
	return j, err
}

// OpenExport opens an export that is ready, for the caller to read and close. Each time is
// an event of the auditor's. A reading that ends with an error is not the whole of it.
func (c *Console) OpenExport(ctx context.Context, by access.Actor, job uuid.UUID, format details.Format, lang words.Language) (io.ReadCloser, error) {
	j, err := c.PrivacyJob(ctx, by, job)
	switch {
	case err != nil:
		return nil, err
	case j.Kind != exportJob:
		return nil, web.NotFound
	case j.DoneAt == nil:
		return nil, errNotReady
	case c.o.Details == nil:
		return nil, web.Unavailable
	}
	body, err := c.o.Details.Export(ctx, details.ExportRequest{Account: by.Account, Job: job, By: by.By(), Format: format, Language: string(lang)})
	if err != nil {
		return nil, fmt.Errorf("opening an export: %w", err)
	}
	return body, nil
}
