package console_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/access"
	"latchkey.dev/services/console"
	"latchkey.dev/services/device"
	"latchkey.dev/services/email"
	"latchkey.dev/services/internal/seal"
	"latchkey.dev/services/internal/storetest"
	"latchkey.dev/services/phone"
)

// crowd makes two accounts of n people each. Of the first all have a number, a device and no
// lock, but the three last in its list; of the second nobody has a number or a device.
func crowd(b *testing.B, n int) (c *console.Console, people seal.People, db *storetest.DB, full, empty uuid.UUID) {
	b.Helper()
	db = storetest.New(b)
	key := func() seal.PublicKey {
		k, err := seal.GenerateKey()
		if err != nil {
			b.Fatal(err)
		}
		return k.Public()
	}
	people = seal.People{Dispatcher: key(), Auditor: key(), IndexMAC: newMAC(b)}
	c, err := console.New(console.Options{Pool: db.Pool(b, "console"), KeysPool: db.KeysPool(b, "console"), Bus: &told{}, People: people})
	if err != nil {
		b.Fatal(err)
	}
	owner := db.Owner(b)
	exec := func(sql string, args ...any) {
		b.Helper()
		conn, err := owner.Acquire(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Release()
		if _, err := conn.Exec(b.Context(), "SET statement_timeout = 0; SET enable_seqscan = on"); err != nil {
			b.Fatal(err)
		}
		if _, err := conn.Exec(b.Context(), sql, args...); err != nil {
			b.Fatalf("%s: %v", sql, err)
		}
	}
	for _, id := range []*uuid.UUID{&full, &empty} {
		if *id, err = c.CreateAccount(b.Context(), console.Account{Kind: device.Pro, Name: "Clinic", Country: "CA", TwoFactor: true, Demographics: true}); err != nil {
			b.Fatal(err)
		}
	}
	roles := `(ARRAY['client','client','client','client','client','client','provider','provider','supervisor','administrator'])[i % 10 + 1]`
	exec(`INSERT INTO member (id, account_id, role, user_id, public_key, may_lack_device, phone_sealed, phone_details, phone_country, phone_last_two, phone_index)
		SELECT gen_random_uuid(), $1, `+roles+`, 'person-' || md5(i::text), decode(repeat('00', 1100), 'hex'), false, decode(repeat('00', 1200), 'hex'), decode(repeat('00', 1200), 'hex'),
			'CA', lpad((i % 100)::text, 2, '0'), decode(md5(i::text), 'hex') FROM generate_series(1, $2::int) i`, full, n-3)
	exec(`INSERT INTO member (id, account_id, role, user_id, public_key, locked_at) SELECT gen_random_uuid(), $1, 'client', 'zz-' || i, '\x00', now() FROM generate_series(1, 3) i`, full)
	exec(`INSERT INTO member (id, account_id, role, user_id, public_key) SELECT gen_random_uuid(), $1, `+roles+`, 'other-' || md5(i::text), decode(repeat('00', 1100), 'hex') FROM generate_series(1, $2::int) i`, empty, n)
	exec(`INSERT INTO device (id, account_id, member_id, software_id, kind, thumbprint, challenge_id, registered_facets, seen_facets)
		SELECT gen_random_uuid(), account_id, id, 'web', 'key', uuid_send(id), gen_random_uuid(), '{}', '{}' FROM member WHERE NOT may_lack_device`)
	exec("VACUUM ANALYZE")
	return c, people, db, full, empty
}

// BenchmarkList measures what the list page and the API ask for, at 100,000 people of one
// account among 200,000, each with its ratio to reading 50 rows by their primary keys on the
// same connection settings, one after the other.
func BenchmarkList(b *testing.B) {
	c, people, db, full, empty := crowd(b, 100_000)
	pool := db.Pool(b, "console")
	var ids [][16]byte
	if err := db.Owner(b).QueryRow(b.Context(), "SELECT array_agg(id) FROM (SELECT id FROM member WHERE account_id = $1 ORDER BY md5(id::text) LIMIT 50) m", full).Scan(&ids); err != nil {
		b.Fatal(err)
	}
	raw := func() time.Duration {
		start := time.Now()
		rows, err := pool.Query(b.Context(), "SELECT id, role, user_id, phone_country, created_at FROM member WHERE id = ANY($1)", ids)
		if err != nil {
			b.Fatal(err)
		}
		for rows.Next() {
		}
		if rows.Close(); rows.Err() != nil {
			b.Fatal(rows.Err())
		}
		return time.Since(start)
	}
	number, err := phone.Parse("604 555 0142", "CA")
	if err != nil {
		b.Fatal(err)
	}
	address, err := email.Parse("ada@example.org")
	if err != nil {
		b.Fatal(err)
	}
	if _, err := db.Owner(b).Exec(b.Context(), "UPDATE member SET phone_index = $1 WHERE id = $2", people.NumberIndex(number), ids[0]); err != nil {
		b.Fatal(err)
	}
	if _, err := db.Owner(b).Exec(b.Context(), `UPDATE member SET email_sealed = '\x00', email_details = '\x00', email_index = $1 WHERE id = $2`, people.EmailIndex(address), ids[1]); err != nil {
		b.Fatal(err)
	}
	all := func(name string) console.Place { return console.Place{UserID: name} }
	for _, one := range []struct {
		name    string
		account uuid.UUID
		search  console.Search
		found   int
	}{
		{"first page", full, console.Search{}, 50},
		{"page in the middle", full, console.Search{After: all("person-8")}, 50},
		{"last page", full, console.Search{After: all("person-fffff")}, -1},
		{"500 a page", full, console.Search{Most: 500}, 500},
		{"one role", full, console.Search{Roles: []device.Role{device.Administrator}}, 50},
		{"a role that nobody has", full, console.Search{Roles: []device.Role{device.Owner}}, 0},
		{"deactivated, none", full, console.Search{Deactivated: true}, 0},
		{"no number, at the end", full, console.Search{NoNumber: true}, 3},
		{"no number, everybody", empty, console.Search{NoNumber: true}, 50},
		{"no device, at the end", full, console.Search{NoDevice: true}, 3},
		{"no device, everybody", empty, console.Search{NoDevice: true}, 50},
		{"locked, at the end", full, console.Search{Locked: true}, 3},
		{"locked, none", empty, console.Search{Locked: true}, 0},
		{"all filters, none", empty, console.Search{NoNumber: true, NoDevice: true, Locked: true, Roles: []device.Role{device.Provider}}, 0},
		{"user ID begins, many", full, console.Search{Text: "PERSON-"}, 50},
		{"user ID begins, none", full, console.Search{Text: "person-zz"}, 0},
		{"number, national", full, console.Search{Text: "(604) 555-0142"}, 1},
		{"number, nobody's", full, console.Search{Text: "604 555 0143"}, 0},
		{"e-mail address", full, console.Search{Text: "ada@example.org"}, 1},
		{"last two digits", full, console.Search{Text: "CA 42"}, 50},
		{"last two digits, locked: none", full, console.Search{Text: "CA 42", Locked: true}, 0},
	} {
		b.Run(strings.ReplaceAll(one.name, " ", "-"), func(b *testing.B) {
			var ours, rawest time.Duration
			for b.Loop() {
				start := time.Now()
				page, _, err := c.List(b.Context(), access.Actor{Kind: access.Operator, Account: one.account}, one.search)
				ours += time.Since(start)
				if err != nil || one.found >= 0 && len(page) != one.found {
					b.Fatalf("%d people, want %d, %v", len(page), one.found, err)
				}
				rawest += raw()
			}
			b.ReportMetric(float64(ours.Microseconds())/1000/float64(b.N), "ms/list")
			b.ReportMetric(float64(ours)/float64(rawest), "x-raw")
			b.ReportMetric(0, "ns/op")
		})
	}
	// Half of those who lack a device are said to, and have one: the registrations since the last upkeep.
	if _, err := db.Owner(b).Exec(b.Context(), "SET statement_timeout = 0; UPDATE member SET may_lack_device = true WHERE id IN (SELECT id FROM member WHERE account_id = '"+full.String()+"' LIMIT 10000)"); err != nil {
		b.Fatal(err)
	}
	b.Run("no-device,-10000-hints-too-many", func(b *testing.B) {
		for b.Loop() {
			if page, _, err := c.List(b.Context(), access.Actor{Kind: access.Operator, Account: full}, console.Search{NoDevice: true}); err != nil || len(page) != 3 {
				b.Fatal(fmt.Sprint(len(page), err))
			}
		}
	})
}
