package verifier_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"latchkey.dev/services/verifier"
)

// A commit that fails tells nobody; the redelivery judges, once.
func TestNothingLeavesBeforeTheCommit(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.challenge(uuid.New())
	e := b.typed(c, c.codes[0])
	// The trigger fires at the commit, after every statement went well.
	b.exec("CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no commit'; END $$")
	b.exec("CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON device DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail()")
	if err := b.v.Judge(t.Context(), []verifier.Entry{e}, verifier.Stream); err == nil {
		t.Fatal("a commit that failed is no error")
	}
	if len(b.bus.events) != 0 || len(b.bus.woken) != 0 {
		t.Errorf("%d events published and %d woken before the commit", len(b.bus.events), len(b.bus.woken))
	}
	if n := b.count("SELECT count(*) FROM device") + b.count("SELECT count(*) FROM verdict") + b.count("SELECT tries FROM challenge"); n != 0 {
		t.Error("a transaction that failed left something")
	}
	b.exec("DROP TRIGGER fail ON device")
	b.judge(e)
	// F2: a crash after the commit and before the acknowledgement brings it once more.
	b.judge(e)
	if b.result(e) != "registered" || b.count("SELECT count(*) FROM device") != 1 || b.count("SELECT tries FROM challenge") != 1 {
		t.Errorf("after a redelivery: %s, %d devices", b.result(e), b.count("SELECT count(*) FROM device"))
	}
	if len(b.bus.events) != 2 || len(b.bus.woken) != 2 || b.count("SELECT count(*) FROM notice") != 1 {
		t.Errorf("%d events and %d wake-ups, want 2 events, of registration and notice, and a wake-up for each delivery", len(b.bus.events), len(b.bus.woken))
	}
}

// F21: one entry that cannot be judged harms none of its batch, and the error names it alone.
func TestOneBadEntryHarmsNoOther(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	good, bad := b.challenge(uuid.New()), b.challenge(uuid.New())
	b.exec("UPDATE challenge SET epoch = 5000000 WHERE id = $1", bad.id) // an hour whose key is not made yet
	right, stuck, wrong := b.typed(good, good.codes[0]), b.typed(bad, bad.codes[0]), b.typed(b.challenge(uuid.New()), "000")
	err := b.v.Judge(t.Context(), []verifier.Entry{right, stuck, wrong}, verifier.Stream)
	var failed verifier.Failures
	if !errors.As(err, &failed) || len(failed) != 1 || failed[stuck.ID] == nil {
		t.Fatalf("the error is %v, want one of the entry that failed alone", err)
	}
	if b.result(right) != "registered" || b.result(wrong) != "wrong" {
		t.Errorf("its neighbours: %s, %s", b.result(right), b.result(wrong))
	}
	if n := b.count("SELECT count(*) FROM verdict WHERE entry_id = $1", stuck.ID); n != 0 {
		t.Error("it has a verdict though nothing could be compared")
	}
}

// A code that was typed in time and found by nobody until its hour's key was destroyed
// is answered all the same, so that its challenge ends and the sweep goes on.
func TestAnEntryThatOutlivedItsKeyIsAnswered(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.challenge(uuid.New())
	e := b.typed(c, c.codes[0])
	b.exec("UPDATE challenge SET epoch = epoch - 30, created_at = created_at - interval '30 hours', expires_at = expires_at - interval '30 hours'")
	b.exec("UPDATE entry SET entered_at = entered_at - interval '30 hours'")
	b.judge(e)
	if got := b.result(e); got != "expired" {
		t.Errorf("the verdict is %s, want expired", got)
	}
	b.until("the challenge is closed", func() bool { return b.count("SELECT count(*) FROM challenge WHERE end_reason = 'expired'") == 1 })
	if n := b.count("SELECT count(*) FROM member_try") + b.count("SELECT tries FROM challenge"); n != 0 {
		t.Error("it was counted as a try")
	}
}

// Two challenges of one device, answered in one batch: the later registration stands.
func TestADeviceRegisteredTwiceAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	member := uuid.New()
	first, second := b.challenge(member), b.challenge(member)
	second.thumbprint = first.thumbprint
	b.exec("UPDATE challenge SET device_thumbprint = $1", first.thumbprint)
	b.judge(b.typed(first, first.codes[0]), b.typed(second, second.codes[0]))
	if n := b.count("SELECT count(*) FROM device WHERE challenge_id = $1 AND revoke_reason = 'upgraded'", first.id); n != 1 {
		t.Error("the earlier registration was not ended")
	}
	if n := b.count("SELECT count(*) FROM device WHERE challenge_id = $1 AND revoked_at IS NULL", second.id); n != 1 {
		t.Error("the later registration does not stand")
	}
}

// The names and values that the alerts ask for. F24: each entry that was made for another
// challenge is counted, once.
func TestMetricsTellWhatHappened(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	registry := prometheus.NewRegistry()
	v, err := verifier.New(verifier.Options{Pool: b.db.Pool(t, "verifier"), KeysPool: b.db.KeysPool(t, "verifier"), Bus: b.bus, Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	victim, thief := b.challenge(uuid.New()), b.challenge(uuid.New())
	honest := b.typed(victim, victim.codes[0])
	batch := []verifier.Entry{honest}
	for range 3 {
		copied := verifier.Entry{ID: newID(t)}
		b.exec("INSERT INTO entry (id, challenge_id, judge_key, encapsulated, sealed) SELECT $1, $2, judge_key, encapsulated, sealed FROM entry WHERE id = $3", copied.ID, thief.id, honest.ID)
		batch = append(batch, copied)
	}
	for range 2 { // a replay is not counted again
		if err := v.Judge(t.Context(), batch, verifier.Stream); err != nil {
			t.Fatal(err)
		}
	}
	want := `# HELP latchkey_devices_registered_total Devices registered by a right code.
# TYPE latchkey_devices_registered_total counter
latchkey_devices_registered_total 1
# HELP latchkey_entry_seal_mismatches_total Entries whose seal was not made for their challenge, member and device. Any at all: somebody copies entries.
# TYPE latchkey_entry_seal_mismatches_total counter
latchkey_entry_seal_mismatches_total 3
# HELP latchkey_work_total Work done, by what brought it. Much from the sweep: the bus does not deliver.
# TYPE latchkey_work_total counter
latchkey_work_total{source="stream"} 4
latchkey_work_total{source="sweep"} 0
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "latchkey_devices_registered_total", "latchkey_entry_seal_mismatches_total", "latchkey_work_total"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(registry, "latchkey_verifier_batch_seconds"); err != nil || n != 1 {
		t.Errorf("%d series of the batches' times, %v", n, err)
	}
}

// A verifier that was away for longer than partitions are made ahead makes them before
// it does anything else.
func TestPartitionsAreMadeAtTheStart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.exec("DO $$ DECLARE p text; BEGIN FOR p IN SELECT relname FROM pg_class WHERE relname ~ '^entry_[0-9]{8}$' LOOP EXECUTE 'DROP TABLE ' || p; END LOOP; END $$")
	b.start(b.another())
	b.until("the partitions are there", func() bool {
		return b.count("SELECT count(*) FROM pg_class WHERE relname ~ '^entry_[0-9]{8}$'") == 4
	})
}
