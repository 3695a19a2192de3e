package console_test

import (
	"strings"

	"latchkey.dev/services/console"
	"latchkey.dev/services/device"
	"latchkey.dev/services/internal/web"
)

// asksOptions asks for every answer that there is about options.
func (s *served) asksOptions() {
	s.t.Helper()
	const at = "/v1/options"
	id, token := s.signedIn(console.NewMember{Role: device.Owner, UserID: "decides"})
	asks := func(what string, body any, status int, problem string, headers ...string) answer {
		s.t.Helper()
		return s.wants(what, s.call(token, "PATCH", at, body, headers...), status, problem)
	}
	seen := s.wants("options", s.call(token, "GET", at, nil), 200, "").header.Get("ETag")
	asks("a change of what was not looked at", map[string]any{"contact": "x"}, 428, "precondition-required")
	next := asks("a change", map[string]any{"contact": "the desk", "countries": []string{"US", "CA"}}, 200, "", "If-Match", seen)
	if next.body["contact"] != "the desk" || next.header.Get("ETag") == seen {
		s.t.Errorf("a change is answered %v %v", next.header, next.body)
	}
	asks("a change of what was", map[string]any{"contact": "x"}, 412, "changed-meanwhile", "If-Match", seen)
	asks("a bad option", map[string]any{"upgrade_jump": 0}, 422, "bad-options", "If-Match", "*")
	asks("no number", map[string]any{"two_factor": true}, 409, "own-number-missing", "If-Match", "*")
	s.exec(`UPDATE member SET phone_sealed = '\x00', phone_details = '\x00', phone_country = 'CA', phone_last_two = '42', phone_index = '\x00' WHERE id = $1`, id)
	asks("a number that is not proved", map[string]any{"two_factor": true}, 409, "number-not-proved", "If-Match", "*")
	asks("no object", []int{1}, 400, "bad-request", "If-Match", "*")
	asks("too much", strings.Repeat("x", web.MaxBody+1), 413, "too-large", "If-Match", "*")
	asks("no JSON", "x", 415, "unsupported-media-type", "If-Match", "*", "Content-Type", "text/plain")
	_, other := s.signedIn(console.NewMember{Role: device.Administrator, UserID: "does-not"})
	s.wants("an administrator", s.call(other, "GET", at, nil), 403, "forbidden")
	s.wants("an administrator", s.call(other, "PATCH", at, nil), 403, "forbidden")
	s.exec("DELETE FROM member WHERE user_id IN ('decides', 'does-not')")
}
