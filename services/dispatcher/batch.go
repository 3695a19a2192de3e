package dispatcher

import (
	"context"
	"time"

	"github.com/google/uuid"

	queries "latchkey.dev/queries/dispatcher"
	"latchkey.dev/services/code"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/coalesce"
	"latchkey.dev/services/sms"
)

// claim is an attempt before anything is sent, or the mark of an abandoned request.
type claim struct {
	about   event.SMSAttempt
	account uuid.UUID
	event   event.Event
	reason  string // of an abandoned request
}

// record is how an attempt ended.
type record struct {
	about   event.SMSAttempt
	account uuid.UUID
	prefix  string // of the number, "" where nothing was sent
	outcome sms.Outcome
	follow  time.Duration
	event   event.Event
}

// Batches lock their rows in the order of the challenges.
func (c claim) key() string  { return c.about.Challenge.String() }
func (r record) key() string { return r.about.Challenge.String() }
func (t told) key() string   { return uuid.UUID(t.row.ID).String() }

// noticePace is the distance between batches of notices: nobody waits for one.
const noticePace = 25 * time.Millisecond

// Nobody waits for the record of a text that is with its provider, nor for what a receipt
// changes, so more of them may share a commit than of what is waited for.
const (
	// recordPace is the shorter, for a refused text is recorded before the next provider is asked.
	recordPace  = 15 * time.Millisecond
	receiptPace = 50 * time.Millisecond
)

// batch makes the shared reads and writes: texts under way at the same time share one
// statement and one commit.
func (d *Dispatcher) batch() {
	d.reads = coalesce.New(coalesce.Options[Request, *queries.DeliveryReadRow]{Name: "delivery_read", Run: d.read, Registerer: d.o.Registerer})
	d.firsts = coalesce.New(coalesce.Options[claim, *queries.DeliveryReadRow]{Name: "attempt_first", Run: d.claimFirst, Key: claim.key, Registerer: d.o.Registerer})
	d.claims = coalesce.New(coalesce.Options[claim, bool]{Name: "attempt_claim", Run: d.claim, Key: claim.key, Registerer: d.o.Registerer})
	d.records = coalesce.New(coalesce.Options[record, bool]{Name: "attempt_record", Run: d.writeRecords, Key: record.key, Pace: recordPace, Registerer: d.o.Registerer})
	d.abandons = coalesce.New(coalesce.Options[claim, bool]{Name: "request_abandon", Run: d.markAbandoned, Key: claim.key, Registerer: d.o.Registerer})
	byID := func(id uuid.UUID) string { return id.String() }
	d.noticeClaims = coalesce.New(coalesce.Options[uuid.UUID, *queries.NoticeClaimRow]{Name: "notice_claim", Run: d.claimNotices, Key: byID, Pace: noticePace, Registerer: d.o.Registerer})
	d.noticeRecords = coalesce.New(coalesce.Options[told, bool]{Name: "notice_record", Run: d.recordNotices, Key: told.key, Pace: noticePace, Registerer: d.o.Registerer})
	// One batch of receipts at a time: a burst of them waits, and leaves the database to the texts.
	d.takes = coalesce.New(coalesce.Options[taken, *event.Event]{Name: "receipt_take", Run: d.take, Key: taken.key, Pace: receiptPace, Registerer: d.o.Registerer})
}

func (d *Dispatcher) read(ctx context.Context, batch []Request) ([]*queries.DeliveryReadRow, error) {
	var p queries.DeliveryReadParams
	asked := map[Request]bool{}
	for _, r := range batch {
		if !asked[r] {
			asked[r] = true
			p.ChallengeIds = append(p.ChallengeIds, r.Challenge)
			p.RequestNos = append(p.RequestNos, int16(r.No))
		}
	}
	rows, err := d.q.DeliveryRead(ctx, p)
	if err != nil {
		return nil, err
	}
	found := map[Request]*queries.DeliveryReadRow{}
	for i := range rows {
		found[Request{rows[i].ID, int(rows[i].RequestNo)}] = &rows[i]
	}
	out := make([]*queries.DeliveryReadRow, len(batch))
	for i, r := range batch {
		out[i] = found[r]
	}
	return out, nil
}

// claim writes the rows of attempts. Two claims of one attempt number may meet in one
// batch too: the statement lets one win.
func (d *Dispatcher) claim(ctx context.Context, batch []claim) ([]bool, error) {
	p := queries.AttemptClaimParams{LeaseSeconds: lease.Seconds(), MarginSeconds: code.Margin.Seconds()}
	for _, c := range batch {
		p.ChallengeIds = append(p.ChallengeIds, c.about.Challenge)
		p.AttemptNos = append(p.AttemptNos, int16(c.about.AttemptNo))
		p.Ids = append(p.Ids, c.about.Attempt)
		p.RequestNos = append(p.RequestNos, int16(c.about.Request))
		p.TextNos = append(p.TextNos, int16(c.about.Text))
		p.Providers = append(p.Providers, c.about.Provider)
		p.EventIds = append(p.EventIds, c.event.ID)
		p.EventTypes = append(p.EventTypes, c.event.Type)
		p.AccountIds = append(p.AccountIds, c.account)
		p.EventBodies = append(p.EventBodies, c.event.Body)
	}
	ids, err := d.q.AttemptClaim(ctx, p)
	return among(batch, ids), err
}

func (d *Dispatcher) markAbandoned(ctx context.Context, batch []claim) ([]bool, error) {
	var p queries.RequestAbandonParams
	for _, c := range batch {
		p.ChallengeIds = append(p.ChallengeIds, c.about.Challenge)
		p.AttemptNos = append(p.AttemptNos, int16(c.about.AttemptNo))
		p.Ids = append(p.Ids, c.about.Attempt)
		p.RequestNos = append(p.RequestNos, int16(c.about.Request))
		p.Reasons = append(p.Reasons, c.reason)
		p.EventIds = append(p.EventIds, c.event.ID)
		p.EventTypes = append(p.EventTypes, c.event.Type)
		p.AccountIds = append(p.AccountIds, c.account)
		p.EventBodies = append(p.EventBodies, c.event.Body)
	}
	ids, err := d.q.RequestAbandon(ctx, p)
	return among(batch, ids), err
}

// among says which claims came back as written.
func among(batch []claim, ids [][16]byte) []bool {
	won := map[uuid.UUID]bool{}
	for _, id := range ids {
		won[id] = true
	}
	out := make([]bool, len(batch))
	for i, c := range batch {
		out[i] = won[c.about.Attempt]
	}
	return out
}

func (d *Dispatcher) writeRecords(ctx context.Context, batch []record) ([]bool, error) {
	var p queries.AttemptRecordParams
	for _, r := range batch {
		p.ChallengeIds = append(p.ChallengeIds, r.about.Challenge)
		p.AttemptNos = append(p.AttemptNos, int16(r.about.AttemptNo))
		p.Endings = append(p.Endings, string(r.outcome.Ending))
		p.Reasons = append(p.Reasons, string(r.outcome.Reason))
		p.VendorCodes = append(p.VendorCodes, r.outcome.VendorCode)
		p.VendorReferences = append(p.VendorReferences, r.outcome.Reference)
		follow := r.follow.Seconds()
		if r.follow < 0 {
			follow = -1
		}
		p.FollowSeconds = append(p.FollowSeconds, follow)
		p.Countries, p.Prefixes = append(p.Countries, r.about.Country), append(p.Prefixes, r.prefix)
		p.CostMicros = append(p.CostMicros, d.o.Spend.price(r.about.Country))
		p.EventIds = append(p.EventIds, r.event.ID)
		p.EventTypes = append(p.EventTypes, r.event.Type)
		p.AccountIds = append(p.AccountIds, r.account)
		p.EventBodies = append(p.EventBodies, r.event.Body)
	}
	rows, err := d.q.AttemptRecord(ctx, p)
	if err != nil {
		return nil, err
	}
	type key struct {
		challenge uuid.UUID
		no        int
	}
	follow := map[key]bool{}
	for _, r := range rows {
		follow[key{r.ChallengeID, int(r.AttemptNo)}] = r.Follow
	}
	out := make([]bool, len(batch))
	for i, r := range batch {
		out[i] = follow[key{r.about.Challenge, r.about.AttemptNo}]
	}
	return out, nil
}
