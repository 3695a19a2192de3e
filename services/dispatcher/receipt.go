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
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/sms"
)

const (
	receiptsAtATime = 8               // the rest of a burst waits, and leaves the database to the texts
	receiptTimeout  = 5 * time.Second // then the provider is told to come again
	maxReference    = 128             // bytes of a vendor's id of a text
	maxVendorCode   = 32              // bytes, as sms.Outcome says
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
	if err != nil {
		problem, why := unreadable, "unreadable"
		if errors.Is(err, sms.ErrForged) {
			problem, why = forged, "forged"
		}
		d.metrics.refused.WithLabelValues(name, why).Inc()
		return problem
	}
	ctx, cancel := context.WithTimeout(r.Context(), receiptTimeout)
	defer cancel()
	select {
	case d.receiptSlots <- struct{}{}:
		defer func() { <-d.receiptSlots }()
	case <-ctx.Done():
		return web.Unavailable
	}
	receipt = bounded(receipt)
	told, err := d.store(ctx, name, receipt)
	if err != nil {
		return fmt.Errorf("storing a receipt: %w", err)
	}
	d.metrics.receipts.WithLabelValues(name, string(receipt.Status)).Inc()
	if told != nil {
		d.o.Bus.Publish(*told)
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// store keeps the receipt, merges it into its attempt and writes the event of a change,
// in one transaction. The event is nil where nothing changed that is worth telling: a
// repetition, a receipt that came out of order, or one of no attempt of this provider.
//
// An attempt's row is committed before its text leaves, so a receipt never comes first.
func (d *Dispatcher) store(ctx context.Context, provider string, r sms.Receipt) (told *event.Event, err error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	err = pgx.BeginFunc(ctx, d.o.Pool, func(tx pgx.Tx) error {
		q := d.q.WithTx(tx)
		if err := q.ReceiptInsert(ctx, queries.ReceiptInsertParams{ID: id, AttemptID: r.AttemptID, Provider: provider, Status: string(r.Status),
			VendorCode: r.Code, VendorReference: r.Reference}); err != nil {
			return err
		}
		changed, err := q.ReceiptMerge(ctx, queries.ReceiptMergeParams{Status: string(r.Status), AttemptID: r.AttemptID, Provider: provider})
		if err != nil || len(changed) == 0 || !r.Status.Final() {
			return err
		}
		a := changed[0]
		challenge, err := q.ChallengeAccount(ctx, a.ChallengeID)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil // a report of long ago: the challenge is no longer kept
		}
		if err != nil {
			return err
		}
		about := event.SMSReceipt{SMSAttempt: event.SMSAttempt{Challenge: a.ChallengeID, Attempt: r.AttemptID, AttemptNo: int(a.AttemptNo),
			Request: int(a.RequestNo), Text: int(a.TextNo), Provider: a.Provider, Country: challenge.PhoneCountry}, VendorCode: r.Code}
		var data event.Data = event.SMSUndelivered{SMSReceipt: about, Status: string(r.Status)}
		if r.Status == sms.Delivered {
			data = event.SMSDelivered{SMSReceipt: about}
		}
		e, err := event.New("dispatcher", challenge.AccountID, time.Now(), data)
		if err != nil {
			return err
		}
		told = &e
		return q.EventInsert(ctx, queries.EventInsertParams{Ids: [][16]byte{e.ID}, Types: []string{e.Type}, AccountIds: [][16]byte{e.Account}, Bodies: [][]byte{e.Body}})
	})
	if err != nil {
		return nil, err
	}
	return told, nil
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
