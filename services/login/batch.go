package login

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	queries "latchkey.dev/queries/login"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/coalesce"
	"latchkey.dev/services/internal/store"
	"latchkey.dev/services/words"
)

// checkKey is one row of CheckRead.
type checkKey struct {
	member     uuid.UUID
	software   string
	thumbprint [32]byte
}

// spend uses a proof up and writes an event with it.
type spend struct {
	proof proofOnce
	event event.Event
}

type newChallenge struct {
	question
	id     uuid.UUID
	seed   []byte
	facets []byte
	member *queries.CheckReadRow
	event  event.Event
	limits []limitKey
}

// madeChallenge is what became of a newChallenge: without an end its proof was used before,
// and over names the scope of the limit for which it was not made.
type madeChallenge struct {
	expiresAt time.Time
	over      string
}

type newEntry struct {
	proof                proofOnce
	id, challenge        uuid.UUID
	judgeKey             int64
	encapsulated, sealed []byte
	event                event.Event
}

// batch makes the shared reads and writes: concurrent requests share one statement
// and one commit.
func (l *Login) batch() {
	l.checks = coalesce.New(coalesce.Options[checkKey, *queries.CheckReadRow]{Name: "check_read", Run: l.readChecks, Registerer: l.o.Registerer})
	l.spends = coalesce.New(coalesce.Options[spend, bool]{Name: "proof_spend", Run: l.writeSpends, Registerer: l.o.Registerer})
	l.challenges = coalesce.New(coalesce.Options[newChallenge, madeChallenge]{Name: "challenge_insert", Run: l.writeChallenges, Registerer: l.o.Registerer})
	l.states = coalesce.New(coalesce.Options[uuid.UUID, *queries.ChallengeStateRow]{Name: "challenge_state", Run: l.readStates, Registerer: l.o.Registerer})
	l.entries = coalesce.New(coalesce.Options[newEntry, bool]{Name: "entry_insert", Run: l.writeEntries, Registerer: l.o.Registerer})
	l.tells = coalesce.New(coalesce.Options[event.Event, struct{}]{Name: "event_insert", Run: l.writeEvents, Registerer: l.o.Registerer})
	l.verdicts = coalesce.New(coalesce.Options[uuid.UUID, *queries.VerdictReadRow]{Name: "verdict_read", Run: l.readVerdicts, Registerer: l.o.Registerer})
}

func (l *Login) readChecks(ctx context.Context, keys []checkKey) ([]*queries.CheckReadRow, error) {
	p := queries.CheckReadParams{HourLimit: hourLimit, DayLimit: dayLimit, ConsecutiveLimit: consecutiveLimit}
	for _, k := range keys {
		p.Members = append(p.Members, k.member)
		p.Softwares = append(p.Softwares, k.software)
		p.Thumbprints = append(p.Thumbprints, k.thumbprint[:])
	}
	rows, err := l.q.CheckRead(ctx, p)
	if err != nil {
		return nil, err
	}
	found := make(map[checkKey]*queries.CheckReadRow, len(rows))
	for i := range rows {
		r := &rows[i]
		found[checkKey{r.MemberID, r.SoftwareID, [32]byte(r.Thumbprint)}] = r
	}
	return pick(keys, found), nil
}

func (l *Login) writeSpends(ctx context.Context, batch []spend) ([]bool, error) {
	var p queries.ProofSpendParams
	first := newFirsts(len(batch))
	for i, s := range batch {
		if !first.take(i, s.proof) {
			continue
		}
		p.Slots = append(p.Slots, s.proof.slot)
		p.Proofs = append(p.Proofs, s.proof.id[:])
		p.EventIds = append(p.EventIds, s.event.ID)
		p.EventTypes = append(p.EventTypes, s.event.Type)
		p.AccountIds = append(p.AccountIds, s.event.Account)
		p.EventBodies = append(p.EventBodies, s.event.Body)
	}
	spent, err := l.q.ProofSpend(ctx, p)
	if err != nil {
		return nil, err
	}
	ids := make(map[[32]byte]bool, len(spent))
	for _, id := range spent {
		ids[[32]byte(id)] = true
	}
	out := make([]bool, len(batch))
	for i, s := range batch {
		out[i] = first.at[i] && ids[s.proof.id]
	}
	return out, nil
}

func (l *Login) writeChallenges(ctx context.Context, batch []newChallenge) (out []madeChallenge, err error) {
	if l.o.Limits == (Limits{}) {
		return l.insertChallenges(ctx, l.q, batch, make([]string, len(batch)))
	}
	err = store.InTx(ctx, l.o.Pool, func(tx pgx.Tx) error {
		q := l.q.WithTx(tx)
		texts := make([][]limitKey, len(batch))
		for i, c := range batch {
			texts[i] = c.limits
		}
		over, err := takeTexts(ctx, q, texts)
		if err == nil {
			out, err = l.insertChallenges(ctx, q, batch, over)
		}
		return err
	})
	return out, err
}

// insertChallenges writes those that are not over a limit.
func (l *Login) insertChallenges(ctx context.Context, q *queries.Queries, batch []newChallenge, over []string) ([]madeChallenge, error) {
	p := queries.ChallengeInsertParams{ValidSeconds: int32(l.o.Valid / time.Second)}
	first := newFirsts(len(batch))
	for i, c := range batch {
		if over[i] != "" || !first.take(i, c.proof) {
			continue
		}
		p.Slots = append(p.Slots, c.proof.slot)
		p.Proofs = append(p.Proofs, c.proof.id[:])
		p.Ids = append(p.Ids, c.id)
		p.AccountIds = append(p.AccountIds, c.member.AccountID)
		p.MemberIds = append(p.MemberIds, c.question.member)
		p.SoftwareIds = append(p.SoftwareIds, c.software.ID)
		p.Purposes = append(p.Purposes, string(c.purpose))
		p.Origins = append(p.Origins, c.origin)
		p.DeviceKinds = append(p.DeviceKinds, c.kind)
		p.Thumbprints = append(p.Thumbprints, c.thumbprint[:])
		p.Facets = append(p.Facets, c.facets)
		p.Seeds = append(p.Seeds, c.seed)
		p.PhonesSealed = append(p.PhonesSealed, c.member.PhoneSealed)
		p.PhoneVersions = append(p.PhoneVersions, c.member.PhoneVersion)
		p.PhoneCountries = append(p.PhoneCountries, c.member.PhoneCountry)
		p.Languages = append(p.Languages, string(words.Match(c.member.Language, c.language, c.member.AccountLanguage)))
		p.PhoneLastTwos = append(p.PhoneLastTwos, c.member.PhoneLastTwo)
		p.EventIds = append(p.EventIds, c.event.ID)
		p.EventBodies = append(p.EventBodies, c.event.Body)
	}
	var made []queries.ChallengeInsertRow
	if len(p.Ids) > 0 {
		var err error
		if made, err = q.ChallengeInsert(ctx, p); err != nil {
			return nil, err
		}
	}
	ends := make(map[uuid.UUID]time.Time, len(made))
	for _, m := range made {
		ends[m.ID] = m.ExpiresAt
	}
	out := make([]madeChallenge, len(batch))
	for i, c := range batch {
		out[i] = madeChallenge{ends[c.id], over[i]}
	}
	return out, nil
}

func (l *Login) writeEntries(ctx context.Context, batch []newEntry) ([]bool, error) {
	var p queries.EntryInsertParams
	first := newFirsts(len(batch))
	for i, e := range batch {
		if !first.take(i, e.proof) {
			continue
		}
		p.Slots = append(p.Slots, e.proof.slot)
		p.Proofs = append(p.Proofs, e.proof.id[:])
		p.Ids = append(p.Ids, e.id)
		p.ChallengeIds = append(p.ChallengeIds, e.challenge)
		p.JudgeKeys = append(p.JudgeKeys, e.judgeKey)
		p.Encapsulateds = append(p.Encapsulateds, e.encapsulated)
		p.Sealeds = append(p.Sealeds, e.sealed)
		p.EventIds = append(p.EventIds, e.event.ID)
		p.AccountIds = append(p.AccountIds, e.event.Account)
		p.EventBodies = append(p.EventBodies, e.event.Body)
	}
	made, err := l.q.EntryInsert(ctx, p)
	if err != nil {
		return nil, err
	}
	ids := make(map[uuid.UUID]bool, len(made))
	for _, id := range made {
		ids[id] = true
	}
	out := make([]bool, len(batch))
	for i, e := range batch {
		out[i] = ids[e.id]
	}
	return out, nil
}

func (l *Login) writeEvents(ctx context.Context, batch []event.Event) ([]struct{}, error) {
	var p queries.EventInsertParams
	for _, e := range batch {
		p.Ids = append(p.Ids, e.ID)
		p.Types = append(p.Types, e.Type)
		p.AccountIds = append(p.AccountIds, e.Account)
		p.Bodies = append(p.Bodies, e.Body)
	}
	return make([]struct{}, len(batch)), l.q.EventInsert(ctx, p)
}

func (l *Login) readStates(ctx context.Context, ids []uuid.UUID) ([]*queries.ChallengeStateRow, error) {
	rows, err := l.q.ChallengeState(ctx, raw(ids))
	if err != nil {
		return nil, err
	}
	found := make(map[uuid.UUID]*queries.ChallengeStateRow, len(rows))
	for i := range rows {
		found[rows[i].ID] = &rows[i]
	}
	return pick(ids, found), nil
}

func (l *Login) readVerdicts(ctx context.Context, ids []uuid.UUID) ([]*queries.VerdictReadRow, error) {
	rows, err := l.q.VerdictRead(ctx, raw(ids))
	if err != nil {
		return nil, err
	}
	found := make(map[uuid.UUID]*queries.VerdictReadRow, len(rows))
	for i := range rows {
		found[rows[i].EntryID] = &rows[i]
	}
	return pick(ids, found), nil
}

// pick gives every key its row, in the order of the keys; the zero value where there is none.
func pick[K comparable, V any](keys []K, found map[K]V) []V {
	out := make([]V, len(keys))
	for i, k := range keys {
		out[i] = found[k]
	}
	return out
}

func raw(ids []uuid.UUID) [][16]byte {
	out := make([][16]byte, len(ids))
	for i, id := range ids {
		out[i] = id
	}
	return out
}

// firsts finds proofs that come twice in one batch: only the first may be written.
type firsts struct {
	seen map[proofOnce]bool
	at   []bool
}

func newFirsts(n int) firsts { return firsts{make(map[proofOnce]bool, n), make([]bool, n)} }

func (f firsts) take(i int, p proofOnce) bool {
	f.at[i] = !f.seen[p]
	f.seen[p] = true
	return f.at[i]
}
