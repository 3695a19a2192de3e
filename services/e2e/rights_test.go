package e2e

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"latchkey.dev/services/internal/storetest"
)

// asked are the services that have a folder in queries/.
var asked = []string{"login", "dispatcher", "verifier", "auditor", "console"}

// query is one of a service's queries.
type query struct {
	name, sql string
	keys      bool // asked of the key database
}

var named = regexp.MustCompile(`^-- name: (\w+) :`)

// queriesOf reads a service's queries out of the Go that sqlc wrote.
func queriesOf(t *testing.T, service string) (all []query) {
	t.Helper()
	dir := filepath.Join("..", "..", "queries", service)
	entries := must(os.ReadDir(dir))(t)
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".sql.go") {
			continue
		}
		f := must(parser.ParseFile(token.NewFileSet(), filepath.Join(dir, e.Name()), nil, 0))(t)
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if sql, err := strconv.Unquote(lit.Value); err == nil {
					if m := named.FindStringSubmatch(sql); m != nil {
						all = append(all, query{m[1], sql, e.Name() == "keys.sql.go"})
					}
				}
			}
			return true
		})
	}
	if len(all) < 5 {
		t.Fatalf("only %d queries of %s were found", len(all), service)
	}
	return all
}

var parameter = regexp.MustCompile(`\$([0-9]+)`)

// try explains the execution of a query under a role: that checks the rights of the plan,
// which preparing it does not.
func try(ctx context.Context, db *storetest.DB, role string, q query) (err error) {
	url := db.URL("latchkey_" + role)
	if q.keys {
		url = db.KeysURL("latchkey_" + role)
	}
	conn, err := pgx.Connect(ctx, url.Reveal())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	most := 0
	for _, m := range parameter.FindAllStringSubmatch(q.sql, -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return err
		}
		most = max(most, n)
	}
	values := ""
	if most > 0 {
		values = "(" + strings.TrimSuffix(strings.Repeat("NULL,", most), ",") + ")"
	}
	for _, sql := range []string{"PREPARE asked AS " + q.sql, "EXPLAIN EXECUTE asked" + values} {
		if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
			return err
		}
	}
	return nil
}

func denied(err error) bool {
	pgErr := new(pgconn.PgError)
	return errors.As(err, &pgErr) && pgErr.Code == "42501"
}

// Each role may ask all that its folder asks.
func TestEachServiceMayAskItsOwnQueries(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	for _, service := range asked {
		for _, q := range queriesOf(t, service) {
			if err := try(t.Context(), db, service, q); err != nil {
				t.Errorf("%s may not ask its own %s: %v", service, q.name, err)
			}
		}
	}
}

// F27: what a stolen credential must not do. The queries are the other services' own.
func TestNoServiceMayAskWhatIsNotIts(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	all := map[string]query{}
	for _, service := range asked {
		for _, q := range queriesOf(t, service) {
			all[service+"."+q.name] = q
		}
	}
	for role, refused := range map[string][]string{
		"login": {"dispatcher.DeliveryRead", "dispatcher.AttemptClaim", "dispatcher.AttemptRecord", "dispatcher.EpochRead", "dispatcher.ReceiptTake",
			"verifier.JudgeRead", "verifier.JudgeWrite", "verifier.MemberTryWrite",
			"verifier.JudgeKeyRead", "verifier.EpochInsert", "verifier.EventInsert", "auditor.LeafInsert", "auditor.EventRead",
			"console.DeadLetterRead", "console.DeadLetterMark",
			"console.ProviderRuleSet", "console.OperatorGrant", "console.MemberForget", "console.PrivacyJobInsert", "auditor.JobClaim", "auditor.MemberKeyRead", "auditor.MemberKeyDestroy", "auditor.ChallengesForget"},
		"dispatcher": {"login.MemberForSignIn", "login.PasswordRead", "login.PasswordWrite", "login.MemberRead", "login.SessionRead", "login.SessionInsert",
			"login.ChallengeInsert", "login.EntryInsert", "login.EventInsert", "login.APIKeyRead", "login.MemberKeyInsert", "verifier.JudgeRead", "verifier.JudgeWrite",
			"verifier.JudgeKeyRead", "verifier.EpochInsert", "auditor.LeafInsert", "console.DeadLetterMark",
			"console.ProviderRuleSet", "console.OperatorGrant", "console.MemberForget", "auditor.DetailsRead", "auditor.MemberKeyRead", "auditor.ChallengesForget"},
		"verifier": {"dispatcher.DeliveryRead", "dispatcher.AttemptClaim", "dispatcher.ReceiptTake", "dispatcher.EventInsert", "login.MemberForSignIn", "login.PasswordRead",
			"login.MemberRead", "login.CheckRead", "login.SessionInsert", "login.ChallengeInsert", "login.EntryInsert", "login.MemberKeyInsert", "auditor.LeafInsert", "console.DeadLetterMark",
			"console.ProviderRuleSet", "console.OperatorGrant", "console.MemberForget", "auditor.DetailsRead", "auditor.MemberKeyRead", "auditor.ChallengesForget"},
		"auditor": {"login.MemberForSignIn", "login.ChallengeInsert", "login.EventInsert", "dispatcher.DeliveryRead", "dispatcher.EventInsert", "dispatcher.EpochRead",
			"verifier.JudgeWrite", "verifier.JudgeRead", "verifier.EventInsert", "verifier.JudgeKeyRead", "console.DeadLetterMark",
			"console.ProviderRuleSet", "console.OperatorGrant", "console.MemberForget", "console.PrivacyJobInsert", "login.MemberInsert", "login.MemberKeyInsert", "login.CredentialWrite", "login.MemberPhoneWrite"},
		"console": {"login.ChallengeInsert", "login.EntryInsert", "login.EventInsert", "login.PasswordRead", "dispatcher.DeliveryRead", "dispatcher.EpochRead",
			"dispatcher.DeadLetterInsert", "dispatcher.DeadLetterRedriven", "verifier.JudgeWrite", "verifier.JudgeRead", "verifier.JudgeKeyRead",
			"verifier.DeadLetterRebury", "auditor.LeafInsert", "auditor.AlarmInsert", "auditor.DetailsRead", "auditor.MemberKeyRead", "auditor.MemberKeyDestroy",
			"auditor.ChallengesForget", "auditor.OwnEventInsert", "auditor.JobStep", "auditor.JobFind"},
		"reader": {"login.MemberForSignIn", "dispatcher.DeliveryRead", "verifier.JudgeRead", "auditor.LeafInsert", "auditor.EventRead", "dispatcher.EpochRead", "console.DeadLetterRead", "console.ProviderRuleSet", "console.OperatorGrant", "console.MemberForget", "auditor.DetailsRead", "auditor.MemberKeyRead"},
	} {
		for _, name := range refused {
			q, ok := all[name]
			if !ok {
				t.Errorf("there is no query %s any more: name the one in its place", name)
				continue
			}
			if err := try(t.Context(), db, role, q); !denied(err) {
				t.Errorf("%s may ask %s: %v", role, name, err)
			}
		}
	}
}

// Events are forever: no service may change, delete or truncate one, and a superuser's
// slip of the hand is stopped too.
func TestEventsAreForever(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	if _, err := db.Owner(t).Exec(t.Context(), "INSERT INTO login_event (id, type, account_id, body) VALUES (uuid_floor(now()), 'latchkey.login.ended', gen_random_uuid(), '{}')"); err != nil {
		t.Fatal(err)
	}
	for _, service := range []string{"login", "dispatcher", "verifier", "auditor", "console"} {
		pool := db.Pool(t, service)
		for _, table := range []string{"login_event", "dispatcher_event", "verifier_event", "console_event", "auditor_event", "leaf"} {
			for _, sql := range []string{"DELETE FROM %s", "TRUNCATE %s"} {
				if _, err := pool.Exec(t.Context(), fmt.Sprintf(sql, table)); !denied(err) {
					t.Errorf("%s may "+sql+": %v", service, table, err)
				}
			}
		}
	}
	for _, sql := range []string{"UPDATE login_event SET type = type", "DELETE FROM login_event"} {
		if _, err := db.Owner(t).Exec(t.Context(), sql); err == nil || denied(err) {
			t.Errorf("%s by a superuser: %v, want the trigger's refusal", sql, err)
		}
	}
}

// Who may end a registration may not make one: what has ended never lives again.
func TestARevokedDeviceNeverLivesAgain(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	if _, err := db.Owner(t).Exec(t.Context(), `INSERT INTO device (id, account_id, member_id, software_id, kind, thumbprint, challenge_id, registered_facets, seen_facets)
		VALUES (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'web', 'key', '', gen_random_uuid(), '{}', '{}')`); err != nil {
		t.Fatal(err)
	}
	for _, service := range []string{"login", "verifier"} {
		pool := db.Pool(t, service)
		if _, err := pool.Exec(t.Context(), "UPDATE device SET revoked_at = now(), revoke_reason = 'member' WHERE revoked_at IS NULL"); err != nil {
			t.Errorf("%s may not end a registration: %v", service, err)
		}
		if _, err := pool.Exec(t.Context(), "UPDATE device SET revoked_at = NULL, revoke_reason = NULL"); err == nil || denied(err) {
			t.Errorf("%s may make one live again: %v", service, err)
		}
	}
	// A row of one's own is changed in what the queries change, and in nothing else.
	for service, sqls := range map[string][]string{
		"login":      {"UPDATE member SET public_key = ''", "UPDATE member SET account_id = id", "UPDATE member SET deactivated_at = NULL", "UPDATE session SET member_id = id", "UPDATE device SET thumbprint = ''"},
		"dispatcher": {"UPDATE attempt SET challenge_id = id", "UPDATE attempt SET provider = ''"},
		"verifier":   {"SELECT phone_sealed FROM member", "UPDATE member SET phone_version = 1", "UPDATE device SET thumbprint = ''"},
	} {
		pool := db.Pool(t, service)
		for _, sql := range sqls {
			if _, err := pool.Exec(t.Context(), sql); !denied(err) {
				t.Errorf("%s may %s: %v", service, sql, err)
			}
		}
	}
}
