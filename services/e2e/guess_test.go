package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/internal/dpop"
	"latchkey.dev/services/up"
)

// crowd keeps as many connections as many at once need.
var crowd = &http.Client{Timeout: 60 * time.Second, Transport: &http.Transport{MaxConnsPerHost: 256, MaxIdleConnsPerHost: 256}}

// answered is what one of many requests was answered.
type answered struct {
	status int
	out    map[string]any
	err    error
}

func (a answered) result() string { s, _ := a.out["result"].(string); return s }
func (a answered) problem() string {
	s, _ := a.out["type"].(string)
	return strings.TrimPrefix(s, "/problems/")
}

// atOnce sends requests of one kind, all at once, each with its own proof and body.
func (w *world) atOnce(method, path string, proofs []string, bodies []any) []answered {
	w.t.Helper()
	out := make([]answered, len(proofs))
	var wg sync.WaitGroup
	for i := range proofs {
		wg.Go(func() {
			b, err := json.Marshal(bodies[i%len(bodies)])
			if err != nil {
				out[i].err = err
				return
			}
			r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, bytes.NewReader(b))
			if err != nil {
				out[i].err = err
				return
			}
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("DPoP", proofs[i])
			resp, err := crowd.Do(r)
			if err != nil {
				out[i].err = err
				return
			}
			defer resp.Body.Close()
			out[i].status, out[i].err = resp.StatusCode, json.NewDecoder(resp.Body).Decode(&out[i].out)
		})
	}
	wg.Wait()
	return out
}

// proofs makes n proofs for one request, each good once, with one nonce.
func (p person) proofs(n int, method, path string, challenge uuid.UUID) []string {
	p.w.t.Helper()
	resp := must(http.Get(p.w.url + "/v1/nonce"))(p.w.t)
	resp.Body.Close()
	out := make([]string, n)
	for i := range out {
		out[i] = must(p.key.Prove(method, p.w.url+path, resp.Header.Get("DPoP-Nonce"), challenge, time.Now()))(p.w.t)
	}
	return out
}

func entries(challenge uuid.UUID) string { return "/v1/challenges/" + challenge.String() + "/entries" }

// open makes a challenge and returns it with the code of its text, the n-th of the person.
func (p person) open(n int) (uuid.UUID, string) {
	p.w.t.Helper()
	c := p.begin()
	return c, p.w.first.code(p.w.t, p.number, n)
}

// judged waits until every typed code has its verdict, and returns how many have which.
func (w *world) judged() map[string]int {
	w.t.Helper()
	w.until("every code is judged", func() bool {
		return w.count("SELECT count(*) FROM entry e WHERE NOT EXISTS (SELECT FROM verdict v WHERE v.entry_id = e.id)") == 0
	})
	rows := must(w.owner.Query(w.t.Context(), "SELECT result, count(*) FROM verdict GROUP BY result"))(w.t)
	defer rows.Close()
	found := map[string]int{}
	for rows.Next() {
		var result string
		var n int
		if err := rows.Scan(&result, &n); err != nil {
			w.t.Fatal(err)
		}
		found[result] = n
	}
	return found
}

// guesses are codes that are none of the right ones.
func guesses(n int, right ...string) (bodies []any) {
	for i := 0; len(bodies) < n; i++ {
		if typed := fmt.Sprintf("%06d", 7*i%1_000_000); !slices.Contains(right, typed) {
			bodies = append(bodies, map[string]any{"code": typed})
		}
	}
	return bodies
}

// tries reads a person's count of wrong codes.
func (p person) tries() (hour, day, inARow int) {
	p.w.t.Helper()
	if err := p.w.owner.QueryRow(p.w.t.Context(), "SELECT hour_count, day_count, consecutive FROM member_try WHERE member_id = $1", p.id).Scan(&hour, &day, &inARow); err != nil {
		p.w.t.Fatal(err)
	}
	return hour, day, inARow
}

// back moves the start of a person's windows into the past.
func (p person) back(d time.Duration) {
	p.w.t.Helper()
	p.w.exec("UPDATE member_try SET hour_started_at = hour_started_at - $1::interval, day_started_at = day_started_at - $1::interval", d)
}

// F22, F23, C6, C7: however many codes are guessed, in however many challenges and however
// many at once, no more are compared than five a challenge, ten an hour and twenty a day;
// the right code is refused once they are used up, and a new request resets nothing.
func TestGuessesStayWithinTheCaps(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(*up.Options) {})
	p := w.person(1)
	total, burst := size(240, 10_000), size(80, 1_000)
	var challenges []uuid.UUID
	var right []string
	for i := range 4 {
		c, digits := p.open(i + 1)
		challenges, right = append(challenges, c), append(right, digits)
	}
	spare, spareCode := p.open(5) // nobody guesses at this one
	right = append(right, spareCode)

	bodies := guesses(total, right...)
	for done := 0; done < total; done += burst {
		c := challenges[done/burst%len(challenges)]
		for _, a := range w.atOnce("POST", entries(c), p.proofs(burst, "POST", entries(c), c), bodies[done:min(done+burst, total)]) {
			if a.err != nil || a.result() != "rejected" && a.result() != "pending" {
				t.Fatalf("a guess: %d %v %v", a.status, a.out, a.err)
			}
		}
	}
	found := w.judged()
	if compared := found["wrong"] + found["unreadable"] + found["registered"]; compared != 10 || found["registered"] != 0 {
		t.Errorf("%d of %d guesses were compared, want ten: %v", compared, total, found)
	}
	if n := w.count("SELECT max(tries) FROM challenge"); n != 5 {
		t.Errorf("%d tries of one challenge were counted, want five", n)
	}
	if hour, day, row := p.tries(); hour != 10 || day != 10 || row != 10 {
		t.Errorf("%d, %d and %d tries were counted, want ten", hour, day, row)
	}

	// Locked: the right code of a challenge that nobody guessed at is refused, and no other is made.
	p.refused(spare, spareCode)
	if _, out := p.see(spare); out["status"] != "locked" {
		t.Errorf("the challenge is %v, want it locked", out)
	}
	if status, out := p.check(); status != http.StatusTooManyRequests || out["type"] != "/problems/codes-locked" || out["retry_after"] == nil {
		t.Errorf("another request: %d %v, want it refused", status, out)
	}

	// An hour later ten more, and then none for the day.
	p.back(61 * time.Minute)
	again, digits := p.open(6)
	second, secondCode := p.open(7)
	third, thirdCode := p.open(8)
	for _, c := range []uuid.UUID{again, second} {
		w.atOnce("POST", entries(c), p.proofs(20, "POST", entries(c), c), guesses(20, digits, secondCode, thirdCode))
	}
	w.judged()
	if hour, day, _ := p.tries(); hour != 10 || day != 20 {
		t.Errorf("%d tries of the hour and %d of the day, want 10 and 20", hour, day)
	}
	p.refused(third, thirdCode)
	p.back(61 * time.Minute)
	if status, out := p.check(); status != http.StatusTooManyRequests || out["type"] != "/problems/codes-locked" {
		t.Errorf("another request after twenty: %d %v, want it refused", status, out)
	}

	// A day later the right code is right, and resets the count.
	p.back(25 * time.Hour)
	last, lastCode := p.open(9)
	status, out := p.enter(last, lastCode)
	p.registered(last, status, out)
	if hour, day, row := p.tries(); hour+day+row != 0 {
		t.Errorf("after the right code %d, %d and %d tries are counted", hour, day, row)
	}
	if n := w.count("SELECT count(*) FROM device"); n != 1 {
		t.Errorf("%d devices", n)
	}
}

// refused types a right code and wants it refused.
func (p person) refused(challenge uuid.UUID, right string) {
	p.w.t.Helper()
	if status, out := p.enter(challenge, right); out["result"] != "rejected" && out["result"] != "pending" {
		p.w.t.Errorf("the right code of a locked person: %d %v", status, out)
	}
	if found := p.w.judged(); found["registered"] != 0 {
		p.w.t.Errorf("a locked person was registered: %v", found)
	}
}

// C4: of a thousand right codes at once one registers the device, and of one proof used a
// thousand times one is taken.
func TestOneRightCodeRegistersOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(*up.Options) {})
	n := size(100, 1_000)
	p := w.person(1)
	c, digits := p.open(1)
	body := []any{map[string]any{"code": digits}}
	wins := 0
	for _, a := range w.atOnce("POST", entries(c), p.proofs(n, "POST", entries(c), c), body) {
		if a.result() == "registered" {
			wins++
		} else if a.err != nil || a.result() != "rejected" && a.result() != "pending" {
			t.Errorf("a right code among many: %d %v %v", a.status, a.out, a.err)
		}
	}
	found := w.judged()
	if found["registered"] != 1 || found["closed"] != n-1 || wins > 1 {
		t.Errorf("%d people were told that they are registered, the verdicts are %v", wins, found)
	}
	if devices := w.count("SELECT count(*) FROM device"); devices != 1 {
		t.Errorf("%d devices, want one", devices)
	}
	if told := w.count("SELECT count(*) FROM event WHERE type = 'latchkey.device.registered'"); told != 1 {
		t.Errorf("%d registrations were told of, want one", told)
	}

	q := w.person(2)
	c, digits = q.open(1)
	one := q.proofs(1, "POST", entries(c), c)[0]
	taken := 0
	for _, a := range w.atOnce("POST", entries(c), slices.Repeat([]string{one}, n), []any{map[string]any{"code": digits}}) {
		if a.problem() != "proof-replayed" {
			taken++
		}
	}
	if typed := w.count("SELECT count(*) FROM entry WHERE challenge_id = '" + c.String() + "'"); taken != 1 || typed != 1 {
		t.Errorf("one proof was taken %d times, for %d entries", taken, typed)
	}
}

// F26, C5: whoever copied what a browser sends, but not its key, is asked for a code; and a
// proof for one challenge is none for another.
func TestCopiesOfADeviceAreAskedForACode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(*up.Options) {})
	p := w.person(1)
	p.live(w.first)
	proof := p.proof("POST", "/v1/device-checks", uuid.Nil)
	check := func(proof string) (int, map[string]any) {
		return w.call("POST", "/v1/device-checks", map[string]any{"member": p.id, "software": "web", "proof": proof}, "Authorization", "Bearer "+w.apiKey)
	}
	if status, out := check(proof); status != http.StatusOK {
		t.Fatalf("the device itself: %d %v", status, out)
	}
	if status, out := check(proof); status != http.StatusUnauthorized || out["type"] != "/problems/proof-replayed" {
		t.Errorf("a copied proof: %d %v", status, out)
	}
	// The copy has the public key, from a proof that it saw, and signs with its own.
	thief := p
	thief.key = must(dpop.NewKey())(t)
	head, _, _ := strings.Cut(proof, ".")
	_, rest, _ := strings.Cut(thief.proof("POST", "/v1/device-checks", uuid.Nil), ".")
	if status, out := check(head + "." + rest); status != http.StatusUnauthorized || out["type"] != "/problems/invalid-proof" {
		t.Errorf("a foreign key with one's own signature: %d %v", status, out)
	}
	if status, out := thief.check(); status != http.StatusAccepted || out["status"] != "challenge" {
		t.Errorf("the same browser with another key: %d %v, want a challenge", status, out)
	}

	// Two challenges of one device: what is proven for one is nothing to the other.
	q := w.person(2)
	one, other := q.begin(), q.begin()
	for _, path := range []string{"", "/entries", "/texts", "/tickets"} {
		method := "POST"
		if path == "" {
			method = "GET"
		}
		at := "/v1/challenges/" + one.String() + path
		for name, proof := range map[string]string{
			"for another challenge":          q.proof(method, at, other),
			"for another challenge's path":   q.proof(method, "/v1/challenges/"+other.String()+path, one),
			"for no challenge":               q.proof(method, at, uuid.Nil),
			"of another device":              thief.proof(method, at, one),
			"of a registered one of another": p.proof(method, at, one),
		} {
			status, out := w.call(method, at, map[string]any{"code": "123456"}, "DPoP", proof)
			if status != http.StatusNotFound && status != http.StatusUnauthorized {
				t.Errorf("%s %s with a proof %s: %d %v", method, path, name, status, out)
			}
		}
	}
	if n := w.count("SELECT count(*) FROM entry"); n != 1 {
		t.Errorf("%d codes were taken, want the one of the device that is registered", n)
	}
	if n := w.count("SELECT count(*) FROM device"); n != 1 {
		t.Errorf("%d devices, want one", n)
	}
}
