package faults

import (
	"context"
	"testing"
	"time"

	"latchkey.dev/services/sms/carriers"
)

// A commit can be held between being durable and being answered: PostgreSQL waits for a
// standby that is not there. A service that dies in that moment has done its work and knows
// nothing of it, nor does anybody whom it would have told.

// holdCommits lets every commit from now on wait after it is durable.
func (h *house) holdCommits() {
	h.t.Helper()
	h.exec("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
	h.exec("SELECT pg_reload_conf()")
	h.until("commits are held", 10*time.Second, func() bool {
		return h.count("SELECT count(*) FROM pg_settings WHERE name = 'synchronous_standby_names' AND setting = 'nobody'") == 1
	})
}

func (h *house) releaseCommits() {
	h.t.Helper()
	h.exec("ALTER SYSTEM RESET synchronous_standby_names")
	h.exec("SELECT pg_reload_conf()")
}

// heldCommit waits until a commit of a service is held, of the statement that starts so.
func (h *house) heldCommit(service, statement string) {
	h.t.Helper()
	h.until(service+" waits in its commit "+statement, 20*time.Second, func() bool {
		return h.count(`SELECT count(*) FROM pg_stat_activity WHERE usename = $1 AND wait_event = 'SyncRep' AND query ILIKE $2`,
			"latchkey_"+service, statement+"%") > 0
	})
}

// activity is what PostgreSQL's sessions do, for a person who looks into a failure.
func (h *house) activity() string {
	if h.db == nil {
		return "nobody"
	}
	var all string
	if err := h.db.QueryRow(context.Background(), `SELECT string_agg(usename || ' ' || coalesce(state, '') || ' ' || coalesce(wait_event, '') || ': ' || left(query, 60), E'\n')
		FROM pg_stat_activity WHERE usename LIKE 'latchkey%' AND state <> 'idle'`).Scan(&all); err != nil {
		return err.Error()
	}
	return all
}

// seen waits until a row shows.
func (h *house) seen(what, sql string, args ...any) {
	h.t.Helper()
	h.until(what, 20*time.Second, func() bool { return h.count(sql, args...) > 0 })
}

// moments are where a service dies in the middle of its work. Each is brought about for one
// person, who may notice no more than a pause.
var moments = []struct {
	name   string
	victim string
	// provoke brings the person's life to where the victim hangs in the middle of its work,
	// and returns how it goes on.
	provoke func(h *house, l *life) (goOn func(context.Context) error)
	texts   int // that reach the phone in all
}{
	{"login after the commit of a challenge, before its answer", loginPart, func(h *house, l *life) func(context.Context) error {
		h.holdCommits()
		asked := l.background((*life).run)
		h.heldCommit(loginPart, "-- name: ChallengeInsert")
		return asked
	}, 2}, // the person asks again, and both challenges are served
	{"login after the commit of a typed code, before its answer", loginPart, func(h *house, l *life) func(context.Context) error {
		h.texted(l)
		h.holdCommits()
		typed := l.background((*life).finish)
		h.heldCommit(loginPart, "-- name: EntryInsert")
		return typed
	}, 1},
	{"dispatcher after the commit of a claim, before the text", dispatcherPart, func(h *house, l *life) func(context.Context) error {
		h.parts[dispatcherPart].freeze()
		h.asked(l)
		h.holdCommits()
		h.parts[dispatcherPart].thaw()
		h.heldCommit(dispatcherPart, "-- name: AttemptClaim")
		return l.finish
	}, 1},
	{"dispatcher after the commit of a record, before it is told", dispatcherPart, func(h *house, l *life) func(context.Context) error {
		h.behave(carriers.Vonage, carriers.Behaviour{DelayMS: 3000, Receipt: carriers.ReceiptNone}) // a receipt would change the same row
		h.asked(l)
		h.seen("the text is claimed", "SELECT count(*) FROM attempt WHERE challenge_id = $1", l.challenge())
		h.holdCommits()
		h.heldCommit(dispatcherPart, "-- name: AttemptRecord")
		h.behave(carriers.Vonage, carriers.Behaviour{})
		return l.finish
	}, 1},
	{"verifier in the transaction of a verdict", verifierPart, func(h *house, l *life) func(context.Context) error {
		h.texted(l)
		unlock := h.lock("verdict")
		defer unlock()
		typed := l.background((*life).finish)
		h.seen("the verifier waits for the table", `SELECT count(*) FROM pg_stat_activity WHERE usename = 'latchkey_verifier' AND wait_event = 'relation'`)
		h.parts[verifierPart].freeze() // until it is killed: the lock is let go of before that
		return typed
	}, 1},
	{"verifier after the commit of a verdict, before it is told", verifierPart, func(h *house, l *life) func(context.Context) error {
		h.texted(l)
		h.parts[verifierPart].freeze()
		typed := l.background((*life).finish)
		h.seen("the code is typed", "SELECT count(*) FROM entry WHERE challenge_id = $1", l.challenge())
		h.holdCommits()
		h.parts[verifierPart].thaw()
		h.heldCommit(verifierPart, "")
		return typed
	}, 1},
	{"auditor after the commit of an event's place, before it is told", auditorPart, func(h *house, l *life) func(context.Context) error {
		h.parts[auditorPart].freeze()
		h.asked(l)
		h.holdCommits()
		h.parts[auditorPart].thaw()
		h.heldCommit(auditorPart, "")
		return l.finish
	}, 1},
}

// testKilledMidway: each service dies at each of these moments.
func (h *house) testKilledMidway(t *testing.T) {
	n := size(1, 50)
	for _, m := range moments {
		for range n {
			l := h.person(false)
			goOn := m.provoke(h, l)
			h.kill(m.victim)
			h.releaseCommits()
			h.start(m.victim)
			h.ready(m.victim)
			h.all([]*life{l}, func(ctx context.Context, l *life) error {
				if err := goOn(ctx); err != nil {
					return err
				}
				return l.known(ctx)
			})
			h.until("the phone has its texts", recovery, func() bool { return h.textsOf(l) >= m.texts })
			if got := h.textsOf(l); got != m.texts {
				t.Errorf("%s: %d texts, want %d", m.name, got, m.texts)
			}
			if t.Failed() {
				t.Fatalf("killed %s", m.name)
			}
		}
		t.Logf("killed %s: 0 of %d lives noticed", m.name, n)
	}
	h.sound(t, tolerance{})
}

// textsOf is how many texts a person got.
func (h *house) textsOf(l *life) (n int) {
	for _, text := range h.journal(h.since) {
		if text.To == l.number {
			n++
		}
	}
	return n
}

// asked brings a life to where a code was asked for, texted to where its text arrived.
func (h *house) asked(l *life) {
	h.t.Helper()
	h.all([]*life{l}, func(ctx context.Context, l *life) error { return l.ask(ctx) })
}

func (h *house) texted(l *life) {
	h.t.Helper()
	h.asked(l)
	h.seen("the text is accepted", "SELECT count(*) FROM attempt WHERE challenge_id = $1 AND ending = 'accepted'", l.challenge())
}

// background begins a part of a life and returns how to wait for it.
func (l *life) background(do func(*life, context.Context) error) func(context.Context) error {
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		done <- do(l, ctx)
	}()
	return func(ctx context.Context) error {
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// lock keeps others from writing to a table until it is called off.
func (h *house) lock(table string) (unlock func()) {
	h.t.Helper()
	tx, err := h.db.Begin(context.Background())
	if err == nil {
		_, err = tx.Exec(context.Background(), "LOCK TABLE "+table+" IN SHARE MODE")
	}
	if err != nil {
		h.t.Fatalf("locking %s: %v", table, err)
	}
	return func() {
		if err := tx.Rollback(context.Background()); err != nil {
			h.t.Errorf("unlocking %s: %v", table, err)
		}
	}
}
