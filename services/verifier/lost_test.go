package verifier_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"latchkey.dev/services/factor"
	"latchkey.dev/services/verifier"
)

const handed = "bcdfg-hjkmn-pqrst-23456"

// gives gives a member a registration code as the console does.
func (b *bench) gives(member uuid.UUID, code string) uuid.UUID {
	b.t.Helper()
	id := newID(b.t)
	digest, err := factor.Digest(member, code)
	if err != nil {
		b.t.Fatal(err)
	}
	b.exec("INSERT INTO registration_code (id, account_id, member_id, digest, made_by, expires_at) VALUES ($1, $2, $3, $4, 'operator', now() + interval '15 minutes')",
		id, uuid.New(), member, digest)
	return id
}

func TestARegistrationCodeRegistersOneDevice(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	member := uuid.New()
	id := b.gives(member, handed)
	c, next := b.challenge(member), b.challenge(member)
	wrong, right := b.typed(c, "bcdfg-hjkmn-pqrst-23457"), b.typed(c, strings.ToUpper(handed))
	b.judge(wrong, right)
	if b.result(wrong) != "wrong" || b.result(right) != "registered" {
		t.Fatalf("the verdicts are %s and %s", b.result(wrong), b.result(right))
	}
	for what, query := range map[string]string{
		"a device by it":           "SELECT count(*) FROM device WHERE challenge_id = $1 AND factor = 'registration_code'",
		"the code is used":         "SELECT count(*) FROM registration_code WHERE used_challenge = $1 AND used_at IS NOT NULL",
		"no text's code was typed": "SELECT count(*) FROM challenge WHERE id = $1 AND end_reason = 'registered' AND typed_text IS NULL AND tries = 2",
	} {
		if n := b.count(query, c.id); n != 1 {
			t.Errorf("%s: %d, want 1", what, n)
		}
	}
	if n := b.count(`SELECT count(*) FROM verifier_event WHERE type = 'latchkey.device.registered' AND NOT convert_from(body, 'UTF8')::jsonb -> 'data' ? 'text'
		AND convert_from(body, 'UTF8')::jsonb @> jsonb_build_object('data', jsonb_build_object('factor', 'registration_code', 'registration_code', $1::uuid::text))`, id); n != 1 {
		t.Errorf("%d events tell it, want 1", n)
	}
	if n := b.count("SELECT count(*) FROM verifier_event WHERE lower(convert_from(body, 'UTF8')) ~ 'bcdfg.?hjkmn'"); n != 0 {
		t.Errorf("%d events hold the code", n)
	}
	again, texted := b.typed(next, handed), b.typed(next, next.codes[0])
	b.judge(again, texted, right)
	if b.result(again) != "wrong" || b.result(texted) != "registered" {
		t.Errorf("a used code is %s, and then the code of a text %s", b.result(again), b.result(texted))
	}
	if n := b.count("SELECT count(*) FROM device WHERE challenge_id = $1 AND factor = 'sms'", next.id); n != 1 {
		t.Error("the text's registration does not say so")
	}
}

// A code that is not the member's, not of now or not approved yet is as any wrong one: it
// counts, and registers nothing.
func TestWhatIsNoRegistrationCodeCounts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for what, spoil := range map[string]string{
		"somebody else's": "UPDATE registration_code SET member_id = gen_random_uuid() WHERE id = $1",
		"expired":         "UPDATE registration_code SET made_at = now() - interval '16 minutes', expires_at = now() - interval '1 minute' WHERE id = $1",
		"not approved":    "UPDATE registration_code SET digest = NULL WHERE id = $1",
		"used":            "UPDATE registration_code SET used_at = now(), used_challenge = gen_random_uuid() WHERE id = $1",
	} {
		member := uuid.New()
		b.exec(spoil, b.gives(member, handed))
		c := b.challenge(member)
		e := b.typed(c, handed)
		b.judge(e)
		if got := b.result(e); got != "wrong" {
			t.Errorf("%s: %s, want wrong", what, got)
		}
		if n := b.count("SELECT count(*) FROM device WHERE member_id = $1", member); n != 0 {
			t.Errorf("%s: %d devices", what, n)
		}
		if n := b.count("SELECT consecutive FROM member_try WHERE member_id = $1", member); n != 1 {
			t.Errorf("%s: %d wrong codes are counted, want 1", what, n)
		}
	}
	// Typed in time and judged late, it is in time.
	member := uuid.New()
	id, c := b.gives(member, handed), b.challenge(member)
	e := b.typed(c, handed)
	b.exec("UPDATE entry SET entered_at = now() - interval '2 minutes' WHERE id = $1", e.ID)
	b.exec("UPDATE registration_code SET made_at = now() - interval '16 minutes', expires_at = now() - interval '1 minute' WHERE id = $1", id)
	b.judge(e)
	if got := b.result(e); got != "registered" {
		t.Errorf("typed in time and judged late: %s", got)
	}
	// It is no proof of a number.
	b.gives(member, handed)
	p := b.proves(member)
	e = b.typed(p, handed)
	b.judge(e)
	if got := b.result(e); got != "wrong" || b.count("SELECT count(*) FROM registration_code WHERE member_id = $1 AND used_at IS NULL", member) != 1 {
		t.Errorf("for the proof of a number: %s", got)
	}
}

// A thousand uses at once, of several devices and by two verifiers, register one device.
func TestARegistrationCodeWorksOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	second := b.another()
	member := uuid.New()
	b.gives(member, handed)
	var entries []verifier.Entry
	for range 10 {
		c := b.challenge(member)
		for range 100 {
			entries = append(entries, b.typed(c, handed))
		}
	}
	var wg sync.WaitGroup
	for i := range 20 { // each batch has entries of all challenges
		var batch []verifier.Entry
		for j := i; j < len(entries); j += 20 {
			batch = append(batch, entries[j])
		}
		for _, v := range []*verifier.Verifier{b.v, second} {
			wg.Go(func() {
				if err := v.Judge(t.Context(), batch, verifier.Stream); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	if n := b.count("SELECT count(*) FROM device"); n != 1 {
		t.Errorf("%d devices, want 1", n)
	}
	if n := b.count("SELECT count(*) FROM verdict WHERE result = 'registered'"); n != 1 {
		t.Errorf("%d entries registered, want 1", n)
	}
	if n := b.count("SELECT count(*) FROM verdict"); n != len(entries) {
		t.Errorf("%d verdicts, want %d", n, len(entries))
	}
}
