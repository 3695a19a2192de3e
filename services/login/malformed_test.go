package login_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"

	"latchkey.dev/services/internal/contracttest"
	"latchkey.dev/services/internal/dpop"
	"latchkey.dev/services/internal/web"
)

// target is one route with what makes a good request of it, whose proof is fresh each time.
type target struct {
	*house
	route  string
	path   string
	header func() []string
	body   func() map[string]any // nil for none
}

func (x target) method() string { m, _, _ := strings.Cut(x.route, " "); return m }

// targets makes a good request of every route of the API.
func (h *house) targets() []target {
	h.t.Helper()
	id := h.member(map[string]any{"role": "provider", "user_id": "ada", "password": password, "phone": "604 441 0142"})
	c := h.begin("ada")
	h.register(c.challenge.String())
	_, out := h.signIn(c.key, "ada", password)
	session := []string{"Authorization", "Bearer " + out["session"].(map[string]any)["token"].(string)}
	_, out = h.call("GET", "/v1/devices", nil, session...)
	dev := out["devices"].([]any)[0].(map[string]any)["id"].(string)
	waiting := h.begin("ada")
	facets := map[string]any{"browser": "Maple", "browser_major": 7, "os": "Android", "os_major": 16, "hints": true}
	bodies := map[string]func() map[string]any{
		"POST /v1/sign-ins": func() map[string]any {
			return map[string]any{"user_id": "ada", "password": password, "software": "mobile", "facets": facets}
		},
		"POST /v1/device-checks": func() map[string]any {
			return map[string]any{"member": id, "software": "mobile", "facets": facets, "address": "192.0.2.1",
				"proof": h.proof(newDevice(h.t), "POST", h.url+"/v1/device-checks", uuid.Nil),
				"headers": map[string]any{"user_agent": "Mozilla/5.0 Firefox/140.0", "sec_ch_ua": `"Chromium";v="140"`, "sec_ch_ua_platform": `"Linux"`,
					"sec_ch_ua_platform_version": `"6.1"`}}
		},
		"PUT /v1/members/{id}": func() map[string]any {
			return map[string]any{"role": "provider", "user_id": "ada", "password": password, "phone": "604 441 0142", "must_change_password": false}
		},
		"POST /v1/challenges/{id}/entries": func() map[string]any { return map[string]any{"code": "none"} }, // a code would wait for its verdict
		"PUT /v1/password":                 func() map[string]any { return map[string]any{"old_password": password, "new_password": password} },
		"PATCH /v1/devices/{id}":           func() map[string]any { return map[string]any{"name": "Phone"} },
	}
	var all []target
	for _, route := range h.login.Routes() {
		method, path, _ := strings.Cut(route, " ")
		x := target{house: h, route: route, path: path, body: bodies[route], header: func() []string { return nil }}
		proven := func(key *dpop.Key, challenge uuid.UUID) func() []string {
			return func() []string { return []string{"DPoP", h.proof(key, method, h.url+x.path, challenge)} }
		}
		switch {
		case strings.HasPrefix(path, "/v1/challenges/"):
			x.path, x.header = strings.Replace(path, "{id}", waiting.challenge.String(), 1), proven(waiting.key, waiting.challenge)
		case path == "/v1/sign-ins":
			x.header = proven(newDevice(h.t), uuid.Nil)
		case strings.HasPrefix(path, "/v1/devices/"):
			x.path, x.header = strings.Replace(path, "{id}", dev, 1), func() []string { return session }
		case path == "/v1/devices", path == "/v1/session", path == "/v1/password":
			x.header = func() []string { return session }
		case path == "/v1/device-checks":
			x.header = func() []string { return []string{"Authorization", "Bearer " + h.apiKey} }
		case strings.HasPrefix(path, "/v1/members/"):
			x.path, x.header = strings.Replace(path, "{id}", id.String(), 1), func() []string { return []string{"Authorization", "Bearer " + h.apiKey} }
		}
		all = append(all, x)
	}
	return all
}

// written is a digest of everything that a request could have changed, but for spent
// proofs and counters.
func (h *house) written() (digest string) {
	h.t.Helper()
	var parts []string
	for _, table := range []string{"account", "member", "credential", "challenge", "text_request", "entry", "device", "session", "login_event"} {
		parts = append(parts, fmt.Sprintf("(SELECT coalesce(md5(string_agg(x::text, '' ORDER BY x::text)), '') FROM %s x)", table))
	}
	if err := h.owner.QueryRow(h.t.Context(), "SELECT "+strings.Join(parts, " || ")).Scan(&digest); err != nil {
		h.t.Fatal(err)
	}
	return digest
}

// refused sends what must be refused: with a problem of the 4xx, and nothing is written.
func (x target) refused(what string, body []byte, headers ...string) {
	x.t.Helper()
	x.judge(what, true, body, headers...)
}

// borne sends what may be refused: never with a fault, and then nothing is written. What
// is accepted is held to the document by the contract.
func (x target) borne(what string, body []byte, headers ...string) {
	x.t.Helper()
	x.judge(what, false, body, headers...)
}

func (x target) judge(what string, must bool, body []byte, headers ...string) {
	x.t.Helper()
	x.exec("DELETE FROM limit_counter")
	all := append(slices.Clone(x.header()), headers...)
	if x.known == "" {
		x.known = x.written()
	}
	status, header, b := x.send(x.method(), x.path, body, all...)
	if status < 300 && !must {
		x.known = ""
		return
	}
	var p web.Problem
	if err := json.Unmarshal(b, &p); err != nil || status < 400 || status > 499 || p.Status != status || header.Get("Content-Type") != "application/problem+json" {
		x.t.Errorf("%s: %s is answered %d %.200s, want a problem of the 4xx", x.route, what, status, b)
	}
	// Credentials that are wrong are told of, as they must be.
	before := x.known
	x.known = x.written()
	if status != http.StatusUnauthorized && status != http.StatusForbidden && x.known != before {
		x.t.Errorf("%s: %s is refused with %d, and something was written", x.route, what, status)
	}
}

// whole encodes the good body of a target.
func (x target) whole() []byte {
	b, err := json.Marshal(x.body())
	if err != nil {
		x.t.Fatal(err)
	}
	return b
}

// places lists the fields of a schema, those of inner objects too.
func places(s *openapi3.Schema, at ...string) (all [][]string) {
	for name, p := range s.Properties {
		path := append(slices.Clone(at), name)
		all = append(all, path)
		all = append(all, places(p.Value, path...)...)
	}
	return all
}

// oddities are JSON values that no field expects, as they are written.
var oddities = map[string]string{
	"null": `null`, "true": `true`, "a number": `7`, "a negative number": `-1`, "a fraction": `1.5`, "a number past 64 bits": `18446744073709551617`,
	"a number past floats": `1e999`, "a number of 4,000 digits": strings.Repeat("9", 4000), "a list": `["x"]`, "an empty list": `[]`, "an object": `{"x":1}`, "an empty object": `{}`,
	"NUL": `"\u0000"`, "a NUL in the middle": `"web\u0000web"`, "a raw NUL": "\"a\x00b\"", "a raw line end": "\"a\nb\"",
	"no UTF-8": "\"\xff\xfe\"", "half a character": "\"a\xc3\"", "an encoded surrogate": "\"\xed\xa0\x80\"", "an overlong slash": "\"\xc0\xaf\"", "a lone surrogate": `"\ud800"`,
	"an empty text": `""`, "a space": `" "`, "10,000 bytes": `"` + strings.Repeat("a", 10_000) + `"`, "10,000 bytes of emoji": `"` + strings.Repeat("🔑", 2_500) + `"`,
	"SQL": `"' OR '1'='1'; DROP TABLE member; --"`, "header lines": `"a\r\nSet-Cookie: a=b"`, "a right-to-left mark": `"\u202egnp.exe"`, "a template": `"{{7*7}}${7*7}"`,
	"a nil id": `"00000000-0000-0000-0000-000000000000"`, "an id of another form": `"urn:uuid:9b2d2c53-58c5-4e0c-a6f6-0d3a1a0f6f0e"`,
	"a zoned address": `"fe80::1%` + strings.Repeat("z", 2000) + `"`, "a network": `"192.0.2.0/24"`, "nested lists": strings.Repeat("[", 5000) + strings.Repeat("]", 5000),
}

// never are the oddities that no field of any type takes.
var never = []string{"null", "a number past floats", "a list", "an empty list", "an object", "NUL", "a NUL in the middle", "a raw NUL", "a raw line end", "no UTF-8",
	"half a character", "an encoded surrogate", "an overlong slash", "nested lists"}

// Every field of every body with every oddity.
func TestOddFieldsAreRefused(t *testing.T) {
	t.Parallel()
	for _, route := range new(routesOnly).bodied(t) {
		t.Run(strings.ReplaceAll(route, "/", "_"), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, "pro", true)
			all := h.targets()
			x := all[slices.IndexFunc(all, func(x target) bool { return x.route == route })]
			method, path, _ := strings.Cut(route, " ")
			s := h.contract.Doc.Paths.Value(path).GetOperation(method).RequestBody.Value.Content["application/json"].Schema.Value
			for _, place := range places(s) {
				for name, odd := range oddities {
					if number := strings.HasSuffix(place[len(place)-1], "_major") || place[len(place)-1] == "hints"; number && strings.HasPrefix(odd, `"`) && name != "a space" {
						continue // a text is a text, where none belongs
					}
					const mark = "the oddity goes here"
					body := x.body()
					in := body
					for _, outer := range place[:len(place)-1] {
						inner, _ := in[outer].(map[string]any)
						copied := map[string]any{}
						for k, v := range inner {
							copied[k] = v
						}
						in[outer], in = copied, copied
					}
					in[place[len(place)-1]] = mark
					b, err := json.Marshal(body)
					if err != nil {
						t.Fatal(err)
					}
					b = bytes.Replace(b, []byte(`"`+mark+`"`), []byte(odd), 1)
					what := name + " as " + strings.Join(place, ".")
					if slices.Contains(never, name) {
						x.refused(what, b)
					} else {
						x.borne(what, b)
					}
				}
			}
			h.sound()
		})
	}
}

// routesOnly answers questions that take no house.
type routesOnly struct{}

// bodied lists the routes that take a body.
func (routesOnly) bodied(t *testing.T) (routes []string) {
	for path, item := range contracttest.Describe(t, description).Paths.Map() {
		for method, op := range item.Operations() {
			if op.RequestBody != nil {
				routes = append(routes, method+" "+path)
			}
		}
	}
	return routes
}

// sound fails the test if anything of the house panicked or failed.
func (h *house) sound() {
	h.t.Helper()
	if s := h.log.String(); strings.Contains(s, `"level":"ERROR"`) {
		h.t.Errorf("the log tells of faults: %s", s)
	}
	if status, out := h.signIn(newDevice(h.t), "ada", password); status >= 500 {
		h.t.Errorf("a good sign-in afterwards: %d %v", status, out)
	}
}

// Every body as a whole.
func TestOddBodiesAreRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	for _, x := range h.targets() {
		if x.body == nil {
			continue
		}
		good := x.whole()
		for what, body := range map[string][]byte{
			"nothing": nil, "a space": []byte(" "), "half a body": good[:len(good)/2], "a body and a half": append(x.whole(), good[:10]...), "two bodies": append(x.whole(), good...),
			"a form": []byte("user_id=ada&password=x"), "XML": []byte(`<?xml version="1.0"?><!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/passwd">]><x>&y;</x>`),
			"null": []byte("null"), "true": []byte("true"), "a number": []byte("7"), "a text": []byte(`"x"`), "a list": []byte("[]"), "a list of bodies": slices.Concat([]byte("["), good, []byte("]")),
			"lists without end": bytes.Repeat([]byte("["), web.MaxBody), "objects without end": bytes.Repeat([]byte(`{"a":`), web.MaxBody/5), "nested lists": []byte(oddities["nested lists"]),
			"an unknown field": append([]byte(`{"canary-field":1,`), good[1:]...), "the prototype": append([]byte(`{"__proto__":{"admin":true},`), good[1:]...),
			"an empty name": append([]byte(`{"":1,`), good[1:]...), "a field twice": slices.Concat(good[:len(good)-1], []byte(","), good[1:]),
			"a byte order mark": append([]byte("\xef\xbb\xbf"), good...), "UTF-16": utf16(good), "single quotes": bytes.ReplaceAll(good, []byte(`"`), []byte("'")), "a comment": append([]byte("/* */"), good...),
			"17 KiB": slices.Concat(good[:len(good)-1], bytes.Repeat([]byte(" "), 17<<10), []byte("}")), "1 MiB": slices.Concat(good[:len(good)-1], bytes.Repeat([]byte(" "), 1<<20), []byte("}")),
			"1 MiB of a field": []byte(`{"code":"` + strings.Repeat("1", 1<<20) + `"}`), "NULs": make([]byte, 100), "noise": bytes.Repeat([]byte("\xff\x00\x80"), 100),
		} {
			x.refused(what, body)
		}
		for _, kind := range []string{"", "text/plain", "text/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json-patch+json", "json", ";", "application/jsonx", strings.Repeat("a", 8000)} {
			x.refused("the type "+kind[:min(len(kind), 40)], x.whole(), "Content-Type", kind)
		}
		x.refused("a compressed body", x.whole()[1:], "Content-Encoding", "gzip")
	}
	h.sound()
}

func utf16(b []byte) []byte {
	out := []byte{0xff, 0xfe}
	for _, c := range b {
		out = append(out, c, 0)
	}
	return out
}

// Every route with credentials that are none, and every kind of id that is none.
func TestOddCredentialsAndIDsAreRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	good := h.proof(newDevice(t), "GET", h.url+"/v1/nonce", uuid.Nil)
	head, rest, _ := strings.Cut(good, ".")
	for _, x := range h.targets() {
		if x.route == "GET /v1/nonce" || x.route == "GET /v1/openapi.yaml" {
			continue // they ask for nothing
		}
		var body []byte
		if x.body != nil {
			body = x.whole()
		}
		bare := x
		bare.header = func() []string { return nil }
		bare.refused("nothing", body)
		for _, v := range []string{" ", "x", "a.b.c", "...", ".", head, head + "." + rest + "." + rest, good + "x", strings.ToUpper(good), head + "." + strings.Repeat("A", 4000) + ".A", strings.Repeat("A", 20_000), "\xff\xfe", "é", "e30.e30.e30", `{"a":1}`, "eyJhbGciOiJub25lIn0.e30.", good} {
			bare.refused("the proof "+v[:min(len(v), 30)], body, "DPoP", v)
		}
		for _, v := range []string{"", "Bearer", "Bearer ", "Bearer  ", "Basic YTpi", "bearer x", "Bearer x y", "Bearer " + strings.Repeat("A", 257), "Bearer " + strings.Repeat("A", 20_000), "Bearer \xff", "DPoP " + good, "Bearer " + h.apiKey + " ", "Bearer\t" + h.apiKey} {
			if trimmed := strings.TrimSpace(v); trimmed == "Bearer "+h.apiKey {
				continue // the same as it is on the wire
			}
			bare.refused("the authorization "+v[:min(len(v), 30)], body, "Authorization", v)
		}
		if !strings.Contains(x.route, "{id}") {
			continue
		}
		_, path, _ := strings.Cut(x.route, " ")
		for _, id := range []string{"0", "-1", "x", "00000000-0000-0000-0000-00000000000", "00000000-0000-0000-0000-0000000000000", "urn:uuid:9b2d2c53-58c5-4e0c-a6f6-0d3a1a0f6f0e",
			"%7B9b2d2c53-58c5-4e0c-a6f6-0d3a1a0f6f0e%7D", "9b2d2c5358c54e0ca6f60d3a1a0f6f0e", "9b2d2c53_58c5_4e0c_a6f6_0d3a1a0f6f0e", "9b2d2c53-58c5-4e0c-a6f6-0d3a1a0f6f0g", "%00", "9b2d2c53-58c5-4e0c-a6f6-0d3a1a0f6f0e%00",
			"%FF%FE", "%27%20OR%201=1--", strings.Repeat("9", 5000), "٠٠٠٠٠٠٠٠-٠٠٠٠", "%2e%2e", "%2fetc%2fpasswd", "null"} {
			odd := x
			odd.path = strings.Replace(path, "{id}", id, 1)
			odd.refused("the id "+id[:min(len(id), 40)], body)
		}
	}
	h.sound()
}

// Every path with every method that it does not take, and paths that only look like ours.
func TestOddMethodsAndPathsAreRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	targets := h.targets()
	taken := map[string][]string{}
	for _, x := range targets {
		taken[x.path] = append(taken[x.path], x.method())
	}
	for _, x := range targets {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get", "BREW"} {
			if slices.Contains(taken[x.path], method) {
				continue
			}
			odd := x
			odd.route = method + " " + x.path
			odd.refused("the method "+method, nil)
		}
		for what, path := range map[string]string{"a slash at the end": x.path + "/", "two slashes": "/" + x.path, "slashes inside": strings.ReplaceAll(x.path, "/", "//"), "a dot": "/." + x.path,
			"a way up and down": "/v1/.." + x.path, "a hidden way": "/v1/%2e%2e" + x.path, "upper case": strings.ToUpper(x.path), "a parameter": x.path + ";x=1", "a NUL": x.path + "%00", "a line end": x.path + "%0d%0aX:y",
			"a file ending": x.path + ".json", "an encoded slash": strings.Replace(x.path, "/v1/", "/v1%2f", 1), "a backslash": strings.Replace(x.path, "/v1/", "/v1%5c", 1), "a long way": x.path + strings.Repeat("/a", 4000), "another host": "//evil.example" + x.path} {
			odd := x
			odd.path = path
			odd.refused(what, nil)
		}
	}
	h.sound()
}

// What is no HTTP, or repeats what may come once, is refused, by the server itself where
// no request can be read.
func TestOddRequestsAreRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	h.member(map[string]any{"role": "provider", "user_id": "ada", "password": password, "phone": "604 441 0142"})
	proof := func() string {
		return "DPoP: " + h.proof(newDevice(t), "POST", h.url+"/v1/sign-ins", uuid.Nil) + "\r\n"
	}
	body := fmt.Sprintf(`{"user_id":"ada","password":%q,"software":"web"}`, password)
	length := fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	before := h.written()
	for what, raw := range map[string]string{
		"two proofs":              "POST /v1/sign-ins HTTP/1.1\r\nHost: x\r\n" + proof() + proof() + length + "\r\n" + body,
		"two hosts":               "POST /v1/sign-ins HTTP/1.1\r\nHost: x\r\nHost: y\r\n" + proof() + length + "\r\n" + body,
		"two lengths":             "POST /v1/sign-ins HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n" + proof() + length + "\r\n" + body,
		"a length and chunks":     "POST /v1/sign-ins HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" + proof() + length + "\r\n" + body + "\r\n\r\n",
		"another coding":          "POST /v1/sign-ins HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n" + proof() + "\r\n" + body,
		"broken chunks":           "POST /v1/sign-ins HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n" + proof() + "\r\nzz\r\n" + body,
		"a negative length":       "POST /v1/sign-ins HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n" + proof() + "\r\n" + body,
		"half the length":         "POST /v1/sign-ins HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n" + proof() + "\r\n" + body,
		"a NUL in a header":       "POST /v1/sign-ins HTTP/1.1\r\nHost: x\r\nUser-Agent: a\x00b\r\n" + proof() + length + "\r\n" + body,
		"a header without a name": "POST /v1/sign-ins HTTP/1.1\r\nHost: x\r\n: a\r\n" + proof() + length + "\r\n" + body,
		"a header of 40 KiB":      "POST /v1/sign-ins HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 40<<10) + "\r\n" + proof() + length + "\r\n" + body,
		"5,000 headers":           "POST /v1/sign-ins HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X: 1234567890\r\n", 5000) + proof() + length + "\r\n" + body,
		"a path that is none":     "POST /v1/%zz HTTP/1.1\r\nHost: x\r\n\r\n",
		"a raw NUL in the path":   "GET /v1/\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
		"no path":                 "GET  HTTP/1.1\r\nHost: x\r\n\r\n",
		"the authority alone":     "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
		"another version":         "GET /v1/nonce HTTP/9.9\r\nHost: x\r\n\r\n",
		"no HTTP":                 "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
		"two sessions":            "GET /v1/session HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
	} {
		h.exec("DELETE FROM limit_counter")
		if status, answer := h.raw(raw); status < 400 || status > 505 || status == 500 || status == 503 {
			t.Errorf("%s: %d %s", what, status, answer)
		}
	}
	if h.written() != before {
		t.Error("something was written")
	}
	// An odd header that counts for nothing does no harm.
	for what, raw := range map[string]string{
		"no UTF-8 in the user agent": "POST /v1/sign-ins HTTP/1.1\r\nHost: x\r\nUser-Agent: Mozilla/5.0 \xff\xfe Firefox/140.0\r\n" + proof() + length + "\r\n" + body,
		"a long user agent":          "POST /v1/sign-ins HTTP/1.1\r\nHost: x\r\nUser-Agent: " + strings.Repeat("é", 9000) + "\r\n" + proof() + length + "\r\n" + body,
		"odd hints":                  "POST /v1/sign-ins HTTP/1.1\r\nHost: x\r\nSec-CH-UA: \"\xff\";v=\"\xfe\"\r\nSec-CH-UA-Platform: \"\xff\"\r\nSec-CH-UA-Platform-Version: \"1e9\"\r\n" + proof() + length + "\r\n" + body,
		"a forged sender":            "POST /v1/sign-ins HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: \xff, ::::, 1.2.3.4%z\r\n" + proof() + length + "\r\n" + body,
		"another site in the path":   "POST http://evil.example/v1/sign-ins HTTP/1.1\r\nHost: x\r\n" + proof() + length + "\r\n" + body,
	} {
		if status, answer := h.raw(raw); status != http.StatusAccepted {
			t.Errorf("%s: %d %s", what, status, answer)
		}
	}
	h.sound()
}

// raw sends bytes and returns the status that comes back, and the answer.
func (h *house) raw(request string) (int, string) {
	h.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, request) // the server may close before it has read all
	if strings.Contains(request, "Content-Length: 1000\r\n") {
		c.(*net.TCPConn).CloseWrite() // what was promised will not come
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		h.t.Errorf("%.60q: no answer: %v", request, err)
		return 0, ""
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}
