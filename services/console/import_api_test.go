package console_test

import (
	"strings"

	"latchkey.dev/services/console"
)

// asksImport imports files over the API, good and bad ones.
func (s *served) asksImport(key string) {
	s.t.Helper()
	send := func(what, query, file string, status int, problem string, headers ...string) answer {
		s.t.Helper()
		return s.wants(what, s.call(key, "POST", "/v1/members/import"+query, file, append([]string{"Content-Type", "text/csv; charset=utf-8"}, headers...)...), status, problem)
	}
	file := "role;user_id;phone;devices\nprovider;imported;" + other + ";1\nclient;;;\n"
	dry := send("a dry run", "?dry_run=true", file, 200, "")
	if dry.body["created"] != 2.0 || dry.body["dry_run"] != true {
		s.t.Errorf("a dry run is answered %v", dry.body)
	}
	for _, want := range []string{"created", "unchanged"} {
		if got := send("an import", "?dry_run=false", file, 200, ""); got.body[want] == 0.0 || got.body["dry_run"] != false {
			s.t.Errorf("an import is answered %v", got.body)
		}
	}
	bad := send("a dry run of a bad file", "?dry_run=1", "role,user_id\nking,x\nprovider,imported\n,Imported\n", 200, "")
	if faults, _ := bad.body["faults"].([]any); len(faults) != 2 {
		s.t.Errorf("a bad file is answered %v", bad.body)
	}
	send("a bad file", "", "role\nking\n", 422, "bad-import")
	send("a large file", "", strings.Repeat("x", console.MaxImportBytes+1), 413, "file-too-large")
	send("another encoding", "", "role\n", 415, "unsupported-media-type", "Content-Type", "text/csv; charset=latin1")
	send("no CSV", "", "{}", 415, "unsupported-media-type", "Content-Type", "application/json")
	for _, query := range []string{"?dry_run=maybe", "?x=y", "?dry_run=true&dry_run=false"} {
		send("a strange query", query, file, 400, "bad-query")
	}
	s.bus.next(func() {
		if _, err := s.owner.Exec(s.t.Context(), "UPDATE account SET countries = '{GB}' WHERE id = $1", s.account); err != nil {
			s.t.Error(err)
		}
	})
	send("a file that cannot be imported any more", "", "role,phone\n"+strings.Repeat("provider,"+other+"\n", 501), 409, "import-stopped")
	s.exec("UPDATE account SET countries = '{}'")
	if n := s.count("SELECT count(*) FROM member WHERE role = 'provider' AND phone_last_two = '43' AND user_id IS NULL"); n != 500 {
		s.t.Errorf("%d people were made before it stopped, want 500", n)
	}
	s.exec("DELETE FROM member WHERE role = 'provider' AND user_id IS NULL AND phone_last_two = '43'")
	s.exec("DELETE FROM member WHERE role = 'client' OR user_id = 'imported'")
}
