package login

import (
	"context"
	"encoding/json"
	"testing"
	"time"
)

// Routes lists the patterns of the public API.
func (l *Login) Routes() (patterns []string) {
	for _, r := range l.api() {
		patterns = append(patterns, r.pattern)
	}
	return patterns
}

// Pages lists the patterns of the pages and of their forms.
func (l *Login) Pages() (patterns []string) {
	for _, p := range l.pageRoutes() {
		patterns = append(patterns, p.pattern)
	}
	return patterns
}

// Progress is the status of a challenge's last requested text, of attempts as ChallengeState
// tells them.
func Progress(t testing.TB, requests int, attempts string, waited, left time.Duration) string {
	t.Helper()
	var all []attemptSeen
	if err := json.Unmarshal([]byte(attempts), &all); err != nil {
		t.Fatal(err)
	}
	return string(progress(requests, all, waited, left))
}

// Occupy takes every slot of the password hashing, as many sign-ins at once would.
func (l *Login) Occupy() (release func()) {
	var taken []func()
	for range l.o.Hashing {
		give, err := l.passwords.Slot(context.Background())
		if err != nil {
			panic(err) // only while others hash
		}
		taken = append(taken, give)
	}
	return func() {
		for _, give := range taken {
			give()
		}
	}
}

// Requests and Answers are the bodies of the public API, by the names of their schemas.
var (
	Requests = map[string]any{"SignIn": signInRequest{}, "DeviceCheck": deviceCheckRequest{}, "BrowserHeaders": browserHeaders{}, "PutMember": memberRequest{},
		"Entry": entryRequest{}, "PutPassword": passwordRequest{}, "PatchDevice": deviceRequest{}}
	Answers = map[string]any{"NewSession": sessionAnswer{}, "Challenge": challengeAnswer{}, "Verdict": entryAnswer{}, "Ticket": ticketAnswer{},
		"Member": memberAnswer{}, "Session": sessionState{}, "Devices": devicesAnswer{}, "Device": deviceAnswer{}}
	// Standings is what the schemas Standing and Asked have together.
	Standings = standingAnswer{}
)
