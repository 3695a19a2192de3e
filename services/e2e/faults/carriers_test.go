package faults

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/sms/carriers"
)

// arrival is how soon a text must be on the phone when the first carrier fails: the 4 s
// after which an attempt is cut, and what the rest takes.
const arrival = 6 * time.Second

// endings are the ways in which the first carrier fails, and what the phone gets then.
var endings = []struct {
	name  string
	first carriers.Behaviour
	// text is the number of the text that the second carrier brings: 1 with the same digits
	// where the first surely sent nothing, else 2 with digits of its own.
	text int
	// both: the first carrier brought its text all the same.
	both bool
	late bool // in `make chaos` alone
}{
	{name: "down", first: carriers.Behaviour{Mode: carriers.Down}, text: 1},
	{name: "refuses", first: carriers.Behaviour{Mode: carriers.Refuse, Code: "8"}, text: 1},
	{name: "throttles", first: carriers.Behaviour{Mode: carriers.Throttle}, text: 1},
	{name: "drops after accepting", first: carriers.Behaviour{Mode: carriers.DropAfterAccept}, text: 2, both: true},
	{name: "is broken", first: carriers.Behaviour{Mode: carriers.Broken}, text: 2},
	{name: "hangs", first: carriers.Behaviour{Mode: carriers.Hang}, text: 2},
	{name: "hangs after accepting", first: carriers.Behaviour{Mode: carriers.HangAfterAccept}, text: 2, both: true, late: true},
	{name: "drips", first: carriers.Behaviour{Mode: carriers.Drip}, text: 2, both: true, late: true},
	{name: "answers half a document", first: carriers.Behaviour{Mode: carriers.BadJSON}, text: 2, both: true, late: true},
	{name: "answers an empty list", first: carriers.Behaviour{Mode: carriers.NoMessages}, text: 2, both: true, late: true},
	{name: "answers 10 MB", first: carriers.Behaviour{Mode: carriers.Huge}, text: 2, both: true, late: true},
}

// testCarriers: whatever the first carrier does, the second brings the text in time, the
// challenge's status tells the truth meanwhile, and the typed code tells which text it was.
func (h *house) testCarriers(t *testing.T) {
	// Fewer than open a breaker: every text is to meet the fault.
	const n = 4
	rounds := size(1, 5)
	// Slow enough for people to see that another carrier is tried.
	h.behave(carriers.Twilio, carriers.Behaviour{DelayMS: 800})
	defer h.behave(carriers.Twilio, carriers.Behaviour{})
	for _, e := range endings {
		if e.late && !*chaos {
			continue
		}
		var mu sync.Mutex
		var slowest time.Duration
		for range rounds {
			people := h.crowd(n)
			h.forgetHealth()
			h.behave(carriers.Vonage, e.first)
			before := h.codesAsked(carriers.Vonage)
			h.all(people, func(ctx context.Context, l *life) error {
				took, err := l.failover(ctx, e.text, e.both, l == people[0] || l == people[1])
				mu.Lock()
				defer mu.Unlock()
				slowest = max(slowest, took)
				if err != nil {
					return fmt.Errorf("the first carrier %s: %w", e.name, err)
				}
				return nil
			})
			if asked := h.codesAsked(carriers.Vonage) - before; asked != n {
				t.Errorf("the first carrier %s, and saw %d requests of %d", e.name, asked, n)
			}
		}
		t.Logf("the first carrier %s: %d of %d texts by the second, the slowest after %v", e.name, n*rounds, n*rounds, slowest.Round(time.Millisecond))
	}
	h.forgetHealth()
	h.behave(carriers.Vonage, carriers.Behaviour{})
	h.sound(t, tolerance{})
}

// forgetHealth makes the dispatcher one that knows nothing of its providers.
func (h *house) forgetHealth() {
	h.t.Helper()
	h.kill(dispatcherPart)
	h.exec("DELETE FROM provider_health")
	h.start(dispatcherPart)
	h.ready(dispatcherPart)
}

// failover lives a life whose first carrier fails, watching the challenge all the while.
func (l *life) failover(ctx context.Context, text int, both, typeFirst bool) (took time.Duration, err error) {
	if err := l.ask(ctx); err != nil {
		return 0, err
	}
	w, err := l.watch(ctx)
	if err != nil {
		return 0, err
	}
	defer w.stop()
	var first, second carriers.Text
	for n := 1; second.Carrier != carriers.Twilio; n++ {
		if second, err = l.text(ctx, n); err != nil {
			return 0, err
		}
		if second.Carrier == carriers.Vonage {
			first = second
		}
	}
	took = second.At.Sub(l.askedAt)
	if took > arrival {
		return took, fmt.Errorf("the text arrived after %v, want %v at most", took, arrival)
	}
	if (first.Seq != 0) != both || both && codeOf(first) == codeOf(second) {
		return took, fmt.Errorf("text of the first carrier %v, and its digits are the second's %v; want %v and other digits",
			first.Seq != 0, codeOf(first) == codeOf(second), both)
	}
	if err := w.until(ctx, "delivered"); err != nil {
		return took, err
	}
	typed := second
	if both && typeFirst {
		typed, text = first, 1
	}
	ok, err := l.enter(ctx, codeOf(typed))
	if err == nil && !ok {
		err = fmt.Errorf("the code was refused")
	}
	if err == nil {
		err = w.until(ctx, "registered")
	}
	if err != nil {
		return took, err
	}
	l.typed = codeOf(typed)
	seen := w.stop()
	if err := truthful(seen, both, first, second); err != nil {
		return took, fmt.Errorf("%w; it showed %v", err, seen)
	}
	return took, l.tellsText(ctx, text, typed.Carrier)
}

// tellsText checks that challenge, event and attempt name the text that was typed.
func (l *life) tellsText(ctx context.Context, text int, carrier carriers.Carrier) error {
	var typed, told, failed int
	var by []string
	err := l.h.db.QueryRow(ctx, `SELECT typed_text,
			(SELECT (convert_from(body, 'UTF8')::jsonb #>> '{data,text}')::int FROM verifier_event
				WHERE type = 'latchkey.device.registered' AND convert_from(body, 'UTF8')::jsonb #>> '{data,challenge}' = c.id::text),
			(SELECT count(*) FROM attempt a WHERE a.challenge_id = c.id AND a.provider = 'vonage' AND a.ending IN ('refused_elsewhere', 'ambiguous')),
			ARRAY(SELECT a.provider FROM attempt a WHERE a.challenge_id = c.id AND a.text_no = $2 AND a.ending IN ('accepted', 'ambiguous'))
		FROM challenge c WHERE id = $1`, l.challenge(), text).Scan(&typed, &told, &failed, &by)
	if err != nil {
		return err
	}
	if typed != text || told != text || len(by) != 1 || by[0] != string(carrier) {
		return fmt.Errorf("text %d was typed, brought by %s: the challenge says %d, the event %d, brought by %v", text, carrier, typed, told, by)
	}
	if failed != 1 {
		return fmt.Errorf("the first carrier failed %d times, want once", failed)
	}
	return nil
}

// showing is what the challenge showed from a moment on.
type showing struct {
	at     time.Time
	status string
	by     string // stream, get
}

func (s showing) String() string { return s.by + " " + s.status }

// order is how a challenge may go, whatever of it is seen.
var order = []string{"requested", "sending", "trying_another", "delayed", "accepted", "accepted_by_another", "delivered", "registered"}

// truthful checks what a person was shown against what the carriers' journal holds.
func truthful(seen []showing, both bool, first, second carriers.Text) error {
	for _, by := range []string{"stream", "get"} {
		last, another := 0, false
		for _, s := range seen {
			if s.by != by {
				continue
			}
			place := slices.Index(order, s.status)
			if place < last {
				return fmt.Errorf("%s came after %s", s.status, order[last])
			}
			last = place
			another = another || s.status == "trying_another"
			if place < slices.Index(order, "accepted") {
				continue
			}
			// A text is there before anybody is told that it is on its way.
			arrived := second.At
			if both {
				arrived = first.At
			}
			if s.at.Before(arrived) {
				return fmt.Errorf("it was %s %v before the text", s.status, arrived.Sub(s.at))
			}
		}
		if !another && !both && by == "stream" {
			return fmt.Errorf("nobody was told that another carrier was tried")
		}
	}
	return nil
}

// watcher follows a challenge by its event stream and by asking, as two pages would.
type watcher struct {
	cancel context.CancelFunc
	ended  sync.WaitGroup

	mu   sync.Mutex
	seen []showing
	came chan struct{} // closed and made anew with every showing
}

func (l *life) watch(ctx context.Context) (*watcher, error) {
	ctx, cancel := context.WithCancel(ctx)
	w := &watcher{cancel: cancel, came: make(chan struct{})}
	path := "/v1/challenges/" + l.challenge().String()
	var ticket string
	err := insist(ctx, "getting a ticket", func() (int, error) {
		status, out, err := l.device(ctx, "POST", path+"/tickets", l.challenge(), nil)
		ticket, _ = out["ticket"].(string)
		return status, err
	})
	if err != nil {
		cancel()
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, "GET", l.h.origin()+path+"/events?ticket="+ticket, nil)
	if err != nil {
		cancel()
		return nil, err
	}
	resp, err := http.DefaultClient.Do(r) // without the limit of other requests: it lasts
	if err != nil {
		cancel()
		return nil, err
	}
	w.ended.Go(func() {
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				var shown struct {
					ID     uuid.UUID
					Status string
				}
				if json.Unmarshal([]byte(data), &shown) != nil || shown.ID != l.challenge() {
					shown.Status = "unreadable: " + data
				}
				w.show("stream", shown.Status)
			}
		}
	})
	w.ended.Go(func() {
		for ctx.Err() == nil {
			if status, _, err := l.see(ctx); err == nil {
				w.show("get", status)
			}
			select {
			case <-time.After(150 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	})
	return w, nil
}

func (w *watcher) show(by, status string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := len(w.seen) - 1; i >= 0; i-- {
		if w.seen[i].by == by {
			if w.seen[i].status == status {
				return
			}
			break
		}
	}
	w.seen = append(w.seen, showing{time.Now(), status, by})
	close(w.came)
	w.came = make(chan struct{})
}

// until waits until both ways have shown a status.
func (w *watcher) until(ctx context.Context, status string) error {
	for {
		w.mu.Lock()
		shown := map[string]bool{}
		for _, s := range w.seen {
			shown[s.by] = shown[s.by] || s.status == status
		}
		came := w.came
		w.mu.Unlock()
		if shown["stream"] && shown["get"] {
			return nil
		}
		select {
		case <-came:
		case <-ctx.Done():
			return fmt.Errorf("the challenge was never shown as %s: %v", status, w.seen)
		}
	}
}

// stop ends the watching and returns what was seen.
func (w *watcher) stop() []showing {
	w.cancel()
	w.ended.Wait()
	return w.seen
}
