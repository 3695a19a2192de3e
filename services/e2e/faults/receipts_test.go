package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/sms/carriers"
)

// testReceipts (F18, F19): the first carrier sends every receipt ten times and the last first,
// while somebody who knows the attempts' ids says of each that it failed. No person notices,
// no text is sent for it, and true receipts are taken as fast as ever.
func (h *house) testReceipts(t *testing.T) {
	h.normal()
	rate, during, perSecond := size(5, 20), size(8, 30), size(100, 1000)
	h.behave(carriers.Vonage, carriers.Behaviour{Duplicates: 9, Reorder: true})
	people := h.crowd(rate * during)
	fault := h.now()
	ctx, stop := context.WithCancel(context.Background())
	forged := h.forge(ctx, perSecond, fault)
	if n := h.steady(people, rate, patience); n != 0 {
		t.Errorf("%d people got no text", n)
	}
	end := h.now()
	stop()
	sent, taken := forged()
	h.settled(t)
	d := h.delivered(fault, end)
	var p99 float64
	var wrong, reports int
	err := h.db.QueryRow(context.Background(), `
		SELECT coalesce(percentile_cont(0.99) WITHIN GROUP (ORDER BY extract(epoch FROM a.delivered_at - a.finished_at)), 99),
			count(*) FILTER (WHERE a.receipt_status IS DISTINCT FROM 'delivered'),
			(SELECT count(*) FROM receipt r WHERE r.received_at > $1 AND r.provider = 'vonage')
		FROM attempt a WHERE a.started_at > $1 AND a.started_at < $2 AND a.provider <> ''`, fault, end).Scan(&p99, &wrong, &reports)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%v; %d true receipts, %d forged ones (%d taken); p99 from the answer to its receipt %.0f ms", d, reports, sent, taken, 1000*p99)
	if sent < perSecond*during/4 || taken != 0 {
		t.Errorf("%d forged receipts were sent, and %d taken", sent, taken)
	}
	if wrong != 0 || d.texts != d.n || reports < 10*d.n {
		t.Errorf("%d texts are not delivered, %d texts for %d people, %d true receipts; want 0, one each, ten each", wrong, d.texts, d.n, reports)
	}
	// A receipt waits for others for 50 ms at most, to share a commit with them.
	if *chaos && p99 > 0.2 {
		t.Errorf("p99 of true receipts is %.0f ms, want 200", 1000*p99)
	}
	refused := h.metric(upPart, `latchkey_receipts_refused_total{provider="vonage",reason="forged",service="dispatcher"}`)
	if int(refused) < sent {
		t.Errorf("%.0f forged receipts are counted of %d", refused, sent)
	}
}

// forge sends receipts of failure for attempts there are, with tokens that were not given out,
// and returns how many it sent and how many were taken once ctx has ended.
func (h *house) forge(ctx context.Context, perSecond int, since time.Time) func() (sent, taken int) {
	var sends, takes atomic.Int64
	var all sync.WaitGroup
	slots := make(chan struct{}, 32)
	all.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		var ids []uuid.UUID
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if n%perSecond == 0 {
				if rows, err := h.db.Query(ctx, "SELECT id FROM attempt WHERE started_at > $1 LIMIT 1000", since); err == nil {
					for ids = nil; rows.Next(); {
						var id uuid.UUID
						if rows.Scan(&id) == nil {
							ids = append(ids, id)
						}
					}
				}
			}
			id := uuid.New()
			if len(ids) > 0 {
				id = ids[n%len(ids)]
			}
			select {
			case slots <- struct{}{}:
			default:
				continue // it has enough to do
			}
			all.Go(func() {
				defer func() { <-slots }()
				body, _ := json.Marshal(map[string]string{"messageId": "0A0000000000", "status": "failed", "err-code": "1", "client-ref": id.String()})
				resp, err := http.Post(fmt.Sprintf("%s/receipts/vonage/%s/%s", h.origin(), id, strings.Repeat("A", 22)), "application/json", strings.NewReader(string(body)))
				if err != nil {
					return
				}
				resp.Body.Close()
				sends.Add(1)
				if resp.StatusCode < 300 {
					takes.Add(1)
				}
			})
		}
	})
	return func() (sent, taken int) { all.Wait(); return int(sends.Load()), int(takes.Load()) }
}
