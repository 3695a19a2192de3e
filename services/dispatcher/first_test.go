package dispatcher_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/dispatcher"
	"latchkey.dev/services/event"
	"latchkey.dev/services/sms"
)

// begin takes up the first text of a challenge, as its event tells of it after change.
func (k *desk) begin(r dispatcher.Request, change func(*event.Event, *event.CodeRequested)) time.Duration {
	k.t.Helper()
	var account uuid.UUID
	if err := k.owner.QueryRow(k.t.Context(), "SELECT account_id FROM challenge WHERE id = $1", r.Challenge).Scan(&account); err != nil {
		k.t.Fatal(err)
	}
	e, asked := event.Event{Account: account}, event.CodeRequested{Challenge: r.Challenge, Member: k.member, Country: "CA"}
	if change != nil {
		change(&e, &asked)
	}
	later, err := k.d.Begin(k.t.Context(), e, &asked, dispatcher.Stream)
	if err != nil {
		k.t.Error(err)
	}
	return later
}

// What is claimed by the statement that reads it goes out as any other text does, once.
func TestAFirstTextIsBegunOnce(t *testing.T) {
	t.Parallel()
	k := newDesk(t, nil, nil)
	r := k.challenge()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { k.begin(r, nil) })
		all.Go(func() {
			if _, err := k.d.Deliver(t.Context(), r, dispatcher.Sweep); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got, want := k.a.digits(), []string{k.code(r, 1)}; !slices.Equal(got, want) {
		t.Errorf("the carrier got %v, want %v", got, want)
	}
	if got := strings.Join(k.events(), " "); got != "attempted accepted" {
		t.Errorf("events %q", got)
	}
}

func TestAFirstTextFailsOver(t *testing.T) {
	t.Parallel()
	k := newDesk(t, []sms.Ending{sms.RefusedElsewhere}, []sms.Ending{sms.Ambiguous, sms.Accepted})
	r := k.challenge()
	if later := k.begin(r, nil); later <= 0 {
		t.Errorf("come again after %v, want a backoff: both carriers had their turn", later)
	}
	if got, want := k.b.digits(), []string{k.code(r, 1)}; !slices.Equal(got, want) {
		t.Errorf("the second carrier got %v, want %v", got, want)
	}
	if got := strings.Join(k.events(), " "); got != "attempted refused attempted unanswered" {
		t.Errorf("events %q", got)
	}
}

// What cannot be begun as its event tells is decided by the rows alone.
func TestAFirstTextGoesByTheRows(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		sql    string // changes the challenge
		change func(*event.Event, *event.CodeRequested)
		texts  int
		events string
	}{
		"closed":                  {"UPDATE challenge SET closed_at = now(), end_reason = 'expired'", nil, 0, "abandoned"},
		"nearly over":             {"UPDATE challenge SET expires_at = now() + interval '59 seconds'", nil, 0, "abandoned"},
		"nobody's number":         {`UPDATE challenge SET phone_sealed = '\x00'`, nil, 0, "attempted refused abandoned"},
		"told of another account": {"SELECT", func(e *event.Event, _ *event.CodeRequested) { e.Account = uuid.New() }, 1, "attempted accepted"},
		"told of another country": {"SELECT", func(_ *event.Event, c *event.CodeRequested) { c.Country = "FR" }, 1, "attempted accepted"},
		"unknown":                 {"SELECT", func(_ *event.Event, c *event.CodeRequested) { c.Challenge = uuid.Must(uuid.NewV7()) }, 0, ""},
		"not asked for":           {"DELETE FROM text_request", nil, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newDesk(t, nil, nil)
			r := k.challenge()
			k.exec(tc.sql)
			k.begin(r, tc.change)
			k.begin(r, tc.change)
			if len(k.a.digits()) != tc.texts || len(k.b.digits()) != 0 {
				t.Errorf("texts %v and %v, want %d and none", k.a.digits(), k.b.digits(), tc.texts)
			}
			if got := strings.Join(k.events(), " "); got != tc.events {
				t.Errorf("events %q, want %q", got, tc.events)
			}
			foreign := k.count(`SELECT count(*) FROM dispatcher_event e WHERE NOT EXISTS (SELECT FROM challenge c WHERE c.account_id = e.account_id)
				OR position('"country":"FR"' IN convert_from(body, 'UTF8')) > 0`)
			if foreign != 0 {
				t.Errorf("%d events tell what is not in the rows", foreign)
			}
		})
	}
}
