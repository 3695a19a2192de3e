package console_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"latchkey.dev/services/access"
	"latchkey.dev/services/console"
	"latchkey.dev/services/device"
	"latchkey.dev/services/internal/seal"
	"latchkey.dev/services/internal/storetest"
)

// BenchmarkImport measures the import of 10,000 new people, half of them with a number and a
// third with an address, then of the same people with other numbers, of which those with one
// are told. Each has its ratio to putting as many bytes as the import into the same tables
// without more ado, in the same run.
func BenchmarkImport(b *testing.B) {
	const n = 10_000
	for b.Loop() {
		b.StopTimer()
		db := storetest.New(b)
		key := func() seal.PublicKey {
			k, err := seal.GenerateKey()
			if err != nil {
				b.Fatal(err)
			}
			return k.Public()
		}
		o := console.Options{Pool: db.Pool(b, "console"), KeysPool: db.KeysPool(b, "console"), Bus: &told{},
			People: seal.People{Dispatcher: key(), Auditor: key(), IndexMAC: newMAC(b)}}
		c, err := console.New(o)
		if err != nil {
			b.Fatal(err)
		}
		account, err := c.CreateAccount(b.Context(), console.Account{Kind: device.Pro, Name: "Clinic", Country: "CA", Demographics: true})
		if err != nil {
			b.Fatal(err)
		}
		by := access.Actor{Kind: access.Operator, Account: account}
		file := func(exchange int) []byte {
			var s strings.Builder
			s.WriteString("role,user_id,phone,email,language\n")
			for i := range n {
				fmt.Fprintf(&s, "provider,person-%d,", i)
				if i%2 == 0 {
					fmt.Fprintf(&s, "+1604%03d%04d", exchange, i/2)
				}
				s.WriteByte(',')
				if i%3 == 0 {
					fmt.Fprintf(&s, "person-%d@example.org", i)
				}
				s.WriteString(",en\n")
			}
			return []byte(s.String())
		}
		b.StartTimer()
		timed := func(what string, do func() (console.ImportReport, error)) time.Duration {
			start := time.Now()
			r, err := do()
			took := time.Since(start)
			if err != nil || r.Created+r.Updated+r.Unchanged != n {
				b.Fatalf("%s: %+v, %v", what, r, err)
			}
			b.ReportMetric(took.Seconds(), "s/"+what)
			return took
		}
		first, second := file(441), file(551)
		timed("dry-run", func() (console.ImportReport, error) { return c.CheckImport(b.Context(), by, first) })
		made := timed("import", func() (console.ImportReport, error) { return c.Import(b.Context(), by, first) })
		changed := timed("numbers-changed", func() (console.ImportReport, error) { return c.Import(b.Context(), by, second) })
		timed("unchanged", func() (console.ImportReport, error) { return c.Import(b.Context(), by, second) })
		raw := putRaw(b, db, account, n)
		b.ReportMetric(raw.Seconds(), "s/raw")
		b.ReportMetric(made.Seconds()/raw.Seconds(), "x-raw-import")
		b.ReportMetric(changed.Seconds()/raw.Seconds(), "x-raw-numbers-changed")
		b.ReportMetric(0, "ns/op")
	}
}

// putRaw puts people into the tables of both databases, by as many transactions as an import,
// and returns how long it took: a member's row, the wrapped key, the line of the file, the event.
func putRaw(b *testing.B, db *storetest.DB, account uuid.UUID, n int) time.Duration {
	b.Helper()
	const group = 500
	owner, keys := db.Owner(b), db.KeysOwner(b)
	random := func(size int) []byte { p := make([]byte, size); rand.Read(p); return p }
	var public, sealed, wrapped, body int
	if err := owner.QueryRow(b.Context(), `SELECT max(length(public_key)), max(length(phone_sealed)) FROM member WHERE account_id = $1`, account).Scan(&public, &sealed); err != nil {
		b.Fatal(err)
	}
	if err := owner.QueryRow(b.Context(), `SELECT max(length(body)) FROM console_event WHERE type = 'latchkey.member.created'`).Scan(&body); err != nil {
		b.Fatal(err)
	}
	if err := keys.QueryRow(b.Context(), "SELECT max(length(wrapped)) FROM member_key").Scan(&wrapped); err != nil {
		b.Fatal(err)
	}
	var took time.Duration
	for at := 0; at < n; at += group {
		var ids, events [][16]byte
		var names []string
		var publics, phones, emails, indexes, digests, wraps, bodies [][]byte
		for i := range group {
			ids, events, names = append(ids, uuid.Must(uuid.NewV7())), append(events, uuid.Must(uuid.NewV7())), append(names, fmt.Sprintf("raw-%d", at+i))
			publics, digests, wraps, bodies, indexes = append(publics, random(public)), append(digests, random(32)), append(wraps, random(wrapped)), append(bodies, random(body)), append(indexes, random(37))
			var number, address []byte
			if i%2 == 0 {
				number = random(sealed)
			}
			if i%3 == 0 {
				address = random(sealed)
			}
			phones, emails = append(phones, number), append(emails, address)
		}
		start := time.Now()
		if _, err := keys.Exec(b.Context(), "INSERT INTO member_key (member_id, public_key, wrapped) SELECT * FROM unnest($1::uuid[], $2::bytea[], $3::bytea[])", ids, publics, wraps); err != nil {
			b.Fatal(err)
		}
		err := pgx.BeginFunc(b.Context(), owner, func(tx pgx.Tx) error {
			return inTurn(b.Context(), tx, []any{
				`INSERT INTO idempotency_key (account_id, key_digest, body_digest, member_id, kept_until) SELECT $1, d, d, i, now() FROM unnest($2::bytea[], $3::uuid[]) u(d, i)`, account, digests, ids,
			}, []any{
				`INSERT INTO member (id, account_id, role, user_id, public_key, phone_sealed, phone_details, phone_country, phone_last_two, phone_index, email_sealed, email_details, email_index)
				SELECT i, $1, 'provider', n, p, s, s, CASE WHEN s IS NOT NULL THEN 'CA' END, CASE WHEN s IS NOT NULL THEN '42' END, CASE WHEN s IS NOT NULL THEN x END, e, e, CASE WHEN e IS NOT NULL THEN x END
				FROM unnest($2::uuid[], $3::text[], $4::bytea[], $5::bytea[], $6::bytea[], $7::bytea[]) u(i, n, p, s, e, x)`, account, ids, names, publics, phones, emails, indexes,
			}, []any{
				`INSERT INTO console_event (id, type, account_id, body) SELECT i, 'latchkey.member.created', $1, b FROM unnest($2::uuid[], $3::bytea[]) u(i, b)`, account, events, bodies,
			})
		})
		if took += time.Since(start); err != nil {
			b.Fatal(err)
		}
	}
	return took
}

// inTurn executes statements, each with its arguments.
func inTurn(ctx context.Context, tx pgx.Tx, all ...[]any) error {
	for _, s := range all {
		if _, err := tx.Exec(ctx, s[0].(string), s[1:]...); err != nil {
			return err
		}
	}
	return nil
}
