package verifier_test

import (
	"testing"

	"github.com/google/uuid"
)

// proves makes a challenge one that is to prove its number.
func (b *bench) proves(member uuid.UUID) challenge {
	b.t.Helper()
	c := b.challenge(member)
	b.exec("UPDATE member SET phone_version = 3 WHERE id = $1", member)
	b.exec("UPDATE challenge SET purpose = 'prove_number', phone_version = 3 WHERE id = $1", c.id)
	return c
}

// The right code of a challenge that proves a number says so of that number, and lets no device in.
func TestARightCodeProvesANumberAndRegistersNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	member := uuid.New()
	c := b.proves(member)
	wrong := b.typed(c, c.wrong(1)[0])
	b.judge(wrong)
	if b.result(wrong) != "wrong" || b.count("SELECT count(*) FROM number_proof") != 0 {
		t.Fatal("a wrong code proved a number")
	}
	right := b.typed(c, c.codes[1])
	late := b.typed(c, c.codes[0])
	b.judge(right, late)
	if b.result(right) != "proved" || b.result(late) != "closed" {
		t.Errorf("the verdicts are %s and %s", b.result(right), b.result(late))
	}
	for what, query := range map[string]string{
		"proof of the number":                   "SELECT count(*) FROM number_proof WHERE member_id = $1 AND phone_version = 3",
		"challenge that ended so":               "SELECT count(*) FROM challenge WHERE member_id = $1 AND end_reason = 'proved' AND typed_text = 2",
		"member whose wrong codes are forgiven": "SELECT count(*) FROM member_try WHERE member_id = $1 AND consecutive = 0",
		"event": `SELECT count(*) FROM verifier_event WHERE type = 'latchkey.number.proved'
			AND convert_from(body, 'UTF8')::jsonb @> jsonb_build_object('data', jsonb_build_object('member', $1::uuid::text, 'version', 3, 'text', 2))`,
	} {
		if n := b.count(query, member); n != 1 {
			t.Errorf("%s: %d, want 1", what, n)
		}
	}
	if n := b.count("SELECT count(*) FROM device"); n != 0 {
		t.Errorf("%d devices were registered", n)
	}
}

// Two proofs of one person in one batch are one row, and a later one renews it.
func TestANumberIsProvedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	member := uuid.New()
	one, other, register := b.proves(member), b.proves(member), b.challenge(member)
	b.judge(b.typed(one, one.codes[0]), b.typed(other, other.codes[0]), b.typed(register, register.codes[0]))
	if n := b.count("SELECT count(*) FROM challenge WHERE end_reason = 'proved'"); n != 2 {
		t.Errorf("%d challenges ended as proved, want 2", n)
	}
	if n := b.count("SELECT count(*) FROM device WHERE challenge_id = $1", register.id); n != 1 || b.count("SELECT count(*) FROM device") != 1 {
		t.Errorf("%d devices of the challenge that registers, want 1", n)
	}
	b.exec("UPDATE number_proof SET proved_at = now() - interval '2 hours', phone_version = 1")
	again := b.proves(member)
	b.judge(b.typed(again, again.codes[2]))
	if n := b.count("SELECT count(*) FROM number_proof WHERE phone_version = 3 AND proved_at > now() - interval '1 minute'"); n != 1 {
		t.Error("a later proof did not renew the earlier one")
	}
}
