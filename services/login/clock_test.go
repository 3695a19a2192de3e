package login_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/login"
)

// F20: however wrong the clock of a login's machine is, a proof is good once: its nonce is
// dated by the clock of the database, which forgets used proofs by that clock.
func TestProofIsGoodOnceWhateverTheClock(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	h.member(ada)
	k := newDevice(t)
	body := map[string]any{"user_id": "ada", "password": password, "software": "web"}
	var instances []*house
	for skew := -10 * time.Minute; skew <= 10*time.Minute; skew += time.Minute {
		at := h.another(0, func(o *login.Options) { o.Now = func() time.Time { return time.Now().Add(skew) } })
		instances = append(instances, at)
		if err := at.login.Ready(t.Context()); err != nil {
			t.Errorf("%s off: %v", skew, err)
		}
		proof := at.proof(k, "POST", at.url+"/v1/sign-ins", uuid.Nil)
		if status, out := at.call("POST", "/v1/sign-ins", body, "DPoP", proof); status != http.StatusAccepted {
			t.Fatalf("%s off: %d %v, want a challenge", skew, status, out)
		}
		h.exec("SELECT used_proof_clear(120)") // what the upkeep does, twice in that minute
		if status, out := at.call("POST", "/v1/sign-ins", body, "DPoP", proof); status != http.StatusUnauthorized || out["type"] != "/problems/proof-replayed" {
			t.Errorf("%s off, the proof again: %d %v, want it refused", skew, status, out)
		}
	}
	// Instances whose clocks differ by twenty minutes believe each other's nonces.
	slow, fast := instances[0], instances[len(instances)-1]
	proof, err := k.Prove("POST", fast.url+"/v1/sign-ins", slow.nonce(), uuid.Nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if status, out := fast.call("POST", "/v1/sign-ins", body, "DPoP", proof); status != http.StatusAccepted {
		t.Errorf("a nonce of an instance that is slow, at one that is fast: %d %v", status, out)
	}
}
