package faults

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/install"
	"latchkey.dev/services/internal/pgd"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/store"
)

// The stores that are searched.
const (
	mainStore   = "main database"
	keysStore   = "key database"
	walStore    = "write-ahead log"
	busStore    = "bus"
	logStore    = "logs"
	metricStore = "metrics"
	otherStore  = "other files"
	rowsOf      = ", as rows"
)

// forms are the ways in which a canary is written.
var forms = map[string]func(number string) []byte{
	"plain":  func(n string) []byte { return []byte(n) },
	"hex":    func(n string) []byte { return []byte(hex.EncodeToString([]byte(n))) },
	"base64": func(n string) []byte { return []byte(base64.StdEncoding.EncodeToString([]byte(n))) },
	"base64, after one byte": func(n string) []byte {
		return []byte(base64.StdEncoding.EncodeToString([]byte("a" + n)))
	},
	"base64, after two bytes": func(n string) []byte {
		return []byte(base64.StdEncoding.EncodeToString([]byte("ab" + n)))
	},
	"UTF-16": func(n string) []byte { return []byte("\x00" + strings.Join(strings.Split(n, ""), "\x00")) },
}

// What PostgreSQL compresses: within its row, and in pieces in a table beside.
const (
	inRow    = "a value compressed in its row"
	outOfRow = "a value compressed out of its row"
)

// written is a store's canaries one after the other.
func (k *kinds) written(store string) []byte {
	var b bytes.Buffer
	for form, write := range forms {
		b.WriteString("\n")
		b.Write(write(k.all[k.canaries[store][form]]))
	}
	b.WriteString("\n")
	return b.Bytes()
}

// storeOf tells to what a file belongs; keys is the folder of the key database.
func storeOf(path, keys string) string {
	switch {
	case strings.Contains(path, "/base/"+keys+"/"):
		return keysStore
	case strings.Contains(path, "/pg_wal/"):
		return walStore
	case strings.Contains(path, "/postgres/data/"):
		return mainStore
	case strings.Contains(path, "/data/bus/"):
		return busStore
	case strings.HasSuffix(path, ".metrics"):
		return metricStore
	case strings.HasSuffix(path, ".log"):
		return logStore
	}
	return otherStore
}

// readable makes the installation's PostgreSQL write whole pages into its log as they are,
// before anything else is in it: the search reads compressed values, not compressed pages.
func (h *house) readable() {
	h.t.Helper()
	ctx := context.Background()
	server, err := pgd.Start(ctx, pgd.Options{Dir: filepath.Join(h.data, "postgres")})
	if err != nil {
		h.t.Fatal(err)
	}
	defer server.Stop()
	conn, err := pgx.Connect(ctx, server.URL("postgres", pgd.Superuser).Reveal())
	if err == nil {
		_, err = conn.Exec(ctx, "ALTER ROLE ALL SET wal_compression = off")
		err = errors.Join(err, conn.Close(ctx))
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// database opens one of the two databases as superuser.
func (h *house) database(t *testing.T, name string) *pgx.Conn {
	t.Helper()
	url, err := install.Folder(filepath.Join(h.data, "keys")).MainURL("login")
	if err == nil {
		url, err = store.URLFor(url, name, pgd.Superuser, secret.String{})
	}
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// databases are the two, by the stores that they are.
var databases = map[string]string{mainStore: "latchkey", keysStore: "latchkey_keys"}

// plant writes the canaries into databases and bus.
func (h *house) plant(t *testing.T, k *kinds) {
	t.Helper()
	for store, name := range databases {
		conn := h.database(t, name)
		var compression, toast string
		if err := conn.QueryRow(t.Context(), "SELECT current_setting('wal_compression'), current_setting('default_toast_compression')").Scan(&compression, &toast); err != nil {
			t.Fatal(err)
		}
		if compression != "off" || toast != "pglz" {
			t.Fatalf("wal_compression is %s and default_toast_compression %s: the search would be blind", compression, toast)
		}
		dull := strings.Repeat("all work and no play ", 200)
		var wild strings.Builder // compresses to some half of its size
		for range 4000 {
			fmt.Fprintf(&wild, "%x ", h.dice.Uint32())
		}
		exec := func(sql string, args ...any) {
			t.Helper()
			if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
				t.Fatal(err)
			}
		}
		exec("CREATE TABLE canary (value bytea)")
		exec("INSERT INTO canary VALUES ($1)", k.written(store))
		exec("INSERT INTO canary VALUES ($1)", []byte(dull+k.all[k.canaries[store][inRow]]+dull))
		exec("INSERT INTO canary VALUES ($1)", []byte(wild.String()+k.all[k.canaries[store][outOfRow]]+wild.String()))
		var inside, outside int
		if err := conn.QueryRow(t.Context(), `SELECT (SELECT min(pg_column_size(value)) FROM canary WHERE length(value) = $1),
			(SELECT pg_relation_size(reltoastrelid) FROM pg_class WHERE relname = 'canary')`, 2*len(dull)+digits).Scan(&inside, &outside); err != nil {
			t.Fatal(err)
		}
		if inside >= 2000 || outside == 0 {
			t.Fatalf("no value is compressed in its row (%d bytes), or none lies outside (%d bytes)", inside, outside)
		}
		exec("CHECKPOINT")
		if err := conn.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	h.plantInBus(t, k)
}

// plantInBus publishes what is no event, as a service may: it ends as a dead letter.
func (h *house) plantInBus(t *testing.T, k *kinds) {
	t.Helper()
	nc := h.nats(t, bus.Login)
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	m := nats.NewMsg("latchkey.member.updated." + uuid.NewString())
	m.Header.Set(jetstream.MsgIDHeader, uuid.NewString())
	m.Data = k.written(busStore)
	if _, err := js.PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	h.until("it is a dead letter", 20*time.Second, func() bool { return h.count("SELECT count(*) FROM dead_letter") == 1 })
}

// nats connects to the bus as a service.
func (h *house) nats(t *testing.T, service string) *nats.Conn {
	t.Helper()
	keys := install.Folder(filepath.Join(h.data, "keys"))
	seed, err1 := keys.BusSeed(service)
	public, err2 := keys.BusPublicKey(service)
	url, err3 := keys.BusURL()
	pair, err4 := nkeys.FromSeed([]byte(seed.Reveal()))
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	var nc *nats.Conn
	h.until("the bus, which may have been killed just now, takes a connection", 60*time.Second, func() bool {
		var err error
		nc, err = nats.Connect(url, nats.Nkey(public, pair.Sign), nats.CustomInboxPrefix(bus.InboxPrefix(service)))
		return err == nil
	})
	return nc
}

// scrapeAll keeps the metrics of every part that has some beside the logs.
func (h *house) scrapeAll(t *testing.T) {
	t.Helper()
	for part := range h.metrics {
		if err := os.WriteFile(filepath.Join(h.logs, part+".metrics"), []byte(h.scrape(part)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// plantInLogs adds the canaries to all that was written, as if a process had.
func (h *house) plantInLogs(t *testing.T, k *kinds) {
	t.Helper()
	h.forgive() // what they wrote themselves
	for pattern, store := range map[string]string{"*.log": logStore, "*.metrics": metricStore} {
		files, err := filepath.Glob(filepath.Join(h.logs, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%d files of %s: %v", len(files), store, err)
		}
		for _, file := range files {
			f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
			if err == nil {
				_, err = f.Write(k.written(store))
				err = errors.Join(err, f.Close())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// rows reads every row of both databases as text: also what lies compressed in pieces.
func (h *house) rows(t *testing.T) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for store, name := range databases {
		conn := h.database(t, name)
		if _, err := conn.Exec(t.Context(), "SET bytea_output = 'escape'"); err != nil {
			t.Fatal(err)
		}
		found, err := conn.Query(t.Context(), "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')")
		if err != nil {
			t.Fatal(err)
		}
		tables, err := pgx.CollectRows(found, pgx.RowTo[string])
		if err != nil || len(tables) < 3 {
			t.Fatalf("%d tables in %s: %v", len(tables), store, err)
		}
		var b bytes.Buffer
		for _, table := range tables {
			if _, err := conn.PgConn().CopyTo(t.Context(), &b, "COPY (SELECT t::text FROM "+table+" t) TO STDOUT"); err != nil {
				t.Fatalf("reading %s: %v", table, err)
			}
		}
		out[store+rowsOf] = b.Bytes()
		if err := conn.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return out
}
