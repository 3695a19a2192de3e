package doctor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/store/migrate"
)

// connect opens a database as one service, once.
func connect(ctx context.Context, url secret.String, err error) (*pgx.Conn, error) {
	if err != nil {
		return nil, errors.New("its address cannot be read")
	}
	cfg, err := pgx.ParseConfig(url.Reveal())
	if err != nil {
		return nil, errors.New("its address is not one of a database") // the error may quote it
	}
	cfg.ConnectTimeout = Timeout
	cfg.RuntimeParams["application_name"] = "latchkey-doctor"
	return pgx.ConnectConfig(ctx, cfg)
}

// on asks a database something as one service, and closes it again.
func (p *patient) on(ctx context.Context, keys bool, service string, ask func(context.Context, *pgx.Conn) error) error {
	ctx, stop := context.WithTimeout(ctx, Timeout)
	defer stop()
	url, err := p.Keys.MainURL(service)
	if keys {
		url, err = p.Keys.KeysURL(service)
	}
	conn, err := connect(ctx, url, err)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return ask(ctx, conn)
}

// name is what a database is called.
func name(keys bool) string {
	if keys {
		return "key database"
	}
	return "main database"
}

func (p *patient) database(ctx context.Context, f *findings) {
	n := 0
	for _, keys := range []bool{false, true} {
		for _, service := range p.Services {
			var is string
			err := p.on(ctx, keys, service, func(ctx context.Context, c *pgx.Conn) error {
				return c.QueryRow(ctx, "SELECT current_user").Scan(&is)
			})
			switch {
			case err != nil:
				f.fault("see that PostgreSQL runs and lets the role in; latchkey migrate writes the addresses and passwords anew", "the %s does not let %s in: %s", name(keys), service, oneLine(err))
				continue
			case is != "latchkey_"+service:
				f.fault("latchkey migrate writes each service's address anew", "%s enters the %s as %s, and not under its own role", service, name(keys), is)
			}
			p.databases = p.databases || !keys
			n++
		}
	}
	if !f.bad() {
		f.ok("main and key database let each of %d services in under its own role", n/2)
	}
}

// oneLine makes an error fit for a line.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

func (p *patient) schema(ctx context.Context, f *findings) {
	const do = "latchkey migrate (the PostgreSQL of latchkey up is migrated at each start)"
	for _, keys := range []bool{false, true} {
		err := p.on(ctx, keys, p.Services[0], func(ctx context.Context, c *pgx.Conn) error {
			if keys {
				return migrate.CheckKeys(ctx, c)
			}
			return migrate.Check(ctx, c)
		})
		if err != nil {
			f.fault(do, "%s: %s", name(keys), oneLine(err))
		}
	}
	if !f.bad() {
		f.ok("both databases are at this version's schema")
	}
}

// right is what a role must be able to do, or must not.
type right struct {
	keys             bool
	role, may, table string
	want             bool
}

// rights are those that the whole stands on; a test of the project tries every query.
var rights = []right{
	{false, "login", "INSERT", "challenge", true}, {false, "login", "INSERT", "device", false}, {false, "login", "INSERT", "verifier_event", false},
	{false, "dispatcher", "INSERT", "attempt", true}, {false, "dispatcher", "SELECT", "credential", false}, {false, "dispatcher", "INSERT", "device", false},
	{false, "dispatcher", "INSERT", "provider_rule", false}, {false, "verifier", "INSERT", "device", true}, {false, "verifier", "SELECT", "credential", false},
	{false, "verifier", "INSERT", "login_event", false}, {false, "auditor", "INSERT", "leaf", true}, {false, "auditor", "INSERT", "device", false},
	{false, "auditor", "SELECT", "credential.digest", false}, {false, "console", "INSERT", "console_event", true}, {false, "console", "INSERT", "leaf", false},
	{false, "console", "SELECT", "challenge.seed", false}, {false, "login", "SELECT", "challenge.seed", false}, {false, "verifier", "SELECT", "challenge.phone_sealed", false},
	{false, "login", "DELETE", "login_event", false}, {false, "console", "DELETE", "console_event", false}, {false, "auditor", "DELETE", "leaf", false},
	{false, "reader", "SELECT", "member", false},
	{true, "dispatcher", "SELECT", "code_epoch", true}, {true, "dispatcher", "SELECT", "judge_key", false}, {true, "verifier", "SELECT", "judge_key", true},
	{true, "login", "SELECT", "code_epoch", false}, {true, "login", "SELECT", "member_key", false}, {true, "console", "SELECT", "member_key", false},
	{true, "console", "SELECT", "code_epoch", false}, {true, "auditor", "SELECT", "member_key", true}, {true, "auditor", "SELECT", "code_epoch", false},
}

// has asks whether a role has a right: on a column ("table.column"), on any column, or to delete.
const has = `SELECT CASE WHEN $3 = '' AND $4 = 'DELETE' THEN has_table_privilege($1, $2, $4)
	WHEN $3 = '' THEN has_any_column_privilege($1, $2, $4) ELSE has_column_privilege($1, $2, $3, $4) END`

func (p *patient) rights(ctx context.Context, f *findings) {
	const do = "latchkey migrate, and take away what somebody granted besides (schema/sql has every grant)"
	for _, keys := range []bool{false, true} {
		err := p.on(ctx, keys, p.Services[0], func(ctx context.Context, c *pgx.Conn) error {
			for _, r := range rights {
				if r.keys != keys {
					continue
				}
				table, column, _ := strings.Cut(r.table, ".")
				var may bool
				if err := c.QueryRow(ctx, has, "latchkey_"+r.role, table, column, r.may).Scan(&may); err != nil {
					return err
				}
				if may != r.want {
					f.fault(do, "%s %s %s %s", r.role, map[bool]string{true: "may", false: "may not"}[may], r.may, r.table)
				}
			}
			var mighty []string
			if err := c.QueryRow(ctx, "SELECT coalesce(array_agg(rolname::text ORDER BY rolname), '{}') FROM pg_roles WHERE rolname LIKE 'latchkey\\_%' AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls OR rolreplication)").Scan(&mighty); err != nil {
				return err
			}
			if len(mighty) > 0 && !keys {
				f.fault("ALTER ROLE … NOSUPERUSER NOCREATEROLE NOCREATEDB NOBYPASSRLS NOREPLICATION", "roles that may do more than any service needs: %s", strings.Join(mighty, ", "))
			}
			return nil
		})
		if err != nil {
			f.fault(do, "the rights in the %s cannot be asked for: %s", name(keys), oneLine(err))
		}
	}
	if !f.bad() {
		f.ok("roles may do what they need, and nothing that they must not, in %d tries", len(rights))
	}
}

// epochs looks for the key of this hour's codes, as the dispatcher would.
func (p *patient) epochs(ctx context.Context, f *findings) {
	if !p.holds(bus.Dispatcher) {
		return
	}
	var there bool
	err := p.on(ctx, true, bus.Dispatcher, func(ctx context.Context, c *pgx.Conn) error {
		return c.QueryRow(ctx, "SELECT EXISTS (SELECT FROM code_epoch WHERE epoch = floor(extract(epoch FROM now()) / 3600)::bigint)").Scan(&there)
	})
	switch {
	case err != nil:
		f.fault("see databases", "the keys of codes cannot be asked for: %s", oneLine(err))
	case !there:
		f.fault("see that a verifier runs: it makes them", "there is no key for the codes of this hour: no text can be sent")
	default:
		f.ok("there is a key for the codes of this hour")
	}
}

func (p *patient) holds(service string) bool {
	return slices.Contains(p.Services, service)
}

func (p *patient) dispatchers(ctx context.Context, f *findings) {
	if !p.holds(bus.Console) {
		return
	}
	var n int
	err := p.on(ctx, false, bus.Console, func(ctx context.Context, c *pgx.Conn) error {
		return c.QueryRow(ctx, "SELECT count(*) FROM dispatcher_instance WHERE seen_at > now() - interval '30 seconds'").Scan(&n)
	})
	switch {
	case err != nil:
		f.fault("see databases and schema", "the dispatchers cannot be counted: %s", oneLine(err))
	case n == 0:
		f.fault("start one: latchkey up, or latchkey dispatcher", "no dispatcher was seen in the last half minute: no text is sent")
	default:
		f.ok("seen in the last half minute: %d", n)
	}
}

// clock holds our clock to those of the others.
func (p *patient) clock(ctx context.Context, f *findings) {
	const do = "have this machine and that one keep time (NTP)"
	var theirs time.Time
	var asked, answered time.Time
	err := p.on(ctx, false, p.Services[0], func(ctx context.Context, c *pgx.Conn) error {
		asked = time.Now()
		defer func() { answered = time.Now() }()
		return c.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&theirs)
	})
	if err == nil {
		compare(f, do, "PostgreSQL", theirs, asked, answered, 0)
	}
	if found, err := p.inspect(ctx); err == nil && !found.Now.IsZero() {
		compare(f, do, "the bus", found.Now, found.Asked, found.Answered, 0)
	}
	for who, address := range p.dated() {
		if theirs, asked, answered, ok := p.date(ctx, address); ok {
			compare(f, do, who, theirs, asked, answered, time.Second) // that is how fine the header is
		}
	}
}

// compare tells how far a clock that was read between two moments is from ours.
func compare(f *findings, do, who string, theirs, asked, answered time.Time, grain time.Duration) {
	early, late := asked.Sub(theirs.Add(grain)), theirs.Sub(answered)
	if off := max(early, late); off > MaxOffset {
		f.fault(do, "the clock of %s is %s from ours", who, off.Round(100*time.Millisecond))
		return
	}
	f.ok("the clock of %s is within %s of ours", who, MaxOffset)
}
