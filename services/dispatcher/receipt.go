package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	queries "latchkey.dev/queries/dispatcher"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/coalesce"
	"latchkey.dev/services/internal/store"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/sms"
)

const (
	receiptTimeout = 5 * time.Second // then the provider is told to come again
	maxReference   = 128             // bytes of a vendor's id of a text
	maxVendorCode  = 32              // bytes, as sms.Outcome says
)

var (
	forged     = web.NewProblem(http.StatusForbidden, "receipt-forged", "Not authentic", "The receipt does not come from the provider.")
	unreadable = web.NewProblem(http.StatusBadRequest, "receipt-unreadable", "Not a receipt", "The request is authentic but no receipt of the provider.")
)

// Handler takes the providers' receipts at /receipts/{provider}, and below it where an
// adapter keeps a token in the path. It answers 200 when the receipt is stored, 503 when
// the provider should send it again.
func (d *Dispatcher) Handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, serve func(http.ResponseWriter, *http.Request) error) {
		mux.Handle(pattern, web.Handler{Logger: d.o.Logger, Serve: serve})
	}
	for _, method := range []string{"GET", "POST"} {
		handle(method+" /receipts/{provider}", d.takeReceipt)
		handle(method+" /receipts/{provider}/{rest...}", d.takeReceipt)
	}
	handle("/", func(http.ResponseWriter, *http.Request) error { return web.NotFound })
	return mux
}

func (d *Dispatcher) takeReceipt(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("provider")
	parser := d.receipts[name]
	if parser == nil {
		return web.NotFound
	}
	r.Body = http.MaxBytesReader(w, r.Body, web.MaxBody)
	receipt, err := parser.ParseReceipt(r)
	switch {
	case errors.Is(err, sms.ErrNoReport):
		w.WriteHeader(http.StatusOK)
		return nil
	case errors.Is(err, sms.ErrLater):
		return web.Unavailable
	case err != nil:
		problem, why := unreadable, "unreadable"
		if errors.Is(err, sms.ErrForged) {
			problem, why = forged, "forged"
		}
		d.metrics.refused.WithLabelValues(name, why).Inc()
		return problem
	}
	ctx, cancel := context.WithTimeout(r.Context(), receiptTimeout)
	defer cancel()
	err = d.keep(ctx, name, receipt)
	switch {
	case errors.Is(err, coalesce.ErrOverloaded) || ctx.Err() != nil:
		return web.Unavailable
	case err != nil:
		return fmt.Errorf("storing a receipt: %w", err)
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// taken is a receipt, and whose it is.
type taken struct {
	provider string
	receipt  sms.Receipt
	kept     uuid.UUID // the row it is kept in already; Nil: in none yet
}

// source brings the reports that a provider's own connection gets, until ctx ends.
func (d *Dispatcher) source(p sms.Provider) func(context.Context) error {
	return func(ctx context.Context) error {
		return p.Source.Run(ctx, func(ctx context.Context, receipt sms.Receipt) error {
			ctx, cancel := context.WithTimeout(ctx, receiptTimeout)
			defer cancel()
			return d.keep(ctx, p.Name, receipt)
		})
	}
}

// keep stores a receipt, merges it, and tells of what it changed.
func (d *Dispatcher) keep(ctx context.Context, provider string, receipt sms.Receipt) error {
	receipt = bounded(receipt)
	told, err := d.takes.Do(ctx, taken{provider: provider, receipt: receipt})
	if err != nil {
		return err
	}
	d.metrics.receipts.WithLabelValues(provider, string(receipt.Status)).Inc()
	if told != nil {
		d.o.Bus.Publish(*told)
	}
	return nil
}

// matchReceipts brings receipts that came before the reference they name was recorded to
// their attempts.
func (d *Dispatcher) matchReceipts(ctx context.Context) error {
	var told []*event.Event
	err := store.InTx(ctx, d.o.Pool, func(tx pgx.Tx) error {
		rows, err := d.q.WithTx(tx).ReceiptMatch(ctx)
		if err != nil || len(rows) == 0 {
			return err
		}
		slices.SortFunc(rows, func(a, b queries.Receipt) int { return a.ReceivedAt.Compare(b.ReceivedAt) })
		var batch []taken
		for _, r := range rows {
			batch = append(batch, taken{provider: r.Provider, kept: r.ID,
				receipt: sms.Receipt{AttemptID: r.AttemptID, Reference: r.VendorReference, Status: sms.Status(r.Status), Code: r.VendorCode}})
		}
		told, err = takeIn(ctx, d.q.WithTx(tx), batch)
		return err
	})
	if err != nil {
		return fmt.Errorf("matching receipts: %w", err)
	}
	for _, e := range told {
		if e != nil {
			d.o.Bus.Publish(*e)
		}
	}
	return nil
}

// Batches lock their rows in the order of the attempts.
func (t taken) key() string { return t.receipt.AttemptID.String() }

// take keeps receipts, merges them into their attempts and writes the events of changes, in
// one transaction. The event is nil where nothing changed that is worth telling: a
// repetition, a receipt that came out of order, or one of no attempt of this provider.
//
// An attempt's row is committed before its text leaves, so a receipt that names it never
// comes first. One that names the vendor's reference may: it is kept, and matched later.
func (d *Dispatcher) take(ctx context.Context, batch []taken) (told []*event.Event, err error) {
	err = store.InTx(ctx, d.o.Pool, func(tx pgx.Tx) error {
		q := d.q.WithTx(tx)
		if err := identify(ctx, q, batch); err != nil {
			return err
		}
		told, err = takeIn(ctx, q, batch)
		return err
	})
	if err != nil {
		return nil, err
	}
	return told, nil
}

// identify finds the attempts of receipts that have the vendor's reference alone.
func identify(ctx context.Context, q *queries.Queries, batch []taken) error {
	var p queries.AttemptByReferenceParams
	for _, t := range batch {
		if t.receipt.AttemptID == uuid.Nil && t.receipt.Reference != "" {
			p.Providers, p.VendorReferences = append(p.Providers, t.provider), append(p.VendorReferences, t.receipt.Reference)
		}
	}
	if len(p.Providers) == 0 {
		return nil
	}
	rows, err := q.AttemptByReference(ctx, p)
	if err != nil {
		return fmt.Errorf("finding attempts by reference: %w", err)
	}
	type reference struct{ provider, name string }
	found := map[reference]uuid.UUID{}
	for _, r := range rows {
		found[reference{r.Provider, r.VendorReference}] = r.ID
	}
	for i, t := range batch {
		if t.receipt.AttemptID == uuid.Nil {
			batch[i].receipt.AttemptID = found[reference{t.provider, t.receipt.Reference}]
		}
	}
	return nil
}

// takeIn is take inside a transaction.
func takeIn(ctx context.Context, q *queries.Queries, batch []taken) (told []*event.Event, err error) {
	told = make([]*event.Event, len(batch))
	left := make([]int, len(batch))
	for i := range batch {
		left[i] = i
	}
	for len(left) > 0 {
		var now []int
		now, left = firsts(batch, left)
		if err := takeOnce(ctx, q, batch, now, told); err != nil {
			return nil, err
		}
	}
	var events queries.EventInsertParams
	for _, e := range told {
		if e != nil {
			events.Ids, events.Types = append(events.Ids, e.ID), append(events.Types, e.Type)
			events.AccountIds, events.Bodies = append(events.AccountIds, e.Account), append(events.Bodies, e.Body)
		}
	}
	if len(events.Ids) == 0 {
		return told, nil
	}
	return told, q.EventInsert(ctx, events)
}

// firsts are the first receipt of each attempt; later ones are for another statement.
func firsts(batch []taken, of []int) (now, later []int) {
	seen := map[uuid.UUID]bool{}
	for _, i := range of {
		if id := batch[i].receipt.AttemptID; id == uuid.Nil || !seen[id] {
			seen[id], now = true, append(now, i)
		} else {
			later = append(later, i)
		}
	}
	return now, later
}

// takeOnce takes those receipts of a batch, each of another attempt, and makes the events.
func takeOnce(ctx context.Context, q *queries.Queries, batch []taken, which []int, told []*event.Event) error {
	var p queries.ReceiptTakeParams
	at := map[uuid.UUID]int{}
	for _, i := range which {
		id, kept := batch[i].kept, batch[i].kept != uuid.Nil
		if !kept {
			var err error
			if id, err = uuid.NewV7(); err != nil {
				return err
			}
		}
		r := batch[i].receipt
		at[id] = i
		p.Ids, p.AttemptIds, p.Providers = append(p.Ids, id), append(p.AttemptIds, r.AttemptID), append(p.Providers, batch[i].provider)
		p.Statuses, p.VendorCodes, p.VendorReferences = append(p.Statuses, string(r.Status)), append(p.VendorCodes, r.Code), append(p.VendorReferences, r.Reference)
		p.Kept = append(p.Kept, kept)
	}
	changed, err := q.ReceiptTake(ctx, p)
	if err != nil {
		return err
	}
	for _, c := range changed {
		i := at[c.ReceiptID]
		r := batch[i].receipt
		if !r.Status.Final() {
			continue
		}
		about := event.SMSReceipt{SMSAttempt: event.SMSAttempt{Challenge: c.ChallengeID, Attempt: r.AttemptID, AttemptNo: int(c.AttemptNo),
			Request: int(c.RequestNo), Text: int(c.TextNo), Provider: batch[i].provider, Country: c.PhoneCountry}, VendorCode: r.Code}
		var data event.Data = event.SMSUndelivered{SMSReceipt: about, Status: string(r.Status)}
		if r.Status == sms.Delivered {
			data = event.SMSDelivered{SMSReceipt: about}
		}
		e, err := event.New("dispatcher", c.AccountID, time.Now(), data)
		if err != nil {
			return err
		}
		told[i] = &e
	}
	return nil
}

// bounded leaves out what does not keep to the bounds of sms.Receipt: an adapter's slip
// must not make a report that can never be stored, and so comes again for days.
func bounded(r sms.Receipt) sms.Receipt {
	if !slices.Contains(sms.Statuses, r.Status) {
		r.Status = sms.Unknown
	}
	r.Code, r.Reference = token(r.Code, maxVendorCode), token(r.Reference, maxReference)
	return r
}

// token returns s if it is at most most bytes of [A-Za-z0-9._-], else nothing.
func token(s string, most int) string {
	if len(s) > most {
		return ""
	}
	for _, c := range []byte(s) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-') {
			return ""
		}
	}
	return s
}
