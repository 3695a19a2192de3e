package console_test

import (
	"crypto/sha256"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"latchkey.dev/services/console"
	"latchkey.dev/services/device"
	"latchkey.dev/services/internal/web"
)

// key gives a product a key of an account.
func (s *served) key(account uuid.UUID) string {
	s.t.Helper()
	key := uuid.NewString()
	digest := sha256.Sum256([]byte(key))
	s.exec("INSERT INTO api_key (id, account_id, name, key_digest) VALUES ($1, $2, 'test', $3)", uuid.New(), account, digest[:])
	return key
}

// signedIn makes somebody of a role with a session.
func (s *served) signedIn(n console.NewMember) (id uuid.UUID, token string) {
	s.t.Helper()
	who := s.person(n)
	s.exec("UPDATE credential SET must_change_since = NULL WHERE member_id = $1", who.ID)
	return who.ID, s.session(who.ID, nil)
}

// Every route, asked by every role: each answer is the one of the table of rights, and who is
// of another account finds nobody.
func TestWhoMayAskWhat(t *testing.T) {
	t.Parallel()
	s := serve(t, console.Account{})
	tokens := map[string]string{"key": s.key(s.account), "foreign": s.key(s.open(console.Account{})), "nobody": "none"}
	for _, role := range device.Roles {
		n := console.NewMember{Role: role}
		if role != device.Client {
			n.UserID = "the-" + string(role)
		}
		_, tokens[string(role)] = s.signedIn(n)
	}
	tokens["operator"], _ = s.operator("operates")
	foreignStaff := s.person(console.NewMember{Role: device.Provider}).ID.String()
	const manages, owners = "owner administrator key", "owner key"
	for _, r := range []struct {
		method, path string // {owner}, {staff} and {client} are people, made for each request
		body         any
		may          string // who is answered 2xx; the others 403
		ok           int
	}{
		{"GET", "/v1/me", nil, "owner administrator supervisor provider client operator key foreign", 200},
		{"GET", "/v1/options", nil, "owner", 200},
		{"PATCH", "/v1/options", map[string]any{"upgrade_jump": 5}, "owner", 200},
		{"GET", "/v1/me/clients", nil, "owner administrator supervisor provider operator", 200},
		{"GET", "/v1/members", nil, manages + " foreign", 200},
		{"POST", "/v1/members", map[string]any{"role": "provider"}, manages + " foreign", 201},
		{"POST", "/v1/members", map[string]any{"role": "owner"}, owners + " foreign", 201},
		{"GET", "/v1/members/export", nil, manages + " foreign", 200},
		{"POST", "/v1/members/import", "role\nprovider\n", manages + " foreign", 200},
		{"POST", "/v1/members/import?dry_run=true", "role,user_id\nowner,new\n", manages + " foreign", 200},
		{"GET", "/v1/members/{staff}", nil, manages, 200},
		{"GET", "/v1/members/{client}", nil, manages, 200},
		{"GET", "/v1/members/{owner}", nil, owners, 200},
		{"PATCH", "/v1/members/{staff}", map[string]any{"language": "fr"}, manages, 200},
		{"PATCH", "/v1/members/{owner}", map[string]any{"language": "fr"}, owners, 200},
		{"POST", "/v1/members/{staff}/deactivate", nil, manages, 204},
		{"POST", "/v1/members/{owner}/deactivate", nil, owners, 204},
		{"POST", "/v1/members/{staff}/reactivate", nil, manages, 204},
		{"POST", "/v1/members/{owner}/reactivate", nil, owners, 204},
		{"POST", "/v1/members/{staff}/unlock", nil, manages, 204},
		{"POST", "/v1/members/{owner}/unlock", nil, owners, 204},
		{"POST", "/v1/members/{client}/password", nil, manages, 200},
		{"POST", "/v1/members/{owner}/password", nil, owners, 200},
		{"POST", "/v1/members/{client}/password-link", nil, manages, 200},
		{"POST", "/v1/members/{owner}/password-link", nil, owners, 200},
		{"GET", "/v1/members/{client}/assignments", nil, manages, 200},
		{"PUT", "/v1/members/{client}/assignments/" + foreignStaff, nil, manages, 204},
		{"DELETE", "/v1/members/{assigned}/assignments/" + foreignStaff, nil, manages, 204},
		{"GET", "/v1/members/{staff}/devices", nil, manages, 200},
		{"GET", "/v1/members/{owner}/devices", nil, owners, 200},
		{"DELETE", "/v1/members/{staff}/devices", nil, manages, 204},
		{"DELETE", "/v1/members/{owner}/devices", nil, owners, 204},
		{"DELETE", "/v1/members/{staff}/devices/{device}", nil, manages, 204},
		{"DELETE", "/v1/members/{owner}/devices/{device}", nil, owners, 204},
		{"POST", "/v1/members/{staff}/registration-codes", nil, manages, 201},
		{"POST", "/v1/members/{owner}/registration-codes", nil, "owner", 201},
		{"GET", "/v1/registration-codes", nil, manages + " foreign", 200},
		{"POST", "/v1/registration-codes/{waiting}/approve", nil, "owner administrator", 200},
		{"POST", "/v1/members/{staff}/number", nil, manages, 200},
		{"POST", "/v1/members/{owner}/number", nil, owners, 200},
		{"POST", "/v1/members/{client}/export", nil, manages, 202},
		{"POST", "/v1/members/{owner}/export", nil, owners, 202},
		{"POST", "/v1/members/{staff}/erase", "confirm", manages, 202},
		{"POST", "/v1/members/{owner}/erase", "confirm", owners, 202},
		{"GET", "/v1/providers", nil, "operator", 200},
		{"PUT", "/v1/providers/one/pin", nil, "operator", 200},
		{"DELETE", "/v1/providers/one/pin", nil, "operator", 200},
		{"PUT", "/v1/providers/one/drain", nil, "operator", 200},
		{"DELETE", "/v1/providers/one/drain", nil, "operator", 200},
		{"PUT", "/v1/provider-order", map[string]any{"providers": []string{"two", "one"}}, "operator", 200},
		{"DELETE", "/v1/provider-order", nil, "operator", 200},
	} {
		for who, token := range tokens {
			path := s.fill(r.path, foreignStaff)
			body := r.body
			if body == "confirm" {
				body = map[string]any{"confirm": strings.Split(path, "/")[3]} // fill makes it the user ID too
			}
			a := s.call(token, r.method, path, body, "If-Match", "*", "Content-Type", kindOf(path))
			want, problem := r.ok, ""
			switch {
			case who == "nobody":
				want, problem = 401, "no-session"
			case strings.Contains(" "+r.may+" ", " "+who+" "):
			case who == "foreign" && strings.Contains(r.path, "{"):
				want, problem = 404, "not-found"
			default:
				want, problem = 403, "forbidden"
			}
			s.wants(who+": "+r.method+" "+r.path, a, want, problem)
		}
	}
	for _, r := range new(console.Console).Routes() {
		method, path, _ := strings.Cut(r, " ")
		for status, token := range map[int]string{401: "", 403: s.unchanged()} {
			if a := s.call(token, method, s.fill(strings.NewReplacer("{id}", "{staff}", "{staff}", foreignStaff, "{code}", "{waiting}", "{provider}", "one").Replace(path), foreignStaff), nil); a.status != status {
				t.Errorf("%s is answered %d %v, want %d", r, a.status, a.body, status)
			}
		}
	}
}

// kindOf is what a route takes.
func kindOf(path string) string {
	if strings.Contains(path, "/import") {
		return "text/csv"
	}
	return "application/json"
}

// fill puts people into a path, who are there for one request.
func (s *served) fill(path, staff string) string {
	s.t.Helper()
	for name, role := range map[string]device.Role{"{owner}": device.Owner, "{staff}": device.Provider, "{client}": device.Client, "{assigned}": device.Client} {
		if !strings.Contains(path, name) {
			continue
		}
		id := uuid.New()
		s.exec(`INSERT INTO member (id, account_id, role, user_id, public_key) SELECT $1, $2, $3, $4, public_key FROM member LIMIT 1`, id, s.account, role, id.String())
		if name == "{assigned}" {
			s.exec("INSERT INTO client_assignment (client_id, staff_id, account_id) VALUES ($1, $2, $3)", id, staff, s.account)
		}
		path = strings.ReplaceAll(path, name, id.String())
		if strings.Contains(path, "{device}") {
			path = strings.ReplaceAll(path, "{device}", s.register(id).String())
		}
	}
	if strings.Contains(path, "{waiting}") {
		path = strings.ReplaceAll(path, "{waiting}", s.waiting().String())
	}
	return strings.ReplaceAll(path, "{device}", uuid.NewString())
}

// waiting is a registration code that somebody asked for, for an owner who is there for it alone.
func (s *served) waiting() uuid.UUID {
	s.t.Helper()
	id := uuid.New()
	s.exec(`INSERT INTO member (id, account_id, role, user_id, public_key) SELECT $1, $2, 'owner', $3, public_key FROM member LIMIT 1`, id, s.account, id.String())
	s.exec(`INSERT INTO registration_code (id, account_id, member_id, made_by, expires_at) VALUES ($1, $2, $1, 'operator:night-shift', now() + interval '1 day')`, id, s.account)
	return id
}

// unchanged is a session of somebody who has a generated password to change first.
func (s *served) unchanged() string {
	s.t.Helper()
	who := s.person(console.NewMember{Role: device.Owner, UserID: uuid.NewString()})
	registration := s.register(who.ID)
	return s.session(who.ID, &registration)
}

// Every answer of the document, and every problem, is what a real request is answered.
func TestEveryAnswerIsGivenAsDescribed(t *testing.T) {
	t.Parallel()
	s := serve(t, console.Account{})
	key, foreign := s.key(s.account), s.key(s.open(console.Account{}))
	_, provider := s.signedIn(console.NewMember{Role: device.Provider, UserID: "provider"})
	unchanged := s.unchanged()
	asOwner := func(what, method, path string, body any, status int, problem string, headers ...string) answer {
		t.Helper()
		return s.wants(what, s.call(key, method, path, body, headers...), status, problem)
	}
	asOwner("who asks", "GET", "/v1/me", nil, 200, "")
	made := asOwner("somebody new", "POST", "/v1/members", map[string]any{"role": "owner", "user_id": "ada", "phone": number, "email": "ada@example.org", "language": "fr"}, 201, "", "Idempotency-Key", "one")
	if again := asOwner("the same request", "POST", "/v1/members", map[string]any{"role": "owner", "user_id": "ada", "phone": number, "email": "ada@example.org", "language": "fr"}, 201, "", "Idempotency-Key", "one"); again.body["id"] != made.body["id"] || again.body["repeated"] != true || again.body["password"] != nil {
		t.Errorf("the same request is answered %v", again.body)
	}
	asOwner("the key with another body", "POST", "/v1/members", map[string]any{"role": "client"}, 422, "idempotency-key-reused", "Idempotency-Key", "one")
	asOwner("no key", "POST", "/v1/members", map[string]any{"role": "client"}, 400, "bad-idempotency-key", "Idempotency-Key", strings.Repeat("x", 129))
	asOwner("a strange role", "POST", "/v1/members", map[string]any{"role": "king"}, 422, "bad-member")
	asOwner("a taken user ID", "POST", "/v1/members", map[string]any{"role": "provider", "user_id": "ADA"}, 409, "user-id-taken")
	path := made.header.Get("Location")
	seen := asOwner("a person", "GET", path, nil, 200, "").header.Get("ETag")
	asOwner("an update of what was not looked at", "PATCH", path, map[string]any{"language": "de"}, 428, "precondition-required")
	if next := asOwner("an update", "PATCH", path, map[string]any{"language": "de"}, 200, "", "If-Match", seen); next.body["language"] != "de" || next.header.Get("ETag") == seen {
		t.Errorf("an update is answered %v %v", next.header, next.body)
	}
	for _, stale := range []string{seen, "1", `W/"2"`, `"x"`, `"-1"`} {
		asOwner("an update of what was seen as "+stale, "PATCH", path, map[string]any{"language": "es"}, 412, "changed-meanwhile", "If-Match", stale)
	}
	asOwner("a bad number", "PATCH", path, map[string]any{"phone": "12"}, 422, "bad-member", "If-Match", "*")
	asOwner("somebody's user ID", "PATCH", path, map[string]any{"user_id": "provider"}, 409, "user-id-taken", "If-Match", "*")
	s.exec("UPDATE member SET role = 'provider' WHERE role = 'owner' AND id <> $1", made.body["id"])
	asOwner("the last owner", "PATCH", path, map[string]any{"role": "administrator"}, 409, "last-owner", "If-Match", "*")
	asOwner("the last owner", "POST", path+"/deactivate", nil, 409, "last-owner")
	s.lists(key)
	for _, wrong := range []string{"role=king", "limit=0", "limit=x", "cursor=x", "locked=maybe", "x=y", "search=a&search=b"} {
		asOwner(wrong, "GET", "/v1/members?"+wrong, nil, 400, "bad-query")
	}
	for _, r := range [][2]string{{"POST", "/v1/members"}, {"PATCH", path}} {
		asOwner("no object", r[0], r[1], []int{1}, 400, "bad-request", "If-Match", "*")
		asOwner("no field of ours", r[0], r[1], map[string]any{"x": 1}, 400, "bad-request", "If-Match", "*")
		asOwner("too much", r[0], r[1], strings.Repeat("x", web.MaxBody+1), 413, "too-large", "If-Match", "*")
		asOwner("no JSON", r[0], r[1], "x", 415, "unsupported-media-type", "If-Match", "*", "Content-Type", "text/plain")
	}
	s.asksOptions()
	s.asksProviders(provider)
	s.asksImport(key)
	asOwner("a list as a file", "GET", "/v1/members/export", nil, 200, "")
	asOwner("a page of a list as a file", "GET", "/v1/members/export?limit=1", nil, 400, "bad-query")
	job := s.asksPrivacy(key, made.body["id"].(string), provider)
	client := asOwner("a client", "POST", "/v1/members", map[string]any{"role": "client"}, 201, "").header.Get("Location")
	nameless := asOwner("no user ID", "POST", "/v1/members", map[string]any{"role": "provider"}, 201, "")
	asOwner("a password", "POST", path+"/password", nil, 200, "")
	asOwner("no password", "POST", nameless.header.Get("Location")+"/password", nil, 409, "no-user-id")
	asOwner("a link", "POST", path+"/password-link", nil, 200, "")
	asOwner("no link", "POST", nameless.header.Get("Location")+"/password-link", nil, 409, "no-user-id")
	code, olivia, session := s.waiting(), "", ""
	if id, token := s.signedIn(console.NewMember{Role: device.Owner, UserID: "olivia"}); true {
		olivia, session = "member:"+id.String(), token
	}
	asOwner("a code for a lost phone", "POST", client+"/registration-codes", nil, 201, "")
	asOwner("a code for an owner, by a program", "POST", path+"/registration-codes", nil, 403, "forbidden")
	asOwner("no code", "POST", nameless.header.Get("Location")+"/registration-codes", nil, 409, "no-user-id")
	asOwner("what waits", "GET", "/v1/registration-codes", nil, 200, "")
	approve := "/v1/registration-codes/" + code.String() + "/approve"
	s.exec("UPDATE registration_code SET made_by = $1 WHERE id = $2", olivia, code)
	s.wants("the own request", s.call(session, "POST", approve, nil), 409, "same-person")
	s.exec("UPDATE registration_code SET made_by = 'operator:night-shift' WHERE id = $1", code)
	s.wants("approving", s.call(session, "POST", approve, nil), 200, "")
	s.wants("approving twice", s.call(session, "POST", approve, nil), 404, "not-found")
	code = s.waiting()
	asOwner("unlocking", "POST", client+"/unlock", nil, 204, "")
	staff, _ := nameless.body["id"].(string)
	asOwner("assigning", "PUT", client+"/assignments/"+staff, nil, 204, "")
	asOwner("assigning a client to a client", "PUT", client+"/assignments/"+strings.TrimPrefix(client, "/v1/members/"), nil, 409, "not-assignable")
	s.wants("own clients", s.call(provider, "GET", "/v1/me/clients?limit=1", nil), 200, "")
	s.wants("a search among own clients", s.call(provider, "GET", "/v1/me/clients?search=a", nil), 400, "bad-query")
	asOwner("whose client", "GET", client+"/assignments", nil, 200, "")
	asOwner("unassigning", "DELETE", client+"/assignments/"+staff, nil, 204, "")
	asOwner("deactivating", "POST", client+"/deactivate", nil, 204, "")
	asOwner("reactivating", "POST", client+"/reactivate", nil, 204, "")
	s.exec("UPDATE account SET kind = 'standalone_mobile' WHERE id = $1", s.account)
	asOwner("reactivating without a number", "POST", client+"/reactivate", nil, 422, "bad-member")
	s.exec("UPDATE account SET kind = 'pro' WHERE id = $1", s.account)
	registration := s.register(uuid.MustParse(staff)).String()
	devices := nameless.header.Get("Location") + "/devices"
	asOwner("devices", "GET", devices, nil, 200, "")
	asOwner("a device", "DELETE", devices+"/"+registration, nil, 204, "")
	asOwner("all devices", "DELETE", devices, nil, 204, "")
	for _, r := range s.Routes() {
		method, route, _ := strings.Cut(r, " ")
		at := strings.NewReplacer("{provider}", "one", "{id}", strings.TrimPrefix(client, "/v1/members/"), "{staff}", staff, "{device}", registration, "{job}", job, "{code}", code.String()).Replace(route)
		s.wants(r, s.call("", method, at, nil), 401, "no-session")
		s.wants(r, s.call(unchanged, method, at, nil), 403, "password-must-change")
		if strings.Contains(route, "{id}") || strings.Contains(route, "{job}") || strings.Contains(route, "{code}") {
			s.wants(r, s.call(foreign, method, at, nil), 404, "not-found")
		}
	}
	s.wants("a provider's list", s.call(provider, "GET", "/v1/members", nil), 403, "forbidden")
	s.exec("UPDATE account SET two_factor_enabled_at = now() WHERE id = $1", s.account)
	s.exec("UPDATE session SET amr = '{pwd}'")
	s.wants("no second factor", s.call(provider, "GET", "/v1/me", nil), 403, "second-factor")
	s.busy(key, client)
	s.exec("ALTER TABLE member RENAME TO member_away")
	asOwner("without a table", "GET", client, nil, 503, "unavailable")
	s.contract.Given(nil, []string{"/problems/internal"})
}

// lists asks for people page by page, and by each filter.
func (s *served) lists(key string) {
	s.t.Helper()
	got := map[string]bool{}
	for next := ""; ; {
		a := s.wants("a page", s.call(key, "GET", "/v1/members?limit=1"+next, nil), 200, "")
		for _, m := range a.body["members"].([]any) {
			got[m.(map[string]any)["id"].(string)] = true
		}
		cursor, more := a.body["next"].(string)
		if !more {
			break
		}
		next = "&cursor=" + cursor
	}
	if n := s.count("SELECT count(*) FROM member WHERE account_id = $1", s.account); len(got) != n {
		s.t.Errorf("pages of one list %d people, want %d", len(got), n)
	}
	names := func(query string) map[string]bool {
		found := map[string]bool{}
		for _, m := range s.wants(query, s.call(key, "GET", "/v1/members?"+query, nil), 200, "").body["members"].([]any) {
			name, _ := m.(map[string]any)["user_id"].(string)
			found[name] = true
		}
		return found
	}
	s.exec("UPDATE member SET locked_at = now() WHERE user_id = 'provider'")
	for query, want := range map[string][]string{"search=AD": {"ada"}, "search=%25": {}, "locked=true": {"provider"}, "no_number=true&search=ada": {}, "no_number=true&search=prov": {"provider"},
		"no_device=true&search=ada": {"ada"}, "role=provider&role=client&search=prov": {"provider"}, "role=client": {}, "deactivated=true": {}} {
		set := map[string]bool{}
		for _, name := range want {
			set[name] = true
		}
		if found := names(query); !maps.Equal(found, set) {
			s.t.Errorf("%s lists %v, want %v", query, found, want)
		}
	}
	s.exec("UPDATE member SET locked_at = NULL")
}

// busy asks for hashing when all of it is in use.
func (s *served) busy(key, client string) {
	release := s.Occupy()
	defer release()
	var all sync.WaitGroup
	defer all.Wait()
	for path, body := range map[string]any{client + "/password": nil, "/v1/members": map[string]any{"role": "client"}, "/v1/members/import": "role\nclient\n"} {
		all.Go(func() {
			if a := s.call(key, http.MethodPost, path, body, "Content-Type", kindOf(path)); a.status != 429 || a.header.Get("Retry-After") == "" {
				s.t.Errorf("a hash too many: %d %v", a.status, a.body)
			}
		})
	}
}
