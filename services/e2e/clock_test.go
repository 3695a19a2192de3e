package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/up"
)

// ends moves a challenge so that it ends at a moment of the database's clock, d from now.
func (w *world) ends(challenge uuid.UUID, d time.Duration) {
	w.t.Helper()
	w.exec("UPDATE challenge SET created_at = now() - interval '5 minutes', expires_at = now() + $2::interval WHERE id = $1", challenge, d)
}

// F20, C1: login's clock is ten minutes wrong, either way. People register as ever, a code is
// taken until the database's clock says that its time is over, and none after it.
func TestOnlyTheDatabasesClockCounts(t *testing.T) {
	t.Parallel()
	for name, skew := range map[string]time.Duration{"slow": -10 * time.Minute, "fast": 10 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(o *up.Options) { o.Login.Now = func() time.Time { return time.Now().Add(skew) } })
			w.person(1).live(w.first)

			p := w.person(2)
			c, digits := p.open(1)
			w.ends(c, 15*time.Second)
			if _, out := p.see(c); out["tries_left"] != 5.0 {
				t.Errorf("before its end the challenge is %v", out)
			}
			status, out := p.enter(c, digits)
			p.registered(c, status, out)

			q := w.person(3)
			c, digits = q.open(1)
			w.ends(c, -time.Millisecond)
			if status, out := q.enter(c, digits); out["result"] != "rejected" && out["result"] != "pending" {
				t.Errorf("a code after its end: %d %v", status, out)
			}
			if found := w.judged(); found["registered"] != 2 {
				t.Errorf("the verdicts are %v, want two people registered", found)
			}
			w.until("the challenge has expired", func() bool { _, out := q.see(c); return out["status"] == "expired" })
			if status, out := q.check(); status != http.StatusAccepted {
				t.Errorf("another request: %d %v", status, out)
			}
		})
	}
}
