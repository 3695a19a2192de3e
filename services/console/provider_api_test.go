package console_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"latchkey.dev/services/access"
	"latchkey.dev/services/console"
	"latchkey.dev/services/device"
	"latchkey.dev/services/internal/web"
)

// operator signs a provider of the account in who has the operator right.
func (s *served) operator(userID string) (token string, id uuid.UUID) {
	s.t.Helper()
	id, token = s.signedIn(console.NewMember{Role: device.Provider, UserID: userID})
	if err := s.GrantOperator(s.t.Context(), access.Actor{Kind: access.Operator}, id); err != nil {
		s.t.Fatal(err)
	}
	return token, id
}

// asksProviders asks for every answer that there is about providers.
func (s *served) asksProviders(stranger string) {
	s.t.Helper()
	token, id := s.operator("night-shift")
	asks := func(what, method, path string, body any, status int, problem string, headers ...string) answer {
		s.t.Helper()
		return s.wants(what, s.call(token, method, path, body, headers...), status, problem)
	}
	route := func(what string, a answer, want string) {
		s.t.Helper()
		if got := fmt.Sprint(a.body["providers"]); got != want {
			s.t.Errorf("%s: asked are %s, want %s", what, got, want)
		}
	}
	if a := asks("providers", "GET", "/v1/providers", nil, 200, ""); len(a.body["providers"].([]any)) != 3 || len(a.body["routes"].([]any)) != 3 {
		s.t.Errorf("providers: %v", a.body)
	}
	pinned := asks("a pin", "PUT", "/v1/providers/two/pin?country=CA", nil, 200, "")
	if rules := fmt.Sprint(pinned.body["rules"]); !strings.Contains(rules, "rule:pin") || !strings.Contains(rules, "set_by:member:"+id.String()) {
		s.t.Errorf("a pin is answered %v", pinned.body)
	}
	asks("a drain", "PUT", "/v1/providers/two/drain?force=false", nil, 200, "")
	asks("a pin of a drained one", "PUT", "/v1/providers/two/pin", nil, 409, "provider-drained")
	asks("a pin where it carries nothing", "PUT", "/v1/providers/one/pin?country=DE", nil, 409, "provider-not-in-order")
	last := asks("the last one", "PUT", "/v1/providers/three/drain?country=DE", nil, 409, "last-provider")
	if !strings.Contains(last.body["detail"].(string), "carry texts to DE") {
		s.t.Errorf("the last one: %v", last.body)
	}
	asks("the last one, forced", "PUT", "/v1/providers/three/drain?country=DE&force=true", nil, 200, "")
	asks("an order of drained ones", "PUT", "/v1/provider-order?country=CA", map[string]any{"providers": []string{"two"}}, 409, "last-provider")
	route("a forced order", asks("a forced order", "PUT", "/v1/provider-order?country=CA&force=true", map[string]any{"providers": []string{"two"}}, 200, ""), "[]")
	asks("no drain", "DELETE", "/v1/providers/two/drain", nil, 200, "")
	route("an order", asks("an order", "PUT", "/v1/provider-order", map[string]any{"providers": []string{"three", "two"}}, 200, ""), "[three two]")
	asks("a drain of one of it", "PUT", "/v1/providers/one/drain?country=US", nil, 200, "")
	asks("drains", "PUT", "/v1/providers/three/drain?country=US", nil, 200, "")
	asks("drains", "PUT", "/v1/provider-order?country=US", map[string]any{"providers": []string{"two"}}, 200, "")
	asks("drains", "PUT", "/v1/provider-order", map[string]any{"providers": []string{"one", "three"}}, 200, "")
	asks("an order without which nobody is left", "DELETE", "/v1/provider-order?country=US", nil, 409, "last-provider")
	route("back", asks("back to the configuration", "DELETE", "/v1/provider-order", nil, 200, ""), "[one two three]")
	for _, bad := range []any{map[string]any{"providers": []string{"four"}}, map[string]any{"providers": []string{}}, map[string]any{"providers": []string{"one", "one"}}} {
		if a := asks("no order", "PUT", "/v1/provider-order", bad, 422, "bad-order"); a.body["faults"] == nil {
			s.t.Errorf("no order: %v", a.body)
		}
	}
	asks("no object", "PUT", "/v1/provider-order", []int{1}, 400, "bad-request")
	asks("too much", "PUT", "/v1/provider-order", strings.Repeat("x", web.MaxBody+1), 413, "too-large")
	asks("no JSON", "PUT", "/v1/provider-order", "x", 415, "unsupported-media-type", "Content-Type", "text/plain")
	s.exec("INSERT INTO provider_rule (kind, country, provider, set_by) VALUES ('pin', '', 'gone', 'operator'), ('drain', '', 'gone', 'operator')")
	asks("a pin of one that is gone", "DELETE", "/v1/providers/gone/pin", nil, 200, "")
	asks("its drain", "DELETE", "/v1/providers/gone/drain", nil, 204, "")
	s.exec("INSERT INTO provider_rule (kind, country, provider, set_by) VALUES ('pin', '', 'gone', 'operator')")
	asks("its only rule", "DELETE", "/v1/providers/gone/pin", nil, 204, "")
	for _, at := range []string{"PUT /v1/providers/one/pin", "DELETE /v1/providers/one/pin", "PUT /v1/providers/one/drain", "DELETE /v1/providers/one/drain", "PUT /v1/provider-order", "DELETE /v1/provider-order"} {
		method, path, _ := strings.Cut(at, " ")
		for _, query := range []string{"?country=ca", "?country=XX", "?country=", "?country=CA&country=DE", "?x=y", "?force=maybe"} {
			asks(at+query, method, path+query, map[string]any{"providers": []string{"one"}}, 400, "bad-query")
		}
		s.wants(at, s.call(stranger, method, path, nil), 403, "forbidden")
		if nobody := strings.Replace(path, "/one/", "/four/", 1); nobody != path {
			asks("nobody", method, nobody, nil, 404, "not-found")
		}
	}
	s.wants("a stranger", s.call(stranger, "GET", "/v1/providers", nil), 403, "forbidden")
	s.exec("UPDATE session SET amr = '{pwd}' WHERE member_id = $1", id)
	for _, at := range []string{"GET /v1/providers", "PUT /v1/providers/one/pin", "DELETE /v1/provider-order"} {
		method, path, _ := strings.Cut(at, " ")
		asks("an operator without a second factor", method, path, nil, 403, "second-factor")
	}
	s.exec("DELETE FROM provider_rule")
}

// The operator right is the command line's to give, is told of, and ends at once: when it is
// taken away, when the person is a client, and with the person.
func TestTheOperatorRight(t *testing.T) {
	t.Parallel()
	s := serve(t, console.Account{})
	ctx, by := t.Context(), access.Actor{Kind: access.Operator, Name: "root"}
	token, id := s.operator("ada")
	s.tells("granting", "member.operator_granted")
	may := func(what string, status int, problem string) {
		t.Helper()
		s.wants(what, s.call(token, "GET", "/v1/providers", nil), status, problem)
	}
	may("with the right", 200, "")
	if me := s.call(token, "GET", "/v1/me", nil); me.body["operator"] != true {
		t.Errorf("who asks: %v", me.body)
	}
	if err := s.GrantOperator(ctx, by, id); err != nil {
		t.Error(err)
	}
	s.tells("granting twice")
	all, err := s.Operators(ctx, by)
	if err != nil || len(all) != 1 || all[0].Member != id || all[0].UserID != "ada" || all[0].AccountName != "Clinic" || all[0].GrantedBy != "operator" || all[0].GrantedAt.IsZero() {
		t.Errorf("%+v %v", all, err)
	}
	for range 2 {
		if err := s.RevokeOperator(ctx, by, id); err != nil {
			t.Error(err)
		}
	}
	s.tells("revoking twice", "member.operator_revoked")
	may("without it", 403, "forbidden")

	s.exec("INSERT INTO operator_right (member_id, granted_by) VALUES ($1, 'operator')", id)
	s.exec("UPDATE member SET role = 'client' WHERE id = $1", id)
	may("as a client", 403, "forbidden")
	if err := s.GrantOperator(ctx, by, id); err != console.ErrClientOperates {
		t.Errorf("a client: %v", err)
	}
	s.exec("UPDATE member SET role = 'provider', deactivated_at = now() WHERE id = $1", id)
	if err := s.GrantOperator(ctx, by, id); err != console.ErrDeactivated {
		t.Errorf("who is deactivated: %v", err)
	}
	may("deactivated", 401, "no-session")
	for _, err := range []error{s.GrantOperator(ctx, by, uuid.New()), s.RevokeOperator(ctx, by, uuid.New())} {
		if err != console.ErrNotFound {
			t.Errorf("nobody: %v", err)
		}
	}
	s.exec("DELETE FROM member WHERE id = $1", id)
	if n := s.count("SELECT count(*) FROM operator_right"); n != 0 {
		t.Errorf("%d rights are left of who is gone", n)
	}
	for _, other := range []access.Actor{{Kind: access.Member, Account: s.account, ID: id, Role: device.Owner, Operates: true}, {Kind: access.Product, Account: s.account, ID: id}} {
		_, list := s.Operators(ctx, other)
		for what, err := range map[string]error{"grant": s.GrantOperator(ctx, other, id), "revoke": s.RevokeOperator(ctx, other, id), "list": list} {
			refused(t, what, err, "forbidden")
		}
	}
}
