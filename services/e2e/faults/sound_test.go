package faults

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"latchkey.dev/services/internal/bus"
)

// tolerance is what a fault may have done besides.
type tolerance struct {
	texts int // most texts of one challenge's text number: 2 where a process died between
}

// settled waits until all work is done, and every event has its place and is on the stream.
func (h *house) settled(t *testing.T) {
	t.Helper()
	// Done: nothing due, nothing in flight, nothing unjudged.
	h.until("all work is done", 60*time.Second, func() bool {
		return h.count(`SELECT (SELECT count(*) FROM attempt WHERE due_at IS NOT NULL)
			+ (SELECT count(*) FROM entry e WHERE NOT EXISTS (SELECT FROM verdict v WHERE v.entry_id = e.id))
			+ (SELECT count(*) FROM text_request r WHERE NOT EXISTS (SELECT FROM attempt a WHERE a.challenge_id = r.challenge_id AND a.request_no = r.request_no))`) == 0
	})
	h.until("every event has its place", time.Minute, func() bool {
		return h.count(`SELECT count(*) FROM event e WHERE NOT EXISTS (SELECT FROM leaf WHERE event_id = e.id)`) == 0
	})
	if !h.wiped {
		h.soundStream(t)
	}
}

// sound joins what the clients saw, Postgres, the carriers' journal and the stream, and
// reports everything that does not fit, once all work is done.
func (h *house) sound(t *testing.T, may tolerance) {
	t.Helper()
	most := max(may.texts, 1)
	h.settled(t)
	none := func(what, sql string, args ...any) {
		t.Helper()
		if n := h.count(sql, args...); n != 0 {
			t.Errorf("%d %s", n, what)
		}
	}
	none("challenges that no carrier accepted a text of",
		`SELECT count(*) FROM challenge c WHERE NOT EXISTS (SELECT FROM attempt a WHERE a.challenge_id = c.id AND a.ending = 'accepted')
			AND end_reason IS DISTINCT FROM 'registered'`)
	none("challenges that were closed as registered and have not exactly one device",
		`SELECT count(*) FROM challenge c WHERE end_reason = 'registered' AND (SELECT count(*) FROM device d WHERE d.challenge_id = c.id) <> 1`)
	none("devices of challenges that were not closed as registered",
		`SELECT count(*) FROM device d LEFT JOIN challenge c ON c.id = d.challenge_id WHERE c.end_reason IS DISTINCT FROM 'registered'`)
	none("members with more than one device",
		`SELECT count(*) FROM (SELECT member_id FROM device GROUP BY member_id HAVING count(*) > 1) m`)
	none("devices without exactly one event that tells of them",
		`WITH told AS (SELECT convert_from(body, 'UTF8')::jsonb #>> '{data,device}' AS device, count(*) AS n
			FROM verifier_event WHERE type = 'latchkey.device.registered' GROUP BY 1)
			SELECT count(*) FROM device d LEFT JOIN told ON told.device = d.id::text WHERE coalesce(n, 0) <> 1`)
	none("attempts without their event", `WITH told AS (SELECT convert_from(body, 'UTF8')::jsonb #>> '{data,attempt}' AS attempt
			FROM dispatcher_event WHERE type = 'latchkey.sms.attempted')
			SELECT count(*) FROM attempt a LEFT JOIN told ON told.attempt = a.id::text WHERE provider <> '' AND told.attempt IS NULL`)
	none("dead letters", `SELECT count(*) FROM dead_letter`)
	h.soundTexts(t, most)
	h.soundOrder(t)
	h.since = h.last()
}

// soundOrder: the places of events have no gaps, and nothing is amiss with one.
func (h *house) soundOrder(t *testing.T) {
	t.Helper()
	if gaps := h.count(`SELECT coalesce(max(index) + 1, 0) - count(*) FROM leaf`); gaps != 0 {
		t.Errorf("%d gaps in the order of events", gaps)
	}
	if n := h.count(`SELECT count(*) FROM leaf l JOIN event e ON e.id = l.event_id WHERE hash <> sha256('\x00'::bytea || body)`); n != 0 {
		t.Errorf("%d events with another hash in the order", n)
	}
	if n := h.count(`SELECT count(*) FROM audit_alarm WHERE kind <> 'not_in_stream'`); n != 0 {
		t.Errorf("%d audit alarms", n)
	}
}

// soundTexts: each text number has the same digits however often it was sent, no other
// number of the challenge has them, and none was sent more often than it may.
func (h *house) soundTexts(t *testing.T, most int) {
	t.Helper()
	type text struct {
		challenge uuid.UUID
		number    int
	}
	texts := map[uuid.UUID]text{} // by attempt
	rows, err := h.db.Query(context.Background(), `SELECT id, challenge_id, text_no FROM attempt WHERE provider <> ''`)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var attempt uuid.UUID
		var of text
		if err := rows.Scan(&attempt, &of.challenge, &of.number); err != nil {
			t.Fatal(err)
		}
		texts[attempt] = of
	}
	if rows.Err() != nil {
		t.Fatal(rows.Err())
	}
	codes, sent := map[text]string{}, map[text]int{}
	for _, arrived := range h.journal(h.since) {
		attempt, err := uuid.Parse(arrived.ClientRef)
		if err != nil {
			continue // Twilio is told no reference
		}
		of, ok := texts[attempt]
		if !ok {
			t.Errorf("text %d arrived of an attempt that is not in the table", arrived.Seq)
			continue
		}
		sent[of]++
		if before, ok := codes[of]; ok && before != codeOf(arrived) {
			t.Errorf("text %d of challenge %s came with two different codes", of.number, of.challenge)
		}
		codes[of] = codeOf(arrived)
	}
	for of, n := range sent {
		if n > most {
			t.Errorf("text %d of challenge %s was sent %d times, want %d at most", of.number, of.challenge, n, most)
		}
	}
}

// soundStream waits until every event is on the stream.
func (h *house) soundStream(t *testing.T) {
	t.Helper()
	nc := h.nats(t, bus.Provisioner)
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	h.until("every event is on the stream", 30*time.Second, func() bool {
		stream, err := js.Stream(ctx, bus.Stream)
		return err == nil && stream.CachedInfo().State.Msgs >= uint64(h.count("SELECT count(*) FROM event"))
	})
}
