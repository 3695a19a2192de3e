package dispatcher

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	queries "latchkey.dev/queries/dispatcher"
	"latchkey.dev/services/code"
	"latchkey.dev/services/device"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/seal"
	"latchkey.dev/services/mail"
	"latchkey.dev/services/notice"
	"latchkey.dev/services/phone"
	"latchkey.dev/services/sms"
	"latchkey.dev/services/words"
)

const (
	// noticeLease is how long a notice may be in flight before it is taken for lost.
	noticeLease = mail.MaxAttempt + 10*time.Second
	// noticeTime is how long after what it tells of a notice is tried again.
	noticeTime = 24 * time.Hour
)

// The endings of a notice, as the table keeps them. again is none: it is a label alone.
const (
	noticeSent      = "sent"
	noticeNoAddress = "no_address"
	noticeNoMail    = "no_mail"
	noticeNever     = "never_deliverable"
	noticeTooLate   = "too_late"
	again           = "again"
)

var noticeEndings = []string{noticeSent, noticeNoAddress, noticeNoMail, noticeNever, noticeTooLate}

// told is how one try of a notice ended.
type told struct {
	row      queries.NoticeClaimRow
	ending   string // "" for another try
	retry    time.Duration
	provider string
	event    event.Event // of an ending
}

// Tell takes a notice as far as it can now, once no code waits for its text: it is sent,
// given up, or due again later. Doing it twice, or for a notice that is settled, does nothing.
func (d *Dispatcher) Tell(ctx context.Context, id uuid.UUID) error {
	if err := d.codes.none(ctx); err != nil {
		return err
	}
	row, err := d.noticeClaims.Do(ctx, id)
	if err != nil {
		return fmt.Errorf("claiming a notice: %w", err)
	}
	if row == nil {
		return nil
	}
	ctx = context.WithoutCancel(ctx) // what has left is recorded
	t := d.try(ctx, *row)
	label := t.ending
	switch t.ending {
	case "":
		label = again
	case noticeSent:
		t.event, err = event.New("dispatcher", row.AccountID, time.Now(), event.NoticeSent{Notice: row.ID, Member: row.MemberID, Kind: row.Kind,
			Channel: row.Channel, Provider: t.provider, Tries: int(row.Tries)})
	default:
		t.event, err = event.New("dispatcher", row.AccountID, time.Now(), event.NoticeAbandoned{Notice: row.ID, Member: row.MemberID, Kind: row.Kind,
			Channel: row.Channel, Reason: t.ending})
	}
	if err != nil {
		return err
	}
	d.metrics.notices.WithLabelValues(row.Kind, row.Channel, label).Inc()
	keep, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	written, err := d.noticeRecords.Do(keep, t)
	if err != nil {
		return fmt.Errorf("recording how a notice ended: %w", err)
	}
	if written && t.ending != "" {
		d.o.Bus.Publish(t.event)
	}
	return nil
}

// try makes one attempt.
func (d *Dispatcher) try(ctx context.Context, row queries.NoticeClaimRow) told {
	t := told{row: row}
	m := notice.Message{Kind: notice.Kind(row.Kind), Service: row.Service, At: row.MadeAt,
		Link: notice.Link(d.o.Origin, d.token(row.ID, notice.Channel(row.Channel)))}
	m.Lang, _ = words.Parse(row.Language)
	var facets device.Facets
	if err := json.Unmarshal(row.DeviceFacets, &facets); err == nil { // else it looks unknown
		m.Facets = facets
	}
	switch {
	case len(row.AddressSealed) == 0:
		t.ending = noticeNoAddress
	case row.Channel == string(notice.Text):
		d.tryText(ctx, m, &t)
	case d.o.Mail == nil:
		t.ending = noticeNoMail
	default:
		d.tryMail(ctx, m, &t)
	}
	if t.ending == "" && row.Now.Add(t.retry).After(row.MadeAt.Add(noticeTime)) {
		t.ending = noticeTooLate
	}
	return t
}

// tryText gives each provider its turn, one a try.
func (d *Dispatcher) tryText(ctx context.Context, m notice.Message, t *told) {
	to, err := seal.OpenNumber(d.o.NumberKey, t.row.AddressSealed, t.row.MemberID, int(t.row.AddressVersion))
	text, tooLong := m.SMS()
	if err != nil || tooLong != nil {
		if tooLong != nil {
			d.o.Logger.Error("notice does not fit a text", "notice", uuid.UUID(t.row.ID), "error", code.ErrNotOneSegment)
		}
		t.ending = noticeNever
		return
	}
	turn := int(t.row.Tries) - 1
	country := t.row.PhoneCountry
	if country == "" {
		if judged, err := phone.Parse(to.E164(), ""); err == nil {
			country = judged.Country()
		}
	}
	c, wait := d.router.Turn(country, t.row.ID, turn)
	if wait > 0 {
		t.retry = max(wait, noticeBackoff(0))
		return
	}
	t.provider = c.Provider
	limit, cancel := context.WithTimeout(ctx, sms.MaxAttempt)
	defer cancel()
	out := d.providers[t.provider].Send(limit, sms.Message{AttemptID: t.row.ID, To: to, Country: country, Body: sms.NewBody(text)})
	d.router.Done(c, country, out)
	if out.Ending == sms.Accepted || out.Ending == sms.Ambiguous {
		cost := queries.SpendAddParams{AccountID: t.row.AccountID, Country: country, CostMicros: d.o.Spend.price(country)}
		if err := d.q.SpendAdd(ctx, cost); err != nil {
			d.o.Logger.Warn("what a notice cost was not counted", "notice", uuid.UUID(t.row.ID), "error", err)
		}
	}
	switch out.Ending {
	case sms.Accepted:
		t.ending = noticeSent
		return
	case sms.RefusedNever:
		t.ending = noticeNever
	default: // a text that may have arrived is better sent twice than not at all
		if t.retry = 0; int(t.row.Tries)%len(d.providers) == 0 {
			t.retry = noticeBackoff(turn / len(d.providers))
		}
	}
	d.o.Logger.Warn("notice was not accepted", "notice", uuid.UUID(t.row.ID), "provider", t.provider, "ending", string(out.Ending), "reason", string(out.Reason), "vendor_code", out.VendorCode)
}

func (d *Dispatcher) tryMail(ctx context.Context, m notice.Message, t *told) {
	to, err := seal.OpenEmail(d.o.NumberKey, t.row.AddressSealed, t.row.MemberID, int(t.row.AddressVersion))
	if err != nil {
		t.ending = noticeNever
		return
	}
	out := d.o.Mail.Send(ctx, mail.Message{ID: t.row.ID, To: to, Subject: m.Subject(), Text: m.Mail()})
	switch out.Ending {
	case mail.Accepted:
		t.ending = noticeSent
		return
	case mail.Never:
		t.ending = noticeNever
	default:
		t.retry = noticeBackoff(int(t.row.Tries) - 1)
	}
	d.o.Logger.Warn("notice was not accepted", "notice", uuid.UUID(t.row.ID), "ending", string(out.Ending), "reason", out.Reason, "code", out.Code)
}

// noticeBackoff is how long after the n-th round without success, from 0, the next begins.
func noticeBackoff(n int) time.Duration {
	wait := min(5*time.Second<<min(n, 12), time.Hour)
	return wait/2 + rand.N(wait)
}

// token is what a notice's link carries: every try of a notice has the same one, and only
// who holds the key can make it.
func (d *Dispatcher) token(id uuid.UUID, c notice.Channel) string {
	mac := hmac.New(sha256.New, []byte(d.o.NoticeKey.Reveal()))
	mac.Write([]byte("latchkey/notice/v1"))
	mac.Write(id[:])
	return notice.Encode(c, mac.Sum(nil))
}

func (d *Dispatcher) claimNotices(ctx context.Context, batch []uuid.UUID) ([]*queries.NoticeClaimRow, error) {
	p := queries.NoticeClaimParams{LeaseSeconds: noticeLease.Seconds()}
	seen := map[uuid.UUID]bool{}
	for _, id := range batch {
		if seen[id] {
			continue
		}
		seen[id] = true
		text, _ := notice.Digest(d.token(id, notice.Text))
		email, _ := notice.Digest(d.token(id, notice.Email))
		p.Ids, p.TextDigests, p.EmailDigests = append(p.Ids, id), append(p.TextDigests, text), append(p.EmailDigests, email)
	}
	rows, err := d.q.NoticeClaim(ctx, p)
	if err != nil {
		return nil, err
	}
	won := map[uuid.UUID]*queries.NoticeClaimRow{}
	for i := range rows {
		won[rows[i].ID] = &rows[i]
	}
	out := make([]*queries.NoticeClaimRow, len(batch))
	for i, id := range batch {
		out[i] = won[id]
		delete(won, id) // of two that ask in one batch, one has it
	}
	return out, nil
}

func (d *Dispatcher) recordNotices(ctx context.Context, batch []told) ([]bool, error) {
	var p queries.NoticeRecordParams
	for _, t := range batch {
		p.Ids = append(p.Ids, t.row.ID)
		p.Endings = append(p.Endings, t.ending)
		p.RetrySeconds = append(p.RetrySeconds, t.retry.Seconds())
		p.EventIds = append(p.EventIds, t.event.ID)
		p.EventTypes = append(p.EventTypes, t.event.Type)
		p.AccountIds = append(p.AccountIds, t.row.AccountID)
		p.EventBodies = append(p.EventBodies, t.event.Body)
	}
	ids, err := d.q.NoticeRecord(ctx, p)
	if err != nil {
		return nil, err
	}
	written := map[[16]byte]bool{}
	for _, id := range ids {
		written[id] = true
	}
	out := make([]bool, len(batch))
	for i, t := range batch {
		out[i] = written[t.row.ID]
	}
	return out, nil
}
