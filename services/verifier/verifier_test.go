package verifier_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"latchkey.dev/queries/login"
	"latchkey.dev/services/code"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/seal"
	"latchkey.dev/services/internal/storetest"
	"latchkey.dev/services/verifier"
)

type bus struct {
	mu     sync.Mutex
	events []event.Event
	woken  []string
}

func (b *bus) Publish(e event.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, e)
}

func (b *bus) Notify(subject string, _ []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.woken = append(b.woken, subject)
}

// bench is a verifier over real databases, and all that a test needs to play login.
type bench struct {
	t           *testing.T
	db          *storetest.DB
	owner, keys *pgxpool.Pool
	bus         *bus
	v           *verifier.Verifier
	sealer      *seal.EntrySealer
}

func newBench(t *testing.T) *bench {
	t.Helper()
	db := storetest.New(t)
	b := &bench{t: t, db: db, owner: db.Owner(t), keys: db.KeysOwner(t), bus: &bus{}}
	b.v = b.another()
	b.start(b.v)
	var id int64
	var public []byte
	if err := b.owner.QueryRow(t.Context(), "SELECT id, public_key FROM judge_public_key").Scan(&id, &public); err != nil {
		t.Fatal(err)
	}
	key, err := seal.ParsePublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	b.sealer = seal.NewEntrySealer(key, id, time.Now)
	return b
}

// another makes one more verifier beside the first, without its sweep.
func (b *bench) another() *verifier.Verifier {
	b.t.Helper()
	v, err := verifier.New(verifier.Options{Pool: b.db.Pool(b.t, "verifier"), KeysPool: b.db.KeysPool(b.t, "verifier"), Bus: b.bus, SweepOff: true})
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// start runs a verifier until the test ends, and waits until it can judge.
func (b *bench) start(v *verifier.Verifier) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx) }()
	b.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Error(err)
		}
	})
	b.until("the verifier is ready", func() bool {
		return v.Ready(b.t.Context()) == nil && b.count("SELECT count(*) FROM judge_public_key") > 0
	})
}

// until waits for something that the verifier's loops bring about.
func (b *bench) until(what string, ok func() bool) {
	b.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(15 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			b.t.Fatalf("not within 15 s: %s", what)
		}
	}
}

func (b *bench) exec(sql string, args ...any) {
	b.t.Helper()
	if _, err := b.owner.Exec(b.t.Context(), sql, args...); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) count(sql string, args ...any) (n int) {
	b.t.Helper()
	if err := b.owner.QueryRow(b.t.Context(), sql, args...).Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

type challenge struct {
	id, member uuid.UUID
	thumbprint []byte
	codes      [code.Texts]string
}

func newID(t *testing.T) uuid.UUID {
	t.Helper()
	id, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (b *bench) challenge(member uuid.UUID) challenge {
	b.t.Helper()
	c := challenge{id: newID(b.t), member: member, thumbprint: bytes.Repeat([]byte{byte(b.count("SELECT count(*) FROM challenge") + 1)}, 32)}
	seed := bytes.Repeat([]byte{5}, code.SeedSize)
	b.exec("INSERT INTO member (id, account_id, role, public_key, phone_version) VALUES ($1, $2, 'provider', '\\x00', 1) ON CONFLICT DO NOTHING", member, uuid.New())
	b.exec(`INSERT INTO challenge (id, account_id, member_id, software_id, purpose, origin, device_kind, device_thumbprint, device_facets, seed, epoch,
		phone_sealed, phone_version, phone_country, phone_last_two, expires_at)
		VALUES ($1, $2, $3, 'web', 'register', 'sign_in', 'key', $4, '{}', $5, floor(extract(epoch FROM now()) / 3600), '\x00', (SELECT phone_version FROM member WHERE id = $3), 'CA', '42', now() + interval '5 minutes')`,
		c.id, uuid.New(), member, c.thumbprint, seed)
	var key []byte
	var epoch int64
	if err := b.owner.QueryRow(b.t.Context(), "SELECT epoch FROM challenge WHERE id = $1", c.id).Scan(&epoch); err != nil {
		b.t.Fatal(err)
	}
	if err := b.keys.QueryRow(b.t.Context(), "SELECT key FROM code_epoch WHERE epoch = $1", epoch).Scan(&key); err != nil {
		b.t.Fatal(err)
	}
	for i := range c.codes {
		c.codes[i] = code.Derive(key, c.id, i+1, seed, code.Digits).Reveal()
	}
	return c
}

// wrong returns n codes that none of the challenge's texts carries.
func (c challenge) wrong(n int) (out []string) {
	for i := 0; len(out) < n; i++ {
		typed := fmt.Sprintf("%06d", i)
		if typed != c.codes[0] && typed != c.codes[1] && typed != c.codes[2] {
			out = append(out, typed)
		}
	}
	return out
}

// typed writes an entry as login does.
func (b *bench) typed(c challenge, digits string) verifier.Entry {
	b.t.Helper()
	id := newID(b.t)
	enc, sealed, err := b.sealer.Seal(digits, seal.EntryBinding{Challenge: c.id, Member: c.member, Entry: id, Thumbprint: c.thumbprint})
	if err != nil {
		b.t.Fatal(err)
	}
	b.exec("INSERT INTO entry (id, challenge_id, judge_key, encapsulated, sealed) VALUES ($1, $2, $3, $4, $5)", id, c.id, b.sealer.KeyID, enc, sealed)
	return verifier.Entry{ID: id, Reply: "_INBOX_login." + id.String()}
}

func (b *bench) judge(entries ...verifier.Entry) {
	b.t.Helper()
	if err := b.v.Judge(b.t.Context(), entries, verifier.Stream); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) result(e verifier.Entry) (result string) {
	b.t.Helper()
	if err := b.owner.QueryRow(b.t.Context(), "SELECT result FROM verdict WHERE entry_id = $1", e.ID).Scan(&result); err != nil {
		b.t.Fatal(err)
	}
	return result
}

func TestEachTextsCodeRegistersAndTellsWhichArrived(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := range code.Texts {
		c := b.challenge(uuid.New())
		e := b.typed(c, c.codes[i])
		b.judge(e)
		if got := b.result(e); got != "registered" {
			t.Errorf("text %d: %s", i+1, got)
		}
		if n := b.count("SELECT count(*) FROM challenge WHERE id = $1 AND end_reason = 'registered' AND typed_text = $2", c.id, i+1); n != 1 {
			t.Errorf("text %d: the challenge does not say which text was typed", i+1)
		}
		if n := b.count("SELECT count(*) FROM device WHERE challenge_id = $1 AND member_id = $2 AND thumbprint = $3", c.id, c.member, c.thumbprint); n != 1 {
			t.Errorf("text %d: %d devices", i+1, n)
		}
	}
	if n := b.count("SELECT count(*) FROM verifier_event WHERE type = 'latchkey.device.registered'"); n != code.Texts || len(b.bus.events) != 2*n || len(b.bus.woken) != n {
		t.Errorf("%d events written, %d published, %d woken; want %d, as many again of notices, and as many", n, len(b.bus.events), len(b.bus.woken), code.Texts)
	}
	if n := b.count("SELECT count(*) FROM notice n JOIN device d ON d.id = n.device_id AND d.member_id = n.member_id WHERE n.kind = 'device_registered' AND n.channel = 'text' AND n.address_sealed IS NULL"); n != code.Texts {
		t.Errorf("%d notices of %d registrations", n, code.Texts)
	}
}

// C4: a thousand identical submissions, to two verifiers at once, register one device.
func TestACodeWorksOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	second := b.another()
	c := b.challenge(uuid.New())
	var entries []verifier.Entry
	for range 1000 {
		entries = append(entries, b.typed(c, c.codes[0]))
	}
	var wg sync.WaitGroup
	for i := 0; i < len(entries); i += 50 {
		for _, v := range []*verifier.Verifier{b.v, second} {
			wg.Go(func() {
				if err := v.Judge(t.Context(), entries[i:i+50], verifier.Stream); err != nil {
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
	if n := b.count("SELECT count(*) FROM verdict WHERE result = 'closed'"); n != 999 {
		t.Errorf("%d entries found it closed, want 999", n)
	}
	if n := b.count("SELECT tries FROM challenge"); n != 1 {
		t.Errorf("%d tries counted, want 1", n)
	}
}

// C6, C7, F22: never more than five tries a challenge and ten an hour a person are
// compared, in whatever bursts they come; a new challenge does not reset the count.
func TestGuessingMeetsItsCaps(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	second := b.another()
	member := uuid.New()
	var last challenge
	for range 5 {
		last = b.challenge(member)
		var wg sync.WaitGroup
		for _, digits := range last.wrong(40) {
			e := b.typed(last, digits)
			for _, v := range []*verifier.Verifier{b.v, second} {
				wg.Go(func() {
					if err := v.Judge(t.Context(), []verifier.Entry{e}, verifier.Stream); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
	}
	if n := b.count("SELECT count(*) FROM verdict WHERE result = 'wrong'"); n != 10 {
		t.Errorf("%d guesses were compared, want the cap of 10 an hour", n)
	}
	if n := b.count("SELECT max(tries) FROM challenge"); n != 5 {
		t.Errorf("%d tries on one challenge, want 5", n)
	}
	// The right code does not help while the person is locked.
	e := b.typed(last, last.codes[0])
	b.judge(e)
	if got := b.result(e); got == "registered" {
		t.Error("a right code registered a locked person's device")
	}
	// An hour later there are tries again, up to the day's cap, and a right one forgives.
	b.exec("UPDATE member_try SET hour_started_at = hour_started_at - interval '61 minutes'")
	c := b.challenge(member)
	wrong, right := b.typed(c, c.wrong(1)[0]), b.typed(c, c.codes[1])
	b.judge(wrong, right)
	if b.result(wrong) != "wrong" || b.result(right) != "registered" {
		t.Errorf("an hour later: %s, then %s", b.result(wrong), b.result(right))
	}
	if n := b.count("SELECT day_count + hour_count + consecutive FROM member_try"); n != 0 {
		t.Errorf("after a right code %d wrong ones are still counted", n)
	}
}

// F24: an entry copied to another challenge or entry id registers nothing; a replay of a
// judged entry changes nothing.
func TestCopiedEntriesDoNotOpen(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	victim, thief := b.challenge(uuid.New()), b.challenge(uuid.New())
	honest := b.typed(victim, victim.codes[0])
	copied := verifier.Entry{ID: newID(t)}
	b.exec("INSERT INTO entry (id, challenge_id, judge_key, encapsulated, sealed) SELECT $1, $2, judge_key, encapsulated, sealed FROM entry WHERE id = $3", copied.ID, thief.id, honest.ID)
	b.judge(copied)
	if got := b.result(copied); got != "unreadable" {
		t.Errorf("an entry of another challenge: %s, want unreadable", got)
	}
	b.judge(honest)
	events := len(b.bus.events)
	b.judge(honest, copied, verifier.Entry{ID: uuid.New()})
	if b.count("SELECT count(*) FROM device") != 1 || b.count("SELECT count(*) FROM verdict") != 2 || len(b.bus.events) != events {
		t.Error("a replay changed something")
	}
}

// F20, C1: time is the database's; a code typed after the deadline is late, one typed
// before it is in time however late it is judged.
func TestTheDatabaseSaysWhatIsInTime(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	inTime, late := b.challenge(uuid.New()), b.challenge(uuid.New())
	early, tooLate := b.typed(inTime, inTime.codes[0]), b.typed(late, late.codes[0])
	b.exec("UPDATE challenge SET created_at = created_at - interval '6 minutes', expires_at = now() - interval '1 minute'")
	b.exec("UPDATE entry SET entered_at = now() - interval '2 minutes' WHERE id = $1", early.ID)
	b.judge(early, tooLate)
	if got := b.result(early); got != "registered" {
		t.Errorf("typed in time and judged late: %s", got)
	}
	if got := b.result(tooLate); got != "expired" {
		t.Errorf("typed late: %s", got)
	}
	b.until("the challenge is closed as expired", func() bool {
		return b.count("SELECT count(*) FROM challenge WHERE id = $1 AND end_reason = 'expired'", late.id) == 1
	})
	if n := b.count("SELECT count(*) FROM verifier_event WHERE type = 'latchkey.code.expired'"); n != 1 {
		t.Errorf("%d events tell it, want 1", n)
	}
}

// With the bus away, the sweep judges.
func TestTheSweepJudgesWhatTheStreamDidNotBring(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.challenge(uuid.New())
	e := b.typed(c, c.codes[2])
	v, err := verifier.New(verifier.Options{Pool: b.db.Pool(t, "verifier"), KeysPool: b.db.KeysPool(t, "verifier"), Bus: b.bus})
	if err != nil {
		t.Fatal(err)
	}
	b.start(v)
	b.until("the entry has its verdict", func() bool { return b.count("SELECT count(*) FROM verdict WHERE entry_id = $1", e.ID) == 1 })
	if got := b.result(e); got != "registered" {
		t.Errorf("the verdict is %s", got)
	}
}

// Old keys are destroyed, in the key database too.
func TestKeysAreMadeAheadAndDestroyed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if _, err := b.keys.Exec(t.Context(), "INSERT INTO code_epoch (epoch, key) VALUES (1, $1)", make([]byte, 32)); err != nil {
		t.Fatal(err)
	}
	b.start(b.another())
	b.until("only keys of now and ahead are left", func() bool {
		var n, old int
		if err := b.keys.QueryRow(t.Context(), "SELECT count(*), count(*) FILTER (WHERE epoch = 1) FROM code_epoch").Scan(&n, &old); err != nil {
			t.Fatal(err)
		}
		return old == 0 && n >= 3
	})
}

// Rule 9: a code that came to a number registers nothing once the number is another one,
// whichever of the two comes first, nor for somebody who was deactivated.
func TestAFormerNumbersCodeRegistersNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for what, change := range map[string]string{
		"another number": "UPDATE member SET phone_version = 2 WHERE id = $1",
		"deactivated":    "UPDATE member SET deactivated_at = now() WHERE id = $1",
	} {
		member := uuid.New()
		b.exec("INSERT INTO member (id, account_id, role, public_key, phone_version) VALUES ($1, $2, 'provider', '\\x00', 1)", member, uuid.New())
		c := b.challenge(member)
		b.judge(b.typed(c, c.wrong(1)[0]))
		b.exec(change, member)
		e := b.typed(c, c.codes[0])
		b.judge(e)
		if got := b.result(e); got != "expired" {
			t.Errorf("%s: the right code is %s", what, got)
		}
		if n := b.count("SELECT count(*) FROM device WHERE member_id = $1", member); n != 0 {
			t.Errorf("%s: %d devices", what, n)
		}
	}

	// The change waits for a code that is being judged, and then ends what it registered.
	member := uuid.New()
	b.exec("INSERT INTO member (id, account_id, role, public_key, phone_version) VALUES ($1, $2, 'provider', '\\x00', 1)", member, uuid.New())
	c := b.challenge(member)
	e := b.typed(c, c.codes[0])
	tx, err := b.db.Pool(t, "login").Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if err := login.New(tx).MemberLock(t.Context(), member); err != nil {
		t.Fatal(err)
	}
	judged := make(chan error, 1)
	go func() { judged <- b.v.Judge(t.Context(), []verifier.Entry{e}, verifier.Stream) }()
	b.until("the verifier waits for the change", func() bool {
		return b.count("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())") > 0
	})
	if _, err := tx.Exec(t.Context(), "UPDATE member SET phone_version = 2 WHERE id = $1", member); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-judged; err != nil {
		t.Fatal(err)
	}
	if got := b.result(e); got != "expired" {
		t.Errorf("a code judged after the change: %s", got)
	}
}
